# SPDX-License-Identifier: MIT
"""The tables of the verifier's SQLite file, and all SQL about them. Threads, memory and full disks are the store's.

Each call writes at most one small transaction, or deletes the few oldest rows, so that nobody waits long for another.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .. import database
from .counted import IN, Cell
from .kept import DIRTY, KINDS, LEGS, TAKEN_BACK, WITNESSES, Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Blind", "Tables", "seconds"]

_T = TypeVar("_T")

_KIND = 0x666D7665  # "fmve"
_LISTED = ", ".join(f"'{kind}'" for kind in DIRTY)
_BACK = ", ".join(f"'{kind}'" for kind in TAKEN_BACK)
_CELLS = "kinds TEXT NOT NULL, delays TEXT NOT NULL"
_SCHEMA = f"""
CREATE TABLE verdicts (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, leg INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL,
  topic TEXT NOT NULL, application TEXT NOT NULL, seen_at REAL NOT NULL, judged_at REAL NOT NULL,
  window REAL NOT NULL, evidence TEXT NOT NULL, takes_back INTEGER NOT NULL,
  taken_back INTEGER NOT NULL
);
CREATE INDEX verdicts_key ON verdicts (key);
CREATE INDEX verdicts_kind ON verdicts (kind, leg);
CREATE INDEX verdicts_dirty ON verdicts (leg, judged_at) WHERE taken_back = 0 AND kind IN ({_LISTED});
CREATE TABLE totals (at INTEGER, leg INTEGER, {_CELLS}, PRIMARY KEY (at, leg)) WITHOUT ROWID;
CREATE TABLE minutes (
  at INTEGER, leg INTEGER, application TEXT, {_CELLS}, PRIMARY KEY (at, leg, application)
) WITHOUT ROWID;
CREATE TABLE hours (
  at INTEGER, leg INTEGER, application TEXT, {_CELLS}, PRIMARY KEY (at, leg, application)
) WITHOUT ROWID;
CREATE TABLE applications (
  application TEXT, leg INTEGER, first INTEGER, last INTEGER, PRIMARY KEY (application, leg)
) WITHOUT ROWID;
CREATE TABLE blind (
  number INTEGER PRIMARY KEY, witness INTEGER NOT NULL, source TEXT NOT NULL, begin REAL NOT NULL, end REAL
);
CREATE UNIQUE INDEX blind_begin ON blind (witness, source, begin);
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
"""
_COLUMNS = ", ".join(Row._fields)
_SELECT = f"SELECT number, {_COLUMNS} FROM verdicts"  # noqa: S608 - constants
_INSERT = f"INSERT INTO verdicts ({_COLUMNS}) VALUES ({', '.join('?' * len(Row._fields))})"  # noqa: S608
_OF_KIND = f"{_SELECT} WHERE kind = ? AND leg = ? ORDER BY number DESC LIMIT ?"
_OLDEST = "SELECT judged_at FROM verdicts ORDER BY number LIMIT 1"
_TAKE_BACK = f"UPDATE verdicts SET taken_back = 1 WHERE key = ? AND leg = ? AND kind IN ({_BACK})"  # noqa: S608
_IS_DIRTY = f"taken_back = 0 AND kind IN ({_LISTED})"
_LAST_DIRTY = f"SELECT max(judged_at) FROM verdicts WHERE leg = ? AND {_IS_DIRTY}"  # noqa: S608
_DIRTIEST = f"""
SELECT leg, max(judged_at) FROM verdicts
WHERE number IN (SELECT value FROM json_each(?)) AND {_IS_DIRTY} GROUP BY leg
"""  # noqa: S608
_PUT = "INSERT OR REPLACE INTO state VALUES (?, ?)"
_PUT_LATEST = """
INSERT INTO state VALUES (?1, ?2)
ON CONFLICT DO UPDATE SET value = ?2 WHERE CAST(value AS REAL) < CAST(?2 AS REAL)
"""
_APPLICATION = """
INSERT INTO applications VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
"""
_BLIND = """
INSERT INTO blind (witness, source, begin, end) VALUES (?, ?, ?, ?)
ON CONFLICT (witness, source, begin) DO UPDATE SET end = excluded.end
"""
_OLD_BLIND = """
DELETE FROM blind WHERE number IN (SELECT number FROM blind ORDER BY number LIMIT 200) AND end < ?
"""
_COUNTED = ("totals", "minutes", "hours")
_WIDTHS = {"totals": 60, "minutes": 60, "hours": 3600}  # seconds


class Blind(NamedTuple):
    """A time at which a witness could not see."""

    witness: int  # index in WITNESSES
    source: str  # endpoint or process, "" for all of it
    begin: float  # seconds since the epoch
    end: float | None  # None: it lasts


class Tables:
    """The file, by one caller at a time.

    Arguments:
        path: it is made, with its folder, if it is missing.
        keep_days: how long anything is kept.
        most_rows: the most rows of each table.
        begun_anew: called when the file was found corrupt while it was in use, and a new one begun.

    All raise ``sqlite3.Error``, ``ToolsError`` or ``SpoolFull`` when the file cannot be read or written; then nothing
    of what was to be written is written.
    """

    def __init__(self, path: Path, keep_days: float, most_rows: int, begun_anew: Callable[[], None]) -> None:
        self.rows: dict[str, int] = {}
        self._keep = keep_days * 86_400
        self._most_rows = most_rows
        self._tell = begun_anew
        self._database = database.Database(path, _SCHEMA, _KIND)
        self._run(self._count_rows)

    @property
    def set_aside(self) -> Path | None:
        """Where the corrupt file is that was found at this path, if one was."""
        return self._database.set_aside

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _run(self, action: Callable[[], _T]) -> _T:
        return self._database.run(action, self._begun_anew)

    def _begun_anew(self) -> None:
        self._count_rows()
        self._tell()

    def _count_rows(self) -> None:
        for table in ("verdicts", "blind", *_COUNTED):
            self.rows[table] = self._one(f"SELECT count(*) FROM {table}")  # noqa: S608 - constants

    def _one(self, query: str, *values: Any) -> Any:
        row = self._database.connection.execute(query, values).fetchone()
        return row[0] if row is not None else None

    # --- Verdicts ---

    def record(self, rows: Sequence[Row]) -> None:
        """Keep verdicts; a late match takes back what was said of its message before."""
        self._run(lambda: self._record(rows))

    def _record(self, rows: Sequence[Row]) -> None:
        size = sum(row.size for row in rows)
        # A random key changes a page of its index each, and a verdict that is taken back two more.
        pages = 2 * len(rows) + size // 2000 + 16
        self._database.make_room(pages)
        with self._database.transaction(pages) as connection:
            for takes_back, some in itertools.groupby(rows, lambda row: row.takes_back):
                batch = list(some)
                if takes_back:
                    connection.executemany(_TAKE_BACK, [(row.key, row.leg) for row in batch])
                connection.executemany(_INSERT, batch)
        self.rows["verdicts"] += len(rows)

    def prune_verdicts(self, now: float, step: int) -> None:
        """Forget the oldest that are too many or too old, at most ``step``."""
        self._run(lambda: self._prune_verdicts(now, step))

    def _prune_verdicts(self, now: float, step: int) -> None:
        excess, keep = self.rows["verdicts"] - self._most_rows, now - self._keep
        if excess <= 0 and (self._one(_OLDEST) or now) >= keep:
            return
        oldest = self._database.connection.execute(
            "SELECT number, judged_at FROM verdicts ORDER BY number LIMIT ?", (step,)
        ).fetchall()
        doomed = [number for at, (number, judged) in enumerate(oldest) if at < excess or judged < keep]
        if not doomed:
            return
        listed = json.dumps(doomed)
        with self._database.transaction(2 * len(doomed) + 8) as connection:
            for leg, judged in connection.execute(_DIRTIEST, (listed,)).fetchall():
                connection.execute(_PUT_LATEST, (f"dirty {leg}", repr(judged)))
            connection.execute(
                "DELETE FROM verdicts WHERE number IN (SELECT value FROM json_each(?))", (listed,)
            )
        self.rows["verdicts"] -= len(doomed)

    def latest(self, limit: int, kind: str | None = None, leg: int | None = None) -> list[Row]:
        """The newest verdicts, the newest first."""
        return self._run(lambda: self._latest(limit, kind, leg))

    def _latest(self, limit: int, kind: str | None, leg: int | None) -> list[Row]:
        connection = self._database.connection
        if kind is None and leg is None:
            rows = connection.execute(f"{_SELECT} ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
            return [Row(*row[1:]) for row in rows]
        found = []
        for one in KINDS if kind is None else (kind,):
            for number in range(len(LEGS)) if leg is None else (leg,):
                found += connection.execute(_OF_KIND, (one, number, limit)).fetchall()
        found.sort(reverse=True)
        return [Row(*row[1:]) for row in found[:limit]]

    def about(self, key: bytes) -> list[Row]:
        """All that was said of one message, the oldest first; at most 100."""
        return self._run(
            lambda: [
                Row(*row[1:])
                for row in self._database.connection.execute(
                    f"{_SELECT} WHERE key = ? ORDER BY number LIMIT 100", (key,)
                )
            ]
        )

    def last_dirty(self, leg: int) -> float | None:
        """When the last verdict fell after which an audit is not clean, and which was not taken back."""
        return self._run(lambda: self._last_dirty(leg))

    def _last_dirty(self, leg: int) -> float | None:
        here = self._one(_LAST_DIRTY, leg)
        gone = self._one("SELECT value FROM state WHERE name = ?", f"dirty {leg}")
        times = [float(one) for one in (here, gone) if one is not None]
        return max(times, default=None)

    # --- Counts ---

    def add(self, totals: Mapping[tuple[int, int], Cell], cells: Mapping[tuple[int, int, str], Cell]) -> None:
        """Add counts to what is there.

        Arguments:
            totals: minute and leg → what happened.
            cells: minute, leg and application → what happened; it is added to the hours, too.
        """
        self._run(lambda: self._add(totals, cells))

    def _add(
        self, totals: Mapping[tuple[int, int], Cell], cells: Mapping[tuple[int, int, str], Cell]
    ) -> None:
        hours: dict[tuple[int, int, str], Cell] = {}
        for (minute, leg, application), cell in cells.items():
            hours.setdefault((minute // 60, leg, application), Cell()).add(cell.kinds, cell.delays)
        pages = (len(totals) + len(cells) + len(hours)) // 4 + len(hours) // 2 + 16
        self._database.make_room(pages)
        with self._database.transaction(pages) as connection:
            new = {
                table: sum([_merge(connection, table, key, cell) for key, cell in changes.items()])
                for table, changes in (("totals", totals), ("minutes", cells), ("hours", hours))
            }
            for (minute, leg, application), cell in cells.items():
                if cell.kinds.get(IN):
                    connection.execute(_APPLICATION, (application, leg, minute, minute))
        for table, number in new.items():
            self.rows[table] += number

    def prune_counts(self, now: float) -> bool:
        """Forget the oldest minute or hour of each table that has too many or too old ones; whether there was one."""
        return self._run(lambda: sum(self._prune_counts(table, now) for table in _COUNTED) > 0)

    def _prune_counts(self, table: str, now: float) -> bool:
        oldest = self._one(f"SELECT min(at) FROM {table}")  # noqa: S608 - constants
        if oldest is None or (
            self.rows[table] <= self._most_rows and oldest * _WIDTHS[table] >= now - self._keep
        ):
            return False
        with self._database.transaction(200) as connection:
            gone = connection.execute(f"DELETE FROM {table} WHERE at = ?", (oldest,)).rowcount  # noqa: S608
            if table == "hours":
                connection.execute("DELETE FROM applications WHERE last < ?", ((now - self._keep) // 60,))
        self.rows[table] -= gone
        return True

    def first_minute(self) -> int | None:
        """The oldest of which there are totals."""
        return self._run(lambda: self._one("SELECT min(at) FROM totals"))  # type: ignore[no-any-return]

    def totals(self, since: int, until: int) -> Iterator[tuple[int, int, Cell]]:
        """Minute, leg, and what happened, from ``since`` up to but without ``until``, in order."""
        query = "SELECT at, leg, kinds, delays FROM totals WHERE at >= ? AND at < ? ORDER BY at, leg"
        rows = self._run(lambda: self._database.connection.execute(query, (since, until)).fetchall())
        return ((at, leg, Cell.unpacked(kinds, delays)) for at, leg, kinds, delays in rows)

    def cells(self, table: str, since: int) -> Iterator[tuple[int, int, str, Cell]]:
        """Minute or hour, leg, application, and what happened, in order.

        Arguments:
            table: ``minutes`` or ``hours``.
            since: the first minute or hour.
        """
        query = f"SELECT at, leg, application, kinds, delays FROM {table} WHERE at >= ? ORDER BY at"  # noqa: S608
        rows = self._run(lambda: self._database.connection.execute(query, (since,)).fetchall())
        return ((at, leg, name, Cell.unpacked(kinds, delays)) for at, leg, name, kinds, delays in rows)

    def applications(self) -> list[tuple[str, int, int, int]]:
        """Application, leg, and the first and last minute in which it was seen; those seen last come first."""
        query = "SELECT application, leg, first, last FROM applications ORDER BY last DESC"
        return self._run(lambda: self._database.connection.execute(query).fetchall())

    # --- Blind time ---

    def add_blind(self, times: Sequence[Blind]) -> None:
        """Keep them; one that is there without an end gets its end."""
        self._run(lambda: self._add_blind(times))

    def _add_blind(self, times: Sequence[Blind]) -> None:
        self._database.make_room(len(times) // 8 + 8)
        with self._database.transaction(len(times) // 4 + 8) as connection:
            connection.executemany(_BLIND, times)
            connection.execute(
                "DELETE FROM blind WHERE number <= (SELECT max(number) FROM blind) - ?", (self._most_rows,)
            )
        self.rows["blind"] = self._one("SELECT count(*) FROM blind")

    def end_blind(self, at: float) -> None:
        """Give those an end that have none: the last time at which the verifier is known to have run."""
        self._run(lambda: self._end_blind(at))

    def _end_blind(self, at: float) -> None:
        with self._database.transaction(8) as connection:
            connection.execute("UPDATE blind SET end = max(begin, ?) WHERE end IS NULL", (at,))

    def prune_blind(self, now: float) -> None:
        """Forget a few of those that ended too long ago."""
        self._run(lambda: self._prune_blind(now - self._keep))

    def _prune_blind(self, before: float) -> None:
        if (self._one("SELECT end FROM blind ORDER BY number LIMIT 1") or before) < before:
            with self._database.transaction(16) as connection:
                connection.execute(_OLD_BLIND, (before,))

    def blind(self, since: float) -> list[Blind]:
        """Those that had not ended before."""
        query = "SELECT witness, source, begin, end FROM blind WHERE end IS NULL OR end > ? ORDER BY begin"
        rows = self._run(lambda: self._database.connection.execute(query, (since,)).fetchall())
        return [Blind(*row) for row in rows]

    # --- State ---

    def put(self, values: Mapping[str, str]) -> None:
        """Remember texts by name."""
        self._run(lambda: self._put(values))

    def _put(self, values: Mapping[str, str]) -> None:
        pages = sum(map(len, values.values())) // 3000 + 8
        self._database.make_room(pages)
        with self._database.transaction(pages) as connection:
            connection.executemany(_PUT, list(values.items()))

    def get(self, name: str) -> str | None:
        """What was put under this name."""
        return self._run(lambda: self._one("SELECT value FROM state WHERE name = ?", name))  # type: ignore[no-any-return]


def _merge(connection: sqlite3.Connection, table: str, key: tuple[Any, ...], cell: Cell) -> bool:
    """Whether it is a new row."""
    where = "at = ? AND leg = ?" + " AND application = ?" * (len(key) == 3)
    found = connection.execute(f"SELECT kinds, delays FROM {table} WHERE {where}", key).fetchone()  # noqa: S608
    merged = Cell.unpacked(*found) if found is not None else Cell()
    merged.add(cell.kinds, cell.delays)
    places = ", ".join("?" * (len(key) + 2))
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({places})", (*key, *merged.packed()))  # noqa: S608
    return found is None


def seconds(times: Sequence[Blind], since: float, until: float) -> dict[str, float]:
    """Witness → for how long it, or one of its sources, could not see between two times.

    Arguments:
        times: the earliest first; they may overlap.
        since: seconds since the epoch.
        until: likewise.
    """
    result = dict.fromkeys(WITNESSES, 0.0)
    reached = dict.fromkeys(WITNESSES, since)
    for one in times:
        name = WITNESSES[one.witness]
        end = until if one.end is None else min(until, one.end)
        begin = max(one.begin, reached[name])
        if end > begin:
            result[name] += end - begin
            reached[name] = end
    return result
