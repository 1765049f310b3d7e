# SPDX-License-Identifier: MIT
"""What is said of each message is what was done to it, whatever is done and in whatever order it is seen."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.reconcile import Kind, Leg, Reconciler, Witness

from .oracle import ALARMS, FAULTS, HEARING, JUDGED, SLACK, WINDOW, Blind, Bus, Plan, disagreements, play

SEEN = sorted(set(FAULTS) - set(HEARING))
HEARING_ALONE = sorted(HEARING)


def plans(faults: list[str], earliest: float) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        st.sampled_from(faults),
        st.floats(0, 60),
        st.sampled_from(Leg),
        st.floats(earliest, WINDOW - 1),
        st.floats(0, 1),
    )


@st.composite
def blind_times(draw: st.DrawFn) -> Blind:
    begin, length, delay = draw(st.floats(0, 60)), draw(st.floats(0, 20)), draw(st.floats(0, 40))
    return Blind(draw(st.sampled_from(Witness)), begin, begin + length, begin + length + delay)


def balanced(reconciler: Reconciler) -> None:
    for books in reconciler.books.values():
        assert books.balanced, books


def bus_of(messages: list[Plan], blind: list[Blind] | None = None) -> Bus:
    bus = Bus(blind=blind or [])
    for plan in messages:
        bus.add(plan)
    return bus


@settings(max_examples=400, deadline=None)
@given(st.lists(plans(SEEN, 1 - WINDOW), max_size=12))
def test_each_message_is_called_what_was_done_to_it(messages: list[Plan]) -> None:
    bus = bus_of(messages)
    outcome = play(bus, balanced)
    assert disagreements(bus, outcome) == []
    assert sum(books.in_flight + books.ahead for books in outcome.reconciler.books.values()) == 0


@settings(max_examples=400, deadline=None)
@given(st.lists(plans(sorted(FAULTS), -SLACK / 2), max_size=12), st.lists(blind_times(), max_size=3))
def test_what_the_verifier_itself_missed_is_no_reason_for_an_alarm(
    messages: list[Plan], blind: list[Blind]
) -> None:
    bus = bus_of(messages, blind)
    outcome = play(bus, balanced)
    assert disagreements(bus, outcome) == []
    assert outcome.reconciler.books[Leg.ZMQ_TO_AMQP].unwitnessed == bus.unborn or blind


@settings(max_examples=200, deadline=None)
@given(st.lists(plans(SEEN, 1 - WINDOW), max_size=8), st.floats(-20, 100), st.sampled_from([-5e4, -3.0, 4e4]))
def test_a_clock_that_is_set_says_nothing_about_messages(
    messages: list[Plan], when: float, step: float
) -> None:
    bus = bus_of(messages)
    clock = lambda at: at if at < when else at + step  # noqa: E731
    outcome = play(bus, balanced, clock)
    # Time may stand still for some seconds, so what was late may still be in time.
    said: Counter[Kind] = sum(outcome.said.values(), Counter())
    truth: Counter[Kind] = sum(bus.truth.values(), Counter())
    for kind in {*ALARMS} - {Kind.LATE}:
        assert said[kind] <= truth[kind]
    if step != -3.0 and not {plan.fault for plan in messages} & NEAR_THE_EDGE:
        assert {kind: said[kind] for kind in JUDGED} == {kind: truth[kind] for kind in JUDGED}


#: Two times at a step are as long apart as one wants; for these that matters.
NEAR_THE_EDGE = {name for name in SEEN if "late" in name}


@pytest.mark.parametrize("seed", [4])
def test_precision_and_recall_of_200_000_messages_are_perfect(seed: int) -> None:
    begun = time.process_time()
    chance = random.Random(seed)
    bus = Bus()
    for number in range(200_000):
        # What the verifier alone missed makes it blind for a while: were it often, nothing would be left to be sure of.
        dice = chance.random()
        fault = (
            chance.choice(SEEN) if dice < 0.05 else chance.choice(HEARING_ALONE) if dice < 0.0501 else "plain"
        )
        leg = chance.choice((Leg.ZMQ_TO_AMQP, Leg.AMQP_TO_ZMQ))
        delay = chance.uniform(-SLACK / 2, WINDOW - 1) if chance.random() < 0.1 else chance.expovariate(100)
        bus.add(Plan(fault, number / 100, leg, delay, chance.random()))
    for begin in range(50, 2000, 250):
        witness = chance.choice(list(Witness))
        bus.blind.append(Blind(witness, begin, begin + 5, begin + 5 + chance.uniform(0, 60)))
    outcome = play(bus, balanced)
    assert disagreements(bus, outcome) == []
    judged = [key for key in bus.touched if bus.in_sight(key[1])]
    certain = {kind: sum(bus.truth[key][kind] for key in judged) for kind in ALARMS}
    assert min(certain.values()) > 100, certain
    assert time.process_time() - begun < 60
