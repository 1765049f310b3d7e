# SPDX-License-Identifier: MIT
"""Figures that a bridge keeps and tells: counters, gauges, histograms. Pure, and cheap to count with.

How they are written for Prometheus is in :mod:`.monitoring`. Names and help texts are given where they are counted.

Counting is for one thread at a time (the loop's); reading may happen in another, and then sees each value as it was
a moment ago.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["LATENCIES", "Counter", "Figures", "Gauge", "Histogram", "Metric"]

#: Upper bounds of a histogram of seconds: from half a millisecond to an hour, for messages that waited.
LATENCIES = (
    0.0005,
    0.001,
    0.002,
    0.004,
    0.008,
    0.015,
    0.03,
    0.06,
    0.125,
    0.25,
    0.5,
    1,
    2,
    5,
    15,
    60,
    300,
    3600,
)


@dataclass(slots=True)
class Counter:
    """Something that only grows. ``_total`` is put after its name.

    Arguments:
        name: in Prometheus's terms, with the unit, without ``_total``.
        help: one sentence.
        labels: names of the labels; empty for a plain number.
        values: label values, in the order of ``labels`` → the number; a plain number is at ``()``.
        most: how many label values are kept; what comes later is counted under ``other``, so that whoever sends
            messages cannot make it grow without end.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = field(default_factory=dict)
    most: int = 1000

    def __post_init__(self) -> None:
        if not self.labels:
            self.values.setdefault((), 0)

    def add(self, amount: float = 1, *labels: str) -> None:
        """Count ``amount`` more, under these label values."""
        values = self.values
        if labels in values:
            values[labels] += amount
        else:
            if len(values) >= self.most:
                labels = ("other",) * len(self.labels)
            values[labels] = values.get(labels, 0) + amount

    @property
    def total(self) -> float:
        """The sum over all labels."""
        return sum(self.values.copy().values())


@dataclass(slots=True)
class Gauge:
    """A number as it is now. The arguments are those of :class:`Counter`; a value of None is not told."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: Mapping[tuple[str, ...], float | None] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, help_text: str, value: float | None) -> Gauge:
        """One plain number."""
        return cls(name, help_text, (), {(): value})


class Histogram:
    """How often a value fell between which bounds.

    Arguments:
        name: in Prometheus's terms, with the unit.
        help: one sentence.
        bounds: upper bounds, ascending; each includes its own value, and infinity is added.
    """

    __slots__ = ("_edges", "bounds", "counts", "help", "name", "sum")

    def __init__(self, name: str, help_text: str, bounds: Sequence[float] = LATENCIES) -> None:
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError(f"the bounds of {name} must ascend: {bounds}")
        self.name = name
        self.help = help_text
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)  # by interval, the last one up to infinity
        self.sum = 0.0
        self._edges = list(bounds)

    def observe(self, value: float) -> None:
        """Count one value. About 0.1 µs."""
        self.counts[bisect_left(self._edges, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def cumulated(self) -> list[tuple[float, int]]:
        """Each bound, with infinity, and how many values were at most that."""
        reached, result = 0, []
        for bound, count in zip((*self.bounds, float("inf")), tuple(self.counts), strict=True):
            reached += count
            result.append((bound, reached))
        return result

    def quantile(self, share: float) -> float:
        """A bound that at least ``share`` (0 to 1) of the values do not exceed; 0 when there were none."""
        steps = self.cumulated()
        wanted = share * steps[-1][1]
        return next((bound for bound, reached in steps if reached >= wanted > 0), 0.0)


Metric = Counter | Gauge | Histogram


class Figures(Protocol):
    """What a bridge shows of itself. Both methods are called from threads of the monitoring server."""

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether messages move, or none waits; and what else there is to say, for ``/ready``.

        The second is anything that JSON can hold. When not ready, its ``reason`` says why in a sentence.
        """

    def metrics(self) -> Iterable[Metric]:
        """What it counts, in the order in which it is shown."""
