# SPDX-License-Identifier: MIT
"""What is counted by minute: delays in other intervals, and quantiles of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmsg_migration_tools.figures import LATENCIES, Histogram
from fedmsg_migration_tools.verify.counted import Cell, History, Seen, coarser, quantile

FINE = tuple(1e-4 * 2 ** (step / 4) for step in range(95))


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_coarser_intervals_hold_the_same_values_or_the_next_interval_does(delays: list[float]) -> None:
    fine, coarse = Histogram("fine", "", FINE), Histogram("coarse", "")
    for delay in delays:
        fine.observe(delay)
        coarse.observe(delay)
    made = coarser(fine.counts, FINE)
    assert sum(made) == len(delays)
    reached = expected = 0
    for bound, one, other in zip((*LATENCIES, math.inf), made, coarse.counts, strict=True):
        reached, expected = reached + one, expected + other
        assert expected - sum(bound / 2**0.25 < delay <= bound for delay in delays) <= reached <= expected


@given(st.lists(st.floats(0, 3600), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_interval_of_the_value(delays: list[float], share: float) -> None:
    histogram = Histogram("delay", "")
    for delay in delays:
        histogram.observe(delay)
    value = sorted(delays)[math.ceil(share * len(delays) - 1e-9) - 1]
    upper = next(bound for bound in LATENCIES if value <= bound)
    lower = max((bound for bound in LATENCIES if bound < upper), default=0.0)
    found = quantile(histogram.counts, share)
    assert found is not None
    assert lower <= found <= upper * (1 + 1e-9)


def test_without_delays_there_is_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile([0] * 19, 0.5) is None
    assert quantile([0] * 18 + [3], 0.5) == 3600


def test_delays_by_other_intervals_are_refused() -> None:
    with pytest.raises(ValueError, match="19 intervals"):
        Cell().add({}, [1, 2])


def test_the_history_is_bounded_and_takes_minutes_in_any_order() -> None:
    history = History(3)
    for minute in (5, 3, 4, 3, 6, 2):
        history.add(minute, 0, Cell({"in": 1}))
    found = history.since(0)
    assert [(one["at"], one["zmq_to_amqp"]["in"]) for one in found] == [(240, 1), (300, 1), (360, 1)]
    assert history.begins == 4
    assert history.since(0)[0] is found[0]  # made once
    history.add(4, 1, Cell({"in": 2}))
    assert history.since(0)[0]["amqp_to_zmq"]["in"] == 2


@given(st.lists(st.tuples(st.integers(0, 15_000), st.integers(1, 5)), max_size=60))
def test_what_was_seen_over_hour_day_and_week(counts: list[tuple[int, int]]) -> None:
    seen = Seen()
    counts.sort()
    for minute, number in counts:
        seen.add("bodhi", 0, minute, number)
    now = counts[-1][0] + 30 if counts else 0
    found = list(seen.shown(now, seen.present()))
    if not counts:
        assert found == []
        return
    ((application, origin, shown),) = found
    assert (application, origin) == ("bodhi", "zmq")
    assert shown["hour"] == sum(number for minute, number in counts if minute > now - 60)
    assert shown["day"] == sum(number for minute, number in counts if minute // 60 > now // 60 - 24)
    assert shown["week"] == sum(number for minute, number in counts if minute // 60 > now // 60 - 168)
    assert (shown["first_seen"], shown["last_seen"]) == (counts[0][0] * 60, counts[-1][0] * 60)
    seen.forget(counts[-1][0] + 1)
    assert seen.present() == []
    assert list(seen.shown(now, [("bodhi", 0)])) == []


def test_a_clock_that_goes_back_a_little_loses_nothing() -> None:
    seen = Seen()
    for minute in (100, 101, 100, 101, 100):
        seen.add("bodhi", 0, minute, 1)
    ((_, _, shown),) = seen.shown(101, seen.present())
    assert shown["hour"] == 5
