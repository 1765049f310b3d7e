# SPDX-License-Identifier: MIT
"""Each rule where it speaks, and where it must not."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fedmsg_migration_tools.migration.linter import Finding, Kind, lint
from fedmsg_migration_tools.migration.seen import DAY, Application, Seen, Traffic

NOW = 1_800_000_000.0
BODHI = "org.fedoraproject.prod.bodhi.#"


def bindings(*pairs: tuple[str, str], queue: str = "shop") -> list[dict[str, Any]]:
    return [
        {"source": exchange, "destination": queue, "destination_type": "queue", "routing_key": key}
        for exchange, key in pairs
    ]


def on(last: float | None, first: float | None = None) -> Traffic:
    """Last seen so many days ago."""
    moment = None if last is None else NOW - last * DAY
    return Traffic(0, 0, 0, moment if first is None else NOW - first * DAY, moment)


def seen(
    *applications: tuple[str, float | None, float | None],
    days: float = 30,
    topics: Iterable[str] | None = None,
) -> Seen:
    """Each with the days since it was last seen on ZeroMQ, and on AMQP."""
    known = [Application(name, on(zmq), on(amqp)) for name, zmq, amqp in applications]
    return Seen.of(known, NOW - days * DAY, NOW, topics)


def kinds(found: Iterable[Finding]) -> list[Kind]:
    return [one.kind for one in found]


# on one exchange only


def test_bound_to_both_is_right() -> None:
    assert lint([], bindings(("amq.topic", BODHI), ("zmq.topic", BODHI))) == []


def test_only_on_zmq_topic_goes_silent_when_the_publisher_moves() -> None:
    (found,) = lint([], bindings(("zmq.topic", BODHI)))
    assert (found.kind, found.queue, found.exchange) == (Kind.ONE_EXCHANGE, "shop", "zmq.topic")
    assert found.applications == ("bodhi",)
    assert "goes silent on the day that its publisher moves" in found.text
    assert found.text.endswith(f"bind it to amq.topic with '{BODHI}' too")


def test_only_on_zmq_topic_is_worse_when_the_publisher_has_moved() -> None:
    (found,) = lint([], bindings(("zmq.topic", BODHI)), seen=seen(("bodhi", 20, 0)))
    assert "but bodhi publishes over AMQP since 2027-01-15, which does not get there: bind it" in found.text


def test_only_on_amq_topic_misses_what_is_not_migrated() -> None:
    (found,) = lint([], bindings(("amq.topic", BODHI)), seen=seen(("bodhi", 0, None)))
    assert "what is published over ZeroMQ does not get there: bind it to zmq.topic" in found.text


@pytest.mark.parametrize("zmq", [None, 8])
def test_only_on_amq_topic_is_right_for_who_has_moved(zmq: float | None) -> None:
    assert lint([], bindings(("amq.topic", BODHI)), seen=seen(("bodhi", zmq, 0))) == []


def test_it_is_the_meaning_that_counts_and_not_the_text() -> None:
    assert lint([], bindings(("zmq.topic", BODHI), ("amq.topic", "org.fedoraproject.#"))) == [
        Finding(
            Kind.ONE_EXCHANGE,
            "shop",
            "shop takes 'org.fedoraproject.#' from amq.topic only, so what is published over ZeroMQ does not get "
            "there: bind it to zmq.topic with 'org.fedoraproject.#' too",
            "amq.topic",
            "org.fedoraproject.#",
        )
    ]


def test_several_patterns_together_do_for_one() -> None:
    several = bindings(("zmq.topic", "a.#"), ("amq.topic", "a"), ("amq.topic", "a.*.#"))
    assert Kind.ONE_EXCHANGE not in kinds(lint([], several))


def test_a_wide_binding_names_the_applications_that_it_is_about() -> None:
    known = seen(("bodhi", 0, None), ("koji", 0, 0), ("anitya", 30, 0))
    (found,) = lint([], bindings(("zmq.topic", "#"), ("amq.topic", "*.*.*.koji.#")), seen=known)
    assert found.applications == ("anitya", "bodhi")


def test_with_topics_known_what_never_occurs_is_not_missed() -> None:
    known = seen(("bodhi", 0, None), topics=["org.fedoraproject.prod.bodhi.update.comment"])
    both = bindings(("zmq.topic", "org.#"), ("amq.topic", BODHI))
    assert Kind.ONE_EXCHANGE not in kinds(lint([], both, seen=known))


def test_the_bridges_own_queues_are_as_they_are() -> None:
    assert lint([], bindings(("amq.topic", "#"), queue="amqp_to_zmq"), ours=["amqp_to_zmq"]) == []


def test_the_exchanges_may_have_other_names() -> None:
    (found,) = lint([], bindings(("old", BODHI)), pair=("old", "new"))
    assert "bind it to new" in found.text


# what matches nothing


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("org.fedoraproject.prod.bodhi", BODHI),
        ("org.fedoraproject.prod.bodhi.", BODHI),
        ("org.fedoraproject.*.bodhi", "org.fedoraproject.*.bodhi.#"),
        ("org.fedoraproject.prod.", "org.fedoraproject.prod.#"),
        ("", "#"),
    ],
)
def test_a_prefix_as_in_zeromq_is_no_pattern(pattern: str, meant: str) -> None:
    (found,) = lint([], bindings(("amq.topic", pattern)))
    assert found.kind == Kind.ZEROMQ_STYLE
    assert found.text.endswith(f"bind it with '{meant}'")


def test_a_long_prefix_is_known_by_the_topics() -> None:
    prefix, topic = "org.fedoraproject.prod.bodhi.update", "org.fedoraproject.prod.bodhi.update.comment"
    both = bindings(("amq.topic", prefix), ("zmq.topic", prefix))
    assert lint([], both) == []
    assert kinds(lint([], both, seen=seen(topics=[topic]))) == [Kind.ZEROMQ_STYLE] * 2
    assert lint([], both, seen=seen(("bodhi", 0, None), topics=[topic, prefix])) == []


def test_a_wildcard_within_a_word_is_none() -> None:
    (found,) = lint([], bindings(("amq.topic", "org.fedoraproject.prod.bod*.#")))
    assert found.kind == Kind.WILDCARD_IN_WORD
    assert "'bod*'" in found.text


def test_a_pattern_that_matched_nothing_is_named_after_enough_days() -> None:
    both = bindings(("amq.topic", BODHI), ("zmq.topic", BODHI))
    assert lint([], both, seen=seen(("koji", 0, None), days=3)) == []
    found = lint([], both, seen=seen(("koji", 0, None), days=30))
    assert kinds(found) == [Kind.NEVER_MATCHES] * 2
    assert "matched nothing in the 30 days that were watched" in found[0].text


def test_with_topics_known_it_is_the_topics_that_count() -> None:
    comments = "org.fedoraproject.prod.bodhi.comment.#"
    both = bindings(("amq.topic", comments), ("zmq.topic", comments))
    applications = ("bodhi", 0.0, None)
    assert lint([], both, seen=seen(applications)) == []
    found = lint([], both, seen=seen(applications, topics=["org.fedoraproject.prod.bodhi.update.x"]))
    assert kinds(found) == [Kind.NEVER_MATCHES] * 2


def test_what_may_match_topics_without_an_application_is_left_alone() -> None:
    both = bindings(("amq.topic", "short.#"), ("zmq.topic", "short.#"))
    assert Kind.NEVER_MATCHES not in kinds(lint([], both, seen=seen(("unknown", 0, None))))


# what is there twice


def test_a_pattern_that_another_covers_is_named() -> None:
    wide, narrow = "org.fedoraproject.prod.#", BODHI
    both = bindings(("amq.topic", wide), ("amq.topic", narrow), ("zmq.topic", wide))
    (found,) = lint([], both)
    assert (found.kind, found.pattern) == (Kind.SHADOWED, narrow)
    assert f"'{wide}' lets all of that through" in found.text


def test_of_two_that_mean_the_same_one_is_named() -> None:
    same = bindings(("amq.topic", "a.*.#"), ("amq.topic", "a.#.*"), ("zmq.topic", "a.*.#"))
    assert [(one.kind, one.pattern) for one in lint([], same)] == [(Kind.SHADOWED, "a.#.*")]


def test_the_same_on_the_other_exchange_is_no_shadow() -> None:
    assert lint([], bindings(("amq.topic", BODHI), ("zmq.topic", BODHI))) == []


# nobody reads


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ({"consumers": 0, "messages": 0}, "has no consumer: start it, or delete the queue"),
        ({"consumers": 0, "messages": 7}, "has no consumer, and 7 messages wait"),
        (
            {"consumers": 0, "messages": 7, "messages_details": {"rate": 2.5}},
            "grows by 2.5 messages a second",
        ),
    ],
)
def test_a_queue_that_nobody_reads(queue: dict[str, Any], said: str) -> None:
    (found,) = lint([{"name": "shop", **queue}], [])
    assert found.kind == Kind.NO_CONSUMER
    assert said in found.text


def test_a_queue_that_is_read_or_not_counted_yet() -> None:
    queues: list[dict[str, Any]] = [
        {"name": "read", "consumers": 1, "messages": 7},
        {"name": "new"},
        {"name": "ours", "consumers": 0},
    ]
    assert lint(queues, [], ours=["ours"]) == []
    assert kinds(lint([{"name": "new"}], [], consumers={})) == [Kind.NO_CONSUMER]
    assert lint([{"name": "late", "consumers": 0}], [], consumers={"late": 1}) == []


def test_the_worst_comes_first() -> None:
    found = lint(
        [{"name": "alone", "consumers": 0}],
        [*bindings(("amq.topic", "a*"), queue="x"), *bindings(("zmq.topic", BODHI), queue="y")],
    )
    assert kinds(found) == [Kind.ONE_EXCHANGE, Kind.WILDCARD_IN_WORD, Kind.NO_CONSUMER]


@pytest.mark.parametrize(("queues", "patterns"), [(300, 20), (1, 3000)])
def test_many_bindings_take_no_time(queues: int, patterns: int) -> None:
    many = [
        one
        for number in range(queues)
        for i in range(patterns)
        for one in bindings(("amq.topic", f"org.fedoraproject.prod.app{i}.#"), queue=f"q{number}")
    ]
    begin = time.perf_counter()
    lint([], many, seen=seen(*((f"app{i}", 0.0, None) for i in range(60))))
    assert time.perf_counter() - begin < 20


def test_each_kind_is_explained() -> None:
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "migration-map.md").read_text()
    for kind in Kind:
        assert f"\n| {kind} |" in page, kind
