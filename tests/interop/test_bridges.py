# SPDX-License-Identifier: MIT
"""fedmsg 1.1.7 on one side, fedora-messaging 3.9.1 on the other, and the bridges between them; nothing is signed."""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_left
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmsg_migration_tools.fedmsg import canonical
from tests import pki
from tests.interop import bridging
from tests.interop.bridging import Bus, depth, endpoint, eventually, probe
from tests.interop.frames import Publisher, Subscriber
from tests.interop.sides import Side, drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.interop.bridging import Lines

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]

PROBE = "org.example.probe"
SAMPLES: list[dict[str, Any]] = [
    {"class": "base.message", "topic": "org.example.plain", "body": {"a": [1, 2.5, None, True, {"b": {}}]}},
    {"class": "base.message", "topic": "org.example.debug", "body": {"n": 1}, "severity": 10},
    {"class": "base.message", "topic": "org.example.error", "body": {"n": 2}, "severity": 40},
    {"class": "base.message", "topic": "org.example.ünïcöde.😀", "body": {"ß": "ж 😀 \u2028 \x00"}},
    {
        "class": "base.message",
        "topic": "org.example.odd",
        "body": {"nan": float("nan"), "inf": float("-inf")},
    },
    {"class": "base.message", "topic": "org.example.odd", "body": {"lone": "\ud83d", "big": 10**40}},
    {"class": "base.message", "topic": "org.example.large", "body": {"text": "ü" + "x" * 1_000_000}},
    {"class": "base.message", "topic": "org.example.mine", "body": {}, "headers": {"x": "kept", "number": 7}},
    *json.loads(Path(__file__).with_name("samples.json").read_text()),
]


def work(channel: Any) -> None:
    """The queue that ``programs/bus.py`` consumes, here with all of zmq.topic."""
    channel.queue_declare("work", durable=True, arguments={"x-dead-letter-exchange": "dead"})
    channel.queue_bind("work", "zmq.topic", "#")


@contextlib.contextmanager
def inward(bus: Bus, channel: Any, fedmsg: Callable[..., Lines], **config: Any) -> Iterator[Lines]:
    """A fedmsg publisher, and the bridge from it to the queue ``work``, which is empty.

    The bridge finds the publisher in the folder from which fedmsg itself is configured.
    """
    address = endpoint()
    work(channel)
    with (
        fedmsg("publish", endpoints={"publisher": [address]}, **config) as publisher,
        bus.zmq_to_amqp(str(publisher.config)),
    ):
        open_path(publisher, channel)
        yield publisher


def open_path(publisher: Lines, channel: Any) -> None:
    """Publish until something has reached the queue ``work``, and take that out again."""
    sent = 0

    def publish() -> None:
        nonlocal sent
        sent += 1
        publisher.ask({"topic": PROBE, "msg": {"probe": sent}})

    probe(publish, lambda: depth(channel, "work"), "a message of fedmsg in the queue")
    last = 0
    while last != sent:
        last = max([last, *(json.loads(one.body)["probe"] for one in drain(channel, "work"))])


def test_what_fedmsg_publishes_reaches_fedora_messaging(
    bus: Bus, channel: Any, fedmsg: Callable[..., Lines], old: Side
) -> None:
    with inward(bus, channel, fedmsg) as publisher:
        bodies = [{"a": 1}, {}, {"ß": "ж 😀 \ud83d"}, {"nan": float("nan"), "big": 10**40, "f": 1e300}]
        sent = [publisher.ask({"topic": "org.example.dev.test.one", "msg": body}) for body in bodies]
        eventually(lambda: depth(channel, "work") == len(bodies), "all in the queue")
    got = old.bus("consume", str(len(bodies)), "work")
    for envelope, message in zip(sent, got, strict=True):
        assert message["class"] == "fedora_messaging.message:Message"
        assert message["topic"] == envelope["topic"] == "org.example.dev.test.one"
        assert message["id"] == envelope["msg_id"]
        assert message["severity"] == 20
        assert message["body"] == json.loads(json.dumps(envelope["msg"]), parse_constant=str)
        headers = message["headers"]
        assert headers["fedora_messaging_schema"] == "base.message"
        assert headers["sent-at"] == datetime.fromtimestamp(envelope["timestamp"], UTC).isoformat()
        assert headers["fedmsg_i"] == envelope["i"]
        assert headers["fedmsg_username"] == envelope["username"]
        assert headers["fedmsg_bridge"] == "zmq_to_amqp@inward"
    assert len({message["id"] for message in got}) == len(bodies)


def test_topics_and_bodies_of_all_real_messages_as_fedmsg_publishes_them(
    bus: Bus, channel: Any, fedmsg: Callable[..., Lines], old: Side
) -> None:
    real = bridging.real_messages()
    with inward(bus, channel, fedmsg) as publisher:
        sent = [publisher.ask({"topic": one["topic"], "msg": one["msg"]}) for one in real]
        eventually(lambda: depth(channel, "work") == len(real), "all in the queue")
    got = old.bus("consume", str(len(real)), "work")
    for one, envelope, message in zip(real, sent, got, strict=True):
        assert (message["topic"], message["body"]) == (one["topic"], one["msg"])
        assert (message["topic"], message["id"]) == (envelope["topic"], envelope["msg_id"])


def test_the_real_messages_as_they_were_published(bus: Bus, channel: Any, old: Side) -> None:
    real = [json.loads(line) for line in bridging.REAL.read_text("utf-8").splitlines()]
    work(channel)
    loops = [one for one in real if one.get("username") == "amqp-bridge"]
    crossing = [one for one in real if one not in loops]
    with Publisher() as publisher, bus.zmq_to_amqp(publisher.endpoint):
        publisher.wait()
        for line, one in zip(bridging.REAL.read_bytes().splitlines(), real, strict=True):
            publisher.send(one["topic"].encode(), line)
        eventually(lambda: depth(channel, "work") == len(crossing), f"{len(crossing)} in the queue")
    got = old.bus("consume", str(len(crossing)), "work")
    assert len(loops) == 10
    derived: dict[str, str] = {}
    for one, message in zip(crossing, got, strict=True):
        assert (message["topic"], message["body"]) == (one["topic"], one["msg"])
        assert message["id"]
        if "msg_id" in one:
            assert message["id"] == one["msg_id"]
        else:  # the same id for the same message, and for no other
            assert derived.setdefault(message["id"], json.dumps(one)) == json.dumps(one)
    assert len(derived) == len({json.dumps(one) for one in crossing if "msg_id" not in one})
    assert depth(channel, "zmq.quarantine") == 0


@pytest.mark.parametrize("run", [Bus.amqp_to_zmq, Bus.callback])
def test_what_fedora_messaging_publishes_reaches_fedmsg(
    bus: Bus, channel: Any, fedmsg: Callable[..., Lines], old: Side, run: Callable[[Bus, str], Any]
) -> None:
    address = endpoint()
    with run(bus, address), fedmsg("tail", endpoints={"bridge": [address]}) as tail:
        probe(
            lambda: channel.basic_publish("amq.topic", PROBE, b"{}"),
            lambda: not tail.silent(0.1),
            "a message of AMQP at fedmsg",
        )
        sent = old.bus("publish", given=SAMPLES)
        got: list[tuple[str, str, dict[str, Any]]] = []
        while len(got) < len(sent):
            name, topic, envelope = tail.next()
            if topic != PROBE:
                got.append((name, topic, envelope))
        assert tail.silent()
    for message, (name, topic, envelope) in zip(sent, got, strict=True):
        assert name == "bridge"
        assert topic == envelope["topic"] == message["topic"]
        assert json.loads(json.dumps(envelope["msg"]), parse_constant=str) == message["body"]
        year = message["headers"]["sent-at"][:4]
        assert envelope["msg_id"] == f"{year}-{message['id']}"
        sent_at = datetime.fromisoformat(message["headers"]["sent-at"])
        assert envelope["timestamp"] == sent_at.timestamp()
        assert envelope["username"] == "amqp-bridge"
        assert envelope["headers"].pop("fedmsg_bridge") == "amqp_to_zmq@outward"
        assert envelope["headers"] == message["headers"]
    numbers = [envelope["i"] for _, _, envelope in got]
    assert numbers == list(range(numbers[0], numbers[0] + len(got)))


def test_a_schema_class_survives_the_way_over_zeromq(bus: Bus, channel: Any, old: Side) -> None:
    """Out over ZeroMQ, and in again at another organisation, which knows no loop: 3.9.1 rebuilds class and severity."""
    address = endpoint()
    work(channel)
    with (
        bus.amqp_to_zmq(address),
        Subscriber(address) as subscriber,
        Publisher() as relay,
        bus.zmq_to_amqp(relay.endpoint),
    ):
        relay.wait()
        probe(
            lambda: channel.basic_publish("amq.topic", PROBE, b"{}"),
            lambda: subscriber.next(0.1),
            "a message of AMQP at a subscriber",
        )
        sent = old.bus("publish", given=SAMPLES)
        seen = 0
        while seen < len(sent):
            received = subscriber.next()
            assert received is not None
            topic, envelope = received
            if topic == PROBE:
                continue
            seen += 1
            envelope["username"] = "another"
            del envelope["headers"]["fedmsg_bridge"]
            relay.envelope(envelope)
        eventually(lambda: depth(channel, "work") == len(sent), "all in the queue")
    got = old.bus("consume", str(len(sent)), "work")
    for message, again in zip(sent, got, strict=True):
        for key in ("class", "severity", "body", "summary", "usernames", "packages"):
            assert again[key] == message[key]
        kept = json.loads(again["headers"]["fedmsg_extra"])["headers"] | again["headers"]
        for name, value in message["headers"].items():
            assert kept[name] == value


def test_what_cannot_leave_amqp_is_set_aside_and_leaves_no_gap(
    bus: Bus, channel: Any, fedmsg: Callable[..., Lines]
) -> None:
    """A gap in ``i`` means a lost message to whoever listens, and a gap in ``seq_id`` one to ask for."""
    address, replay = endpoint(), endpoint()
    config = f'[amqp_to_zmq.replay]\nendpoint = "{replay}"\npath = "{bus.folder / "archive.sqlite"}"\n'
    bodies = [b"no JSON", b"[1, 2]", b'{"lone": "\xff"}', b'"text"', b""]
    with bus.amqp_to_zmq(address, config=config), fedmsg("tail", endpoints={"bridge": [address]}) as tail:
        probe(
            lambda: channel.basic_publish("amq.topic", PROBE, b"{}"),
            lambda: not tail.silent(0.1),
            "a message of AMQP at fedmsg",
        )
        for n, body in enumerate(bodies):
            channel.basic_publish("amq.topic", "org.example.bad", body)
            channel.basic_publish("amq.topic", "org.example.good", b'{"n": %d}' % n)
        got: list[dict[str, Any]] = []
        while len(got) < len(bodies):
            _, topic, envelope = tail.next()
            if topic != PROBE:
                got.append(envelope)
        eventually(lambda: depth(channel, "zmq.quarantine") == len(bodies), "the others in quarantine")
    assert [envelope["msg"]["n"] for envelope in got] == list(range(len(bodies)))
    for key in ("i", "seq_id"):
        assert [envelope[key] - got[0][key] for envelope in got] == list(range(len(bodies)))
    code, listed = bus.tool("quarantine", "list", "--json")
    assert code == 0, listed
    set_aside = [json.loads(line) for line in listed.splitlines()]
    assert [one["reason"] for one in set_aside] == ["json", "body", "json", "body", "json"]
    assert {(one["direction"], one["topic"]) for one in set_aside} == {("amqp_to_zmq", "org.example.bad")}


@pytest.mark.parametrize("signed", [False, True])
def test_a_body_at_the_limit_of_nesting_stops_no_bridge(
    bus: Bus, channel: Any, tmp_path: Path, signed: bool
) -> None:
    """What can just be read can no more be written inside an envelope."""
    keys = pki.Pki(tmp_path)
    signing = f'[amqp_to_zmq.signing]\nsign_messages = true\nssldir = "{keys.folder}"\ncertname = "valid"\n'
    deepest = bisect_left(range(1_000_000), x=True, key=lambda number: not is_read(nested(number)))
    depths = range(deepest - 20, deepest + 80)  # it has fewer calls on its stack than this test
    address = endpoint()
    with bus.amqp_to_zmq(address, config=signing if signed else ""), Subscriber(address) as subscriber:
        probe(
            lambda: channel.basic_publish("amq.topic", PROBE, b"{}"),
            lambda: subscriber.next(0.1),
            "a message of AMQP at a subscriber",
        )
        for number in depths:
            channel.basic_publish(
                "amq.topic", "org.example.deep", b'{"a":' + b"[" * number + b"]" * number + b"}"
            )
        channel.basic_publish("amq.topic", "org.example.after", b"{}")
        topics: list[bytes] = []
        while topics.count(b"org.example.after") == 0:
            topics.append(subscriber.frames()[0])
        crossed = topics.count(b"org.example.deep")
        eventually(
            lambda: depth(channel, "zmq.quarantine") == len(depths) - crossed, "the others in quarantine"
        )
    assert 0 < crossed < len(depths)


def nested(number: int) -> bytes:
    """A body with so many lists in each other."""
    return b'{"a":' + b"[" * number + b"]" * number + b"}"


def is_read(body: bytes) -> bool:
    try:
        canonical.loads(body)
    except ValueError:
        return False
    return True
