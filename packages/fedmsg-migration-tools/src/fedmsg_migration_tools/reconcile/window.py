# SPDX-License-Identifier: MIT
"""How long messages take, and how long one is waited for before it is called missing. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BOUNDS", "Delays", "Measured", "Window"]

#: The upper bounds of the histogram's buckets, in seconds: 0.1 ms to some 20 minutes, four to each doubling.
BOUNDS: tuple[float, ...] = tuple(1e-4 * 2 ** (step / 4) for step in range(95))

_PERIOD = 300.0  # seconds: a delay counts for the window for one to two of these


@dataclass(frozen=True, slots=True)
class Window:
    """How the window follows what is measured: a quantile of the delays times a factor, between two bounds.

    Arguments:
        lower: seconds, at least.
        upper: seconds, at most; also where the window stands until enough is measured.
        quantile: of the delays of the last five to ten minutes.
        factor: what it is multiplied with.
        enough: delays measured, from which on they are believed.
    """

    lower: float = 2.0
    upper: float = 60.0
    quantile: float = 0.999
    factor: float = 5.0
    enough: int = 500

    def __post_init__(self) -> None:
        if not (0 < self.lower <= self.upper and 0 < self.quantile <= 1 and self.factor >= 1):
            raise ValueError(f"this window cannot be: {self}")


@dataclass(frozen=True, slots=True)
class Delays:
    """How far apart the two sightings of a message were, in seconds."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float


@dataclass(slots=True)
class Measured:
    """The delays of one leg, and the window that follows from them.

    Attributes:
        counts: by bucket, since the beginning; one more than :data:`BOUNDS`.
        fresh: by application's number and bucket, since they were last taken.
        seconds: the window now.
    """

    rule: Window
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    fresh: dict[tuple[int, int], int] = field(default_factory=dict)
    seconds: float = 0.0
    _older: list[int] = field(default_factory=list)
    _old: list[int] = field(default_factory=list)
    _rotated: float | None = None
    _held: float = float("-inf")  # until then the window does not shrink

    def __post_init__(self) -> None:
        self.seconds = self.rule.upper
        self._older = self._old = self.counts.copy()

    def add(self, delay: float, application: int) -> None:
        """One more delay, in seconds; of one who was seen at the far end first, the absolute value."""
        bucket = bisect_left(BOUNDS, delay)
        self.counts[bucket] += 1
        place = application, bucket
        self.fresh[place] = self.fresh.get(place, 0) + 1

    def exceeded(self, delay: float, now: float) -> None:
        """A message came that late after it was called missing: the window is too short, and is so now."""
        self._grow(min(max(self.seconds, delay * self.rule.factor), self.rule.upper), now)

    def adapt(self, now: float) -> None:
        """Let the window follow. It grows at once, and shrinks when what was slow is some minutes past."""
        if self._rotated is None:
            self._rotated = now
        wanted = self._wanted()
        if wanted >= self.seconds:
            self._grow(wanted, now)
        elif now >= self._held:
            self.seconds = wanted
        if now - self._rotated >= _PERIOD:
            self._older, self._old, self._rotated = self._old, self.counts.copy(), now

    def quantiles(self) -> Delays:
        """Of the last five to ten minutes."""
        recent = self._recent()
        return Delays(sum(recent), *(quantile(recent, q) for q in (0.5, 0.9, 0.99, 0.999)))

    def _grow(self, seconds: float, now: float) -> None:
        if seconds > self.seconds:
            self._held = now + _PERIOD
        self.seconds = seconds

    def _wanted(self) -> float:
        rule, recent = self.rule, self._recent()
        if sum(recent) < rule.enough:
            return rule.upper
        return min(max(quantile(recent, rule.quantile) * rule.factor, rule.lower), rule.upper)

    def _recent(self) -> list[int]:
        return [n - before for n, before in zip(self.counts, self._older, strict=True)]


def quantile(counts: Sequence[int], q: float) -> float:
    """The upper bound of the bucket in which the quantile lies, in seconds; 0 where there is nothing."""
    total = sum(counts)
    if not total:
        return 0.0
    bucket = bisect_left(list(accumulate(counts)), q * total)
    return BOUNDS[min(bucket, len(BOUNDS) - 1)]
