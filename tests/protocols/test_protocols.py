# SPDX-License-Identifier: MIT
"""What crosses the bus reaches programs in other protocols and languages, and what those publish reaches everybody.

The programs are the documentation's own, the users those of its ``bus.toml``. Messages that they publish are looked at
by the library, and behind the bridge to ZeroMQ.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pika
import pytest

from fedora_messaging.message import Message, get_message
from tests.faults.bridging import Subscriber, free_port, outward

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


def bound(bus: Bus, words: str) -> bool:
    """Whether there is a queue with a name like that, bound for all topics of the bus."""
    listed = bus.node.management("GET", "/api/bindings/%2Fpubsub")
    return any(words in one["destination"] and one["routing_key"].startswith("org.") for one in listed)


QUEUES = {"stomp": "stomp-subscription-", "mqtt": "mqtt-subscription-", "node": "node-listener"}


def send(channel: Any, exchange: str) -> Message:
    """A message as the library publishes it."""
    message = Message(topic=TOPIC, body={**BODY, "exchange": exchange})
    channel.basic_publish(exchange, TOPIC, message._encoded_body, message._properties)
    return message


@pytest.mark.parametrize("kind", ["stomp", "mqtt", "node"])
def test_what_crosses_the_bus_is_heard(bus: Bus, channel: Any, amqplib: Path, kind: str) -> None:
    with listener(bus, kind, amqplib) as program:
        eventually(lambda: bound(bus, QUEUES[kind]), f"a queue {QUEUES[kind]}: {program.lines}")
        exchanges = ["amq.topic"] if kind == "mqtt" else ["amq.topic", "zmq.topic"]
        sent = {exchange: send(channel, exchange) for exchange in exchanges}
        lines = program.has(len(exchanges))
    for line in lines:
        if kind == "node":
            told = json.loads(line)
            message = sent[told["body"]["exchange"]]
            assert told == {"id": message.id, "topic": TOPIC, "severity": 20, "body": message.body}
        else:
            topic, _, body = line.partition(" ")
            assert topic == TOPIC
            assert json.loads(body) == sent[json.loads(body)["exchange"]].body


@pytest.mark.parametrize("kind", ["stomp", "mqtt", "node"])
def test_what_is_missed_is_heard_afterwards(bus: Bus, channel: Any, amqplib: Path, kind: str) -> None:
    with listener(bus, kind, amqplib) as program:
        eventually(lambda: bound(bus, QUEUES[kind]), f"a queue {QUEUES[kind]}: {program.lines}")
    message = send(channel, "amq.topic")
    with listener(bus, kind, amqplib) as program:
        (line,) = program.has(1)
    assert json.loads(line[line.index("{") :]).get("body", message.body) == message.body
    assert '"n"' in line


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
def test_what_they_publish_reaches_zeromq(
    bus: Bus, channel: Any, amqplib: Path, kind: str, tmp_path: Path
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    topic = f"org.fedoraproject.prod.{kind}.outwards"
    with outward(tmp_path, bus.url, endpoint) as bridge, Subscriber(endpoint) as world:
        bridge.says("(?i)connected to")
        eventually(
            lambda: channel.queue_declare("amqp_to_zmq", passive=True).method.consumer_count, "the bridge"
        )
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
