# SPDX-License-Identifier: MIT
"""Putting together what the sources say, whichever are there."""

from dataclasses import replace
from typing import Any

from fedmsg_migration_tools.management.client import Snapshot
from fedmsg_migration_tools.migration.audit import Audit
from fedmsg_migration_tools.migration.overview import draw, our_queues
from fedmsg_migration_tools.migration.seen import Application, Seen, Traffic

NOW = 1_800_000_000.0


def binding(source: str, target: str, key: str) -> dict[str, Any]:
    return {"source": source, "destination": target, "destination_type": "queue", "routing_key": key}


def consumer(queue: str, connection: str) -> dict[str, Any]:
    return {"queue": {"name": queue}, "channel_details": {"connection_name": connection}}


BROKER = Snapshot(
    "/",
    [
        {"name": "amqp_to_zmq", "messages": 0},
        {"name": "zmq.quarantine", "messages": 5},
        {"name": "amq.gen-1", "exclusive": True},
        {"name": "amq.gen-2", "exclusive": True},
    ],
    [
        binding("amq.topic", "amqp_to_zmq", "#"),
        binding("amq.topic", "amq.gen-1", "#"),
        binding("zmq.topic", "amq.gen-2", "#"),
    ],
    [],
    [consumer("amqp_to_zmq", "c0"), consumer("amq.gen-1", "c1"), consumer("amq.gen-2", "c2")],
    {"c0": "amqp_to_zmq host", "c1": "verify_missing", "c2": "somebody"},
)
SEEN = Seen.of([Application("bodhi", Traffic(1, 1, 1, 0.0, NOW))], 0.0, NOW)
AUDIT = Audit(NOW, 0.0, 7, seeing={"bridge_socket": True})


def test_our_own_queues_are_no_findings_and_not_on_the_map() -> None:
    overview = draw(NOW, seen=SEEN, broker=BROKER, ours=["amqp_to_zmq"])
    assert our_queues(BROKER) == {"amq.gen-1"}
    assert [one.queue for one in overview.findings] == ["amq.gen-2"]
    (bodhi,) = overview.map
    assert bodhi["consumers"] == ["somebody (1)"]
    assert bodhi["warnings"] == [overview.findings[0].text]


def test_the_verification_service_is_no_subscriber() -> None:
    with_it = draw(NOW, seen=SEEN, audit=AUDIT, bridge=(2, {"": 2}))
    assert with_it.map[0]["subscribers"] == 1
    assert "1 subscriber listens to the bridge to ''" in with_it.gates["amqp_to_zmq"].because[0]
    alone = draw(NOW, seen=SEEN, audit=AUDIT, bridge=(1, {"": 1}))
    assert alone.map[0]["subscribers"] == 0
    assert alone.gates["amqp_to_zmq"].open
    elsewhere = draw(NOW, seen=SEEN, audit=AUDIT, bridge=(1, {"org": 1}))
    assert not elsewhere.gates["amqp_to_zmq"].open
    gone = draw(NOW, seen=SEEN, audit=replace(AUDIT, at=NOW - 3600), bridge=(1, {"": 1}))
    assert gone.map[0]["subscribers"] == 1
    assert not gone.gates["amqp_to_zmq"].open


def test_what_waits_in_quarantine_keeps_the_bridge() -> None:
    because = draw(NOW, seen=SEEN, audit=AUDIT, broker=BROKER).gates["zmq_to_amqp"].because
    assert "5 messages in quarantine: replay or drop (see fedmsg-migration-tools quarantine list)" in because
    none = replace(BROKER, queues=[])
    assert not any("quarantine" in one for one in draw(NOW, broker=none).gates["zmq_to_amqp"].because)


def test_without_any_source_there_are_only_closed_gates() -> None:
    overview = draw(NOW)
    assert (list(overview.map), list(overview.findings)) == ([], [])
    assert [gate.open for gate in overview.gates.values()] == [False, False]
    assert list(overview.as_dict()) == ["map", "findings", "gate"]
