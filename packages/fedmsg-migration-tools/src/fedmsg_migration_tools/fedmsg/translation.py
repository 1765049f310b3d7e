# SPDX-License-Identifier: MIT
"""How one envelope becomes an AMQP message, and the other way; docs/reference/bridge-wire.md is the specification.

Pure: clocks, counters and names of hosts are arguments. Signing does not belong here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from math import floor, isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fedora_messaging import wire
from fedora_messaging.exceptions import ValidationError

from ..exceptions import Reason, Unbridgeable
from . import canonical, marks
from .envelope import MAX_TOPIC, Envelope, split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fedora_messaging.transports.base import Outgoing

__all__ = ["frames", "restore", "to_amqp", "to_envelope"]

_SCHEMA, _SEVERITY, _SENT_AT = "fedora_messaging_schema", "fedora_messaging_severity", "sent-at"
_STRINGS = {_SCHEMA, "fedora_messaging_schema_package", _SENT_AT}
_SEVERITIES = (10, 20, 30, 40)
_INT64 = range(-(2**63), 2**63)
# RabbitMQ acts on these (sender-selected distribution), and closes the channel where they are no arrays.
_BROKERS_OWN = {"CC", "BCC"}
# The properties of a message go in one frame, which has 131,072 bytes unless broker or client want less.
_MAX_PROPERTIES = 128_000
# What AMQP writes is less than four times as long as JSON: below this it fits without counting.
_CLEARLY_FITS = 30_000
_YEARS = range(-62_135_596_800, 253_402_300_800)  # seconds: the years 1 to 9999
_HAS_YEAR = re.compile(r"\d{4}-").match
# What is added to a message on its way, and does not make it another one.
_NOT_IDENTITY = {"crypto", "signature", "certificate", "headers", "seq_id", "source_name", "source_version"}


def to_amqp(envelope: Envelope, exchange: str, bridge: str) -> Outgoing:
    """The message of the ZeroMQ bus as it is published to ``exchange``. The body's bytes are not touched.

    Arguments:
        envelope: the message.
        exchange: the exchange's name.
        bridge: the bridge's name, which goes into the header :data:`.marks.BRIDGE`.

    Raises:
        Unbridgeable: with the reason ``REFUSED``: what is beside the body does not fit into AMQP's one frame.
    """
    fields = envelope.fields
    headers: dict[str, Any] = {_SCHEMA: "base.message", _SEVERITY: 20}
    extra: dict[str, bytes] = {}
    if "headers" in fields:
        extra["headers"] = fields["headers"]
        _take_headers(fields["headers"], headers)
    headers[marks.BRIDGE] = bridge
    _take_timestamp(fields.get("timestamp"), headers)
    _take_topic(envelope, headers)
    message_id = _take_msg_id(envelope, headers)
    for key, text in fields.items():
        if key in _PLACED:
            continue
        name, read = _OWN.get(key, _NONE)
        value = read(text)
        if value is None:
            extra[key] = text
        else:
            headers[name] = value
    size = sum(map(len, fields.values())) - len(envelope.body)
    if extra:
        headers[marks.EXTRA] = text_of_extra = _join(extra)
        size += len(text_of_extra)
    priority = headers.get("priority")
    try:
        outgoing = wire.raw(
            exchange,
            envelope.topic,
            envelope.body,
            message_id=message_id,
            headers=headers,
            priority=priority if type(priority) is int and 0 < priority < 256 else None,
        )
    except ValidationError as exc:
        raise Unbridgeable(Reason.REFUSED, f"AMQP cannot hold it: {exc}") from exc
    if size > _CLEARLY_FITS:
        _check_size(outgoing)
    return outgoing


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
    fields: dict[str, bytes] = {"msg": body}
    if text := _given_back(headers, marks.TOPIC, topic):
        fields["topic"] = text
    if text := _given_back(headers, marks.MSG_ID, message_id):
        fields["msg_id"] = text
    if text := _given_back(headers, marks.TIMESTAMP, _seconds(headers.get(_SENT_AT))):
        fields["timestamp"] = text
    for key, (name, _) in _OWN.items():
        if name in headers:
            fields[key] = canonical.dumps(headers[name])
    if (extra := _text_in(headers, marks.EXTRA)) is not None:
        try:
            fields.update(split(extra))
        except ValueError as exc:
            raise Unbridgeable(Reason.JSON, f"the header {marks.EXTRA} is no JSON object: {exc}") from exc
    return Envelope(topic, fields)


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
        Unbridgeable: with the reason ``TOPIC`` (it is no text), ``JSON`` (the body is none) or ``BODY`` (it is no
            object).
    """
    if not isinstance(topic, str):
        raise Unbridgeable(Reason.TOPIC, f"the topic is no UTF-8: {topic!r}")
    try:
        msg = canonical.loads(body)
    except ValueError as exc:
        raise Unbridgeable(Reason.JSON, f"the body is no JSON: {ascii(str(exc))[:200]}") from exc
    if type(msg) is not dict:
        raise Unbridgeable(Reason.BODY, f"the body is no JSON object, but {type(msg).__name__}")
    headers = headers or {}
    sent = _seconds(headers.get(_SENT_AT))
    timestamp = int(now) if sent is None else sent
    envelope = {
        "topic": topic,
        "msg": msg,
        "msg_id": _with_year(message_id or _derive([topic.encode(), _text_bytes(sent), body]), timestamp),
        "timestamp": timestamp,
        "i": i,
        "username": marks.BRIDGE_USER,
        "headers": _as_json(headers) | {marks.BRIDGE: bridge},
    }
    if seq_id is not None:
        envelope["seq_id"] = seq_id
    return envelope


def frames(envelope: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The two frames of an envelope, in canonical form, so that what is signed is what is sent.

    Raises:
        Unbridgeable: with the reason ``TOPIC`` or ``JSON``: UTF-8 or JSON cannot hold it.
    """
    try:
        topic = envelope["topic"].encode()
    except UnicodeEncodeError as exc:
        raise Unbridgeable(Reason.TOPIC, f"the topic is no UTF-8: {envelope['topic']!a}") from exc
    try:
        return topic, canonical.dumps(envelope)
    except (TypeError, ValueError) as exc:
        raise Unbridgeable(Reason.JSON, f"JSON cannot hold it: {exc}") from exc


# --- to AMQP


def _plain_text(text: bytes) -> str | None:
    """The string that this JSON text is, if it is one that AMQP can hold and JSON writes in this text only."""
    if text[:1] != b'"':
        return None
    if b"\\" not in text and b"\x7f" not in text and text.isascii():
        return text[1:-1].decode()
    value: str = canonical.loads(text)
    return value if canonical.dumps(value) == text and _is_unicode(value) else None


def _plain_number(text: bytes) -> int | None:
    """The integer that this JSON text is, if it is one that AMQP can hold and JSON writes in this text only."""
    if text.isdigit() and len(text) < 19 and (text[0] != 0x30 or len(text) == 1):
        return int(text)
    return None


def _never(_text: bytes) -> None:
    """A key that AMQP has no place for."""


_OWN: dict[str, tuple[str, Callable[[bytes], str | int | None]]] = {
    "i": (marks.I, _plain_number),
    "username": (marks.USERNAME, _plain_text),
    "seq_id": (marks.SEQ_ID, _plain_number),
    "crypto": (marks.CRYPTO, _plain_text),
    "signature": (marks.SIGNATURE, _plain_text),
    "certificate": (marks.CERTIFICATE, _plain_text),
    "source_name": (marks.SOURCE_NAME, _plain_text),
    "source_version": (marks.SOURCE_VERSION, _plain_text),
}
_NONE: tuple[str, Callable[[bytes], str | int | None]] = ("", _never)
_PLACED = {"topic", "msg", "msg_id", "timestamp", "headers"}


def _take_headers(text: bytes, headers: dict[str, Any]) -> None:
    """Enter what ``headers`` of the envelope say and a broker and a consumer can take; all of it is in EXTRA."""
    if text == b"{}" or text[:1] != b"{":
        return
    try:
        given = canonical.loads(text)
    except ValueError:
        return
    repaired = []
    for name, value in given.items():
        if _is_header(name, value):
            headers[name] = value
        elif name in headers or name in _STRINGS:
            repaired.append(name)
    if repaired:
        headers[marks.REPAIRED] = ",".join(sorted(repaired))


def _is_header(name: str, value: Any) -> bool:
    """Whether it may be a header in AMQP: all agree about strings, booleans and integers of 64 bits."""
    kind = type(value)
    if name in _STRINGS:
        return kind is str and _is_unicode(value)
    if name == _SEVERITY:
        return kind is int and value in _SEVERITIES
    if not (kind is bool or (kind is int and value in _INT64) or (kind is str and _is_unicode(value))):
        return False
    return (
        _is_short(name)
        and not name.startswith(marks.PREFIX)
        and not name.startswith("x-")  # the broker's own
        and name not in _BROKERS_OWN
    )


def _take_timestamp(text: bytes | None, headers: dict[str, Any]) -> None:
    """``sent-at``, and the text of the timestamp where ``sent-at`` does not give it back."""
    given = headers.get(_SENT_AT)
    second = None if text is None else _second_of(text)
    if second is not None and (given is None or _seconds(given) != second):
        headers[_SENT_AT] = _iso(second)
        if given is not None:
            _repair(headers, _SENT_AT)
    if text is None:
        if given is not None:
            headers[marks.TIMESTAMP] = ""
    elif second is None or b"%d" % second != text:
        headers[marks.TIMESTAMP] = text.decode()


def _second_of(text: bytes) -> int | None:
    """The second that a timestamp names; None where it names none between the years 1 and 9999."""
    if text.isdigit() and len(text) < 12:
        return int(text)
    try:
        value = canonical.loads(text)
    except ValueError:
        return None
    if type(value) not in (int, float) or not isfinite(value):
        return None
    second = floor(value)
    return second if second in _YEARS else None


def _repair(headers: dict[str, Any], name: str) -> None:
    before = headers.get(marks.REPAIRED)
    headers[marks.REPAIRED] = f"{before},{name}" if before else name


def _take_topic(envelope: Envelope, headers: dict[str, Any]) -> None:
    text = envelope.fields.get("topic")
    if text is None:
        headers[marks.TOPIC] = ""
    elif text != canonical.dumps(envelope.topic):
        headers[marks.TOPIC] = text.decode()


def _take_msg_id(envelope: Envelope, headers: dict[str, Any]) -> str:
    """The property ``message_id``, and the text of ``msg_id`` where that does not give it back."""
    text = envelope.fields.get("msg_id")
    if text is None:
        headers[marks.MSG_ID] = ""
        return _derived_id(envelope, headers)
    value = _plain_text(text)
    if value is None:
        headers[marks.MSG_ID] = text.decode()
        if text[:1] == b'"':
            value = canonical.loads(text)
    if value and _is_short(value):
        return value
    headers[marks.MSG_ID] = text.decode()
    return _derived_id(envelope, headers)


def _derived_id(envelope: Envelope, headers: dict[str, Any]) -> str:
    parts = [envelope.topic.encode()]
    for key, text in sorted(envelope.fields.items()):
        if key not in _NOT_IDENTITY and key != "topic":
            parts += (canonical.dumps(key), text)
    derived = _derive(parts)
    second = _seconds(headers.get(_SENT_AT))
    return derived if second is None else _with_year(derived, second)


def _join(extra: Mapping[str, bytes]) -> str:
    """The text of a JSON object of these keys and texts."""
    members = [canonical.dumps(key) + b":" + text for key, text in extra.items()]
    return (b"{" + b",".join(members) + b"}").decode()


def _check_size(outgoing: Outgoing) -> None:
    size = sum(map(len, outgoing.properties.encode()))
    if size > _MAX_PROPERTIES:
        raise Unbridgeable(
            Reason.REFUSED,
            f"all but the body takes {size} bytes in AMQP, where it has to go in one frame of {_MAX_PROPERTIES}",
        )


# --- from AMQP


def _given_back(headers: Mapping[str, Any], name: str, value: Any) -> bytes | None:
    """The JSON text that the header ``name`` has (None where it is empty), or else that of ``value``."""
    text = _text_in(headers, name)
    if text is not None:
        return text or None
    return None if value is None else canonical.dumps(value)


def _text_in(headers: Mapping[str, Any], name: str) -> bytes | None:
    text = headers.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or not _is_unicode(text):
        raise Unbridgeable(Reason.JSON, f"the header {name} is no text")
    return text.encode()


def _as_json(headers: Mapping[str, Any]) -> dict[str, Any]:
    """AMQP's table as JSON can hold it: bytes become text (surrogateescape), times ISO 8601, decimals text."""
    if all(type(name) is str and type(value) in (str, int, bool) for name, value in headers.items()):
        return dict(headers)
    try:
        return {_json_value(name): _json_value(value) for name, value in headers.items()}
    except RecursionError as exc:
        raise Unbridgeable(Reason.JSON, "the headers are nested too deeply") from exc


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return value.decode(errors="surrogateescape")
    if isinstance(value, dict):
        return {str(_json_value(name)): _json_value(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else repr(value)


# --- both


def _derive(parts: list[bytes]) -> str:
    """A UUID made of what identifies a message: the same for the same, whoever asks. Zero bytes are in no part."""
    return str(UUID(bytes=sha256(b"\0".join(parts)).digest()[:16], version=5))


def _with_year(message_id: str, second: int) -> str:
    """With the year in front, as fedmsg writes it."""
    if _HAS_YEAR(message_id) or second not in _YEARS:
        return message_id
    return f"{_iso(second)[:4]}-{message_id}"


def _text_bytes(value: object) -> bytes:
    return str(value).encode()


@lru_cache(maxsize=64)
def _iso(second: int) -> str:
    """Thousands of messages share one second."""
    return datetime.fromtimestamp(second, UTC).isoformat()


@lru_cache(maxsize=64)
def _parsed(text: str) -> int | None:
    try:
        when = datetime.fromisoformat(text)
        return floor((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def _seconds(sent_at: Any) -> int | None:
    """The second, since the epoch, that the header ``sent-at`` names; None where it names none."""
    if isinstance(sent_at, datetime):
        sent_at = sent_at.isoformat()
    return _parsed(sent_at) if isinstance(sent_at, str) else None


def _is_short(text: str) -> bool:
    """Whether it is a short string of AMQP, and not empty."""
    if not text or "\0" in text:
        return False
    return len(text) <= MAX_TOPIC if text.isascii() else _is_unicode(text) and len(text.encode()) <= MAX_TOPIC


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold it: lone surrogates it cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
