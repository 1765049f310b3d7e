# SPDX-License-Identifier: MIT
"""What was lost, and how a message is got back from what a replay or an archive says. Pure.

An archive has messages in the form of one bus, and they may be wanted in that of the other: from it come frames for
the leg to AMQP, and a delivery for the leg to ZeroMQ.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from ..exceptions import Unbridgeable
from ..fedmsg import canonical, identity, marks, translation
from ..fedmsg.envelope import Envelope, parse, split
from ..fedmsg.values import SENT_AT
from ..reconcile.model import Leg
from ..reconcile.sightings import id_of, key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "Delivery",
    "Lost",
    "Message",
    "NoMessage",
    "from_archive",
    "from_replay",
    "ids",
    "is_it",
    "remembered",
]

#: Topic, id, headers, body.
Delivery = tuple[str, str | None, "Mapping[str, Any]", bytes]

# What an archive puts beside the envelope: the first two by fedmsg's rules, the others in datanommer's answers.
_ARCHIVES_OWN = frozenset({"source_name", "source_version", "users", "packages"})


class NoMessage(ValueError):
    """What was answered is no message."""


@dataclass(frozen=True)
class Lost:
    """A message that was seen at its origin and did not reach the other end of its leg.

    Attributes:
        leg: which one it did not get across.
        key: what it is known by, its id without the year.
        message_id: as it was at the origin; None where it had none, or it is not remembered.
        topic: likewise; empty when it is not remembered.
        application: the fourth word of the topic.
        seen_at: when it was seen at the origin, in seconds since the epoch.
        frames: on the leg to AMQP, the frames as they were seen; None when they are not remembered.
        delivery: on the leg to ZeroMQ, what was seen on the exchange; likewise.
    """

    leg: Leg
    key: bytes
    message_id: str | None
    topic: str
    application: str
    seen_at: float
    frames: tuple[bytes, ...] | None = None
    delivery: Delivery | None = None

    @property
    def size(self) -> int:
        """About how many bytes of it are held."""
        return sum(map(len, self.frames or ())) + (0 if self.delivery is None else len(self.delivery[3]))


@dataclass(frozen=True, slots=True)
class Message:
    """What can be sent, in the form of the bus that it comes from: one of the two is there.

    Attributes:
        frames: for the leg to AMQP.
        delivery: for the leg to ZeroMQ.
    """

    frames: tuple[bytes, ...] | None = None
    delivery: Delivery | None = None


def remembered(lost: Lost) -> Message | None:
    """It, if it came with the verdict."""
    if lost.leg is Leg.ZMQ_TO_AMQP:
        return None if lost.frames is None else Message(frames=lost.frames)
    return None if lost.delivery is None else Message(delivery=lost.delivery)


def ids(lost: Lost) -> list[str]:
    """The ids under which others may know it: with and without the year, where it is not known which."""
    message_id = lost.message_id or id_of(lost.key)
    if not message_id:
        return []
    if lost.leg is Leg.ZMQ_TO_AMQP and lost.message_id:
        return [message_id]
    return list(dict.fromkeys([message_id, identity.with_year(message_id, int(lost.seen_at))]))


def from_replay(part: bytes, leg: Leg) -> Message:
    """The message that an envelope is, from a replay; its bytes, and so its signature, stay as they are.

    Raises ``NoMessage``.
    """
    try:
        topic = _value(split(part), "topic")
        frames = (topic.encode(), part)
    except (ValueError, AttributeError) as error:
        raise NoMessage(f"it is no envelope: {error}") from error
    return Message(frames=frames) if leg is Leg.ZMQ_TO_AMQP else Message(delivery=_delivery(frames))


def from_archive(record: Any, leg: Leg) -> Message:
    """The message that an archive's record is: one of AMQP's (``body``), or an envelope (``msg``).

    What the archive has added is left out, an empty ``headers`` dropped, and a float ``timestamp`` made an integer:
    only so can a signature match; fedmsg does the same with messages from the archive.

    Raises ``NoMessage``.
    """
    if not isinstance(record, dict):
        raise NoMessage("a message is a JSON object")
    if "body" in record:
        return _from_amqp(record, leg)
    if "msg" in record:
        frames = _frames(_as_it_was(record))
        return Message(frames=frames) if leg is Leg.ZMQ_TO_AMQP else Message(delivery=_delivery(frames))
    raise NoMessage("it has neither msg nor body")


def is_it(message: Message, lost: Lost) -> bool:
    """Whether this is what was asked for: whoever answers may be mistaken."""
    if message.frames is not None:
        try:
            envelope = parse(message.frames)
        except Unbridgeable:
            return False
        topic, message_id = envelope.topic, identity.message_id(envelope)
    elif message.delivery is not None and message.delivery[1]:
        topic, message_id = message.delivery[:2]  # type: ignore[assignment]
    else:
        return False
    return key(message_id) == lost.key and lost.topic in {topic, ""}


# From an archive.


def _from_amqp(record: Mapping[str, Any], leg: Leg) -> Message:
    """A message as fedora-messaging writes it in JSON; the archive adds ``sent-at`` where there was none."""
    topic, message_id, headers = record.get("topic"), record.get("id"), record.get("headers") or {}
    if not isinstance(topic, str) or not isinstance(message_id, str) or not isinstance(headers, dict):
        raise NoMessage("topic and id have to be texts, and headers an object")
    body = _dumps(record["body"])
    if leg is Leg.AMQP_TO_ZMQ:
        return Message(delivery=(topic, message_id, headers, body))
    return Message(frames=_frames_from_amqp(topic, message_id, headers, body))


def _frames_from_amqp(
    topic: str, message_id: str, headers: Mapping[str, Any], body: bytes
) -> tuple[bytes, bytes]:
    if marks.headers_bear_mark(headers):  # a bridge brought it to the archive: all of the envelope is there
        try:
            envelope = translation.restore(topic, message_id, headers, body)
        except Unbridgeable as error:
            raise NoMessage(error.detail) from error
        return _frames_of(topic, envelope.fields)
    fields = {"topic": _dumps(topic), "msg": body, "msg_id": _dumps(message_id)}
    sent = identity.seconds(headers.get(SENT_AT))
    if sent is not None:
        fields["timestamp"] = b"%d" % sent
    if headers.keys() - {SENT_AT}:
        fields["headers"] = _dumps(headers)
    return _frames_of(topic, fields)


def _as_it_was(record: Mapping[str, Any]) -> dict[str, Any]:
    envelope = {
        name: value for name, value in record.items() if name not in _ARCHIVES_OWN and value is not None
    }
    if not envelope.get("headers", True):
        del envelope["headers"]
    if isinstance(timestamp := envelope.get("timestamp"), float) and isfinite(timestamp):
        envelope["timestamp"] = int(timestamp)
    return envelope


def _frames(envelope: Mapping[str, Any]) -> tuple[bytes, bytes]:
    if not isinstance(envelope.get("topic"), str):
        raise NoMessage("the envelope has no topic")
    try:
        return translation.frames(envelope)
    except Unbridgeable as error:
        raise NoMessage(error.detail) from error


def _frames_of(topic: str, fields: Mapping[str, bytes]) -> tuple[bytes, bytes]:
    """From texts of values, so that each stays as it is."""
    members: Iterable[bytes] = (_dumps(name) + b":" + text for name, text in sorted(fields.items()))
    try:
        return topic.encode(), b"{" + b",".join(members) + b"}"
    except UnicodeEncodeError as error:
        raise NoMessage(f"the topic is no UTF-8: {error}") from error


# To AMQP's form.


def _delivery(frames: Sequence[bytes]) -> Delivery:
    """What the envelope was on the exchange, before the bridge carried it."""
    try:
        envelope = parse(frames)
        headers = envelope.value("headers")
        headers = dict(headers) if isinstance(headers, dict) else {}
    except Unbridgeable as error:
        raise NoMessage(error.detail) from error
    headers.pop(marks.BRIDGE, None)
    if SENT_AT not in headers and (sent := _second(envelope)) is not None:
        headers[SENT_AT] = identity.iso(sent)
    return envelope.topic, identity.message_id(envelope), headers, envelope.body


def _second(envelope: Envelope) -> int | None:
    text = envelope.fields.get("timestamp")
    return None if text is None else identity.second_of(text)


def _value(fields: Mapping[str, bytes], name: str) -> Any:
    text = fields.get(name)
    return None if text is None else canonical.loads(text)


def _dumps(value: Any) -> bytes:
    try:
        return canonical.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NoMessage(f"JSON cannot hold it: {error}") from error
