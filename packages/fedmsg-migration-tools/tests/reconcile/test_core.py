# SPDX-License-Identifier: MIT
"""One rule after the other, and a machine that does anything in any order."""

from __future__ import annotations

import gc
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fedmsg_migration_tools.reconcile import Books, Kind, Leg, Reconciler, Verdict, Window, Witness
from fedmsg_migration_tools.reconcile.units import FIRST, State

ORIGIN, FAR = Witness.PUBLISHERS, Witness.ZMQ_TOPIC
LEG = Leg.ZMQ_TO_AMQP
KEY, OTHER = b"k" * 16, b"o" * 16


def reconciler(**more: Any) -> Reconciler:
    return Reconciler(window=Window(lower=10.0, upper=10.0), **more)


def kinds(verdicts: list[Verdict]) -> list[Kind]:
    return [verdict.kind for verdict in verdicts]


def until(one: Reconciler, now: float) -> list[Verdict]:
    verdicts = one.advance(now)
    while one.behind:
        verdicts += one.advance(now)
    return verdicts


def test_a_message_that_arrives_is_only_counted() -> None:
    one = reconciler()
    one.seen(ORIGIN, KEY, 1, 0.0, "shop")
    assert one.books[LEG].in_flight == 1
    one.seen(FAR, KEY, 1, 0.5, "shop")
    assert until(one, 100.0) == []
    assert one.books[LEG] == Books(received=1, matched=1)
    assert one.delays(LEG).count == 1
    assert 0.5 <= one.delays(LEG).p50 < 0.6


def test_a_lost_message_has_its_evidence() -> None:
    one = reconciler()
    one.seen(ORIGIN, KEY, 1, 5.0, "shop", source="tcp://shop:3000", i=7)
    assert until(one, 14.9) == []
    (verdict,) = until(one, 15.0)
    assert verdict == Verdict(
        Kind.LOST, LEG, KEY, "shop", 5.0, 15.0, 10.0, {"i": 7, "source": "tcp://shop:3000"}
    )


def test_a_blind_time_makes_it_unverifiable_and_is_named() -> None:
    one = reconciler()
    one.seen(ORIGIN, KEY, 1, 0.0)
    one.blind(FAR, 3.0, None, why="connection lost")
    assert not one.seeing(FAR)
    one.blind(FAR, 3.0, 4.0)
    assert one.seeing(FAR)
    assert one.blind_seconds(FAR) == 1.0
    (verdict,) = until(one, 10.0)
    assert verdict.kind is Kind.UNVERIFIABLE
    assert verdict.evidence["blind"] == [{"begin": 3.0, "end": 4.0, "source": "", "why": "connection lost"}]


@pytest.mark.parametrize(
    ("begin", "end", "kind"), [(-5, -2, "lost"), (-5, -0.9, "unverifiable"), (11, 12, "lost")]
)
def test_only_blind_time_from_just_before_the_sighting_to_the_deadline_counts(
    begin: float, end: float, kind: str
) -> None:
    one = reconciler()
    one.advance(-5.0)
    one.blind(FAR, begin, end)
    one.seen(ORIGIN, KEY, 1, 0.0)
    assert kinds(until(one, 10.0)) == [kind]


def test_a_blind_time_told_late_takes_back_what_it_covers_and_nothing_else() -> None:
    one = reconciler()
    one.seen(ORIGIN, KEY, 1, 0.0)
    one.seen(Witness.AMQ_TOPIC, OTHER, 1, 0.0)
    assert kinds(until(one, 10.0)) == [Kind.LOST, Kind.LOST]
    one.blind(FAR, 5.0, 6.0)
    (verdict,) = until(one, 30.0)
    assert (verdict.kind, verdict.key, verdict.evidence["earlier"]) == (Kind.UNVERIFIABLE, KEY, "lost")
    assert (one.books[LEG].lost, one.books[LEG].unverifiable) == (0, 1)


@pytest.mark.parametrize("blind", [False, True])
def test_what_arrives_after_all_takes_the_verdict_back(blind: bool) -> None:
    one = reconciler()
    one.seen(ORIGIN, KEY, 1, 0.0)
    if blind:
        one.blind(FAR, 1.0, 2.0)
    (first,) = until(one, 10.0)
    one.seen(FAR, KEY, 1, 25.0)
    (verdict,) = until(one, 25.0)
    assert (verdict.kind, verdict.evidence["earlier"], verdict.evidence["delay"]) == (
        Kind.LATE,
        first.kind,
        25.0,
    )
    assert one.books[LEG] == Books(received=1, matched=1, late=1)


def test_a_gap_in_what_the_bridge_numbers_is_the_verifiers_own() -> None:
    one = reconciler()
    for number, at in ((1, 0.0), (2, 1.0), (4, 3.0)):
        key = bytes([number]) * 16
        one.seen(Witness.AMQ_TOPIC, key, 1, at)
        one.seen(Witness.BRIDGE_SOCKET, key, 1, at, carrier="amqp_to_zmq@a", i=number)
    one.seen(Witness.AMQ_TOPIC, KEY, 1, 2.0)
    (verdict,) = until(one, 20.0)
    assert verdict.kind is Kind.UNVERIFIABLE
    assert verdict.evidence["blind"][0]["why"] == "1 numbers missing"


def test_a_bridge_that_starts_anew_counts_from_one_and_hides_nothing() -> None:
    one = reconciler()
    for place, number in enumerate((41, 42, 1, 2, 3)):
        key = bytes([place]) * 16
        one.seen(Witness.AMQ_TOPIC, key, 1, place)
        one.seen(Witness.BRIDGE_SOCKET, key, 1, place, carrier="amqp_to_zmq@a", i=number)
    one.seen(Witness.AMQ_TOPIC, KEY, 1, 2.0)
    assert kinds(until(one, 20.0)) == [Kind.LOST]


def test_numbers_that_nobody_saw_are_counted_and_those_of_the_far_end_are_not() -> None:
    one = reconciler()
    one.seen(ORIGIN, b"1" * 16, 1, 0.0, "shop", source="p", i=1)
    one.seen(FAR, b"3" * 16, 1, 1.0, "shop", i=3)
    one.seen(ORIGIN, b"5" * 16, 1, 2.0, "shop", source="p", i=5)
    verdicts = [verdict for second in range(80) for verdict in until(one, second)]
    (verdict,) = [one for one in verdicts if one.kind is Kind.UNWITNESSED]
    assert (verdict.evidence["count"], verdict.evidence["first"], verdict.evidence["last"]) == (2, 2, 4)
    assert one.books[LEG].unwitnessed == 2


def test_a_loop_takes_its_number_and_leaves_no_gap() -> None:
    one = reconciler()
    one.seen(ORIGIN, KEY, 1, 0.0, source="p", i=1)
    one.loop(OTHER, 0.1, source="p", i=2)
    one.seen(ORIGIN, b"3" * 16, 1, 0.2, source="p", i=3)
    assert one.blind_seconds(ORIGIN) == 0.0
    assert (one.books[LEG].received, one.books[LEG].loops) == (3, 1)


def test_when_too_many_are_in_flight_the_oldest_cannot_be_verified() -> None:
    one = reconciler(most=10)
    for number in range(25):
        one.seen(ORIGIN, number.to_bytes(16), 1, 0.0)
    verdicts = one.take()
    assert [verdict.key for verdict in verdicts] == [number.to_bytes(16) for number in range(15)]
    assert {verdict.evidence["why"] for verdict in verdicts} == {"too many messages in flight"}
    assert one.books[LEG].in_flight == 10


def test_one_id_for_ever_costs_no_more_and_no_more() -> None:
    one = reconciler()
    for number in range(2000):
        one.seen(ORIGIN, KEY, number, number / 100)
        one.seen(FAR, KEY, number, number / 100)
    assert len(one._units.chain(KEY)) <= 32
    assert one.books[LEG].matched == 2000
    for number in range(2000):
        one.seen(ORIGIN, OTHER, number, 20.0)
    assert one.books[LEG].balanced
    assert one.books[LEG].unverifiable == 2000 - 32


def test_what_arrived_is_remembered_for_a_while_only() -> None:
    one = reconciler(remember=30.0)
    one.seen(ORIGIN, KEY, 1, 0.0)
    one.seen(FAR, KEY, 1, 0.0)
    one.advance(29.0)
    assert one._units.chain(KEY)
    one.advance(31.0)
    assert not one._units.chain(KEY)
    assert not any(one._units.shards)


def test_a_sleep_of_the_machine_is_no_time_that_messages_had() -> None:
    one = reconciler(leap=60.0)
    one.seen(ORIGIN, KEY, 1, 0.0)
    assert until(one, 3600.0) == []
    assert kinds(until(one, 3605.0)) == []
    (verdict,) = until(one, 3611.0)
    assert verdict.kind is Kind.LOST
    assert verdict.judged_at == 3611.0


def test_what_is_still_in_flight_at_the_end_is_unverifiable() -> None:
    one = reconciler()
    one.seen(ORIGIN, KEY, 1, 0.0)
    one.seen(FAR, OTHER, 1, 0.0)
    assert kinds(one.give_up("the verifier was stopped")) == [Kind.UNVERIFIABLE] * 2
    assert one.books[LEG] == Books(received=2, unverifiable=2)


def test_books_go_on_after_a_restart() -> None:
    before = {LEG: Books(received=5, matched=5)}
    one = reconciler(books={LEG: Books.from_dict(before[LEG].as_dict())})
    one.seen(ORIGIN, KEY, 1, 0.0)
    assert one.books[LEG] == Books(received=6, matched=5, in_flight=1)


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 17])
def test_a_key_has_sixteen_bytes(key: bytes) -> None:
    one = reconciler()
    with pytest.raises(ValueError, match="16 bytes"):
        one.seen(ORIGIN, key, 1, 0.0)
    assert one.books[LEG] == Books()


def test_names_without_end_do_not_fill_the_memory() -> None:
    one = reconciler()
    for number in range(30_000):
        name = f"name-{number}"
        one.seen(FAR, number.to_bytes(16), 1, 0.0, name, carrier=name, source=name, i=number)
    assert len(one._ledger.applications.numbers) <= 20_000
    assert len(one._carriers.bits) <= 15


def test_the_garbage_collector_has_nothing_to_look_at() -> None:
    one = reconciler()
    for number in range(1000):
        one.seen(ORIGIN, number.to_bytes(16), number, 0.0)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000, 20_000):
        one.seen(ORIGIN, number.to_bytes(16), number, 0.0)
    gc.collect()
    assert len(gc.get_objects()) - before < 300


class Anything(RuleBasedStateMachine):
    """Few keys, few contents, and everything that can be told, in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.one = Reconciler(window=Window(lower=2.0, upper=4.0, enough=3), most=6, remember=20.0, leap=30.0)
        self.now = 100.0
        self.standing: Counter[tuple[Leg, Kind]] = Counter()
        self.events: Counter[tuple[Leg, Kind]] = Counter()

    keys = st.integers(1, 4).map(lambda number: bytes([number]) * 16)
    times = st.sampled_from([0.0, 0.1, 1.0, 1.9, 3.0, 5.0, -1.0, -20.0, 15.0, 1000.0])

    @rule(
        witness=st.sampled_from(Witness),
        key=keys,
        digest=st.integers(1, 3),
        step=times,
        carrier=st.sampled_from(["", "a", "b"]),
        source=st.sampled_from(["", "p"]),
        i=st.none() | st.integers(0, 6) | st.just(10**30),
    )
    def seen(
        self, witness: Witness, key: bytes, digest: int, step: float, carrier: str, source: str, i: int
    ) -> None:
        self.now += step
        self.one.seen(witness, key, digest, self.now, "shop", carrier=carrier, source=source, i=i)

    @rule(key=keys, leg=st.sampled_from(Leg), step=times)
    def loop(self, key: bytes, leg: Leg, step: float) -> None:
        self.now += step
        self.one.loop(key, self.now, "shop", leg)

    @rule(key=keys, leg=st.sampled_from(Leg), step=times)
    def quarantined(self, key: bytes, leg: Leg, step: float) -> None:
        self.one.quarantined(leg, key, "json", self.now + step)

    @rule(
        witness=st.sampled_from(Witness),
        ago=st.floats(0, 10),
        length=st.none() | st.floats(0, 5),
        source=st.sampled_from(["", "p"]),
    )
    def blind(self, witness: Witness, ago: float, length: float | None, source: str) -> None:
        begin = self.now - ago
        self.one.blind(witness, begin, None if length is None else begin + length, source)

    @rule(step=times, limit=st.sampled_from([1, 10, 2000]))
    def advance(self, step: float, limit: int) -> None:
        self.now += step
        self.account(self.one.advance(self.now, limit))

    @rule()
    def give_up(self) -> None:
        self.account(self.one.give_up("the end"))
        assert not any(books.in_flight or books.ahead for books in self.one.books.values())

    def account(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            json.dumps(dict(verdict.evidence))
            self.events[verdict.leg, verdict.kind] += 1
            self.standing[verdict.leg, verdict.kind] += 1
            if earlier := verdict.evidence.get("earlier"):
                self.standing[verdict.leg, Kind(earlier)] -= 1

    @invariant()
    def the_books_balance(self) -> None:
        for books in self.one.books.values():
            assert books.balanced, books
            assert min(books.as_dict().values()) >= 0, books

    @invariant()
    def the_books_are_what_was_told(self) -> None:
        self.account(self.one.take())
        for leg, books in self.one.books.items():
            for kind in (Kind.LOST, Kind.UNVERIFIABLE, Kind.QUARANTINED, Kind.DUPLICATED, Kind.CHANGED):
                assert self.standing[leg, kind] == getattr(books, kind.value), (leg, kind, books)
            for kind in (Kind.LATE, Kind.LOOPED):
                assert self.events[leg, kind] == getattr(books, kind.value), (leg, kind, books)

    @invariant()
    def each_unit_is_where_its_state_says(self) -> None:
        units, ledger = self.one._units, self.one._ledger
        places: Counter[int] = Counter()
        slots = []
        for queue in range(FIRST):
            for slot in ledger.walk(queue):
                assert ledger.queue(slot) == queue
                assert slot in units.chain(units.key(slot))
                places[queue] += 1
                slots.append(slot)
        assert [places[queue] for queue in range(FIRST)] == units.sizes
        chained = [slot for shard in units.shards for key in shard for slot in units.chain(key)]
        assert sorted(chained) == sorted(slots)
        for leg, books in self.one.books.items():
            mine = Counter(ledger.state(slot) for slot in slots if ledger.leg(slot) == leg)
            assert (mine[State.SENT], mine[State.AHEAD]) == (books.in_flight, books.ahead)
        assert units.sizes[0] + units.sizes[1] + units.sizes[5] <= 7


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
