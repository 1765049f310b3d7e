# SPDX-License-Identifier: MIT
"""What the verifier keeps: verdicts with their evidence, counts by minute, blind time, and what a restart goes on with.

Telling it something never waits: it is held in memory, within bounds, and a thread of its own writes it, a little at a
time. A disk that is full, or a file that is corrupt, stops nothing. Its SQL is in :mod:`.tables`; when what is told,
and what a verdict means, is not known here.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..database import one_line
from ..exceptions import SpoolFull, ToolsError
from .counted import IN, Cell, History
from .kept import Clean, Kept, shown
from .memory import Memory
from .pending import HELD, Pending
from .tables import Blind, Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Clean", "Kept", "Store"]

_log = logging.getLogger(__name__)

_BATCH = 100  # verdicts, or counts, in one transaction
_PAUSE = 0.2  # seconds between two rounds of writing, so that little things are written together
_AGAIN = 5.0  # seconds until it is tried again after a failure
_DAY = 86_400.0  # seconds
_FAULTS = (sqlite3.Error, SpoolFull, ToolsError, OverflowError)


class Store:
    """The verifier's memory over restarts. Calls may come from any thread.

    What is told, and :meth:`latest` without a filter, :meth:`minutes` of the last day and :meth:`applications`, are
    answered from memory and never wait. The other questions read the file, which may take a tenth of a second: ask
    them in a thread (``asyncio.to_thread``).

    Args:
        path: the file; it is made, with its folder, if it is missing. Full, it takes about a gigabyte.
        keep_days: how long anything is kept.
        most_rows: how many verdicts are kept, and how many counts by minute and by hour.
        clock: seconds since the epoch.

    Raises:
        ToolsError: the file cannot be opened, or another process has it open.
    """

    def __init__(
        self,
        path: Path,
        keep_days: float = 90,
        most_rows: int = 1_000_000,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.failing: str | None = None  # why nothing can be written now
        self._clock = clock
        self._keep_days = keep_days
        self._file = threading.RLock()  # held while the file is read or written
        self._writing = threading.Lock()  # held by the one who writes
        self._lock = threading.Lock()  # of what is in memory; held for microseconds
        self._pending = Pending()
        self._state = "{}"
        self._last_alive: float | None = None
        self._memory = Memory()
        try:
            self._tables = Tables(self.path, keep_days, most_rows, self._begun_anew)
            self._restore()
        except sqlite3.Error as exc:
            raise ToolsError(f"{self.path} cannot be read: {one_line(exc)}") from exc
        self._closing = threading.Event()
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._work, name="verdicts", daemon=True)
        self._thread.start()

    # --- What it is told ---

    def record(self, verdicts: Sequence[Kept]) -> None:
        """Keep verdicts. A late match takes back what was said of its message on its leg."""
        rows = [verdict.row() for verdict in verdicts]
        if not rows:
            return
        with self._lock:
            self._pending.add_rows(rows)
            for row in rows:
                self._memory.recent.add(row)
        self._told.set()

    def count(
        self,
        minute: int,
        application: str | None,
        leg: int,
        kinds: Mapping[str, int],
        delays: Sequence[int] = (),
    ) -> None:
        """Count messages. It is written when the minute is over.

        Args:
            minute: since the epoch.
            application: a topic's fourth word; None for what is only known of the leg.
            leg: its number.
            kinds: kind → how many; ``in`` for those that came in.
            delays: how many delays there were by interval of ``figures.LATENCIES``, the last one up to infinity: the
                ``counts`` of a ``figures.Histogram``, or what :func:`.counted.coarser` makes of other intervals.
        """
        leg = int(leg)
        cell = Cell()
        cell.add(kinds, delays)
        with self._lock:
            name = self._memory.seen.name(application) if application is not None else None
            self._pending.count(minute, leg, name, cell)
            self._memory.history.add(minute, leg, cell)
            if name is not None and cell.kinds.get(IN):
                self._memory.seen.add(name, leg, minute, cell.kinds[IN])

    def blind(self, witness: int, begin: float, end: float | None, source: str = "") -> None:
        """A witness could not see; told again with the same ``begin`` when it is over.

        Args:
            witness: its number.
            begin: seconds since the epoch.
            end: None while it lasts.
            source: the endpoint or process; empty for the whole witness.
        """
        with self._lock:
            self._pending.add_blind(Blind(int(witness), source[:300], begin, end))
        self._told.set()

    def save(self, state: Mapping[str, Any]) -> None:
        """Remember what to go on with after a restart: anything that JSON can hold. It replaces what was saved."""
        text = json.dumps(state)
        with self._lock:
            self._state = self._pending.values["service"] = text
        self._told.set()

    # --- What it answers from memory ---

    def load(self) -> dict[str, Any]:
        """What was saved last, or nothing."""
        with self._lock:
            state: dict[str, Any] = json.loads(self._state)
        return state

    @property
    def set_aside(self) -> Path | None:
        """Where the corrupt file is that was found at this path, if one was."""
        return self._tables.set_aside

    @property
    def waiting(self) -> int:
        """Verdicts that are not written yet."""
        return len(self._pending.rows)

    @property
    def failed(self) -> int:
        """Verdicts, counts and blind times that were given up, since nothing could be written for too long."""
        return self._pending.failed

    def applications(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Application → ``zmq`` and ``amqp``, its origins → messages over the last ``hour``, ``day`` and ``week``,
        and ``first_seen`` and ``last_seen``, in seconds since the epoch, to the minute.
        """
        result: dict[str, dict[str, dict[str, Any]]] = {}
        minute, seen = self._minute(), self._memory.seen
        with self._lock:
            present = seen.present()
        for some in range(0, len(present), _BATCH):  # the lock is held for a millisecond
            with self._lock:
                for application, origin, shown_there in seen.shown(minute, present[some : some + _BATCH]):
                    result.setdefault(application, {})[origin] = shown_there
        return result

    def minutes(self, since: float) -> list[dict[str, Any]]:
        """What happened by minute, the oldest first: ``at`` in seconds since the epoch, and for each leg the counts by
        kind, and the delays ``p50`` and ``p99`` in seconds.

        Args:
            since: seconds since the epoch. What lies more than a day back is read from the file.
        """
        first = int(since // 60)
        with self._lock:
            history = self._memory.history
            begins, found = history.begins, history.since(first)
            enough = self._closing.is_set() or history.reaches(first)
        if enough:
            return found
        older = History(1_000_000)
        with self._file:
            for minute, leg, cell in self._tables.totals(first, begins):
                older.add(minute, leg, cell)
        return older.since(first) + found

    def latest(
        self, limit: int = 50, kind: str | None = None, leg: int | None = None
    ) -> list[dict[str, Any]]:
        """The newest verdicts, the newest first.

        Args:
            limit: the most of them; 1,000 at most.
            kind: only of this kind.
            leg: only of the leg with this number.
        """
        limit = max(0, min(limit, 1000))
        with self._lock:
            rows = self._memory.recent.latest(limit, kind, leg)
            enough = len(rows) >= limit or self._memory.recent.complete
        if not enough and not self._closing.is_set():
            self.flush()
            with self._file:
                rows = self._tables.latest(limit, kind, None if leg is None else int(leg))
        return [shown(row) for row in rows]

    # --- What it reads from the file ---

    def about(self, key: bytes) -> list[dict[str, Any]]:
        """All that was said of one message, the oldest first; at most 100."""
        self.flush()
        with self._file:
            return [shown(row) for row in self._tables.about(key)]

    def blind_times(self, since: float) -> list[Blind]:
        """When witnesses could not see; those that had not ended before ``since``, the earliest first."""
        self.flush()
        with self._file:
            return self._tables.blind(since)

    def clean(self, leg: int, now: float) -> Clean:
        """For how long no message was lost, changed, unverifiable, looped or unwitnessed, without those that were
        taken back. Before the file was begun, nothing is known. Blind time is to be told beside it.
        """
        leg = int(leg)
        self.flush()
        with self._file:
            begun = float(self._tables.get("begun") or now)
            written = self._tables.last_dirty(leg)
        with self._lock:
            waiting = self._pending.last_dirty(leg)
        times = [one for one in (written, waiting) if one is not None]
        since, why = begun, "the records begin"
        if times and max(times) > since:
            since, why = max(times), "the last verdict that is not clean"
        return Clean(max(0.0, now - since) / _DAY, since, why)

    def clean_days(self, leg: int, now: float) -> float:
        """As :meth:`clean`, the days alone."""
        return self.clean(leg, now).days

    @property
    def last_alive(self) -> float | None:
        """When the verifier last ran before this start, in seconds since the epoch: since then nobody saw anything."""
        return self._last_alive

    # --- Writing ---

    def flush(self) -> bool:
        """Write what waits, but for the minute that is not over; whether all of that is written now."""
        with self._writing:
            if self._closing.is_set():
                return False
            try:
                self._write(self._minute())
            except _FAULTS as exc:
                self._say_failing(exc)
                return False
        self._say_written()
        return True

    def close(self) -> None:
        """Write all, if the disk lets it, and close the file. What is answered from memory still is."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._told.set()
        self._thread.join()
        with self._writing, self._file:
            with suppress(*_FAULTS):
                self._write(None)
            self._tables.close()

    def _work(self) -> None:
        while not self._closing.is_set():
            self._told.wait(_AGAIN)
            self._told.clear()
            written = self.flush()
            self._closing.wait(_PAUSE if written else _AGAIN)

    def _minute(self) -> int:
        return int(self._clock() // 60)

    def _write(self, before: int | None) -> None:
        """Write what waits, and the counts of the minutes before this one, or all."""
        pending = self._pending
        while pending.rows:
            self._write_rows()
        while pending.blinds:
            blinds = pending.blinds[:_BATCH]
            with self._file:
                self._tables.add_blind(blinds)
                self._tables.prune_blind(self._clock())
            with self._lock:
                del pending.blinds[: len(blinds)]
        while self._write_counts(before):
            self._prune_counts()
        self._write_values()

    def _write_rows(self) -> None:
        with self._lock:
            rows = self._pending.next_rows(_BATCH)
        with self._file:
            self._tables.record(rows)
            with self._lock:
                self._pending.rows_written(rows)
            self._tables.prune_verdicts(self._clock(), 2 * _BATCH)

    def _write_counts(self, before: int | None) -> bool:
        """Some counts; whether there were any."""
        with self._lock:
            totals, cells = self._pending.take_counts(_BATCH, before)
        if not totals and not cells:
            return False
        try:
            with self._file:
                self._tables.add(totals, cells)
        except BaseException:
            with self._lock:
                self._pending.put_back(totals, cells)
            raise
        with self._lock:
            self._pending.values["alive"] = repr(self._clock())
            self._memory.seen.forget(self._minute() - int(self._keep_days * 1440))
        return True

    def _prune_counts(self) -> None:
        for _ in range(3):  # as much as comes in, and a little more
            with self._file:
                if not self._tables.prune_counts(self._clock()):
                    return

    def _write_values(self) -> None:
        with self._lock:
            values = dict(self._pending.values)
        if not values:
            return
        with self._file:
            self._tables.put({**values, "alive": repr(self._clock())})
        with self._lock:
            self._pending.values_written(values)

    # --- What may fail ---

    def _say_failing(self, exc: Exception) -> None:
        if self.failing is None:
            _log.error(
                "%s cannot be written (%s): what is to be kept waits in memory, up to %d verdicts. Free some disk",
                self.path,
                one_line(exc),
                HELD,
            )
        self.failing = one_line(exc)

    def _say_written(self) -> None:
        if self.failing is not None:
            _log.warning(
                "%s is written again; %d verdicts and counts were given up so far", self.path, self.failed
            )
        self.failing = None

    def _begun_anew(self) -> None:
        """The file was corrupt, and a new one lacks all."""
        with self._lock:
            self._pending.values.update(begun=repr(self._clock()), service=self._state)

    def _restore(self) -> None:
        tables, minute = self._tables, self._minute()
        if tables.get("begun") is None:
            self._begun_anew()
        alive = tables.get("alive")
        if alive is not None:
            self._last_alive = float(alive)
            tables.end_blind(self._last_alive)
        self._state = tables.get("service") or self._state
        self._pending.values.pop("service", None)
        self._memory.restore(tables, minute)
