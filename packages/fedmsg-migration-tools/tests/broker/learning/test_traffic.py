# SPDX-License-Identifier: MIT
"""Counting who published what, within bounds."""

from __future__ import annotations

from fedmsg_migration_tools.broker.learning.messages import Sent
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher
from fedmsg_migration_tools.broker.learning.traffic import Tally, Way

from .support import NOW, sent, traffic

TOPIC = "org.example.prod.app.event"


def test_the_same_way_is_counted_with_its_first_and_last_time() -> None:
    times = [NOW, NOW - 10, None, NOW + 5]
    seen = traffic([sent(TOPIC, "app", Proof.TOPIC, at) for at in times] + [sent(TOPIC, "app")])
    proofs = {Proof.TOPIC, Proof.SIGNED}
    assert seen.tallies == {
        Way("app", "amq.topic", TOPIC): Tally(5, NOW - 10, NOW + 5, "2023-an-id", proofs),
    }
    assert seen.messages == 5


def test_where_the_recording_says_the_exchange_it_counts() -> None:
    seen = traffic([Sent(TOPIC, Publisher("app", Proof.BROKER), exchange="zmq.topic")])
    assert list(seen.tallies) == [Way("app", "zmq.topic", TOPIC)]


def test_what_is_beyond_the_bound_is_only_counted() -> None:
    seen = traffic((sent(f"{TOPIC}{number % 50}", "app") for number in range(200)), most=10)
    assert len(seen.tallies) == 10
    assert (seen.messages, seen.left_out) == (200, 160)
    assert sum(tally.count for tally in seen.tallies.values()) == 40


def test_one_proven_message_is_enough() -> None:
    assert Tally(proofs={Proof.USERNAME, Proof.TOPIC}).is_claim
    assert not Tally(proofs={Proof.SIGNED, Proof.TOPIC}).is_claim
    assert not Tally(proofs={Proof.SIGNED, Proof.BROKER, Proof.VERIFIED}).is_claim
