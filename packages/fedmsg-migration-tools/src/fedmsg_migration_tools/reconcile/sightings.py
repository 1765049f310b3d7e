# SPDX-License-Identifier: MIT
"""What a witness saw, in a form that is the same at both ends of a leg if the bridge did what it should. Pure.

Both ends are brought to the form that a message has on the AMQP bus: topic, body, the second in which it was sent, and
the headers that every client can hold, without those of the bridges. What is not in there (who signed it, the keys of
an envelope that AMQP has no place for) is not compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec

from ..exceptions import Unbridgeable
from ..fedmsg import canonical, envelope, identity, marks, translation, values
from ..fedmsg.setaside import SetAside
from .differences import difference
from .model import Leg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Sighting",
    "Unreadable",
    "application",
    "difference",
    "id_of",
    "key",
    "of_delivery",
    "of_frames",
    "of_quarantine",
    "raw_key",
]

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_HAS_YEAR = re.compile(r"[0-9]{4}-").match
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode
_SCHEMA = values.SCHEMA


class Sighting(NamedTuple):
    """One message, seen once.

    Attributes:
        key: 16 bytes, the same for the same message at all four places.
        digest: 64 bits of the normal form.
        topic, message_id: as they are on the AMQP bus; a message without id has the one that is derived from it.
        application: the fourth word of the topic.
        carrier: the bridge that carried it, if it says so.
        i, seq_id: the numbers that its publisher (behind the bridge to ZeroMQ: the bridge) gave it.
        marked: whether a bridge has carried it.
        sent: the second in which it was sent; None: it does not say.
        headers: those that are compared.
        body: the JSON text.
    """

    key: bytes
    digest: int
    topic: str
    message_id: str
    application: str
    carrier: str
    i: int | None
    seq_id: int | None
    marked: bool
    sent: int | None
    headers: Mapping[str, Any]
    body: bytes

    @property
    def normal(self) -> dict[str, Any]:
        """What is compared, decoded."""
        return {
            "topic": self.topic,
            "body": _decoded(self.body),
            "sent-at": None if self.sent is None else identity.iso(self.sent),
            "headers": dict(self.headers),
        }


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What lies in quarantine, as far as it matters here."""

    leg: Leg
    key: bytes
    reason: str
    detail: str
    at: float
    topic: str


def key(message_id: str) -> bytes:
    """What identifies a message in 16 bytes: its id without the year.

    A UUID is its own bytes. Of other ids it is a BLAKE2b, with a version that no UUID has.
    """
    if _HAS_YEAR(message_id):
        message_id = message_id[5:]
    if _UUID(message_id):
        return bytes.fromhex(message_id.replace("-", ""))
    return _hashed(message_id.encode(errors="surrogatepass"))


def id_of(key: bytes) -> str | None:
    """The id, without its year, where it was a UUID; else None."""
    return None if key[6] >> 4 == 15 else str(UUID(bytes=key))


def application(topic: str) -> str:
    """The fourth word of the topic; empty if there is none."""
    words = topic.split(".", 4)
    return words[3] if len(words) > 3 else ""


def of_frames(frames: Sequence[bytes]) -> Sighting:
    """What came from a ZeroMQ socket, of a publisher or of the bridge.

    Raises:
        Unbridgeable: it is no message that can cross; :func:`raw_key` identifies it all the same.
    """
    message = envelope.parse(frames)
    message_id, headers = translation.outline(message)
    marked, carrier = marks.bears_mark(message), ""
    sent = identity.seconds(headers.pop(values.SENT_AT, None))
    if marked:
        given = message.value("headers")
        given = given if type(given) is dict else {}
        carrier = given.get(marks.BRIDGE, "")
        if marks.BRIDGE in given and identity.seconds(given.get(values.SENT_AT)) is None:
            # The message had no time, so the bridge wrote its own.
            sent = None
    headers = {name: value for name, value in headers.items() if not name.startswith(marks.PREFIX)}
    i, seq_id = (values.number(message.fields.get(name, b"")) for name in ("i", "seq_id"))
    return _sighting(message.topic, message_id, headers, message.body, sent, marked, carrier, i, seq_id)


def of_delivery(
    topic: str, message_id: str | None, headers: Mapping[str, Any] | None, body: bytes
) -> Sighting:
    """What came from an exchange. Whatever it is, it has a key, for what is no message is set aside under it."""
    headers = headers or {}
    sent = identity.seconds(headers.get(values.SENT_AT))
    if not message_id or not isinstance(message_id, str):
        frame = topic.encode(errors="surrogatepass")
        message_id = identity.derive((frame, b"" if sent is None else b"%d" % sent, body))
    carrier = headers.get(marks.BRIDGE, "")
    try:
        plain = values.as_json(headers)
    except RecursionError:
        plain = {}
    marked = marks.headers_bear_mark(headers)
    i, seq_id = plain.get(marks.I), plain.get(marks.SEQ_ID)
    compared = {_SCHEMA: "base.message", values.SEVERITY: 20} | {
        name: value
        for name, value in plain.items()
        if not name.startswith(marks.PREFIX) and values.is_header(name, value)
    }
    compared.pop(values.SENT_AT, None)
    return _sighting(
        topic,
        message_id,
        compared,
        body,
        sent,
        marked,
        carrier,
        i if type(i) is int else None,
        seq_id if type(seq_id) is int else None,
    )


def raw_key(frames: Sequence[bytes]) -> bytes:
    """The key of what is no message: of its bytes."""
    return _hashed(b"".join(b"%d:%s" % (len(frame), frame) for frame in frames))


def of_quarantine(body: bytes) -> Unreadable:
    """What a bridge set aside, by the body of the message in the quarantine queue.

    Its key is the one that the message had at its origin: of :func:`of_frames`, :func:`of_delivery` or
    :func:`raw_key`.

    Raises:
        ValueError: a bridge did not write this.
    """
    found = SetAside.decode(body)
    if found.direction == "zmq_to_amqp":
        leg, topic = Leg.ZMQ_TO_AMQP, _text(found.frames[0]) if found.frames else ""
        try:
            known = of_frames(found.frames).key
        except Unbridgeable:
            known = raw_key(found.frames)
    else:
        leg, topic = Leg.AMQP_TO_ZMQ, _text(found.frames[0]) if found.frames else ""
        text = found.frames[1] if len(found.frames) > 1 else b""
        properties = found.properties
        known = of_delivery(topic, properties.get("message_id"), properties.get("headers"), text).key
    return Unreadable(leg, known, found.reason, found.detail, found.received_at, topic)


def _sighting(
    topic: str,
    message_id: str,
    headers: dict[str, Any],
    body: bytes,
    sent: int | None,
    marked: bool,
    carrier: Any,
    i: int | None,
    seq_id: int | None,
) -> Sighting:
    rest = _encode([topic.encode(errors="surrogatepass"), sent, headers])
    return Sighting(
        key(message_id),
        int.from_bytes(blake2b(rest + _normal_text(body), digest_size=8).digest()),
        topic,
        message_id,
        application(topic),
        carrier if type(carrier) is str else "",
        i,
        seq_id,
        marked,
        sent,
        headers,
        body,
    )


def _normal_text(body: bytes) -> bytes:
    """The same bytes for the same JSON value, however it is written."""
    try:
        return _encode(_decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        pass
    try:
        text = canonical.dumps(canonical.loads(body))
    except (ValueError, TypeError):
        return body
    try:
        # What the fast parser refused may be gone: of a key that comes twice only the last counts.
        return _encode(_decode(text))
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return text


def _decoded(body: bytes) -> Any:
    try:
        return canonical.loads(body)
    except ValueError:
        return _text(body)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def _hashed(data: bytes) -> bytes:
    digest = bytearray(blake2b(data, digest_size=16).digest())
    digest[6] |= 0xF0
    return bytes(digest)
