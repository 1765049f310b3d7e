# SPDX-License-Identifier: MIT
"""What was sent over ZeroMQ lately, so that a consumer that missed some can ask for it again, and the running number.

One SQLite file. It is a convenience to the outside: when the disk is full, the oldest go, and a record that cannot be
written is counted and said in the log, but never stops the bridge. The protocol is `fedmsg.replay`'s business.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import database
from .exceptions import SpoolFull, ToolsError
from .fedmsg import replay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Archive", "Record"]

_log = logging.getLogger(__name__)

_KIND = 0x666D6172  # "fmar"
_SCHEMA = """
CREATE TABLE records (
  seq_id INTEGER PRIMARY KEY, added REAL NOT NULL, msg_id TEXT, timestamp REAL, envelope BLOB NOT NULL
);
CREATE INDEX records_msg_id ON records (msg_id);
CREATE INDEX records_timestamp ON records (timestamp);
CREATE TABLE state (messages INTEGER, last_seq INTEGER);
INSERT INTO state VALUES (0, 0)
"""
_AHEAD = 1000  # numbers given out for each one that is written down
_STEP = 200  # the most that one call of `add` prunes, beside as many as it added
_OLDEST = "SELECT seq_id, added FROM records ORDER BY seq_id LIMIT ?"
_FOUND = """
SELECT seq_id FROM records WHERE seq_id IN (SELECT value FROM json_each(?))
UNION SELECT seq_id FROM records WHERE seq_id BETWEEN ? AND ?
UNION SELECT seq_id FROM records WHERE msg_id IN (SELECT value FROM json_each(?))
UNION SELECT seq_id FROM records WHERE timestamp BETWEEN ? AND ?
ORDER BY seq_id LIMIT ?
"""
_ENVELOPES = "SELECT envelope FROM records WHERE seq_id IN (SELECT value FROM json_each(?)) ORDER BY seq_id"


class Record(NamedTuple):
    """A message as it was sent.

    Attributes:
        seq_id: its running number, from `Archive.next_seq`.
        msg_id: its id; None where it has none.
        timestamp: seconds since the epoch; None where it has none.
        topic: the first frame.
        envelope: the second frame.
    """

    seq_id: int
    msg_id: str | None
    timestamp: float | None
    topic: str
    envelope: bytes


class Archive:
    """The last messages that were sent. Calls may come from any thread, and exclude each other.

    Args:
        path: the file; it is made, with its folder, if it is missing.
        max_messages: how many are kept.
        max_age: how long they are kept, in seconds; None for ever.
        clock: seconds since the epoch.

    Raises:
        ToolsError: the file cannot be opened, or another process has it open.
    """

    def __init__(
        self,
        path: Path,
        max_messages: int,
        max_age: float | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.messages = 0
        self.failed = 0  # records that could not be written
        self._max_messages = max_messages
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.RLock()
        self._oldest: float | None = None  # when the first record was added; None: not known
        self._failing = False
        self._database = database.Database(self.path, _SCHEMA, _KIND)
        try:
            written = self._database.run(self._load, self._begin_anew)
        except sqlite3.Error as exc:
            raise ToolsError(f"{self.path} cannot be read: {database.one_line(exc)}") from exc
        # A consumer takes no number that is not above the last one it saw. The clock's milliseconds keep the numbers
        # rising even when the file was lost, as long as fewer than a thousand a second are sent over time.
        self._written = self._last = max(written, int(clock() * 1000))

    @property
    def set_aside(self) -> Path | None:
        """Where the corrupt file is that was found at this path, if one was."""
        return self._database.set_aside

    def next_seq(self) -> int:
        """The next running number: above all before it, over restarts too; it may leave some out."""
        with self._lock:
            self._last += 1
            if self._last > self._written:
                self._written = self._last + _AHEAD
                self._keep(lambda: self._write_down(self._written))
            return self._last

    def add(self, records: Sequence[Record]) -> None:
        """Keep messages, to be called before they are sent, so that whoever sees their number can ask for them.

        Prunes a few that are too many or too old. It never raises for a full disk: see `failed`.
        """
        with self._lock:
            if not self._keep(lambda: self._add(records)):
                self.failed += len(records)

    def answer(self, request: bytes) -> list[bytes]:
        """The parts that answer a request: the envelopes in the order of their numbers, or one error.

        Args:
            request: the frame as it came.
        """
        try:
            query = replay.parse(request)
            with self._lock:
                return self._database.run(lambda: self._answer(query), self._begin_anew)
        except replay.BadQuery as exc:
            return replay.error(str(exc))
        except sqlite3.Error as exc:
            _log.error("%s cannot be read: %s", self.path, database.one_line(exc))
            return replay.error("the archive cannot be read now")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._keep(lambda: self._write_down(self._last))
            self._database.close()

    # --- What may fail ---

    def _keep(self, action: Callable[[], None]) -> bool:
        """Whether it was written, if need be in the room of the oldest."""
        try:
            try:
                self._database.run(action, self._begin_anew)
            except (sqlite3.Error, SpoolFull):
                self._prune(_STEP)
                action()
        except (sqlite3.Error, SpoolFull, OverflowError) as exc:
            if not self._failing:
                _log.warning("%s cannot be written, replays will lack messages: %s", self.path, exc)
            self._failing = True
            return False
        self._failing = False
        return True

    def _load(self) -> int:
        row = self._database.connection.execute("SELECT messages, last_seq FROM state").fetchone()
        if row is None:
            raise ToolsError(f"{self.path} lacks its totals: move it away")
        self.messages = row[0]
        return int(row[1])

    def _begin_anew(self) -> None:
        self.messages, self._oldest = 0, None

    # --- Writing ---

    def _write_down(self, last: int) -> None:
        with self._database.transaction(2) as connection:
            connection.execute("UPDATE state SET last_seq = ?", (last,))

    def _add(self, records: Sequence[Record]) -> None:
        now = self._clock()
        rows = [(one.seq_id, now, one.msg_id, one.timestamp, one.envelope) for one in records]
        # A random msg_id changes a page of its index each.
        pages = len(rows) + sum(len(one.envelope) // 2000 + 1 for one in records) // 2 + 8
        self._database.make_room(pages)
        with self._database.transaction(pages) as connection:
            before = connection.total_changes
            connection.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)", rows)
            messages = self.messages + connection.total_changes - before
            connection.execute("UPDATE state SET messages = ?", (messages,))
        self.messages = messages
        if self._oldest is None:
            self._oldest = now
        self._prune_outdated(now, len(rows) + _STEP)

    def _prune_outdated(self, now: float, step: int) -> None:
        excess = self.messages - self._max_messages
        if excess <= 0 and not self._too_old(self._oldest, now):
            return
        oldest = self._database.connection.execute(_OLDEST, (min(step, self.messages),)).fetchall()
        self._prune(sum(number < excess or self._too_old(row[1], now) for number, row in enumerate(oldest)))

    def _too_old(self, added: float | None, now: float) -> bool:
        return self._max_age is not None and (added is None or added < now - self._max_age)

    def _prune(self, count: int) -> None:
        """Forget the oldest."""
        connection = self._database.connection
        rows = connection.execute(_OLDEST, (count,)).fetchall()
        if rows:
            with self._database.transaction(len(rows) * 3 // 2 + 8):
                connection.execute("DELETE FROM records WHERE seq_id <= ?", (rows[-1][0],))
                connection.execute("UPDATE state SET messages = ?", (self.messages - len(rows),))
            self.messages -= len(rows)
            self._database.shrink()
        first = connection.execute(_OLDEST, (1,)).fetchone()
        self._oldest = first[1] if first else None

    # --- Answering ---

    def _answer(self, query: replay.Query) -> list[bytes]:
        connection = self._database.connection
        found = connection.execute(
            _FOUND,
            (
                json.dumps(query.seq_ids),
                *(query.seq_id_range or (None, None)),
                json.dumps(query.msg_ids),
                *(query.time or (None, None)),
                replay.MAX_MESSAGES + 1,
            ),
        ).fetchall()
        if not found:
            raise replay.BadQuery("no message here matches")
        if len(found) > replay.MAX_MESSAGES:
            raise replay.BadQuery(f"more than {replay.MAX_MESSAGES} messages match: ask for fewer at a time")
        parts: list[bytes] = []
        size = 0
        for (envelope,) in connection.execute(_ENVELOPES, (json.dumps([row[0] for row in found]),)):
            size += len(envelope)
            if size > replay.MAX_BYTES:
                raise replay.BadQuery(f"more than {replay.MAX_BYTES} bytes match: ask for fewer at a time")
            parts.append(envelope)
        return parts
