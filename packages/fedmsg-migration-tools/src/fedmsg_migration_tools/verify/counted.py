# SPDX-License-Identifier: MIT
"""What is counted by minute, leg and application, and how it adds up to hours, days and weeks. Pure.

It is kept in memory as long as the page asks for it every second; the rest is in :mod:`.store`.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from ..figures import LATENCIES
from .kept import LEGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["IN", "Cell", "History", "Seen", "coarser", "quantile"]

#: The kind that all messages of a leg are counted under when they come in.
IN = "in"

_HOUR = 60  # minutes
_DAY = 24  # hours
_WEEK = 7 * _DAY


@dataclass(slots=True)
class Cell:
    """What happened in a minute or an hour.

    Arguments:
        kinds: kind → how many; ``IN`` counts what came in.
        delays: how many delays there were by interval of ``figures.LATENCIES``, the last one up to infinity; empty
            when there was none.
    """

    kinds: dict[str, int] = field(default_factory=dict)
    delays: list[int] = field(default_factory=list)

    def add(self, kinds: Mapping[str, int], delays: Sequence[int] = ()) -> None:
        """Count more. Raises ``ValueError`` for delays by other intervals."""
        for kind, number in kinds.items():
            name = str(kind)
            self.kinds[name] = self.kinds.get(name, 0) + number
        if delays:
            if len(delays) != len(LATENCIES) + 1:
                raise ValueError(f"delays come in {len(LATENCIES) + 1} intervals: {len(delays)}")
            mine = self.delays or [0] * len(delays)
            self.delays = [one + other for one, other in zip(mine, delays, strict=True)]

    def packed(self) -> tuple[str, str]:
        """For the table."""
        return json.dumps(self.kinds, separators=(",", ":")), json.dumps(self.delays, separators=(",", ":"))

    @classmethod
    def unpacked(cls, kinds: str, delays: str) -> Cell:
        """From the table."""
        return cls(json.loads(kinds), json.loads(delays))

    def shown(self) -> dict[str, Any]:
        """For the page: its counts, and the delay that half, and 99 of 100, did not exceed, in seconds."""
        return {
            IN: 0,
            "lost": 0,
            **self.kinds,
            "p50": quantile(self.delays, 0.5),
            "p99": quantile(self.delays, 0.99),
        }


def coarser(counts: Sequence[int], bounds: Sequence[float]) -> list[int]:
    """Counts by other intervals, as counts by those of ``figures.LATENCIES``; each is taken for its upper bound.

    Arguments:
        counts: by interval, the last one up to infinity.
        bounds: upper bounds, ascending.
    """
    result = [0] * (len(LATENCIES) + 1)
    for count, bound in zip(counts, (*bounds, inf), strict=True):
        result[bisect_left(LATENCIES, bound)] += count
    return result


def quantile(counts: Sequence[int], share: float) -> float | None:
    """The delay that ``share`` (0 to 1) of the messages did not exceed, in seconds; None when there was none.

    Within an interval it is taken for evenly spread, as Prometheus's ``histogram_quantile`` does.

    Arguments:
        counts: by interval of ``figures.LATENCIES``, the last one up to infinity.
        share: of the messages.
    """
    wanted, reached, below = share * sum(counts), 0.0, 0.0
    if not wanted:
        return None
    for bound, count in zip(LATENCIES, counts, strict=False):
        if count and reached + count >= wanted:
            return below + (bound - below) * (wanted - reached) / count
        reached += count
        below = bound
    return float(LATENCIES[-1])


class History:
    """The last minutes of both legs.

    Arguments:
        most: how many minutes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._minutes: OrderedDict[int, dict[int, Cell]] = OrderedDict()
        self._order: list[int] = []
        self._made: dict[int, dict[str, Any]] = {}  # what was asked for before and has not changed
        self.complete = True  # whether there is none before

    @property
    def begins(self) -> int:
        """The first minute here, or one that never comes."""
        return self._order[0] if self._order else 1 << 40

    def reaches(self, minute: int) -> bool:
        """Whether all from this minute on are here."""
        return self.complete or (bool(self._order) and self._order[0] <= minute)

    def add(self, minute: int, leg: int, cell: Cell) -> None:
        """Count more."""
        legs = self._minutes.get(minute)
        if legs is None:
            if len(self._order) >= self._most and minute < self._order[0]:
                self.complete = False
                return
            legs = self._minutes[minute] = {}
            insort(self._order, minute)
            if len(self._order) > self._most:
                self.complete = False
                oldest = self._order.pop(0)
                del self._minutes[oldest]
                self._made.pop(oldest, None)
        legs.setdefault(leg, Cell()).add(cell.kinds, cell.delays)
        self._made.pop(minute, None)

    def since(self, minute: int) -> list[dict[str, Any]]:
        """The minutes from this one on, the oldest first."""
        found = self._order[bisect_left(self._order, minute) :]
        return [self._made.get(one) or self._make(one) for one in found]

    def _make(self, minute: int) -> dict[str, Any]:
        legs = self._minutes[minute]
        made: dict[str, Any] = {"at": minute * 60}
        for number, name in enumerate(LEGS):
            made[name] = legs.get(number, Cell()).shown()
        self._made[minute] = made
        return made


@dataclass(slots=True)
class _Presence:
    """One application at one origin."""

    first: int  # minutes since the epoch
    last: int
    minutes: deque[list[int]] = field(default_factory=deque)  # minute, messages; the last hour
    hours: deque[list[int]] = field(default_factory=deque)  # hour, messages; the last week

    def add(self, minute: int, number: int) -> None:
        self.first = min(self.first, minute)
        self.last = max(self.last, minute)
        _grow(self.minutes, minute, number, _HOUR)
        _grow(self.hours, minute // 60, number, _WEEK)

    def shown(self, minute: int) -> dict[str, Any]:
        return {
            "hour": _sum(self.minutes, minute - _HOUR),
            "day": _sum(self.hours, minute // 60 - _DAY),
            "week": _sum(self.hours, minute // 60 - _WEEK),
            "first_seen": self.first * 60,
            "last_seen": self.last * 60,
        }


def _grow(counts: deque[list[int]], at: int, number: int, span: int) -> None:
    if not counts or counts[-1][0] < at:
        counts.append([at, number])
        while counts[0][0] <= at - span:
            counts.popleft()
        return
    for one in reversed(counts):  # the clock may have gone back a little
        if one[0] <= at:
            if one[0] == at:
                one[1] += number
            return


def _sum(counts: deque[list[int]], after: int) -> int:
    total = 0
    for at, number in reversed(counts):
        if at <= after:
            break
        total += number
    return total


class Seen:
    """Which applications were seen at which origin, and how much of them over the last hour, day and week.

    Arguments:
        most: how many applications are told apart; those that come later are counted as ``other``, so that whoever
            sends messages cannot make it grow without end.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._names: set[str] = {"other"}
        self._presences: dict[tuple[str, int], _Presence] = {}

    def name(self, application: str) -> str:
        """What the application is counted as."""
        application = application or "unknown"
        if application not in self._names:
            if len(self._names) >= self._most:
                return "other"
            self._names.add(application)
        return application

    def restore(self, application: str, leg: int, first: int, last: int) -> None:
        """As it was before a restart; the times are minutes."""
        self._presences[self.name(application), leg] = _Presence(first, last)

    def restore_hour(self, application: str, leg: int, hour: int, number: int) -> None:
        """An hour before a restart; the hours come in their order."""
        presence = self._presences.get((application, leg))
        if presence is not None:
            _grow(presence.hours, hour, number, _WEEK)

    def restore_minute(self, application: str, leg: int, minute: int, number: int) -> None:
        """A minute before a restart, which is in its hour already; the minutes come in their order."""
        presence = self._presences.get((application, leg))
        if presence is not None:
            _grow(presence.minutes, minute, number, _HOUR)

    def add(self, application: str, leg: int, minute: int, number: int) -> None:
        """So many messages came in."""
        presence = self._presences.get((application, leg))
        if presence is None:
            presence = self._presences[application, leg] = _Presence(minute, minute)
        presence.add(minute, number)

    def span(self, application: str, leg: int) -> tuple[int, int] | None:
        """The first and the last minute."""
        presence = self._presences.get((application, leg))
        return (presence.first, presence.last) if presence is not None else None

    def present(self) -> list[tuple[str, int]]:
        """The applications and legs that there are."""
        return list(self._presences)

    def shown(
        self, minute: int, which: Iterable[tuple[str, int]]
    ) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Application, ``zmq`` or ``amqp`` for its origin, and counts and times in seconds since the epoch.

        Arguments:
            minute: now.
            which: of these applications and legs; some 15 µs each.
        """
        for application, leg in which:
            presence = self._presences.get((application, leg))
            if presence is not None:
                yield application, LEGS[leg].partition("_")[0], presence.shown(minute)

    def forget(self, before: int) -> None:
        """Forget what was last seen before this minute."""
        for key in [key for key, presence in self._presences.items() if presence.last < before]:
            del self._presences[key]
        self._names = {"other", *(application for application, _ in self._presences)}
