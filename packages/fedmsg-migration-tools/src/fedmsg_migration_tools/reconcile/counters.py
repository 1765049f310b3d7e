# SPDX-License-Identifier: MIT
"""The numbers that publishers and bridges give their messages, and what is missing among them. Pure.

A gap says that whoever counts did not see a message, and not that nobody did.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Counters", "Gap", "Unwitnessed"]

#: A jump of more is no gap: another process counts here.
_JUMP = 100_000
_SOURCES = 10_000  # processes followed; beyond, the longest known is followed anew
_GAPS = 20_000  # ranges of missing numbers kept
_STRAYS = 20_000  # numbers kept that were seen at the far end only


class Gap(NamedTuple):
    """Between these two times the witness missed ``missed`` messages of the source."""

    source: str
    begin: float
    end: float
    missed: int


class Unwitnessed(NamedTuple):
    """Numbers that nobody saw: ``missed`` of those from ``first`` to ``last``."""

    source: str
    application: str
    begin: float
    end: float
    first: int
    last: int
    missed: int


@dataclass(slots=True)
class _Range:
    """Numbers missing: ``missing`` has them, where some in between were seen."""

    name: str
    begin: float
    end: float
    application: str
    first: int
    last: int
    seen: set[int] = field(default_factory=set)

    def fill(self, number: int) -> bool:
        """Whether the number was missing, which it is no more."""
        if self.first <= number <= self.last and number not in self.seen:
            self.seen.add(number)
            return True
        return False


@dataclass(slots=True)
class Count:
    """One process: its highest number, when that was seen, and a number below it that may begin a new process."""

    highest: int
    at: float
    application: str
    candidate: int = 0
    ranges: list[_Range] = field(default_factory=list)


class Counters:
    """Follows the numbers of many processes at one witness.

    Arguments:
        keep: whether to find out what nobody saw; otherwise only gaps are told.

    Attributes:
        counts: by source.
    """

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self.counts: dict[str, Count] = {}
        self._ranges: deque[_Range] = deque()
        self._strays: dict[tuple[str, int], None] = {}

    def saw(self, source: str, number: int, at: float, application: str, known: bool = False) -> Gap | None:
        """A message with this number; ``known``: a copy of one already seen here. Returns what was missed."""
        count = self.counts.get(source)
        if count is None:
            self._follow(source, number, at, application)
            return None
        if number == count.highest + 1:
            count.highest = number
            count.at = at
            return None
        if number > count.highest:
            return self._ahead(source, count, number, at, application)
        if not known:
            self._behind(count, number, at)
        return None

    def elsewhere(self, source: str, number: int, application: str) -> None:
        """A message with this number was seen at the far end, and not here."""
        count = self.counts.get(source)
        ranges = count.ranges if count is not None else ()
        if any(gap.fill(number) for gap in ranges):
            return
        self._strays[source or application, number] = None
        if len(self._strays) > _STRAYS:
            del self._strays[next(iter(self._strays))]

    def due(self, before: float) -> Unwitnessed | None:
        """Numbers missing since before then, which nobody saw: one range, or None when there is none any more."""
        while self._ranges and self._ranges[0].end <= before:
            gap = self._ranges.popleft()
            self.counts[gap.name].ranges.remove(gap)
            if found := self._left(gap):
                return found
        return None

    def _follow(self, source: str, number: int, at: float, application: str) -> None:
        if len(self.counts) >= _SOURCES:
            oldest = next(iter(self.counts))
            gone = self.counts.pop(oldest).ranges
            self._ranges = deque(gap for gap in self._ranges if gap not in gone)
        self.counts[source] = Count(number, at, application)

    def _ahead(self, source: str, count: Count, number: int, at: float, application: str) -> Gap | None:
        first, begin = count.highest + 1, count.at
        count.highest, count.at, count.application = number, at, application
        count.candidate = 0
        missed = number - first
        if missed > _JUMP:
            return None
        if self._keep and len(self._ranges) < _GAPS:
            gap = _Range(source, begin, at, application, first, number - 1)
            count.ranges.append(gap)
            self._ranges.append(gap)
        return Gap(source, begin, at, missed)

    def _behind(self, count: Count, number: int, at: float) -> None:
        """Out of order, or a new process: one that begins with 1, or goes on where it began."""
        if any(gap.fill(number) for gap in count.ranges):
            return
        if number == 1 or 0 < count.candidate < number:
            count.highest, count.at, count.candidate = number, at, 0
        elif number != count.highest:
            count.candidate = number

    def _left(self, gap: _Range) -> Unwitnessed | None:
        missing = gap.last - gap.first + 1 - len(gap.seen)
        if missing:
            missing -= sum(self._is_stray(gap, number) for _, number in self._candidates(gap))
        if missing <= 0:
            return None
        return Unwitnessed(gap.name, gap.application, gap.begin, gap.end, gap.first, gap.last, missing)

    def _candidates(self, gap: _Range) -> list[tuple[str, int]]:
        """The strays that may lie in the gap, by the shorter of two ways."""
        if gap.last - gap.first < 1000:
            numbers = range(gap.first, gap.last + 1)
            names = (gap.name, gap.application)
            return [(name, number) for number in numbers for name in names if (name, number) in self._strays]
        return [(name, number) for name, number in self._strays if gap.first <= number <= gap.last]

    def _is_stray(self, gap: _Range, number: int) -> bool:
        """Whether the number, missing in the gap, was seen at the far end; each of them counts once."""
        for name in (gap.name, gap.application):
            if number not in gap.seen and (name, number) in self._strays:
                del self._strays[name, number]
                gap.seen.add(number)
                return True
        return False
