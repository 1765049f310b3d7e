# SPDX-License-Identifier: MIT
"""There and back again, and what cannot go."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedora_messaging import config, exceptions, message, wire
from fedora_messaging.message import Message
from fedora_messaging.transports.base import Incoming

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None)),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
HEADERS = st.dictionaries(
    st.text(max_size=20).map(lambda name: f"x-{name}"),
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"), max_size=40),
    max_size=4,
)
TOPICS = st.text(st.characters(codec="utf-8"), max_size=60)


class Careless(Message):
    """A message whose class raises anything."""

    def validate(self) -> None:
        raise ZeroDivisionError


message._class_to_schema_name[Careless] = "test_wire.careless"


def delivered(
    topic: str, properties: pika.BasicProperties, body: bytes, fault: str | None = None
) -> Incoming:
    return Incoming(1, "amq.topic", topic, properties, body, False, "consumer", fault)


def over_the_wire(properties: pika.BasicProperties) -> pika.BasicProperties:
    """The properties as pika at the other end reads them."""
    return pika.BasicProperties().decode(b"".join(properties.encode()))


@given(JSON, HEADERS, TOPICS, st.sampled_from(message.SEVERITIES), st.none() | st.integers(0, 255))
def test_what_was_sent_is_received(
    value: Any, headers: dict[str, Any], topic: str, severity: int, priority: int | None
) -> None:
    sent = Message({"value": value}, headers=headers, topic=topic, severity=severity)
    sent._properties.priority = priority
    outgoing = wire.encode(sent, "amq.topic")
    got = wire.decode(delivered(outgoing.topic, over_the_wire(outgoing.properties), outgoing.body), "a queue")
    assert got == sent
    assert (got.id, got.severity, got.priority, got.queue) == (sent.id, severity, priority or 0, "a queue")
    assert got._headers == sent._headers


def test_an_outgoing_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config.conf, "topic_prefix", "org.example")
    sent = Message({"a": 1}, topic="a.topic")
    outgoing = wire.encode(sent, "an.exchange", mandatory=True)
    assert (outgoing.exchange, outgoing.topic, outgoing.mandatory) == (
        "an.exchange",
        "org.example.a.topic",
        True,
    )
    assert outgoing.properties is sent._properties
    assert outgoing.body == b'{"a": 1}'
    assert not wire.encode(sent, "").mandatory


@pytest.mark.parametrize("topic", ["a" * 255, "é" * 127])
def test_the_longest_topic(topic: str) -> None:
    assert wire.encode(Message(topic=topic), "amq.topic").topic == topic


@pytest.mark.parametrize("topic", ["a" * 256, "é" * 128, "\ud800", 5])
def test_a_topic_that_amqp_cannot_hold(topic: Any) -> None:
    with pytest.raises(exceptions.ValidationError):
        wire.encode(Message(topic=topic), "amq.topic")


def test_the_prefix_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config.conf, "topic_prefix", "b" * 10)
    with pytest.raises(exceptions.ValidationError, match="256 bytes"):
        wire.encode(Message(topic="a" * 245), "amq.topic")


def circle() -> dict[str, Any]:
    itself: dict[str, Any] = {}
    itself["self"] = itself
    return itself


def deep() -> dict[str, Any]:
    body: dict[str, Any] = {}
    for _ in range(100_000):
        body = {"a": body}
    return body


@pytest.mark.parametrize(
    "body",
    [{"a": {1}}, {"a": b"x"}, {(1,): 1}, {"a": decimal.Decimal(1)}, circle(), deep(), [1], "text", object()],
)
def test_a_body_that_json_cannot_hold(body: Any) -> None:
    with pytest.raises(exceptions.ValidationError):
        wire.encode(Message(body), "amq.topic")


@pytest.mark.parametrize(
    "headers",
    [
        {"a": object()},
        {"a": {1}},
        {"a" * 256: 1},
        {"é" * 128: 1},
        {5: 1},
        {"a": 2**64},
        {"a": "\ud800"},
        {"\ud800": 1},
        {"a": [object()]},
        {"a": 1j},
        {"a": 1.5},
    ],
)
def test_headers_that_amqp_cannot_hold(headers: Any) -> None:
    with pytest.raises(exceptions.ValidationError):
        wire.encode(Message(headers=headers), "amq.topic")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**63),
        2**63 - 1,
        "é" * 9999,
        b"\xff",
        [1, {"a": []}],
        decimal.Decimal("1.5"),
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    ],
)
def test_headers_that_amqp_can_hold(value: Any) -> None:
    outgoing = wire.encode(Message(headers={"é" * 127: value, "b" * 255: value}), "amq.topic")
    assert outgoing.properties.encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"message_id": "a" * 256},
        {"message_id": 5},
        {"priority": 256},
        {"priority": "high"},
        {"delivery_mode": 256},
        {"content_type": "a" * 256},
        {"expiration": 5},
        {"timestamp": "now"},
        {"app_id": "é" * 128},
        {"headers": 5},
    ],
)
def test_properties_that_amqp_cannot_hold(changes: dict[str, Any]) -> None:
    with pytest.raises(exceptions.ValidationError):
        wire.encode(Message(properties=pika.BasicProperties(**changes)), "amq.topic")


@pytest.mark.parametrize(
    "changes",
    [{}, {"message_id": "é"}, {"expiration": "60000"}, {"app_id": "me"}, {"content_type": "text/plain"}],
)
def test_properties_of_ones_own(changes: dict[str, Any]) -> None:
    own = pika.BasicProperties(**changes)
    assert wire.encode(Message(properties=own), "amq.topic").properties is own


@pytest.mark.parametrize("thing", [Message(severity=4), Careless(), "text", None])
def test_anything_that_is_no_valid_message_is_a_validation_error(thing: Any) -> None:
    with pytest.raises(exceptions.ValidationError):
        wire.encode(thing, "amq.topic")


@given(
    st.dictionaries(
        st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3) | st.binary() | st.floats()
    )
)
def test_what_a_glance_lets_through_pika_can_encode(headers: dict[str, Any]) -> None:
    properties = Message(headers=headers)._properties
    if wire._clearly_fits(properties):
        assert properties.encode()


def test_bytes_that_are_no_message() -> None:
    with pytest.raises(exceptions.ValidationError):
        wire.decode(delivered("a.topic", pika.BasicProperties(), b"text"))


def test_a_fault_that_the_transport_found() -> None:
    with pytest.raises(exceptions.ValidationError, match="headers of an unknown type"):
        wire.decode(delivered("a.topic", pika.BasicProperties(), b"{}", "headers of an unknown type"))


@given(
    HEADERS, TOPICS, st.none() | st.text(st.characters(codec="utf-8"), max_size=40), st.binary(max_size=80)
)
def test_a_raw_message_goes_as_it_is(
    headers: dict[str, Any], topic: str, message_id: str | None, body: bytes
) -> None:
    outgoing = wire.raw("zmq.topic", topic, body, message_id=message_id, headers=headers)
    there = over_the_wire(outgoing.properties)
    assert (outgoing.exchange, outgoing.topic, outgoing.body) == ("zmq.topic", topic, body)
    assert (there.headers or {}) == headers
    assert (there.message_id or None) == (message_id or None)
    assert (there.content_type, there.content_encoding, there.delivery_mode) == (
        "application/json",
        "utf-8",
        2,
    )


@pytest.mark.parametrize(
    ("topic", "message_id", "headers"),
    [
        ("t" * 256, None, {}),
        ("t", "i" * 256, {}),
        ("t", None, {"h" * 256: 1}),
        ("t", None, {"x": 2**63}),
        ("t", None, {"x": object()}),
        ("\ud800", None, {}),
    ],
)
def test_a_raw_message_that_amqp_cannot_hold_is_refused(
    topic: str, message_id: str | None, headers: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.ValidationError):
        wire.raw("zmq.topic", topic, b"{}", message_id=message_id, headers=headers)
