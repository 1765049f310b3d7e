# SPDX-License-Identifier: MIT
"""The messages that wait on disk, in order, until the broker has confirmed them.

One SQLite file (WAL, synchronous=NORMAL): what `append` returned from survives the end of the process, however it ends;
a power failure may take the last moments. When to spool, publish and remove is the bridges' business; how a file stays
writable on a full disk is that of `database`.
"""

from __future__ import annotations

import itertools
import json
import logging
import sqlite3
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from . import database
from .exceptions import SpoolFull, ToolsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Entry", "Spool"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_KIND = 0x666D7370  # "fmsp"
_SCHEMA = """
CREATE TABLE waiting (position INTEGER PRIMARY KEY, received REAL NOT NULL, frames BLOB NOT NULL);
CREATE TABLE deferred (
  position INTEGER PRIMARY KEY, received REAL NOT NULL, frames BLOB NOT NULL, due REAL NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX deferred_due ON deferred (due, position);
CREATE TABLE state (messages INTEGER, bytes INTEGER, deferred INTEGER, last_position INTEGER);
INSERT INTO state VALUES (0, 0, 0, 0)
"""
_ROW = 16  # bytes that a message takes in the file beside its frames and their lengths, about
_STEP = 500  # the most positions in one transaction of a removal
_LISTED = "WHERE position IN (SELECT value FROM json_each(?))"
_SIZES = (
    f"SELECT position, length(frames) FROM waiting {_LISTED}",  # noqa: S608, constants
    f"SELECT position, length(frames) FROM deferred {_LISTED}",  # noqa: S608, constants
)
_READ = "SELECT position, received, frames FROM waiting WHERE position > ? ORDER BY position"
_DUE = "SELECT due, position, received, frames FROM deferred WHERE due <= ? ORDER BY due, position LIMIT ?"
_ANYWHERE = """
SELECT received, frames FROM waiting WHERE position = ?
UNION ALL SELECT received, frames FROM deferred WHERE position = ?
"""
_DELETE = (f"DELETE FROM waiting {_LISTED}", f"DELETE FROM deferred {_LISTED}")  # noqa: S608, constants
_TAKE = tuple(f"{delete} RETURNING position, received, frames" for delete in _DELETE)


class Entry(NamedTuple):
    """A message as it came.

    Attributes:
        position: its place in the order; greater than 0.
        received: seconds since the epoch.
        frames: the parts of the multipart message.
    """

    position: int
    received: float
    frames: tuple[bytes, ...]


class _Postponed(NamedTuple):
    due: float
    reason: str
    waiting: bool  # in the table of those that wait, and not in that of the deferred


class _Totals(NamedTuple):
    messages: int
    bytes: int
    deferred: int
    last_position: int


class Spool:
    """A queue on disk that one process owns. Calls may come from any thread, and exclude each other.

    Args:
        path: the file; it is made, with its folder, if it is missing.
        max_bytes: the most that may wait, in bytes (frames, and about 28 bytes for each message).

    Raises:
        ToolsError: the file cannot be opened, or another process has it open.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self._lock = threading.RLock()
        self._doomed: dict[int, int] = {}  # removed, but not yet in the file: position → bytes
        self._postponed: dict[int, _Postponed] = {}  # deferred, but not yet so in the file
        self._database = database.Database(self.path, _SCHEMA, _KIND)
        self._totals = _Totals(0, 0, 0, 0)
        self._reading(self._load)

    @property
    def messages(self) -> int:
        """How many messages wait, the deferred ones among them."""
        return self._totals.messages - len(self._doomed)

    @property
    def bytes(self) -> int:
        """How many bytes wait, as `max_bytes` counts them."""
        return self._totals.bytes - sum(self._doomed.values())

    @property
    def deferred(self) -> int:
        """How many of the messages are deferred."""
        return self._totals.deferred + sum(one.waiting for one in self._postponed.values())

    @property
    def last_position(self) -> int:
        """The greatest position that was ever appended; 0 if none was."""
        return self._totals.last_position

    @property
    def set_aside(self) -> Path | None:
        """Where the corrupt file is that was found at this path, if one was."""
        return self._database.set_aside

    def append(self, entries: Sequence[Entry]) -> None:
        """Write messages, all or none. A position that is there already is left alone.

        Raises:
            SpoolFull: the bound or the disk does not allow it; nothing was written.
        """
        with self._lock:
            try:
                self._database.run(lambda: self._append(entries), self._begin_anew)
            except (sqlite3.Error, OverflowError) as exc:
                raise SpoolFull(f"{self.path} cannot be written: {database.one_line(exc)}") from exc

    def read(self, after: int, limit: int, max_bytes: int = 16 * 1024 * 1024) -> list[Entry]:
        """The next messages in order of position, without the deferred ones.

        Args:
            after: the position that was read last; 0 begins at the first.
            limit: the most messages.
            max_bytes: the most bytes; one message always comes, however large.

        Raises:
            ToolsError: the file cannot be read.
        """
        with self._lock:
            return self._reading(lambda: self._read(after, limit, max_bytes))

    def remove(self, positions: Sequence[int]) -> None:
        """Forget messages, deferred or not; unknown positions are ignored.

        Where the disk does not let it be written, the positions are remembered: nothing returns these messages any
        more, and each later call tries again. They come back only if the process ends before one succeeds.
        """
        with self._lock:
            self._reading(lambda: self._remove(positions))

    def defer(self, positions: Sequence[int], due: float, reason: str) -> None:
        """Lay messages aside until a time, over restarts too; deferring again replaces time and reason.

        Args:
            positions: unknown ones are ignored.
            due: seconds since the epoch.
            reason: for the operator.
        """
        with self._lock:
            self._reading(lambda: self._defer(positions, due, reason))

    def due(self, now: float, limit: int) -> list[Entry]:
        """The deferred messages whose time has come, the earliest first; they stay until removed or deferred again.

        Args:
            now: seconds since the epoch.
            limit: the most messages.
        """
        with self._lock:
            return self._reading(lambda: self._due(now, limit))

    def close(self) -> None:
        """Write what is remembered, if the disk lets it, and close the file."""
        with self._lock:
            self._reading(self._flush)
            self._database.close()

    # --- What may fail ---

    def _begin_anew(self) -> None:
        self._doomed.clear()
        self._postponed.clear()
        self._totals = _Totals(0, 0, 0, self._totals.last_position)

    def _reading(self, action: Callable[[], _T]) -> _T:
        try:
            return self._database.run(action, self._begin_anew)
        except sqlite3.Error as exc:
            raise ToolsError(f"{self.path} cannot be read: {database.one_line(exc)}") from exc

    def _load(self) -> None:
        row = self._database.connection.execute("SELECT * FROM state").fetchone()
        if row is None:
            raise ToolsError(f"{self.path} lacks its totals: move it away")
        self._totals = _Totals(*row)

    def _save(self, connection: sqlite3.Connection, totals: _Totals) -> None:
        connection.execute("UPDATE state SET messages=?, bytes=?, deferred=?, last_position=?", totals)

    # --- Appending and reading ---

    def _append(self, entries: Sequence[Entry]) -> None:
        self._flush()
        rows = [(entry.position, entry.received, _pack(entry.frames)) for entry in self._unknown(entries)]
        if not rows:
            return
        size = sum(len(row[2]) + _ROW for row in rows)
        if self.bytes + size > self.max_bytes:
            raise SpoolFull(
                f"{self.path} is full: {self.bytes} of {self.max_bytes} bytes wait for the broker"
            )
        pages = sum(len(row[2]) // 4000 + 1 for row in rows if len(row[2]) > 512) + size // 3500 + 2
        self._database.make_room(pages)
        old = self._totals
        last = max(old.last_position, *(row[0] for row in rows))
        new = _Totals(old.messages + len(rows), old.bytes + size, old.deferred, last)
        with self._database.transaction(pages) as connection:
            connection.executemany("INSERT INTO waiting VALUES (?, ?, ?)", rows)
            self._save(connection, new)
        self._totals = new

    def _unknown(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        last = self._totals.last_position
        ascending = all(one.position < other.position for one, other in itertools.pairwise(entries))
        if ascending and entries and entries[0].position > last:
            return entries
        fresh = {entry.position: entry for entry in reversed(entries)}
        listed = json.dumps(list(fresh))
        for query in _SIZES:
            for position, _ in self._database.connection.execute(query, (listed,)):
                del fresh[position]
        return sorted(fresh.values())

    def _read(self, after: int, limit: int, max_bytes: int) -> list[Entry]:
        self._flush()
        rows = self._database.connection.execute(_READ, (after,))
        return self._taken(rows, limit, max_bytes)

    def _taken(self, rows: sqlite3.Cursor, limit: int, max_bytes: int) -> list[Entry]:
        entries: list[Entry] = []
        size = 0
        for position, received, frames in rows:
            if position in self._doomed or position in self._postponed:
                continue
            size += len(frames)
            if len(entries) >= limit or (entries and size > max_bytes):
                break
            entries.append(Entry(position, received, _unpack(frames)))
        rows.close()
        return entries

    def _due(self, now: float, limit: int) -> list[Entry]:
        self._flush()
        connection = self._database.connection
        rows = [
            row
            for row in connection.execute(_DUE, (now, limit + len(self._doomed) + len(self._postponed)))
            if row[1] not in self._doomed and row[1] not in self._postponed
        ]
        for position, later in self._postponed.items():
            if later.due <= now:
                found = connection.execute(_ANYWHERE, (position, position)).fetchall()
                rows.extend((later.due, position, *row) for row in found)
        rows.sort(key=lambda row: row[:2])
        return [Entry(position, received, _unpack(frames)) for _, position, received, frames in rows[:limit]]

    # --- Removing and deferring ---

    def _remove(self, positions: Sequence[int]) -> None:
        listed = json.dumps(list(positions))
        for query in _SIZES if self._totals.deferred else _SIZES[:1]:
            for position, size in self._database.connection.execute(query, (listed,)):
                self._doomed[position] = size + _ROW
                self._postponed.pop(position, None)
        self._flush()

    def _defer(self, positions: Sequence[int], due: float, reason: str) -> None:
        listed = json.dumps(list(positions))
        for query, waiting in zip(_SIZES, (True, False), strict=True):
            for position, _ in self._database.connection.execute(query, (listed,)):
                if position not in self._doomed:
                    self._postponed[position] = _Postponed(due, reason, waiting)
        self._flush()

    def _flush(self) -> None:
        """Write what was remembered; what the disk refuses, also after a checkpoint, stays remembered."""
        if not self._doomed and not self._postponed:
            return
        for last in (False, True):
            try:
                self._in_steps(self._doomed, self._delete)
                self._in_steps(self._postponed, self._move)
            except sqlite3.DatabaseError as exc:
                if database.is_corrupt(exc):
                    raise
                if last:
                    _log.debug(
                        "%s: %d removals wait: %s", self.path, len(self._doomed), database.one_line(exc)
                    )
                else:
                    self._database.checkpoint()
            else:
                return

    def _in_steps(self, remembered: Iterable[int], write: Callable[[Sequence[int]], None]) -> None:
        positions = sorted(remembered)
        step = min(_STEP, self._database.frames // 4)
        for start in range(0, len(positions), step):
            write(positions[start : start + step])

    def _delete(self, positions: Sequence[int]) -> None:
        old, listed = self._totals, json.dumps(positions)
        size = sum(self._doomed[position] for position in positions)
        with self._database.transaction(_changed(positions, size)) as connection:
            connection.execute(_DELETE[0], (listed,))
            fewer = connection.execute(_DELETE[1], (listed,)).rowcount if old.deferred else 0
            new = _Totals(
                old.messages - len(positions), old.bytes - size, old.deferred - fewer, old.last_position
            )
            self._save(connection, new)
        self._totals = new
        for position in positions:
            del self._doomed[position]
        self._database.shrink()

    def _move(self, positions: Sequence[int]) -> None:
        """Delete before inserting, so that what is inserted finds the room of what was deleted."""
        old, listed = self._totals, json.dumps(positions)
        with self._database.transaction(2 * len(positions)) as connection:
            rows = connection.execute(_TAKE[0], (listed,)).fetchall()
            known = connection.execute(_TAKE[1], (listed,)).fetchall()
            connection.executemany(
                "INSERT INTO deferred VALUES (?, ?, ?, ?, ?)",
                [(*row, *self._postponed[row[0]][:2]) for row in rows + known],
            )
            new = old._replace(deferred=old.deferred + len(rows))
            self._save(connection, new)
        self._totals = new
        for position in positions:
            del self._postponed[position]


def _changed(positions: Sequence[int], size: int) -> int:
    """How many pages a removal changes, at a rough guess: those that become empty, since SQLite writes most of them
    before it finds them so, and two at the ends of each run.
    """
    runs = 1 + sum(other - one > 1 for one, other in itertools.pairwise(positions))
    return min(2 * runs, len(positions)) + min(size // database.PAGE, 2 * len(positions)) + 4


def _pack(frames: tuple[bytes, ...]) -> bytes:
    """The number of frames, the length of each, 32 bits each, and then the bytes."""
    return struct.pack(f"<{len(frames) + 1}I", len(frames), *map(len, frames)) + b"".join(frames)


def _unpack(packed: bytes) -> tuple[bytes, ...]:
    (count,) = struct.unpack_from("<I", packed)
    ends = itertools.accumulate(struct.unpack_from(f"<{count}I", packed, 4), initial=4 + 4 * count)
    return tuple(packed[start:end] for start, end in itertools.pairwise(ends))
