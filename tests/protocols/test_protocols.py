# SPDX-License-Identifier: MIT
"""What crosses the bus reaches programs in other protocols and languages, and what those publish reaches everybody.

The programs are the documentation's own, the users those of its ``bus.toml``. Messages that they publish are looked at
by the library, and behind the bridge to ZeroMQ.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pika
import pytest

from fedora_messaging.message import Message, get_message
from fedora_messaging.private_node.ports import free_port
from tests.faults.bridging import Subscriber, outward

from .conftest import PASSWORD, Bus, environment
from .programs import Listener, eventually, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAP = "tap"
TOPIC = "org.fedoraproject.prod.bodhi.update"
BODY = {"title": "Füße, ☃ and \U0001f600", "n": 1}


def listener(bus: Bus, kind: str, amqplib: Path) -> Listener:
    """An example that listens, by kind."""
    if kind == "node":
        command = ["node", "listen.js", "node-listener", "org.fedoraproject.#"]
        return Listener(command, environment(AMQP_URL=bus.url_of("node-listener")), amqplib)
    return Listener(bus.python(f"listen_{kind}.py", f"{kind}-listener"), environment())


def publish(bus: Bus, kind: str, amqplib: Path, topic: str) -> Any:
    """Run an example that publishes, by kind."""
    if kind == "node":
        command = ["node", "publish.js", topic, json.dumps({"greeting": "hello"})]
        return run(command, environment(AMQP_URL=bus.url_of("node-publisher")), amqplib)
    return run(bus.python(f"publish_{kind}.py", f"{kind}-publisher", topic), environment())


@pytest.fixture
def channel(bus: Bus) -> Iterator[Any]:
    """The administrator's, with a queue that gets everything from both exchanges."""
    with pika.BlockingConnection(pika.URLParameters(bus.url)) as connection:
        found = connection.channel()
        found.confirm_delivery()
        found.queue_declare(TAP, durable=True)
        for exchange in ("amq.topic", "zmq.topic"):
            found.queue_bind(TAP, exchange, "#")
        found.queue_purge(TAP)
        yield found
        found.queue_delete(TAP)


def taken(channel: Any) -> tuple[Any, Any, bytes]:
    """The one message in the tap."""
    found: list[Any] = []

    def get() -> bool:
        method, properties, body = channel.basic_get(TAP, auto_ack=True)
        if method is not None:
            found.extend((method, properties, body))
        return bool(found)

    eventually(get, "a message")
    method, properties, body = found
    return method, properties, body


QUEUES = {"stomp": "stomp-subscription-", "mqtt": "mqtt-subscription-", "node": "node-listener"}
EXCHANGES = {"stomp": {"amq.topic", "zmq.topic"}, "mqtt": {"amq.topic"}, "node": {"amq.topic", "zmq.topic"}}


def wait_for_bindings(bus: Bus, kind: str, program: Listener) -> None:
    """Until its queue is bound to the exchanges that it hears."""

    def bound() -> bool:
        listed = bus.node.management("GET", "/api/bindings/%2Fpubsub")
        return {one["source"] for one in listed if QUEUES[kind] in one["destination"]} >= EXCHANGES[kind]

    eventually(bound, f"a queue {QUEUES[kind]}, bound: {program.lines}")


def send(channel: Any, exchange: str) -> Message:
    """A message as the library publishes it."""
    message = Message(topic=TOPIC, body={**BODY, "exchange": exchange, "once": secrets.token_hex(8)})
    channel.basic_publish(exchange, TOPIC, message._encoded_body, message._properties)
    return message


@pytest.mark.parametrize("kind", ["stomp", "mqtt", "node"])
def test_what_crosses_the_bus_is_heard(bus: Bus, channel: Any, amqplib: Path, kind: str) -> None:
    with listener(bus, kind, amqplib) as program:
        wait_for_bindings(bus, kind, program)
        sent = [send(channel, exchange) for exchange in EXCHANGES[kind]]
        for message in sent:
            assert_told(kind, message, program)


@pytest.mark.parametrize("kind", ["stomp", "mqtt", "node"])
def test_what_is_missed_is_heard_afterwards(bus: Bus, channel: Any, amqplib: Path, kind: str) -> None:
    with listener(bus, kind, amqplib) as program:
        wait_for_bindings(bus, kind, program)
    message = send(channel, "amq.topic")
    with listener(bus, kind, amqplib) as program:
        assert_told(kind, message, program)


def assert_told(kind: str, message: Message, program: Listener) -> None:
    """The program has told of the message, whole. It may tell of older ones too, which it had no time to settle."""
    line = program.line_with(message.body["once"])
    if kind == "node":
        told = json.loads(line)
        assert told == {"id": message.id, "topic": TOPIC, "severity": 20, "body": message.body}
    else:
        topic, _, body = line.partition(" ")
        assert (topic, json.loads(body)) == (TOPIC, message.body)


@pytest.mark.parametrize("kind", ["stomp", "mqtt", "node"])
def test_what_they_publish_is_a_message(bus: Bus, channel: Any, amqplib: Path, kind: str) -> None:
    topic = f"org.fedoraproject.prod.{kind}.hello"
    done = publish(bus, kind, amqplib, topic)
    assert done.returncode == 0, done.stderr
    method, properties, body = taken(channel)
    message = get_message(method.routing_key, properties, body)
    assert (method.exchange, message.topic, message.body) == ("amq.topic", topic, {"greeting": "hello"})
    assert bool(message.id) == (kind != "mqtt")  # MQTT 3.1.1 has nothing that could hold it


@pytest.mark.parametrize("kind", ["stomp", "mqtt", "node"])
def test_what_they_publish_reaches_zeromq(bus: Bus, amqplib: Path, kind: str, tmp_path: Path) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    topic = f"org.fedoraproject.prod.{kind}.outwards"
    with outward(tmp_path, bus.url, endpoint) as bridge, Subscriber(endpoint) as world:
        eventually(lambda: bridge.ready()[1].get("consuming"), "the bridge")
        done = publish(bus, kind, amqplib, topic)
        assert done.returncode == 0, done.stderr
        eventually(lambda: world.envelopes, "the message over ZeroMQ")
        told = world.envelopes[0]
    assert (told["topic"], told["msg"]) == (topic, {"greeting": "hello"})
    assert told["msg_id"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("stomp", "access_refused"),
        ("mqtt", "may this user publish this topic?|Not published"),
        ("node", "ACCESS_REFUSED"),
    ],
)
def test_what_they_may_not_publish_is_refused(
    bus: Bus, channel: Any, amqplib: Path, kind: str, words: str
) -> None:
    done = publish(bus, kind, amqplib, "org.fedoraproject.prod.bodhi.forged")
    assert done.returncode == 1
    assert any(word in done.stderr for word in words.split("|")), done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert channel.basic_get(TAP) == (None, None, None)
