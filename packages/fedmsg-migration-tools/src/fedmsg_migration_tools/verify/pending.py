# SPDX-License-Identifier: MIT
"""What waits to be written: bounded, since a disk may stay full for as long as it likes. Pure; the caller locks."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from .counted import Cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .kept import Row
    from .tables import Blind

__all__ = ["HELD", "Pending"]

_K = TypeVar("_K", bound=tuple[Any, ...])

HELD = 20_000  # verdicts, counts or blind times that wait
_HELD_BYTES = 32 * 1024 * 1024  # of verdicts
_BATCH_BYTES = 256 * 1024


class Pending:
    """What was told and is not written yet."""

    def __init__(self) -> None:
        self.failed = 0  # verdicts, counts and blind times that were given up
        self.rows: deque[Row] = deque()
        self.blinds: list[Blind] = []
        self.values: dict[str, str] = {}
        self.totals: dict[tuple[int, int], Cell] = {}
        self.cells: dict[tuple[int, int, str], Cell] = {}
        self._bytes = 0
        self._dirty: dict[int, float] = {}  # leg → the last verdict that was given up

    # verdicts

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Verdicts; the oldest are given up when there are too many."""
        for row in rows:
            self.rows.append(row)
            self._bytes += row.size
        while len(self.rows) > HELD or self._bytes > _HELD_BYTES:
            self._give_up(self.rows.popleft())

    def _give_up(self, row: Row) -> None:
        self.failed += 1
        self._bytes -= row.size
        if row.dirty:
            self._dirty[row.leg] = max(row.judged_at, self._dirty.get(row.leg, 0.0))

    def next_rows(self, most: int) -> list[Row]:
        """The oldest verdicts, which stay until they are written."""
        rows: list[Row] = []
        size = 0
        for row in islice(self.rows, most):
            rows.append(row)
            size += row.size
            if size > _BATCH_BYTES:
                break
        return rows

    def rows_written(self, rows: Sequence[Row]) -> None:
        """These wait no longer; some of them may have been given up meanwhile, and were written all the same."""
        gone = 0
        while gone < len(rows) and (not self.rows or self.rows[0] is not rows[gone]):
            gone += 1
        self.failed -= gone
        for row in rows[gone:]:
            self.rows.popleft()
            self._bytes -= row.size

    def last_dirty(self, leg: int) -> float | None:
        """When the last verdict fell that waits, or was given up, and after which an audit is not clean."""
        times = [row.judged_at for row in self.rows if row.leg == leg and row.dirty]
        if leg in self._dirty:
            times.append(self._dirty[leg])
        return max(times, default=None)

    # the rest

    def add_blind(self, blind: Blind) -> None:
        """A time at which a witness could not see."""
        self.blinds.append(blind)
        if len(self.blinds) > HELD:
            del self.blinds[0]
            self.failed += 1

    def count(self, minute: int, leg: int, application: str | None, cell: Cell) -> None:
        """Counts of a minute."""
        _add(self.totals, (minute, leg), cell)
        if application is not None:
            _add(self.cells, (minute, leg, application), cell)
        self.failed += _drop_oldest(self.totals) + _drop_oldest(self.cells)

    def take_counts(
        self, most: int, before: int | None
    ) -> tuple[dict[tuple[int, int], Cell], dict[tuple[int, int, str], Cell]]:
        """Take out some counts of minutes that are over: the totals, and those by application.

        Arguments:
            most: how many of each.
            before: the minute that is not over; None takes all.
        """
        return _take(self.totals, most, before), _take(self.cells, most, before)

    def put_back(
        self, totals: Mapping[tuple[int, int], Cell], cells: Mapping[tuple[int, int, str], Cell]
    ) -> None:
        """What was taken could not be written."""
        for total, cell in totals.items():
            _add(self.totals, total, cell)
        for key, cell in cells.items():
            _add(self.cells, key, cell)

    def values_written(self, values: Mapping[str, str]) -> None:
        """These wait no longer, unless they have changed meanwhile."""
        self.values = {name: text for name, text in self.values.items() if values.get(name) != text}


def _add(cells: dict[_K, Cell], key: _K, cell: Cell) -> None:
    mine = cells.get(key)
    if mine is None:
        mine = cells[key] = Cell()
    mine.add(cell.kinds, cell.delays)


def _take(cells: dict[_K, Cell], most: int, before: int | None) -> dict[_K, Cell]:
    due = [key for key in cells if before is None or key[0] < before]
    return {key: cells.pop(key) for key in sorted(due)[:most]}


def _drop_oldest(cells: dict[_K, Cell]) -> int:
    """Forget the oldest minute when there are too many; how many cells were forgotten."""
    if len(cells) <= HELD:
        return 0
    oldest = min(key[0] for key in cells)
    doomed = [key for key in cells if key[0] == oldest]
    for key in doomed:
        del cells[key]
    return len(doomed)
