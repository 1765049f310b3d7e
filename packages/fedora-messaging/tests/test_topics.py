# SPDX-License-Identifier: MIT
"""Topic patterns: the rules as a table, and RabbitMQ itself as the judge."""

from __future__ import annotations

import pika
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedora_messaging.topics import Bindings, matches

WORDS = st.sampled_from(["a", "b", "", "ab", "é", "*", "#", "a*", "#a"])
PATTERNS = st.lists(st.one_of(WORDS, st.sampled_from(["*", "#"])), max_size=4).map(".".join)
TOPICS = st.lists(WORDS, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("pattern", "topic"),
    [
        ("", ""),
        ("#", ""),
        ("#", "a.b.c"),
        ("#.#", ""),
        ("*", "a"),
        ("a.*", "a."),
        ("*.*", "."),
        ("a.#", "a"),
        ("a.#.b", "a.b"),
        ("a.#.b", "a.c.b.d.b"),
        ("#.a.#", "b.a.c"),
        ("a.*.#.c", "a.b.c"),
        ("*", "#"),
        ("a.#", "a.*"),
    ],
)
def test_match(pattern: str, topic: str) -> None:
    assert matches(pattern, topic)


@pytest.mark.parametrize(
    ("pattern", "topic"),
    [
        ("", "a"),
        ("*", ""),
        ("*", "a.b"),
        ("a.*", "a"),
        ("a", "A"),
        ("a*", "ab"),
        ("#a", "ba"),
        ("*.#", ""),
        ("a.#.b", "a.c"),
        ("a.b", "a.*"),
        ("a.b", "#"),
    ],
)
def test_no_match(pattern: str, topic: str) -> None:
    assert not matches(pattern, topic)


def test_a_target_with_several_patterns_is_found_once() -> None:
    bindings: Bindings[str] = Bindings()
    for pattern in ("a.*", "a.#", "#"):
        bindings.add(pattern, "queue")
    assert bindings.match("a.b") == {"queue"}


def test_a_pattern_may_have_several_targets() -> None:
    bindings: Bindings[int] = Bindings()
    bindings.add("a.*", 1)
    bindings.add("a.*", 2)
    assert bindings.match("a.b") == {1, 2}


@given(st.lists(st.tuples(PATTERNS, st.integers(0, 2)), max_size=6), st.data(), TOPICS)
def test_removing_undoes_adding(added: list[tuple[str, int]], data: st.DataObject, topic: str) -> None:
    bindings: Bindings[int] = Bindings()
    for pattern, target in added:
        bindings.add(pattern, target)
    removed = data.draw(
        st.lists(st.sampled_from(added or [("a", 0)]) | st.tuples(PATTERNS, st.integers(0, 2)))
    )
    for pattern, target in removed:
        bindings.remove(pattern, target)
    kept = set(added) - set(removed)
    assert bindings.match(topic) == {target for pattern, target in kept if matches(pattern, topic)}


def test_removing_everything_leaves_nothing_behind() -> None:
    bindings: Bindings[int] = Bindings()
    bindings.add("a.b.#", 1)
    bindings.add("a.b", 1)
    bindings.remove("a.b.#", 1)
    bindings.remove("a.b", 1)
    assert bindings._root.next == {}


def test_many_hashes_do_not_take_exponential_time() -> None:
    assert not matches("#.a." * 30 + "b", "a." * 60 + "c")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    patterns=st.lists(PATTERNS, min_size=10, max_size=30, unique=True),
    topics=st.lists(TOPICS, min_size=10, max_size=30, unique=True),
)
def test_a_real_broker_routes_the_same_way(amqp_url: str, patterns: list[str], topics: list[str]) -> None:
    bindings: Bindings[str] = Bindings()
    for pattern in patterns:
        bindings.add(pattern, pattern)
    routed = _route(amqp_url, patterns, topics)
    assert routed == {
        pattern: [topic for topic in topics if pattern in bindings.match(topic)] for pattern in patterns
    }


def _route(amqp_url: str, patterns: list[str], topics: list[str]) -> dict[str, list[str]]:
    """The topics that a topic exchange lets through to a queue bound with each pattern."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        queues = {pattern: channel.queue_declare("", exclusive=True).method.queue for pattern in patterns}
        for pattern, queue in queues.items():
            channel.queue_bind(queue, "amq.topic", pattern)
        for topic in topics:
            channel.basic_publish("amq.topic", topic, topic.encode())
        routed = {pattern: _drain(channel, queue) for pattern, queue in queues.items()}
        for queue in queues.values():
            channel.queue_delete(queue)
    return routed


def _drain(channel: pika.adapters.blocking_connection.BlockingChannel, queue: str) -> list[str]:
    topics = []
    while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
        topics.append(got[2].decode())
    return topics
