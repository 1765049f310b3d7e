# SPDX-License-Identifier: MIT
"""Every socket wired to every bridge, two instances of each: each message arrives once on each path, none goes round.

Publishers over ZeroMQ ─┬─▶ zmq_to_amqp first ──▶ zmq.topic
                        ├─▶ zmq_to_amqp second ─▶ zmq.topic
both of amqp_to_zmq ────┴─ the same two
amq.topic ─▶ amqp_to_zmq third and fourth ─▶ a socket each
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pika
import pytest

from tests.interop.bridging import depth, endpoint, numbered, probe, tap
from tests.interop.frames import Publisher, Subscriber
from tests.interop.sides import drain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.bridging import Bus, Program

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

COUNT = 300
PROBE = "org.example.probe"
OVER_ZMQ, OVER_AMQP = "org.example.over.zmq", "org.example.over.amqp"
INWARD, OUTWARD = ("first", "second"), ("third", "fourth")


@contextlib.contextmanager
def crosswise(bus: Bus, queues: tuple[str, str]) -> Iterator[tuple[Publisher, list[str], list[Program]]]:
    """All four bridges, with a publisher; ``queues`` and the sockets are those of the two outward ones."""
    sockets = [endpoint(), endpoint()]
    with contextlib.ExitStack() as stack:
        publisher = stack.enter_context(Publisher())
        inward = [bus.zmq_to_amqp(publisher.endpoint, *sockets, name=name) for name in INWARD]
        bridges = [stack.enter_context(bridge) for bridge in inward]
        for name, queue, socket in zip(OUTWARD, queues, sockets, strict=True):
            config = f'queue = "{queue}"\n'
            bridges.append(stack.enter_context(bus.amqp_to_zmq(socket, name=name, config=config)))
        publisher.wait(subscribers=len(INWARD))
        yield publisher, sockets, bridges


def open_paths(channel: Any, sockets: list[str]) -> None:
    """Until what is published over AMQP leaves by each of these sockets."""
    for socket in sockets:
        with Subscriber(socket) as one:
            probe(
                lambda: channel.basic_publish("amq.topic", PROBE, b"{}"),
                lambda: one.next(0.1),
                "a message of AMQP at a subscriber",
            )
    time.sleep(1)  # libzmq connects again within 0.1 s, so the inward bridges have, too


@pytest.mark.parametrize(
    "queues", [("shared", "shared"), ("third", "fourth")], ids=["one queue", "a queue each"]
)
@pytest.mark.parametrize("bound", [False, True], ids=["two exchanges", "zmq.topic bound to amq.topic"])
def test_each_message_arrives_once_on_each_path(
    bus: Bus, channel: Any, queues: tuple[str, str], bound: bool
) -> None:
    tap(channel, "zmq-side", "zmq.topic", "org.example.over.#")
    tap(channel, "amqp-side", "amq.topic", "org.example.over.#")
    if bound:
        channel.exchange_bind("amq.topic", "zmq.topic", "#")
    with crosswise(bus, queues) as (publisher, sockets, bridges):
        open_paths(channel, sockets)
        with Subscriber(publisher.endpoint, *sockets) as subscriber:
            publisher.wait()
            time.sleep(0.5)  # until it is connected to the other two
            for over_zmq, over_amqp in zip(
                numbered(range(COUNT), OVER_ZMQ), numbered(range(COUNT), OVER_AMQP), strict=True
            ):
                publisher.envelope(over_zmq)
                publish(channel, over_amqp)
            seen = [(topic, envelope) for topic, envelope in subscriber.all(2.0) if topic != PROBE]
        before = settled(channel)
        time.sleep(1.5)
        assert settled(channel) == before, "something goes round"
        dropped = [bridge.metrics() for bridge in bridges]

    # Each bridge has met what it must not carry: the others' messages, which it drops.
    instances_out = len(set(queues))
    for inward in dropped[:2]:
        assert inward['zmq_to_amqp_loops_total{application="amqp"}'] == COUNT * instances_out
    met_out = sum(outward.get('amqp_to_zmq_loops_total{application="zmq"}', 0) for outward in dropped[2:])
    assert met_out == (COUNT * len(INWARD) * instances_out if bound else 0)

    per_message = Counter((topic, envelope["msg"]["n"]) for topic, envelope in seen)
    assert per_message == Counter(
        {
            (topic, n): times
            for topic, times in ((OVER_ZMQ, 1), (OVER_AMQP, instances_out))
            for n in range(COUNT)
        }
    )
    outward = Counter(
        (envelope["headers"]["fedmsg_bridge"], envelope["msg"]["n"])
        for topic, envelope in seen
        if topic == OVER_AMQP
    )
    assert set(outward.values()) == {1}
    assert {name for name, _ in outward} <= {f"amqp_to_zmq@{name}" for name in OUTWARD}

    once_by_each = Counter({(f"zmq_to_amqp@{name}", n): 1 for name in INWARD for n in range(COUNT)})
    zmq_side, amqp_side = drain(channel, "zmq-side"), drain(channel, "amqp-side")
    assert {message.topic for message in zmq_side} == {OVER_ZMQ}
    assert carried(zmq_side) == once_by_each
    ids = Counter(message.properties["message_id"] for message in zmq_side)
    assert ids == Counter({envelope["msg_id"]: 2 for envelope in numbered(range(COUNT))})
    own = Counter({("", n): 1 for n in range(COUNT)})
    assert carried(amqp_side) == (own + once_by_each if bound else own)
    for queue in set(queues):
        assert depth(channel, queue) == 0
    assert depth(channel, "zmq.quarantine") == 0


def publish(channel: Any, envelope: dict[str, Any]) -> None:
    properties = pika.BasicProperties(
        message_id=envelope["msg_id"], content_type="application/json", delivery_mode=2
    )
    channel.basic_publish("amq.topic", envelope["topic"], json.dumps(envelope["msg"]).encode(), properties)


def settled(channel: Any) -> tuple[int, ...]:
    """How many have arrived on both sides."""
    return depth(channel, "zmq-side"), depth(channel, "amqp-side")


def carried(messages: list[Any]) -> Counter[tuple[str, int]]:
    """By which bridge each message came, and which it is."""
    return Counter(
        ((message.properties["headers"] or {}).get("fedmsg_bridge", ""), json.loads(message.body)["n"])
        for message in messages
    )
