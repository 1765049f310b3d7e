# SPDX-License-Identifier: MIT
"""Counting: what is at which bound, and that no sender of messages can make the labels grow without end."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.figures import LATENCIES, Counter, Gauge, Histogram


def test_a_plain_counter_begins_at_zero() -> None:
    counter = Counter("things", "Things.")
    assert counter.values == {(): 0}
    counter.add()
    counter.add(2.5)
    assert counter.values == {(): 3.5}


def test_a_counter_with_labels_has_only_those_that_occurred() -> None:
    counter = Counter("things", "Things.", ("app", "way"))
    counter.add(2, "bodhi", "in")
    counter.add(1, "koji", "out")
    counter.add(1, "bodhi", "in")
    assert counter.values == {("bodhi", "in"): 3, ("koji", "out"): 1}
    assert counter.total == 4


def test_what_comes_after_the_last_label_that_is_kept_is_counted_together() -> None:
    counter = Counter("things", "Things.", ("app",), most=2)
    for name in ("a", "b", "c", "d", "a"):
        counter.add(1, name)
    assert counter.values == {("a",): 2, ("b",): 1, ("other",): 2}


def test_a_plain_gauge() -> None:
    assert Gauge.of("things", "Things.", 3).values == {(): 3}


def test_a_bound_includes_its_own_value() -> None:
    histogram = Histogram("seconds", "Seconds.", (0.1, 1, 10))
    for value in (0, 0.1, 0.100001, 1, 10, 10.5, 1e9):
        histogram.observe(value)
    assert histogram.cumulated() == [(0.1, 2), (1, 4), (10, 5), (float("inf"), 7)]
    assert histogram.count == 7
    assert histogram.sum == pytest.approx(1e9 + 21.700001)


def test_quantiles_are_bounds() -> None:
    histogram = Histogram("seconds", "Seconds.", (0.1, 1, 10))
    assert histogram.quantile(0.5) == 0
    for value in (0.05, 0.06, 0.5, 100):
        histogram.observe(value)
    assert [histogram.quantile(share) for share in (0.5, 0.75, 0.99)] == [0.1, 1, float("inf")]


@given(st.lists(st.floats(-1, 4000)))
def test_the_histogram_counts_as_counting_does(values: list[float]) -> None:
    histogram = Histogram("seconds", "Seconds.")
    for value in values:
        histogram.observe(value)
    expected = [(bound, sum(value <= bound for value in values)) for bound in (*LATENCIES, float("inf"))]
    assert histogram.cumulated() == expected


@pytest.mark.parametrize("bounds", [(), (1, 1), (2, 1)])
def test_bounds_must_ascend(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        Histogram("seconds", "Seconds.", bounds)


def test_observing_costs_less_than_half_a_microsecond() -> None:
    histogram = Histogram("seconds", "Seconds.")
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(20_000):
            histogram.observe(0.02)
        best = min(best, (time.perf_counter() - begun) / 20_000)
    assert best < 0.5e-6
