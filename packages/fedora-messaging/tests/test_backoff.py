# SPDX-License-Identifier: MIT
"""The pauses between attempts: bounded, growing, and different for each client."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedora_messaging.backoff import delays

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = st.floats(0.001, 100.0)


def longest(low: float, high: float) -> float:
    """The random part that shortens least."""
    del high
    return low


def shortest(low: float, high: float) -> float:
    """The random part that shortens most."""
    del low
    return high


@given(
    SECONDS, st.floats(1.0, 10.0), SECONDS, st.floats(0.0, 1.0), st.lists(st.floats(0.0, 1.0), min_size=20)
)
def test_no_pause_is_longer_than_the_limit_or_shorter_than_the_jitter_allows(
    first: float, factor: float, limit: float, jitter: float, chance: list[float]
) -> None:
    chances = iter(chance)
    uniform: Callable[[float, float], float] = lambda low, high: low + next(chances) * (high - low)  # noqa: E731
    pauses = list(islice(delays(first, factor, limit, jitter, uniform), 20))
    expected = min(first, limit)
    for pause in pauses:
        assert expected * (1 - jitter) * 0.999 <= pause <= expected * 1.001
        expected = min(expected * factor, limit)


@given(SECONDS, st.floats(1.1, 10.0), SECONDS)
def test_without_jitter_they_grow_by_the_factor_up_to_the_limit(
    first: float, factor: float, limit: float
) -> None:
    pauses = list(islice(delays(first, factor, limit, jitter=0.0), 200))
    assert all(a <= b for a, b in pairwise(pauses))
    assert pauses[-1] == pytest.approx(limit)


def test_the_defaults_begin_at_once_and_end_at_half_a_minute() -> None:
    assert next(delays(uniform=longest)) == 0.1
    assert next(delays(uniform=shortest)) == 0.05
    assert list(islice(delays(uniform=longest), 20))[-1] == 30.0
    assert sum(islice(delays(uniform=longest), 9)) < 60  # a minute's outage is nine attempts


def test_it_never_ends() -> None:
    assert list(islice(delays(uniform=longest), 10_000, 10_002)) == [30.0, 30.0]


def test_two_clients_do_not_come_at_one_instant() -> None:
    assert list(islice(delays(), 5)) != list(islice(delays(), 5))
