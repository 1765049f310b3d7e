# SPDX-License-Identifier: MIT
"""When a witness could not see: intervals of time, by witness and source. Pure.

What follows from it for a message does not belong here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

__all__ = ["Blindness", "Interval"]

_MOST = 5_000  # intervals remembered with their source; the times themselves are always kept
_SHOWN = 5  # intervals named in the evidence


class Interval(NamedTuple):
    """The witness did not see from ``begin`` to ``end``; infinite: still so."""

    begin: float
    end: float
    source: str
    why: str


@dataclass(slots=True)
class Blindness:
    """The blind times of one witness.

    Attributes:
        open: by source, since when it is blind and why.
    """

    open: dict[str, tuple[float, str]] = field(default_factory=dict)
    _closed: list[Interval] = field(default_factory=list)  # by begin
    _union: list[tuple[float, float]] = field(default_factory=list)  # disjoint, in order: of all sources
    _past: float = 0.0  # seconds, of what is forgotten
    _longest: float = 0.0

    def add(self, begin: float, end: float | None, source: str, why: str, closes: bool = True) -> Interval:
        """The witness was blind; with ``end`` None: is, until this is called again with an end.

        Returns the interval as it is now known. Without ``closes`` it is one of its own in any case.
        """
        if end is None:
            known = self.open.get(source)
            begin = begin if known is None else min(begin, known[0])
            self.open[source] = (begin, why)
            return Interval(begin, inf, source, why)
        if closes and (opened := self.open.pop(source, None)) is not None:
            begin, why = min(begin, opened[0]), why or opened[1]
        interval = Interval(begin, max(begin, end), source, why)
        self._remember(interval)
        return interval

    def overlaps(self, begin: float, end: float) -> bool:
        """Whether the witness was blind at some time between the two, with whatever source."""
        if self.open and any(since <= end for since, _ in self.open.values()):
            return True
        at = bisect_right(self._union, (end, inf)) - 1
        return at >= 0 and self._union[at][1] >= begin

    def blinded(self, source: str, begin: float, end: float) -> bool:
        """Whether it was blind then for this source, or altogether."""
        return self.overlaps(begin, end) and any(
            interval.source in {source, ""} for interval in self._within(begin, end)
        )

    def evidence(self, begin: float, end: float) -> list[Interval]:
        """Up to five of the intervals that overlap with this time."""
        found = []
        for interval in self._within(begin, end):
            found.append(interval)
            if len(found) == _SHOWN:
                break
        if not found and self.overlaps(begin, end):
            found.append(self._coarse(begin, end))
        return found

    def seconds(self, now: float) -> float:
        """For how long it was blind until now, altogether."""
        closed = self._past + sum(end - begin for begin, end in self._union)
        if not self.open:
            return closed
        since = min(begin for begin, _ in self.open.values())
        covered = sum(max(0.0, end - max(begin, since)) for begin, end in self._union)
        return closed + max(0.0, now - since - covered)

    def forget(self, before: float) -> None:
        """What ended before then is not asked for any more."""
        while self._union and self._union[0][1] < before:
            begin, end = self._union.pop(0)
            self._past += end - begin
        keep = [interval for interval in self._closed if interval.end >= before]
        if len(keep) < len(self._closed):
            self._closed = keep
            self._longest = max((interval.end - interval.begin for interval in keep), default=0.0)

    def _remember(self, interval: Interval) -> None:
        self._merge(interval.begin, interval.end)
        if len(self._closed) >= _MOST:
            del self._closed[0]
        insort(self._closed, interval)
        self._longest = max(self._longest, interval.end - interval.begin)

    def _merge(self, begin: float, end: float) -> None:
        union = self._union
        first = bisect_left(union, (begin, -inf))
        if first and union[first - 1][1] >= begin:
            first -= 1
        last = bisect_right(union, (end, inf))
        if first < last:
            begin = min(begin, union[first][0])
            end = max(end, union[last - 1][1])
        union[first:last] = [(begin, end)]

    def _within(self, begin: float, end: float) -> Any:
        for source, (since, why) in self.open.items():
            if since <= end:
                yield Interval(since, inf, source, why)
        at = bisect_left(self._closed, (begin - self._longest,))
        for interval in self._closed[at : bisect_right(self._closed, (end, inf))]:
            if interval.end >= begin:
                yield interval

    def _coarse(self, begin: float, end: float) -> Interval:
        at = bisect_right(self._union, (end, inf)) - 1
        return (
            Interval(*self._union[at], "", "too many intervals to name")
            if at >= 0
            else Interval(begin, end, "", "")
        )
