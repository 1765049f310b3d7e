# SPDX-License-Identifier: MIT
"""Grants that RabbitMQ does not keep as they read: that we warn of them, and that it is so."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pika
import pytest

from fedmsg_migration_tools.broker.bus.definitions import of_state
from fedmsg_migration_tools.broker.bus.desired import Secrets, desired
from fedmsg_migration_tools.broker.bus.file import check, read
from fedmsg_migration_tools.broker.bus.loopholes import loopholes

from .test_file import EXAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedora_messaging.private_node import PrivateNode

FILE = """
[users.forger]
password_env = "FORGER"
[vhosts.loophole.queues.all]
bindings = [{ exchange = "amq.topic" }]
[vhosts.loophole.users.forger]
publish."amq.topic" = ["mine.#"]
manage = ["own*"]
"""


def found(grants: str) -> list[str]:
    return list(
        loopholes(check(tomllib.loads(f"[users.u]\ncertificate = true\n[vhosts.v.users.u]\n{grants}")))
    )


@pytest.mark.parametrize(
    "grants",
    [
        'publish."amq.topic" = ["a"]\nmanage = ["own"]',
        'publish."own.x" = ["a"]\nmanage = ["own.*"]',
        "expressions = { configure = '^own', write = 'x', topics.\"amq.topic\".write = '^a' }",
    ],
)
def test_warned_of(grants: str) -> None:
    (line,) = found(grants)
    assert line.startswith(
        "vhosts.v.users.u: who may declare a queue or an exchange can publish any topic to "
    )


@pytest.mark.parametrize(
    "grants",
    [
        "",
        'publish."amq.topic" = ["a"]',
        'manage = ["own"]',
        'publish."amq.topic" = ["#"]\nmanage = ["own"]',
        'publish = { "amq.topic" = [], "amq.fanout" = ["#"] }\nmanage = ["own"]',
        "expressions = { configure = '.*', write = '.*', topics.\"amq.topic\".write = '.*' }",
        "expressions = { configure = '^$', write = '.*', topics.\"amq.topic\".write = '^a' }",
    ],
)
def test_not_warned_of(grants: str) -> None:
    assert found(grants) == []


def test_the_example_has_none() -> None:
    assert list(loopholes(read(EXAMPLE))) == []


@pytest.fixture
def forger(rabbitmq: PrivateNode) -> Iterator[Any]:
    """A channel of one who may publish its own topics, and manage its own things."""
    rabbitmq.add_vhost("loophole")
    state = desired(check(tomllib.loads(FILE)), Secrets({"FORGER": "x"}))
    rabbitmq.management("POST", "/api/definitions", of_state(state))
    parameters = pika.URLParameters(rabbitmq.url_of("loophole"))
    parameters.credentials = pika.PlainCredentials("forger", "x")
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    rabbitmq.management("DELETE", "/api/users/forger")
    rabbitmq.delete_vhost("loophole")


def arrived(node: PrivateNode) -> str:
    """The topic of the next message that got into amq.topic."""
    with pika.BlockingConnection(pika.URLParameters(node.url_of("loophole"))) as connection:
        for method, _, _ in connection.channel().consume("all", auto_ack=True, inactivity_timeout=30):
            assert method is not None
            return str(method.routing_key)
    raise AssertionError


def test_a_binding_forges_a_topic(rabbitmq: PrivateNode, forger: Any) -> None:
    forger.exchange_declare("own", "fanout")
    forger.exchange_bind("amq.topic", "own")
    forger.basic_publish("own", "yours", b"")
    assert arrived(rabbitmq) == "yours"


def test_a_dead_letter_forges_a_topic(rabbitmq: PrivateNode, forger: Any) -> None:
    dead = {"x-dead-letter-exchange": "amq.topic", "x-dead-letter-routing-key": "yours", "x-message-ttl": 0}
    forger.queue_declare("own", arguments=dead)
    forger.exchange_declare("own", "fanout")
    forger.queue_bind("own", "own")
    forger.basic_publish("own", "", b"")
    assert arrived(rabbitmq) == "yours"


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_copies_are_checked_by_rabbitmq_4_only(rabbitmq: PrivateNode, forger: Any, header: str) -> None:
    version = rabbitmq.management("GET", "/api/overview")["rabbitmq_version"]
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url_of("loophole"))) as connection:
        inside = connection.channel()
        inside.queue_unbind("all", "amq.topic", "#")
        inside.queue_bind("all", "amq.topic", "yours")
    properties = pika.BasicProperties(headers={header: ["yours"]})
    if int(version.split(".")[0]) >= 4:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="yours"):
            forger.basic_publish("amq.topic", "mine.x", b"", properties)
    else:
        forger.basic_publish("amq.topic", "mine.x", b"", properties)
        assert arrived(rabbitmq) == "mine.x"  # the topic that is seen is one that was checked
