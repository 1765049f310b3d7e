# SPDX-License-Identifier: MIT
"""Quorum queues that drop what comes back too often: what is said of them, against what the broker really does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pika
import pytest

from fedmsg_migration_tools.broker.bus.file import check
from fedmsg_migration_tools.broker.checking import queues
from fedmsg_migration_tools.broker.checking.facts import Facts
from fedmsg_migration_tools.broker.checking.findings import Finding, Status
from fedora_messaging.private_node import NodeError

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode

PATIENCE = 60.0  # seconds for the broker to tell of a queue; 4.0.5 needs 10
ENOUGH = 25


def survives(url: str, name: str) -> bool:
    """Whether a message is still there that came back once, and then many times."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.basic_publish("", name, b"kept?", pika.BasicProperties(delivery_mode=2))
        for _ in range(ENOUGH):
            tag = next_of(channel, name)
            if tag is None:
                return False
            channel.basic_reject(tag, requeue=True)
        return next_of(channel, name) is not None


def next_of(channel: Any, name: str) -> int | None:
    """What is in the queue, or None: it has gone, as what is only on its way back comes within a second."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        method, _, _ = channel.basic_get(name)
        if method is not None:
            return int(method.delivery_tag)
        time.sleep(0.02)
    return None


def told(node: PrivateNode, vhost: str) -> dict[str, dict[str, Any]]:
    """What the management API says of all queues, once it says all that it will: by name."""
    end = time.monotonic() + PATIENCE
    while True:
        rows = {row["name"]: row for row in node.management("GET", f"/api/queues/{vhost}")}
        if not tells_limits(node) or all("delivery_limit" in row for row in rows.values()):
            return rows
        assert time.monotonic() < end
        time.sleep(0.2)


def tells_limits(node: PrivateNode) -> bool:
    """Those with a limit by default are those that keep a list of deprecated features, as far as was tried."""
    try:
        return bool(node.management("GET", "/api/deprecated-features"))
    except NodeError as error:
        if error.status != 404:
            raise
        return False


@pytest.mark.slow
def test_whose_messages_do_not_survive_is_told(rabbitmq: PrivateNode, amqp_url: str) -> None:
    vhost, tells = amqp_url.rpartition("/")[2], tells_limits(rabbitmq)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for limit in (None, -1, 3, 1000):
            arguments = {"x-queue-type": "quorum"} | ({} if limit is None else {"x-delivery-limit": limit})
            connection.channel().queue_declare(str(limit), durable=True, arguments=arguments)
    young = rabbitmq.management("GET", f"/api/queues/{vhost}")
    rows = told(rabbitmq, vhost)
    # 3.10 has no limit but one that is set, and takes -1 for 0.
    kept = {"None": not tells, "-1": tells, "3": False, "1000": True}
    assert {name: survives(amqp_url, name) for name in rows} == kept
    for name, row in rows.items():
        found = [one.status for one in judged(vhost, row, rabbitmq) if "comes back" in one.text]
        if name == "1000":
            assert found == [Status.WARN]
        else:
            assert bool(found) == (not kept[name]), name
    # Before the broker tells, its version decides.
    assert [judged(vhost, row, rabbitmq) for row in young] == [
        judged(vhost, rows[row["name"]], rabbitmq) for row in young
    ]


def judged(vhost: str, row: dict[str, Any], node: PrivateNode) -> list[Finding]:
    bus = check({"vhosts": {vhost: {}}})
    overview = node.management("GET", "/api/overview")
    return list(queues.judge(bus, Facts(overview=overview, queues=[row])))
