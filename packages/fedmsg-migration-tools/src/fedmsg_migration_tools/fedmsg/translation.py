# SPDX-License-Identifier: MIT
"""How one envelope becomes an AMQP message, and the other way; docs/reference/bridge-wire.md is the specification.

Pure: clocks, counters and the names of hosts are arguments. Signing does not belong here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedora_messaging import wire
from fedora_messaging.exceptions import ValidationError

from ..exceptions import Reason, Unbridgeable
from . import canonical, identity, marks, values
from .envelope import Envelope, split
from .values import SCHEMA, SENT_AT, SEVERITY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fedora_messaging.transports.base import Outgoing

__all__ = ["frames", "outline", "restore", "to_amqp", "to_envelope"]

# A message's properties go in one frame, which has 131,072 bytes unless broker or client want less.
_MAX_PROPERTIES = 128_000
# Bytes of JSON: what AMQP makes of them is less than twice as long, so up to here they fit without counting; and it is
# at least a sixth as long ("\u0001" is one byte), so beyond there they need not even be looked at.
_CLEARLY_FITS, _CLEARLY_TOO_LARGE = 60_000, 6 * _MAX_PROPERTIES


def to_amqp(envelope: Envelope, exchange: str, bridge: str) -> Outgoing:
    """The message of the ZeroMQ bus as it is published to ``exchange``. The body's bytes are not touched.

    Arguments:
        envelope: the message.
        exchange: the exchange's name.
        bridge: the bridge's name, which goes into the header :data:`.marks.BRIDGE`.

    Raises:
        Unbridgeable: with the reason ``REFUSED``: what is beside the body does not fit into AMQP's one frame.
    """
    size = sum(map(len, envelope.fields.values())) - len(envelope.body)
    if size > _CLEARLY_TOO_LARGE:
        raise _too_large(size)
    headers: dict[str, Any] = {SCHEMA: "base.message", SEVERITY: 20}
    _take_headers(envelope.fields.get("headers"), headers)
    headers[marks.BRIDGE] = bridge
    _take_timestamp(envelope.fields.get("timestamp"), headers)
    _take_topic(envelope, headers)
    message_id = _take_msg_id(envelope, headers)
    if extra := _take_others(envelope, headers):
        headers[marks.EXTRA] = extra
    outgoing = _raw(envelope, exchange, message_id, headers)
    if size + len(extra) > _CLEARLY_FITS:
        _check_size(outgoing)
    return outgoing


def outline(envelope: Envelope) -> tuple[str, dict[str, Any]]:
    """The message id and the headers that :func:`to_amqp` gives the message, but for most of the headers of ours.

    For those who look at many messages and publish none.

    Raises:
        Unbridgeable: as :func:`to_amqp`.
    """
    fields = envelope.fields
    # Twice, since EXTRA may have it all once more, with the keys, of which a character takes twelve bytes at most.
    size = 2 * (sum(map(len, fields.values())) - len(envelope.body)) + 12 * sum(map(len, fields))
    if size > _CLEARLY_FITS:
        to_amqp(envelope, "", "")
    headers: dict[str, Any] = {SCHEMA: "base.message", SEVERITY: 20}
    _take_headers(fields.get("headers"), headers)
    _take_timestamp(fields.get("timestamp"), headers)
    return identity.message_id(envelope), headers


def restore(topic: str, message_id: str | None, headers: Mapping[str, Any] | None, body: bytes) -> Envelope:
    """The envelope that :func:`to_amqp` made this message of: the same keys, and each value in the same text.

    Arguments:
        topic: the routing key.
        message_id: the property.
        headers: the property.
        body: as it was delivered.

    Raises:
        Unbridgeable: with the reason ``JSON``: the headers of ours are not as :func:`to_amqp` writes them.
    """
    headers = headers or {}
    fields = {
        "topic": _given_back(headers, marks.TOPIC, topic),
        "msg": body,
        "msg_id": _given_back(headers, marks.MSG_ID, message_id),
        "timestamp": _given_back(headers, marks.TIMESTAMP, identity.seconds(headers.get(SENT_AT))),
    }
    for key, (name, _) in _OWN.items():
        if name in headers:
            fields[key] = _json_text(name, headers[name])
    extra = _text_in(headers, marks.EXTRA)
    if extra is not None:
        try:
            fields.update(split(extra))
        except ValueError as exc:
            raise Unbridgeable(Reason.JSON, f"the header {marks.EXTRA} is no JSON object") from exc
    return Envelope(topic, {key: text for key, text in fields.items() if text is not None})


def to_envelope(
    topic: str,
    message_id: str | None,
    headers: Mapping[str, Any] | None,
    body: bytes,
    *,
    i: int,
    now: float,
    bridge: str,
    seq_id: int | None = None,
) -> dict[str, Any]:
    """The message of the AMQP bus as an envelope, unsigned.

    Arguments:
        topic: the routing key.
        message_id: the property; where there is none, one is derived from the message.
        headers: the property.
        body: UTF-8, as it was delivered.
        i: how many messages this process has sent, this one included.
        now: seconds since the epoch, for a message that does not say when it was sent.
        bridge: the bridge's name, which goes into the header :data:`.marks.BRIDGE`.
        seq_id: the message's place among those that can be replayed.

    Raises:
        Unbridgeable: with the reason ``TOPIC`` (it is no UTF-8), ``JSON`` (the body is none, or the headers are nested
            too deeply) or ``BODY`` (the body is no object).
    """
    frame = _first_frame(topic)
    msg = _object(body)
    headers = headers or {}
    sent = identity.seconds(headers.get(SENT_AT))
    if not message_id or not isinstance(message_id, str):
        message_id = identity.derive((frame, b"" if sent is None else b"%d" % sent, body))
    try:
        given = values.as_json(headers)
    except RecursionError as exc:
        raise Unbridgeable(Reason.JSON, "the headers are nested too deeply") from exc
    given[marks.BRIDGE] = bridge
    envelope = {
        "topic": topic,
        "msg": msg,
        "msg_id": message_id if sent is None else identity.with_year(message_id, sent),
        "timestamp": int(now) if sent is None else sent,
        "i": i,
        "username": marks.BRIDGE_USER,
        "headers": given,
    }
    if seq_id is not None:
        envelope["seq_id"] = seq_id
    return envelope


def frames(envelope: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The two frames of an envelope, in canonical form, so that what is signed is what is sent.

    Raises:
        Unbridgeable: with the reason ``TOPIC`` or ``JSON``: UTF-8 or JSON cannot hold it.
    """
    topic = _first_frame(envelope["topic"])
    try:
        return topic, canonical.dumps(envelope)
    except (TypeError, ValueError) as exc:
        raise Unbridgeable(Reason.JSON, f"JSON cannot hold it: {str(exc)[:200]}") from exc


# To AMQP. The envelope's keys that have a header of their own, for the values that come back from it unchanged.
_OWN: dict[str, tuple[str, Callable[[bytes], str | int | None]]] = {
    "i": (marks.I, values.number),
    "username": (marks.USERNAME, values.text),
    "seq_id": (marks.SEQ_ID, values.number),
    "crypto": (marks.CRYPTO, values.text),
    "signature": (marks.SIGNATURE, values.text),
    "certificate": (marks.CERTIFICATE, values.text),
    "source_name": (marks.SOURCE_NAME, values.text),
    "source_version": (marks.SOURCE_VERSION, values.text),
}
_PLACED = frozenset({"topic", "msg", "msg_id", "timestamp"})


def _take_headers(text: bytes | None, headers: dict[str, Any]) -> None:
    """Enter what the envelope's ``headers`` have that a broker and a consumer can take; EXTRA has all of them."""
    if text is None or text[:1] != b"{":
        return
    try:
        given = canonical.loads(text)
    except ValueError:
        return
    repaired = []
    for name, value in given.items():
        if values.is_header(name, value):
            headers[name] = value
        elif name in values.TYPED:
            repaired.append(name)
    if repaired:
        headers[marks.REPAIRED] = ",".join(repaired)


def _take_timestamp(text: bytes | None, headers: dict[str, Any]) -> None:
    """``sent-at``, and the text of the timestamp where ``sent-at`` does not give it back."""
    given = headers.get(SENT_AT)
    if text is None:
        if given is not None:
            headers[marks.TIMESTAMP] = ""
        return
    second = identity.second_of(text)
    if second is not None and (given is None or identity.seconds(given) != second):
        headers[SENT_AT] = identity.iso(second)
        if given is not None:
            before = headers.get(marks.REPAIRED)
            headers[marks.REPAIRED] = f"{before},{SENT_AT}" if before else SENT_AT
    if second is None or text != b"%d" % second:
        headers[marks.TIMESTAMP] = text.decode()


def _take_topic(envelope: Envelope, headers: dict[str, Any]) -> None:
    text = envelope.fields.get("topic", b"")
    if text != canonical.dumps(envelope.topic):
        headers[marks.TOPIC] = text.decode()


def _take_msg_id(envelope: Envelope, headers: dict[str, Any]) -> str:
    """The property ``message_id``, and the text of ``msg_id`` where that does not give it back."""
    message_id = identity.message_id(envelope)
    text = envelope.fields.get("msg_id", b"")
    if text != canonical.dumps(message_id):
        headers[marks.MSG_ID] = text.decode()
    return message_id


def _take_others(envelope: Envelope, headers: dict[str, Any]) -> str:
    """All other keys: those that have a header go there if they fit; returns the object of the rest, empty if none."""
    rest = []
    for key, text in envelope.fields.items():
        if key in _PLACED:
            continue
        if (own := _OWN.get(key)) is not None and (value := own[1](text)) is not None:
            headers[own[0]] = value
        else:
            rest.append(canonical.dumps(key) + b":" + text)
    return (b"{" + b",".join(rest) + b"}").decode() if rest else ""


def _raw(envelope: Envelope, exchange: str, message_id: str, headers: dict[str, Any]) -> Outgoing:
    priority = headers.get("priority")
    try:
        return wire.raw(
            exchange,
            envelope.topic,
            envelope.body,
            message_id=message_id,
            headers=headers,
            priority=priority if type(priority) is int and 0 < priority < 256 else None,
        )
    except ValidationError as exc:
        raise Unbridgeable(Reason.REFUSED, f"AMQP cannot hold it: {str(exc)[:200]}") from exc


def _check_size(outgoing: Outgoing) -> None:
    size = sum(map(len, outgoing.properties.encode()))
    if size > _MAX_PROPERTIES:
        raise _too_large(size)


def _too_large(size: int) -> Unbridgeable:
    return Unbridgeable(
        Reason.REFUSED,
        f"all but the body takes some {size} bytes, and AMQP has one frame for it, with room for {_MAX_PROPERTIES}",
    )


# From AMQP.


def _given_back(headers: Mapping[str, Any], name: str, value: Any) -> bytes | None:
    """The JSON text that the header ``name`` has (None where it is empty), or else that of ``value``."""
    text = _text_in(headers, name)
    if text is not None:
        return text or None
    return None if value is None else _json_text(name, value)


def _text_in(headers: Mapping[str, Any], name: str) -> bytes | None:
    text = headers.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or not values.is_unicode(text):
        raise Unbridgeable(Reason.JSON, f"the header {name} is no text")
    return text.encode()


def _json_text(name: str, value: Any) -> bytes:
    if not isinstance(value, (str, int)):
        raise Unbridgeable(Reason.JSON, f"the value for {name} is neither text nor integer")
    return canonical.dumps(value)


def _object(body: bytes) -> dict[str, Any]:
    try:
        msg = canonical.loads(body)
    except ValueError as exc:
        raise Unbridgeable(Reason.JSON, f"the body is no JSON: {ascii(str(exc))[:200]}") from exc
    if type(msg) is not dict:
        raise Unbridgeable(Reason.BODY, f"the body is no JSON object, but {type(msg).__name__}")
    return msg


def _first_frame(topic: str) -> bytes:
    if isinstance(topic, str) and values.is_unicode(topic):
        return topic.encode()
    raise Unbridgeable(Reason.TOPIC, f"the topic is no UTF-8: {ascii(topic)[:200]}")
