# SPDX-License-Identifier: MIT
"""What crosses comes back as it was, and everyone can read it on the way."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame

from fedmsg_migration_tools.exceptions import Reason, Unbridgeable
from fedmsg_migration_tools.fedmsg import canonical, envelope, identity, marks, translation
from fedora_messaging import message
from fedora_messaging.aio import Session
from fedora_messaging.transports.frames import publish

from .json_texts import REAL, envelopes, objects, texts

if TYPE_CHECKING:
    from fedora_messaging.transports.base import Outgoing

TOPIC = "org.example.prod.shop.order.paid"
ID = "1fe3e85a-f2b3-4f9b-8a7e-1c2e1f0e5b11"
HEADERS = {
    "fedora_messaging_schema": "shop.order",
    "fedora_messaging_schema_package": "shop_messages",
    "fedora_messaging_severity": 30,
    "sent-at": "2019-07-30T19:12:22+00:00",
    "priority": 3,
    "fedora_messaging_user_ralph": True,
    "shop": "London",
}


def parsed(text: bytes, topic: str = TOPIC) -> envelope.Envelope:
    return envelope.parse([topic.encode(), text])


def bridged(text: bytes) -> Outgoing:
    return translation.to_amqp(parsed(text), "zmq.topic", "zmq_to_amqp@host")


def over_the_wire(outgoing: Outgoing) -> tuple[str, BasicProperties, bytes]:
    """Routing key, properties and body, as pika reads them in the bytes that the library sends."""
    data, body = publish(1, outgoing, 131_064), b""
    while data:
        size, one = frame.decode_frame(data)
        assert size <= 131_072
        data = data[size:]
        if isinstance(one, frame.Method):
            topic = one.method.routing_key
        elif isinstance(one, frame.Header):
            properties = one.properties
        else:
            body += one.fragment
    return topic, properties, body


def restored(outgoing: Outgoing) -> envelope.Envelope:
    topic, properties, body = over_the_wire(outgoing)
    return translation.restore(topic, properties.message_id, properties.headers, body)


def to_zmq(body: bytes = b"{}", **changed: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"topic": TOPIC, "message_id": ID, "headers": HEADERS, "body": body}
    given |= {"i": 7, "now": 1.9, "bridge": "amqp_to_zmq@host"}
    return translation.to_envelope(**(given | changed))


# ZeroMQ to AMQP, and back


@pytest.mark.parametrize("number", range(len(REAL)))
def test_every_real_message_crosses_and_comes_back(number: int) -> None:
    text = REAL[number]
    expected = json.loads(text)
    there = parsed(text, expected["topic"])
    outgoing = translation.to_amqp(there, "zmq.topic", "zmq_to_amqp@host")
    assert outgoing.body in text

    found = restored(outgoing)
    assert found == there
    assert found.as_dict() == expected

    topic, properties, body = over_the_wire(outgoing)
    read = message.get_message(topic, properties, body)
    assert (read.topic, read.body, read.severity) == (expected["topic"], expected["msg"], message.INFO)
    assert read.id == expected.get("msg_id", identity.message_id(there))


@given(envelopes())
def test_there_and_back_is_where_one_began(frames: tuple[bytes, bytes]) -> None:
    there = envelope.parse(frames)
    outgoing = translation.to_amqp(there, "zmq.topic", "zmq_to_amqp@host")
    assert restored(outgoing) == there
    assert outgoing.body in frames[1]

    pika_only = BasicProperties()
    pika_only.decode(b"".join(outgoing.properties.encode()))
    assert pika_only == over_the_wire(outgoing)[1]


@given(envelopes())
def test_a_consumer_can_read_whatever_crosses(frames: tuple[bytes, bytes]) -> None:
    there = envelope.parse(frames)
    topic, properties, body = over_the_wire(translation.to_amqp(there, "zmq.topic", "zmq_to_amqp@host"))
    read = message.get_message(topic, properties, body)
    assert repr(read.body) == repr(there.value("msg"))
    assert read.id == identity.message_id(there)
    assert all(type(value) in {str, bool} or isinstance(value, int) for value in properties.headers.values())


def test_what_amqp_gets() -> None:
    outgoing = bridged(
        b'{"i":3,"msg":{"a": 1},"msg_id":"2019-1fe3e85a","timestamp":1564513942,"topic":"%s","username":"fred",'
        b'"crypto":"x509","signature":"QQ==\\n","certificate":"Qg==\\n","seq_id":9,"source_name":"datanommer",'
        b'"source_version":"0.9","link":[1, 2]}' % TOPIC.encode()
    )
    assert (outgoing.exchange, outgoing.topic, outgoing.body) == ("zmq.topic", TOPIC, b'{"a": 1}')
    assert vars(outgoing.properties) == vars(
        BasicProperties(
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            message_id="2019-1fe3e85a",
            headers={
                "fedora_messaging_schema": "base.message",
                "fedora_messaging_severity": 20,
                "sent-at": "2019-07-30T19:12:22+00:00",
                "fedmsg_bridge": "zmq_to_amqp@host",
                "fedmsg_i": 3,
                "fedmsg_username": "fred",
                "fedmsg_crypto": "x509",
                "fedmsg_signature": "QQ==\n",
                "fedmsg_certificate": "Qg==\n",
                "fedmsg_seq_id": 9,
                "fedmsg_source_name": "datanommer",
                "fedmsg_source_version": "0.9",
                "fedmsg_extra": '{"link":[1, 2]}',
            },
        )
    )


def test_what_amqp_gets_of_next_to_nothing() -> None:
    properties = bridged(b'{"msg":{}}').properties
    assert properties.message_id == identity.message_id(parsed(b'{"msg":{}}'))
    assert properties.headers == {
        "fedora_messaging_schema": "base.message",
        "fedora_messaging_severity": 20,
        "fedmsg_bridge": "zmq_to_amqp@host",
        "fedmsg_topic": "",
        "fedmsg_msg_id": "",
    }


def test_headers_of_the_envelope_become_those_of_amqp() -> None:
    properties = bridged(
        b'{"msg":{},"timestamp":1564513942,"headers":%s}' % canonical.dumps(HEADERS)
    ).properties
    assert HEADERS.items() <= properties.headers.items()
    assert properties.priority == 3
    assert marks.TIMESTAMP not in properties.headers
    assert marks.REPAIRED not in properties.headers


def test_headers_that_no_consumer_can_take_are_replaced_and_named() -> None:
    given = {
        "fedora_messaging_schema": None, "fedora_messaging_severity": 7, "fedora_messaging_schema_package": 1,
        "sent-at": "2000-01-01T00:00:00+00:00", "null": None, "CC": ["a"], "fedmsg_bridge": "forged", "priority": 2**70,
    }  # fmt: skip
    outgoing = bridged(b'{"msg":{},"timestamp":1564513942,"headers":%s}' % canonical.dumps(given))
    headers = outgoing.properties.headers
    extra = json.loads(headers.pop(marks.EXTRA))
    repaired = headers.pop(marks.REPAIRED)
    assert headers == {
        "fedora_messaging_schema": "base.message",
        "fedora_messaging_severity": 20,
        "sent-at": "2019-07-30T19:12:22+00:00",
        "fedmsg_bridge": "zmq_to_amqp@host",
        "fedmsg_topic": "",
        "fedmsg_msg_id": "",
    }
    assert set(repaired.split(",")) == {
        "fedora_messaging_schema", "fedora_messaging_severity", "fedora_messaging_schema_package", "sent-at",
    }  # fmt: skip
    assert extra == {"headers": given}
    assert outgoing.properties.priority is None


def test_sent_at_of_the_headers_stays_where_the_timestamp_says_the_same() -> None:
    for timestamp, exact in ((b"1564513942", True), (b"1564513942.5", False), (b"null", False)):
        headers = bridged(
            b'{"msg":{},"timestamp":%s,"headers":{"sent-at":"2019-07-30T21:12:22.25+02:00"}}' % timestamp
        ).properties.headers
        assert headers["sent-at"] == "2019-07-30T21:12:22.25+02:00"
        assert headers.get(marks.TIMESTAMP) == (None if exact else timestamp.decode())


@pytest.mark.parametrize("key", ["link", "username", "timestamp", "msg_id", "topic", "headers"])
def test_what_does_not_fit_into_one_frame_is_refused(key: str) -> None:
    fits = bridged(b'{"msg":{},"%s":{"a":"%s"}}' % (key.encode(), b"a" * 60_000))
    assert restored(fits).value(key) == {"a": "a" * 60_000}
    for size in (130_000, 1_000_000):
        with pytest.raises(Unbridgeable) as caught:
            bridged(b'{"msg":{},"%s":{"a":"%s"}}' % (key.encode(), b"a" * size))
        assert caught.value.reason is Reason.REFUSED
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["", "a\\u0000", "é" * 100])
@pytest.mark.parametrize("value", ["1", "true", '"é"', '"\\u0001"'])
def test_the_largest_that_is_not_counted_fits(name: str, value: str) -> None:
    pairs = ",".join(f'"{name}{number}":{value}' for number in range(20_000))
    text = f'{{"msg":{{}},"headers":{{{pairs[: pairs.rindex(",", 0, 20_000)]}}}}}'.encode()
    assert len(text) > 19_000
    assert restored(bridged(text)) == parsed(text)


def test_a_large_body_is_no_matter() -> None:
    assert len(over_the_wire(bridged(b'{"msg":{"a":"%s"}}' % (b"a" * 10_000_000)))[2]) == 10_000_008


def test_integers_beyond_what_python_reads_cross() -> None:
    text = b'{"msg":{"a":%(n)s},"i":%(n)s,"timestamp":%(n)s,"headers":{"a":%(n)s}}' % {b"n": b"1" * 5000}
    assert restored(bridged(text)) == parsed(text)


@pytest.mark.parametrize(
    "headers",
    [
        {marks.EXTRA: "["}, {marks.EXTRA: 1}, {marks.EXTRA: "[]"}, {marks.EXTRA: "\ud800"}, {marks.TIMESTAMP: 5},
        {marks.TOPIC: b""}, {marks.I: []}, {marks.USERNAME: b"x"}, {marks.EXTRA: '{"a":' + "[" * 100_000},
    ],
)  # fmt: skip
def test_what_to_amqp_did_not_write_is_not_restored(headers: dict[str, Any]) -> None:
    with pytest.raises(Unbridgeable) as caught:
        translation.restore(TOPIC, ID, headers, b"{}")
    assert caught.value.reason is Reason.JSON


POISON = canonical.dumps(
    {
        "CC": "a",
        "BCC": 1,
        "x-death": "a",
        "x-delay": "a",
        "x-match": 1,
        "x-received-from": 1,
        "nan": float("nan"),
    }
    | {
        "null": None,
        "deep": [[{}]],
        "huge": 2**64,
        "float": 1e300,
        "": 1,
        "\0": 1,
        "é" * 127: "\0",
        "priority": 255,
    }
    | {
        "min": -(2**63),
        "max": 2**63 - 1,
        "timestamp": "x",
        "user-id": "root",
        "é": True,
        "text": "a" * 50_000,
    }
)


async def through_a_broker(amqp_url: str, messages: list[envelope.Envelope]) -> list[envelope.Envelope]:
    conf = {
        "amqp_url": amqp_url,
        "exchanges": {"zmq.topic": {"type": "topic", "durable": True}},
        "queues": {"bus": {"durable": False, "auto_delete": True}},
        "bindings": [{"queue": "bus", "exchange": "zmq.topic", "routing_keys": ["#"]}],
    }
    found: list[envelope.Envelope] = []
    async with Session(conf) as session, session.deliveries(raw=True) as deliveries:
        for one in messages:
            session.submit(translation.to_amqp(one, "zmq.topic", "zmq_to_amqp@host"), 10, lambda _: None)
        while len(found) < len(messages):
            delivery = await anext(deliveries)
            got = delivery.incoming
            found.append(
                translation.restore(got.topic, got.properties.message_id, got.properties.headers, got.body)
            )
            delivery.ack()
    return found


def test_a_broker_takes_everything_and_changes_nothing(amqp_url: str) -> None:
    poison = b'{"msg":{},"headers":%s,"msg_id":"%s"}' % (POISON, b"a" * 255)
    there = [parsed(text, json.loads(text)["topic"]) for text in REAL]
    there += [parsed(poison, topic) for topic in ("", "a\n b", "*.#", "é" * 127, "a" * 255)]
    assert asyncio.run(through_a_broker(amqp_url, there)) == there


# AMQP to ZeroMQ, and back


def test_what_zeromq_gets() -> None:
    assert to_zmq(b'{"a": 1}', seq_id=12) == {
        "topic": TOPIC,
        "msg": {"a": 1},
        "msg_id": f"2019-{ID}",
        "timestamp": 1564513942,
        "i": 7,
        "username": "amqp-bridge",
        "headers": HEADERS | {"fedmsg_bridge": "amqp_to_zmq@host"},
        "seq_id": 12,
    }


def test_the_clock_is_asked_only_where_nothing_says_when() -> None:
    for headers in (None, {}, {"sent-at": "yesterday"}, {"sent-at": 5}):
        found = to_zmq(headers=headers)
        assert (found["timestamp"], found["msg_id"]) == (1, ID)
        assert "seq_id" not in found


def test_an_id_is_derived_where_there_is_none_and_is_the_same_the_next_time() -> None:
    for missing in (None, "", b"\xff"):
        found = to_zmq(message_id=missing)["msg_id"]
        assert found == to_zmq(message_id=None, now=1e9, i=8)["msg_id"]
        assert found.startswith("2019-")
        assert found not in (
            to_zmq(b'{"a":1}', message_id=None)["msg_id"],
            to_zmq(topic="a", message_id=None)["msg_id"],
        )


def test_the_frames_are_canonical() -> None:
    topic, text = translation.frames(to_zmq('{"b": [1, 2], "a": "é", "c": NaN}'.encode(), topic="org.é"))
    assert topic == "org.é".encode()
    assert b'"msg":{"a":"\\u00e9","b":[1,2],"c":NaN}' in text
    assert text.startswith(b'{"headers":{')


@given(
    objects(texts).map(str.encode),
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=20),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
            | st.decimals() | st.datetimes(timezones=st.just(dt.UTC)),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    ),
)  # fmt: skip
def test_a_message_of_amqp_comes_back_with_its_class_and_headers(body: bytes, more: dict[str, Any]) -> None:
    first, text = translation.frames(to_zmq(body, headers=more | HEADERS))
    there = envelope.parse([first, text])
    assert marks.bears_mark(there)
    topic, properties, again = over_the_wire(translation.to_amqp(there, "zmq.topic", "zmq_to_amqp@host"))
    assert (topic, properties.message_id, properties.priority) == (TOPIC, f"2019-{ID}", 3)
    assert HEADERS.items() <= properties.headers.items()
    assert canonical.dumps(json.loads(again)) == canonical.dumps(json.loads(body))
    assert translation.restore(topic, properties.message_id, properties.headers, again) == there
    for name, value in more.items():
        if type(value) is bool and name.isalpha() and name not in {"CC", "BCC"}:
            assert properties.headers[name] is value


def test_headers_that_json_does_not_have_become_text() -> None:
    found = to_zmq(
        headers={"a": b"\xff", "b": Decimal("1.5"), "sent-at": dt.datetime(2019, 7, 30, tzinfo=dt.UTC)}
    )
    assert found["headers"] == {
        "a": "\udcff", "b": "1.5", "sent-at": "2019-07-30T00:00:00+00:00", "fedmsg_bridge": "amqp_to_zmq@host",
    }  # fmt: skip
    assert found["timestamp"] == 1564444800
    assert b'"a":"\\udcff"' in translation.frames(found)[1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.JSON), (b"\xff", Reason.JSON), (b"\0", Reason.JSON), (b'{"a":"\xff"}', Reason.JSON),
        (b"{", Reason.JSON),
        (b"[" * 100_000, Reason.JSON), (b'{"a":%s}' % (b"1" * 5000), Reason.JSON), (b"{" * 10_000_000, Reason.JSON),
        (b"[]", Reason.BODY), (b"null", Reason.BODY), (b'"a"', Reason.BODY), (b"NaN", Reason.BODY),
    ],
    ids=range(12),
)  # fmt: skip
def test_bodies_that_cannot_cross(body: bytes, reason: Reason) -> None:
    with pytest.raises(Unbridgeable) as caught:
        to_zmq(body)
    assert caught.value.reason is reason
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("topic", [b"\xff", "\ud800"])
def test_topics_that_cannot_cross(topic: Any) -> None:
    with pytest.raises(Unbridgeable) as caught:
        to_zmq(topic=topic)
    assert caught.value.reason is Reason.TOPIC
    with pytest.raises(Unbridgeable):
        translation.frames({"topic": topic})


def test_headers_nested_without_end_cannot_cross() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(Unbridgeable) as caught:
        to_zmq(headers=deep)
    assert caught.value.reason is Reason.JSON


def test_an_envelope_that_json_cannot_hold_has_no_frames() -> None:
    with pytest.raises(Unbridgeable) as caught:
        translation.frames({"topic": "a", "msg": {"a": object()}})
    assert caught.value.reason is Reason.JSON


@given(st.binary(max_size=40) | texts.map(str.encode))
def test_nothing_but_unbridgeable_comes_of_a_strange_body(body: bytes) -> None:
    with contextlib.suppress(Unbridgeable):
        translation.frames(to_zmq(body))
