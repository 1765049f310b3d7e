# SPDX-License-Identifier: MIT
"""What reaches a queue, straight and through other exchanges."""

from typing import Any

from fedmsg_migration_tools.migration.bindings import reach


def binding(source: str, target: str, key: str, kind: str = "queue") -> dict[str, Any]:
    return {"source": source, "destination": target, "destination_type": kind, "routing_key": key}


def test_each_exchange_tells_its_own_patterns_once() -> None:
    found = reach(
        [
            binding("amq.topic", "shop", "a.#"),
            binding("zmq.topic", "shop", "a.#"),
            binding("zmq.topic", "shop", "b.#"),
            binding("zmq.topic", "shop", "b.#"),
            binding("amq.direct", "other", "x"),
        ]
    )
    assert found == {"shop": {"zmq.topic": ["a.#", "b.#"], "amq.topic": ["a.#"]}}


def test_through_another_exchange_the_narrower_pattern_counts() -> None:
    found = reach(
        [
            binding("amq.topic", "inner", "a.#", "exchange"),
            binding("inner", "wide", "#"),
            binding("inner", "narrow", "a.b.#"),
            binding("inner", "never", "c.#"),
            binding("inner", "both", "*.b"),
        ],
        [{"name": "inner", "type": "topic"}],
    )
    assert found["wide"] == {"amq.topic": ["a.#"]}
    assert found["narrow"] == {"amq.topic": ["a.b.#"]}
    assert "never" not in found
    assert found["both"] == {"amq.topic": ["*.b"]}


def test_a_fanout_exchange_lets_all_through_whatever_the_key_says() -> None:
    found = reach(
        [binding("amq.topic", "all", "a.#", "exchange"), binding("all", "shop", "ignored")],
        [{"name": "all", "type": "fanout"}],
    )
    assert found == {"shop": {"amq.topic": ["a.#"]}}


def test_exchanges_in_a_circle_end() -> None:
    found = reach(
        [
            binding("amq.topic", "zmq.topic", "#", "exchange"),
            binding("zmq.topic", "amq.topic", "#", "exchange"),
            binding("zmq.topic", "shop", "a.#"),
        ]
    )
    assert found == {"shop": {"zmq.topic": ["a.#"], "amq.topic": ["a.#"]}}
