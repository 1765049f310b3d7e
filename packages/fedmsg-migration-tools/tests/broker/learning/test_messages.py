# SPDX-License-Identifier: MIT
"""Messages in all the forms in which people have them, good ones and hostile ones."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmsg_migration_tools.broker.learning import publishers
from fedmsg_migration_tools.broker.learning.messages import Reader, Sent
from fedmsg_migration_tools.broker.learning.publishers import Proof, Publisher, Unlearnt
from fedmsg_migration_tools.fedmsg import translation
from fedmsg_migration_tools.fedmsg.envelope import parse
from fedora_messaging.message import Message, dumps

from .support import REAL, real

TOPIC = "org.fedoraproject.prod.bodhi.update.comment"
ENVELOPE: dict[str, Any] = {"topic": TOPIC, "msg": {}, "msg_id": "2023-x", "timestamp": 1_700_000_000.5}
BODHI = Publisher("bodhi", Proof.TOPIC)


def read(document: object) -> list[Sent | Unlearnt]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return list(Reader(publishers.unverified).document(text))


def one(document: object) -> Sent:
    (found,) = read(document)
    assert isinstance(found, Sent), found
    return found


def refused(document: object) -> str:
    (found,) = read(document)
    assert isinstance(found, Unlearnt), found
    assert str(found).isprintable()
    return str(found)


def test_an_envelope() -> None:
    assert one(ENVELOPE) == Sent(TOPIC, BODHI, "2023-x", 1_700_000_000)


def test_every_real_message_has_a_publisher() -> None:
    found = real()
    assert len(found) == 542
    assert {sent.publisher.proof for sent in found} == {Proof.SIGNED, Proof.TOPIC, Proof.USERNAME}
    signed = {sent.publisher.name for sent in found if sent.publisher.proof is Proof.SIGNED}
    assert signed == {"bugzilla2fedmsg-bugzilla2fedmsg01.phx2.fedoraproject.org"}


def test_what_fedora_messaging_record_writes() -> None:
    message = Message(topic=TOPIC, body={"a": 1}, headers={"sent-at": "2023-11-14T22:13:20+00:00"})
    assert one(dumps(message).encode()) == Sent(TOPIC, BODHI, message.id, 1_700_000_000)


def test_the_broker_knows_who_set_a_user_id() -> None:
    record = {"topic": TOPIC, "id": "x", "headers": {}, "body": {}}
    for more in ({"user_id": "bodhi-prod"}, {"properties": {"user_id": "bodhi-prod"}}):
        assert one(record | more).publisher == Publisher("bodhi-prod", Proof.BROKER)
    assert one(record | {"user_id": 7}).publisher == BODHI
    assert "user_id" in refused(record | {"user_id": "a\nb"})


def test_a_message_that_a_bridge_carried_is_its_old_publishers() -> None:
    for line in REAL.read_bytes().splitlines():
        topic = json.loads(line)["topic"]
        envelope = parse((topic.encode(), line))
        carried = translation.to_amqp(envelope, "zmq.topic", "zmq_to_amqp@test")
        properties = carried.properties
        record = {
            "topic": topic,
            "id": properties.message_id,
            "headers": properties.headers,
            "user_id": "bridge",
        }
        before, after = one(line), one({**record, "body": json.loads(carried.body)})
        assert (after.publisher, after.topic, after.message_id) == (
            before.publisher,
            topic,
            properties.message_id,
        )


def test_an_archives_page_and_a_list() -> None:
    archived = {
        **ENVELOPE,
        "source_name": "datanommer",
        "source_version": "1",
        "users": ["a"],
        "username": None,
    }
    page = {"count": 2, "raw_messages": [archived, {"topic": TOPIC, "body": {}, "headers": None, "id": "y"}]}
    assert [found.message_id for found in read(page) if isinstance(found, Sent)] == ["2023-x", "y"]
    assert read([ENVELOPE, ENVELOPE]) == [one(ENVELOPE)] * 2
    assert read({"raw_messages": []}) == []


def test_a_trace_of_the_broker() -> None:
    trace = {
        "type": "published",
        "user": "bodhi",
        "vhost": "/pubsub",
        "exchange": "amq.topic",
        "routing_keys": [TOPIC],
        "properties": {"message_id": "x", "headers": {}},
        "payload": "e30=",
        "timestamp": "2023-11-14T22:13:20.254+00:00",
    }
    sent = Sent(TOPIC, Publisher("bodhi", Proof.BROKER), "x", 1_700_000_000, "amq.topic", "/pubsub")
    assert one(trace) == sent
    assert read({**trace, "type": "received"}) == []
    assert "a trace without" in refused({**trace, "routing_keys": []})
    for place in ("exchange", "vhost", "user"):
        assert f"a {place} after which" in refused({**trace, place: "\ud800"})
    assert one({**trace, "exchange": ""}).exchange == ""


def test_what_the_management_api_gives_from_a_queue() -> None:
    taken = {
        "routing_key": TOPIC,
        "exchange": "amq.topic",
        "payload": "{}",
        "properties": {"message_id": "x", "user_id": "bodhi", "headers": {}},
    }
    assert one(taken) == Sent(TOPIC, Publisher("bodhi", Proof.BROKER), "x", None, "amq.topic")
    assert one({**taken, "properties": []}).publisher == BODHI  # RabbitMQ's way to say that there are none


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"topic": TOPIC}, "a form that is not known"),
        ({}, "a form that is not known"),
        ({"msg": {}}, "no topic"),
        ({"msg": {}, "topic": 7}, "no topic"),
        ({"msg": {}, "topic": "a" * 256}, "more than 255 bytes"),
        ({"msg": {}, "topic": "a.b.c.\ud800"}, "no UTF-8"),
        ({"topic": "a.b", "body": {}}, "no publisher"),
        ({"topic": "a.b.c.\x1b[31m.x", "body": {}}, "nothing can be called"),
        ([1], "something that cannot be decoded"),
        ([[]], "something that cannot be decoded"),
    ],
)
def test_what_is_no_message_is_said(document: object, said: str) -> None:
    assert said in refused(document)


@pytest.mark.parametrize(
    "text",
    [b"{", b"nonsense", b"\xff\xfe", b"7", b'{"a":1} x', b"[" * 100_000, b'{"a":' * 100_000, b'{"a": \xff}'],
)
def test_what_is_no_json_is_said(text: bytes) -> None:
    with pytest.raises(Unlearnt, match="no JSON") as caught:
        read(text)
    assert len(str(caught.value)) < 300


def test_an_integer_that_python_refuses_hurts_nobody_else() -> None:
    long = b'{"topic":"%s","msg":{},"username":%s}' % (TOPIC.encode(), b"9" * 5000)
    first, second = read(b"[" + long + b"," + json.dumps(ENVELOPE).encode() + b"]")
    assert isinstance(first, Unlearnt)
    assert isinstance(second, Sent)


def test_frames_of_the_old_bus() -> None:
    reader = Reader(publishers.unverified)
    assert reader.frames(translation.frames(ENVELOPE)) == one(ENVELOPE)
    with pytest.raises(Unlearnt, match="frames that are no message"):
        reader.frames([b"x"])


KEYS = [
    "topic",
    "msg",
    "body",
    "headers",
    "id",
    "user_id",
    "username",
    "timestamp",
    "certificate",
    "signature",
]
KEYS += [
    "routing_keys",
    "routing_key",
    "payload",
    "properties",
    "user",
    "exchange",
    "vhost",
    "type",
    "msg_id",
]
KEYS += [
    "raw_messages",
    "source_name",
    "fedmsg_bridge",
    "fedmsg_extra",
    "fedmsg_topic",
    "sent-at",
    "message_id",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["published", TOPIC, "a.b", "", "amqp-bridge", "\ud800", "\0", "2023-11-14T22:13:20Z"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=9) | VALUES)
def test_whatever_json_comes_is_read_or_said(value: object) -> None:
    try:
        found = read(value)
    except Unlearnt as error:
        found = [error]
    for each in found:
        if isinstance(each, Unlearnt):
            assert str(each).isprintable()
        else:
            assert each.publisher.name.isprintable()
            each.topic.encode()


@given(st.binary(max_size=40), st.binary(max_size=80))
def test_whatever_frames_come_are_read_or_said(first: bytes, second: bytes) -> None:
    for frames in ([first, second], [TOPIC.encode(), b'{"msg":{},' + second + b"}"], [first, b'{"msg":{}}']):
        with contextlib.suppress(Unlearnt):
            Reader(publishers.unverified).frames(frames)
