# SPDX-License-Identifier: MIT
"""What becomes of a message from ZeroMQ, and whose mark is believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fedmsg_migration_tools.bridges.crossing import Crossing, Prepared, application
from fedmsg_migration_tools.exceptions import Expired, Reason, Unbridgeable
from fedmsg_migration_tools.fedmsg.setaside import SetAside
from fedmsg_migration_tools.spool import Entry

if TYPE_CHECKING:
    from fedmsg_migration_tools.fedmsg.envelope import Envelope

TOPIC = "org.fedoraproject.prod.bodhi.update.comment"


class Verdict:
    """Stands where the validator stands, and says what it is told to: signatures themselves are tried elsewhere."""

    def __init__(self, verdict: str | Exception) -> None:
        self.verdict = verdict

    def check(self, _envelope: Envelope) -> str:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def crossing(verdict: str | Exception | None = None, **more: Any) -> Crossing:
    validator: Any = None if verdict is None else Verdict(verdict)
    return Crossing("zmq.topic", "zmq.quarantine", "zmq_to_amqp@here", validator, ["bridge.example"], **more)


def entry(**envelope: Any) -> Entry:
    return Entry(1, 1000.25, (TOPIC.encode(), json.dumps({"topic": TOPIC, "msg": {}, **envelope}).encode()))


def test_a_message_is_published_to_the_exchange_under_its_topic() -> None:
    prepared = crossing().prepare(entry(timestamp=1234.5))
    assert prepared.outgoing is not None
    assert (prepared.outgoing.exchange, prepared.outgoing.topic) == ("zmq.topic", TOPIC)
    assert (prepared.topic, prepared.timestamp, prepared.fault) == (TOPIC, 1234.5, None)


@pytest.mark.parametrize(
    "marked", [{"username": "amqp-bridge"}, {"headers": {"fedmsg_bridge": "amqp_to_zmq@x"}}]
)
def test_what_a_bridge_has_carried_is_dropped(marked: dict[str, Any]) -> None:
    assert crossing().prepare(entry(**marked)) == Prepared(topic=TOPIC)


def test_where_signatures_count_only_a_bridges_signature_makes_a_mark_believed() -> None:
    marked = entry(username="amqp-bridge")
    assert crossing("bridge.example").prepare(marked) == Prepared(topic=TOPIC)
    prepared = crossing("somebody.example").prepare(marked)
    assert prepared.outgoing is not None
    assert prepared.outgoing.exchange == "zmq.topic"
    refused = crossing(Unbridgeable(Reason.SIGNATURE, "no")).prepare(marked)
    assert refused.fault is not None
    assert refused.outgoing is not None
    assert refused.outgoing.exchange == "zmq.quarantine"


def test_a_bridges_signature_without_a_mark_is_a_message_like_others() -> None:
    prepared = crossing("bridge.example").prepare(entry())
    assert prepared.outgoing is not None
    assert prepared.fault is None


def test_while_no_verdict_is_possible_a_message_waits_or_is_set_aside_as_the_operator_likes() -> None:
    expired = Expired("the CRL ran out")
    assert crossing(expired).prepare(entry()).hold is expired
    prepared = crossing(expired, refuse_expired=True).prepare(entry())
    assert prepared.hold is None
    assert prepared.fault is not None
    assert prepared.fault.reason is Reason.EXPIRED


def test_what_is_set_aside_is_all_there() -> None:
    frames = (b"\xff", b"[]", b"three")
    prepared = crossing().prepare(Entry(1, 1000.25, frames))
    assert prepared.outgoing is not None
    assert prepared.outgoing.mandatory
    assert (prepared.outgoing.exchange, prepared.outgoing.topic) == ("zmq.quarantine", "frames")
    letter = SetAside.decode(prepared.outgoing.body)
    assert letter.frames == frames
    assert (letter.reason, letter.received_at) == ("frames", 1000.25)
    assert (letter.bridge, letter.direction) == ("zmq_to_amqp@here", "zmq_to_amqp")
    assert letter.id == prepared.outgoing.properties.message_id


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"frames": 1}', b"\xff", b'{"reason":"x","frames":["?"]}']
)
def test_what_is_no_letter_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a message that a bridge set aside"):
        SetAside.decode(body)


@pytest.mark.parametrize(
    ("topic", "name"),
    [(TOPIC, "bodhi"), ("a.b.c.d", "d"), ("a.b.c", "unknown"), ("", "unknown"), ("a.b.c..e", "")],
)
def test_an_application_is_the_fourth_word(topic: str, name: str) -> None:
    assert application(topic) == name
