# SPDX-License-Identifier: MIT
"""The newest verdicts in memory, for the page that asks for them every second. Pure."""

from __future__ import annotations

from collections import OrderedDict

from .kept import TAKEN_BACK, Row

__all__ = ["Recent"]


class Recent:
    """The newest verdicts, in the order in which they fell.

    Arguments:
        most: how many.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._by_key: dict[tuple[int, bytes], list[int]] = {}  # of those that can be taken back
        self._number = 0
        self.complete = True  # whether none was ever dropped

    def add(self, row: Row) -> None:
        """One more; one that takes back marks what was said of its message as taken back."""
        key = (row.leg, row.key)
        if row.takes_back:
            for number in self._by_key.pop(key, ()):
                self._rows[number] = self._rows[number]._replace(taken_back=1)
        self._number += 1
        self._rows[self._number] = row
        if row.kind in TAKEN_BACK and not row.taken_back:
            self._by_key.setdefault(key, []).append(self._number)
        if len(self._rows) > self._most:
            self._drop()

    def _drop(self) -> None:
        number, row = self._rows.popitem(last=False)
        self.complete = False
        waiting = self._by_key.get((row.leg, row.key))
        if waiting is not None and number in waiting:
            waiting.remove(number)
            if not waiting:
                del self._by_key[row.leg, row.key]

    def latest(self, limit: int, kind: str | None = None, leg: int | None = None) -> list[Row]:
        """The newest first."""
        found: list[Row] = []
        for row in reversed(self._rows.values()):
            if len(found) >= limit:
                break
            if kind in {None, row.kind} and leg in {None, row.leg}:
                found.append(row)
        return found
