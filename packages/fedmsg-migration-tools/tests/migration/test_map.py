# SPDX-License-Identifier: MIT
"""The rows of the map."""

from typing import Any

import pytest

from fedmsg_migration_tools.management.client import Snapshot
from fedmsg_migration_tools.migration.linter import lint
from fedmsg_migration_tools.migration.map import build, listens
from fedmsg_migration_tools.migration.seen import DAY, Application, Seen, Traffic

NOW = 1_800_000_000.0


def binding(source: str, target: str, key: str) -> dict[str, Any]:
    return {"source": source, "destination": target, "destination_type": "queue", "routing_key": key}


def consumer(queue: str, connection: str) -> dict[str, Any]:
    return {"queue": {"name": queue}, "channel_details": {"connection_name": connection}}


BROKER = Snapshot(
    "/",
    [
        {"name": "hotness"},
        {"name": "amq.gen-1", "exclusive": True},
        {"name": "ours"},
    ],
    [
        binding("zmq.topic", "hotness", "org.fedoraproject.prod.anitya.#"),
        binding("amq.topic", "amq.gen-1", "#"),
        binding("amq.topic", "ours", "org.fedoraproject.prod.ours.#"),
    ],
    [],
    [consumer("hotness", "c1"), consumer("hotness", "c1"), consumer("amq.gen-1", "c2")],
    {"c1": "hotness on host", "c2": "somebody's script"},
)


def test_who_publishes_where_and_who_listens() -> None:
    zmq = Traffic(1, 20, 300, NOW - 30 * DAY, NOW - 60)
    amqp = Traffic(2, 3, 4, NOW - DAY, NOW - 30)
    known = Seen.of([Application("bodhi", zmq, amqp), Application("koji", zmq)], NOW - 30 * DAY, NOW)
    findings = lint(BROKER.queues, BROKER.bindings, seen=known, ours=["ours"])
    rows = {
        row["application"]: row
        for row in build(
            known, BROKER, findings, subscriptions={"": 1, "org.fedoraproject.prod.koji": 2}, ours=["ours"]
        )
    }
    assert list(rows) == ["anitya", "bodhi", "koji"]
    assert rows["bodhi"] == {
        "application": "bodhi",
        "state": "both",
        "zmq": {
            "hour": 1,
            "day": 20,
            "week": 300,
            "first_seen": NOW - 30 * DAY,
            "last_seen": NOW - 60,
        },
        "amqp": {"hour": 2, "day": 3, "week": 4, "first_seen": NOW - DAY, "last_seen": NOW - 30},
        "consumers": ["somebody's script (1)"],
        "subscribers": 1,
        "warnings": rows["bodhi"]["warnings"],
    }
    assert rows["koji"]["state"] == "zmq"
    assert rows["koji"]["subscribers"] == 3
    assert rows["anitya"]["state"] == "unknown"
    assert rows["anitya"]["consumers"] == ["hotness (2)", "somebody's script (1)"]
    assert "hotness takes anitya from zmq.topic only" in rows["anitya"]["warnings"][0]


@pytest.mark.parametrize(
    ("zmq", "amqp", "state"),
    [
        (1, None, "zmq"),
        (1, 1, "both"),
        (8, 1, "amqp"),
        (None, 1, "amqp"),
        (8, None, "quiet"),
        (8, 8, "quiet"),
    ],
)
def test_the_state_is_where_it_was_seen_of_late(zmq: int | None, amqp: int | None, state: str) -> None:
    def ago(days: int | None) -> Traffic:
        return Traffic() if days is None else Traffic(first_seen=NOW - 9 * DAY, last_seen=NOW - days * DAY)

    (row,) = build(Seen.of([Application("bodhi", ago(zmq), ago(amqp))], 0, NOW))
    assert row["state"] == state


def test_without_the_verification_service_the_bindings_still_tell() -> None:
    rows = build(None, BROKER)
    assert [row["application"] for row in rows] == ["anitya", "ours"]
    assert rows[0]["zmq"]["week"] is None
    assert rows[0]["subscribers"] is None
    assert build(None) == []


@pytest.mark.parametrize(
    ("prefix", "meant"),
    [
        ("", True),
        ("org.fedoraproject", True),
        ("org.fedoraproject.prod.", True),
        ("org.fedoraproject.prod.bod", True),
        ("org.fedoraproject.prod.bodhi.update", True),
        ("org.fedoraproject.prod.bodhi2", False),
        ("org.fedoraproject.prod.bod.", False),
        ("org.fedoraproject.prod.koji.", False),
    ],
)
def test_a_subscription_by_prefix_is_about_an_application(prefix: str, meant: bool) -> None:
    assert listens(prefix, "bodhi") is meant
