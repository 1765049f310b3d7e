# SPDX-License-Identifier: MIT
"""What the verifier tells Prometheus: counters that never fall, books that may, and blind time."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from fedmsg_migration_tools import monitoring
from fedmsg_migration_tools.figures import Gauge
from fedmsg_migration_tools.reconcile.core import Reconciler
from fedmsg_migration_tools.reconcile.model import Books, Kind, Leg, Verdict, Witness
from fedmsg_migration_tools.verify.figures import Seeing, Standing, VerifierFigures
from fedmsg_migration_tools.verify.store import Store


def verdict(kind: Kind, leg: Leg = Leg.ZMQ_TO_AMQP) -> Verdict:
    return Verdict(kind, leg, bytes(16), "bodhi", 1.0, 3.0, 2.0, {})


def standing(books: Books, **more: object) -> Standing:
    both = {Leg.ZMQ_TO_AMQP: books, Leg.AMQP_TO_ZMQ: Books()}
    return Standing(both, 2.0, {Witness.PUBLISHERS: Seeing(True, 7.5)}, **more)  # type: ignore[arg-type]


def told(figures: VerifierFigures) -> dict[str, float]:
    """Each sample as Prometheus reads it."""

    class Collector:
        def collect(self) -> object:
            return monitoring._families(figures.metrics())

    registry = CollectorRegistry()
    registry.register(Collector())  # type: ignore[arg-type]
    lines = generate_latest(registry).decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


def kind(name: str, leg: str = "zmq_to_amqp") -> str:
    return f'verify_messages_total{{kind="{name}",leg="{leg}"}}'


def test_all_counters_are_there_from_the_start_else_the_first_loss_is_no_increase() -> None:
    figures = VerifierFigures()
    figures.stands(Standing({}, 60.0, {}))
    samples = told(figures)
    for leg in ("zmq_to_amqp", "amqp_to_zmq"):
        for name in Kind:
            assert samples[kind(name, leg)] == 0
        assert samples[kind("received", leg)] == 0
    assert not any(name.startswith("verify_books") for name in samples)


def test_a_verdict_that_is_taken_back_leaves_the_books_and_stays_counted() -> None:
    figures = VerifierFigures()
    figures.judged(
        [verdict(Kind.LOST), verdict(Kind.LOST), verdict(Kind.UNVERIFIABLE), verdict(Kind.CHANGED)]
    )
    figures.stands(standing(Books(received=10, matched=5, lost=2, unverifiable=1, changed=1, in_flight=2)))
    figures.judged([verdict(Kind.LATE)])
    figures.stands(
        standing(Books(received=10, matched=7, lost=1, unverifiable=1, changed=1, late=1, in_flight=1))
    )
    samples = told(figures)
    counted = {
        name: samples[kind(name)]
        for name in ("received", "matched", "lost", "unverifiable", "changed", "late")
    }
    assert counted == {"received": 10, "matched": 7, "lost": 2, "unverifiable": 1, "changed": 1, "late": 1}
    assert samples['verify_books{entry="lost",leg="zmq_to_amqp"}'] == 1
    assert samples['verify_books{entry="in",leg="zmq_to_amqp"}'] == 10
    assert samples['verify_in_flight{leg="zmq_to_amqp"}'] == 1
    assert samples['verify_books_balanced{leg="zmq_to_amqp"}'] == 1
    assert samples['verify_blind_seconds_total{witness="publishers"}'] == 7.5
    assert samples['verify_witness_seeing{witness="publishers"}'] == 1


@pytest.mark.parametrize(("lost", "balanced"), [(1, 1), (2, 0)])
def test_books_that_do_not_balance_are_told(lost: int, balanced: int) -> None:
    figures = VerifierFigures()
    figures.stands(standing(Books(received=3, matched=2, lost=lost)))
    assert told(figures)['verify_books_balanced{leg="zmq_to_amqp"}'] == balanced


def test_books_that_begin_anew_do_not_make_a_counter_fall() -> None:
    figures = VerifierFigures()
    for received in (10, 0, 4):
        figures.stands(standing(Books(received=received, in_flight=received)))
    assert told(figures)[kind("received")] == 14


def test_before_it_stands_it_tells_nothing_that_would_rise_to_the_books_of_a_restart() -> None:
    figures = VerifierFigures()
    assert told(figures) == {}
    figures.stands(standing(Books(received=10, matched=10, changed=5)))
    assert told(figures)[kind("changed")] == 5


def test_it_is_ready_once_it_stands_and_says_what_it_does_not_see() -> None:
    figures = VerifierFigures()
    assert figures.ready() == (False, {"blind": [], "reason": "it has not begun"})
    figures.stands(
        Standing({}, 60.0, {Witness.ZMQ_TOPIC: Seeing(False, 1.0), Witness.AMQ_TOPIC: Seeing(True, 0.0)})
    )
    assert figures.ready() == (True, {"blind": ["zmq_topic"]})


def test_what_a_real_verification_tells(tmp_path: Path) -> None:
    store = Store(tmp_path / "verify.sqlite")
    reconciler = Reconciler()
    figures = VerifierFigures(lambda: [Gauge.of("verify_repairs_waiting", "They wait.", 3.0)])
    now = 1_564_513_942.0
    for number in range(100):
        key = number.to_bytes(16, "big")
        at = now + number * 0.02
        reconciler.seen(Witness.PUBLISHERS, key, 1, at, "bodhi")
        if number:
            reconciler.seen(Witness.ZMQ_TOPIC, key, 1, at + 0.01, "bodhi", carrier="zmq_to_amqp@here")
    figures.judged(reconciler.advance(now + 3))
    figures.stands(Standing.of(reconciler, store, {Leg.ZMQ_TO_AMQP: 1.5}))
    samples = told(figures)
    assert samples['verify_in_flight{leg="zmq_to_amqp"}'] == 1
    assert samples["verify_zmq_to_amqp_delay_seconds_count"] == 99
    assert samples['verify_zmq_to_amqp_delay_seconds_bucket{le="0.008"}'] == 0
    assert samples['verify_zmq_to_amqp_delay_seconds_bucket{le="0.015"}'] == 99
    assert 0.9 < samples["verify_zmq_to_amqp_delay_seconds_sum"] < 1.3
    assert samples["verify_amqp_to_zmq_delay_seconds_count"] == 0
    assert samples['verify_clean_seconds{leg="zmq_to_amqp"}'] == 129_600
    assert samples["verify_window_seconds"] == 60
    assert samples["verify_store_failing"] == samples["verify_store_waiting"] == 0
    assert samples["verify_repairs_waiting"] == 3
    for second in range(5, 200, 5):
        figures.judged(reconciler.advance(now + second))
    figures.stands(Standing.of(reconciler, store, {}))
    samples = told(figures)
    assert samples[kind("lost")] == samples['verify_books{entry="lost",leg="zmq_to_amqp"}'] == 1
    store.close()
