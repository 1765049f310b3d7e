# SPDX-License-Identifier: MIT
"""Messages got back from what replays and archives say: the same as they were, as far as these remember."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmsg_migration_tools.fedmsg import canonical
from fedmsg_migration_tools.fedmsg.envelope import parse
from fedmsg_migration_tools.fedmsg.policy import Policy
from fedmsg_migration_tools.fedmsg.signing import Signer, Validator
from fedmsg_migration_tools.fedmsg.translation import to_amqp, to_envelope
from fedmsg_migration_tools.reconcile.model import Leg
from fedmsg_migration_tools.reconcile.sightings import key
from fedmsg_migration_tools.verify import recovered
from fedmsg_migration_tools.verify.recovered import Message, NoMessage, from_archive, from_replay, ids, is_it
from tests.pki import Pki

from .repairing import HEADERS, SENT, TOPIC, envelope, frames, lost_to_amqp, lost_to_zmq, uuid

if TYPE_CHECKING:
    from fedora_messaging.transports.base import Outgoing

REAL = (Path(__file__).parents[4] / "tests" / "data" / "real-fedmsg-messages.jsonl").read_bytes().splitlines()


def archived(outgoing: Outgoing) -> dict[str, Any]:
    """As datanommer keeps a message from AMQP, and datagrepper gives it out."""
    headers = dict(outgoing.properties.headers)
    headers.setdefault("sent-at", "2018-07-19T11:33:20+00:00")
    return {
        "body": json.loads(outgoing.body),
        "headers": headers,
        "id": outgoing.properties.message_id,
        "priority": 0,
        "queue": None,
        "topic": outgoing.topic,
    }


def older_record(sent: dict[str, Any]) -> dict[str, Any]:
    """As datanommer keeps what came over ZeroMQ."""
    return {
        "certificate": None,
        "crypto": None,
        "signature": None,
        **sent,
        "timestamp": float(sent["timestamp"]),
        "headers": {},
        "source_name": "datanommer",
        "source_version": "0.9.0",
        "users": [],
        "packages": [],
    }


def carried(message: Message) -> Outgoing:
    assert message.frames is not None
    return to_amqp(parse(message.frames), "zmq.topic", "zmq_to_amqp@here")


def through_json(record: Any) -> Any:
    return json.loads(json.dumps(record))


def test_a_replay_is_not_touched() -> None:
    part = b' {"topic" : "a.b.c.d", "msg":{"x": 1.10}, "signature": "x\\u000ay"} '
    assert from_replay(part, Leg.ZMQ_TO_AMQP) == Message(frames=(b"a.b.c.d", part))


@pytest.mark.parametrize(
    "part", [b"", b"[]", b"{", b"{}", b'{"topic": 1, "msg": {}}', b'{"topic": "\\ud800"}']
)
@pytest.mark.parametrize("leg", Leg)
def test_what_is_no_envelope(part: bytes, leg: Leg) -> None:
    with pytest.raises(NoMessage):
        from_replay(part, leg)


def test_what_the_bridge_sent_becomes_what_it_was_sent_from() -> None:
    """For the other leg: out of the replay store of the bridge itself."""
    sent = to_envelope(TOPIC, uuid(1), HEADERS, b'{"n": 1}', i=7, now=0, bridge="amqp_to_zmq@x", seq_id=9)
    message = from_replay(canonical.dumps(sent), Leg.AMQP_TO_ZMQ)
    assert message == Message(delivery=(TOPIC, f"2018-{uuid(1)}", HEADERS, b'{"n":1}'))
    assert is_it(message, lost_to_zmq())


@pytest.mark.parametrize("text", [text for text in REAL if "timestamp" in json.loads(text)])
def test_real_messages_cross_from_the_archive_as_from_the_publisher(text: bytes) -> None:
    """A bridge had brought them there: all of the envelope is in its headers.

    Not so for messages without a time: datanommer gives them its own.
    """
    topic = json.loads(text)["topic"].encode()
    direct = carried(Message(frames=(topic, text)))
    again = carried(from_archive(through_json(archived(direct)), Leg.ZMQ_TO_AMQP))
    assert again.topic == direct.topic
    assert again.properties.headers == direct.properties.headers
    assert again.properties.message_id == direct.properties.message_id
    assert canonical.loads(again.body) == canonical.loads(direct.body)


def test_what_came_to_the_archive_by_another_way_has_its_id_time_and_headers() -> None:
    headers = {**HEADERS, "fedora_messaging_user_bob": True}
    record = {"body": {"n": 1}, "headers": headers, "id": uuid(1), "topic": TOPIC, "queue": None}
    message = from_archive(record, Leg.ZMQ_TO_AMQP)
    assert message.frames is not None
    assert parse(message.frames).as_dict() == {
        "topic": TOPIC,
        "msg": {"n": 1},
        "msg_id": uuid(1),
        "timestamp": SENT,
        "headers": headers,
    }
    outgoing = carried(message)
    assert (outgoing.topic, outgoing.body, outgoing.properties.message_id) == (TOPIC, b'{"n":1}', uuid(1))
    assert headers.items() <= outgoing.properties.headers.items()


def test_the_time_that_the_archive_adds_is_no_header_of_the_envelope() -> None:
    record = {"body": {}, "headers": {"sent-at": HEADERS["sent-at"]}, "id": uuid(1), "topic": TOPIC}
    message = from_archive(record, Leg.ZMQ_TO_AMQP)
    assert message.frames is not None
    assert parse(message.frames).as_dict() == {
        "topic": TOPIC,
        "msg": {},
        "msg_id": uuid(1),
        "timestamp": SENT,
    }


def test_the_archives_own_keys_are_removed() -> None:
    message = from_archive(through_json(older_record(envelope())), Leg.ZMQ_TO_AMQP)
    assert message == Message(frames=frames(envelope()))


@pytest.mark.parametrize("older", [True, False])
def test_a_signature_is_as_good_from_the_archive(tmp_path: Path, older: bool) -> None:
    pki = Pki(tmp_path)
    validator = Validator(pki.ca_file, None, Policy({}, nitpicky=False))
    signed = Signer.load(tmp_path / "valid.crt", tmp_path / "valid.key").sign(
        envelope(msg={"x": 0.1, "é": [1]})
    )
    record = older_record(signed) if older else archived(carried(Message(frames=frames(signed))))
    message = from_archive(through_json(record), Leg.ZMQ_TO_AMQP)
    assert message.frames is not None
    assert validator.check(parse(message.frames)) == "app-valid.example.org"


def test_a_delivery_from_the_archive() -> None:
    record = {"body": {"n": 1}, "headers": HEADERS, "id": uuid(1), "topic": TOPIC, "priority": 0}
    message = from_archive(record, Leg.AMQP_TO_ZMQ)
    assert message == Message(delivery=(TOPIC, uuid(1), HEADERS, b'{"n":1}'))
    older = from_archive(older_record(envelope()), Leg.AMQP_TO_ZMQ)
    assert older.delivery is not None
    assert older.delivery[:3] == (TOPIC, f"2018-{uuid(1)}", {"sent-at": HEADERS["sent-at"]})


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "text",
        {},
        {"error": "no such id"},
        {"body": {}},
        {"body": {}, "topic": TOPIC, "id": 7},
        {"body": {}, "topic": TOPIC, "id": "x", "headers": [1]},
        {"body": {}, "topic": TOPIC, "id": "x", "headers": {"fedmsg_bridge": "a", "fedmsg_extra": "no JSON"}},
        {"body": {}, "topic": "\ud800", "id": "x"},
        {"msg": {}},
        {"msg": {}, "topic": 1},
        {"msg": {}, "topic": "\ud800"},
    ],
)
def test_what_is_no_record(record: Any) -> None:
    with pytest.raises(NoMessage):
        from_archive(record, Leg.ZMQ_TO_AMQP)


def test_odd_times_do_no_harm() -> None:
    for timestamp in (float("nan"), float("inf"), 1e300, "soon", None, [1]):
        assert from_archive({**envelope(), "timestamp": timestamp}, Leg.ZMQ_TO_AMQP).frames is not None
        assert from_archive({**envelope(), "timestamp": timestamp}, Leg.AMQP_TO_ZMQ).delivery is not None


@pytest.mark.parametrize(
    "other",
    [
        Message(),
        Message(frames=frames(envelope(2))),
        Message(frames=frames(envelope(topic=f"{TOPIC}.other"))),
        Message(frames=(TOPIC.encode(), b"{")),
        Message(delivery=(TOPIC, uuid(2), {}, b"{}")),
        Message(delivery=("other", uuid(1), {}, b"{}")),
        Message(delivery=(TOPIC, None, {}, b"{}")),
    ],
)
def test_another_message_is_not_it(other: Message) -> None:
    assert not is_it(other, lost_to_amqp())
    assert is_it(Message(frames=frames(envelope())), lost_to_amqp())
    assert is_it(Message(delivery=(TOPIC, uuid(1), {}, b"{}")), lost_to_amqp())


def test_the_ids_it_is_known_by() -> None:
    assert ids(lost_to_amqp()) == [f"2018-{uuid(1)}"]
    assert ids(lost_to_zmq()) == [uuid(1), f"2018-{uuid(1)}"]
    assert ids(lost_to_zmq(message_id=f"2017-{uuid(1)}")) == [f"2017-{uuid(1)}"]
    assert ids(lost_to_zmq(message_id=None)) == [uuid(1), f"2018-{uuid(1)}"]
    assert ids(lost_to_amqp(message_id=None)) == [uuid(1), f"2018-{uuid(1)}"]
    assert ids(lost_to_zmq(message_id=None, key=key("no UUID"))) == []


def test_where_the_topic_is_forgotten_the_id_is_enough() -> None:
    message = Message(frames=frames(envelope()))
    assert is_it(message, lost_to_amqp(topic=""))
    assert not is_it(message, lost_to_amqp(topic="", key=key("other")))


def test_what_came_with_the_verdict_is_taken_as_it_is() -> None:
    assert recovered.remembered(lost_to_amqp(frames=(b"x",))) == Message(frames=(b"x",))
    assert recovered.remembered(lost_to_amqp(forgotten=True)) is None
    assert recovered.remembered(lost_to_zmq(forgotten=True)) is None
    assert recovered.remembered(lost_to_zmq()) == Message(delivery=lost_to_zmq().delivery)
