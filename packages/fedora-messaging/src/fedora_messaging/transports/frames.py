# SPDX-License-Identifier: MIT
"""The frames of a basic.publish, as one piece of bytes. Pure.

pika builds them field by field, which is a third of what publishing costs; what one application publishes
differs little from message to message, so the parts that repeat are remembered here. Whatever is not among the
common cases is left to pika's encoder, and the tests compare every byte with it.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pika import BasicProperties

    from .base import Outgoing

# AMQP 0.9.1, 2.3.5 (frames), 4.2.6.1 (the content header), 1.8.3.9 (basic.publish)
_FRAME = Struct(">BHI")
_CONTENT = Struct(">HHQ")
_SHORT, _LONG = Struct(">H"), Struct(">I")
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_BASIC, _PUBLISH = 60, 40
_TYPE, _ENCODING, _HEADERS, _MODE, _PRIORITY, _ID = 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11, 1 << 7
_REMEMBERED = 128  # characters: longer values of headers are not remembered
_INT32 = range(-(2**31), 2**31)


def publish(channel: int, message: Outgoing, body_limit: int) -> bytes:
    """The method, the content header and the body of ``message`` on ``channel``.

    ``body_limit`` is how many bytes of the body a frame may have. Raises what pika's encoder raises for
    properties that AMQP cannot hold.
    """
    body = message.body
    properties = _properties(message.properties)
    header = _CONTENT.pack(_BASIC, 0, len(body)) + properties
    parts = [
        _method(channel, message.exchange, message.topic, message.mandatory),
        _FRAME.pack(_HEADER, channel, len(header)),
        header,
        _END,
    ]
    for start in range(0, len(body), body_limit):
        piece = body[start : start + body_limit]
        parts += (_FRAME.pack(_BODY, channel, len(piece)), piece, _END)
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _method(channel: int, exchange: str, topic: str, mandatory: bool) -> bytes:
    payload = b"".join(
        (
            _SHORT.pack(_BASIC),
            _SHORT.pack(_PUBLISH),
            b"\0\0",
            _short_string(exchange),
            _short_string(topic),
            b"\1" if mandatory else b"\0",
        )
    )
    return _FRAME.pack(_METHOD, channel, len(payload)) + payload + _END


def _short_string(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw


def _properties(properties: BasicProperties) -> bytes:
    """Flags and fields, in the order of the specification."""
    if not _is_common(properties):
        return b"".join(properties.encode())
    flags, parts = _MODE, []
    if properties.content_type is not None:
        flags |= _TYPE
        parts.append(_name(properties.content_type))
    if properties.content_encoding is not None:
        flags |= _ENCODING
        parts.append(_name(properties.content_encoding))
    if properties.headers is not None:
        fields = _fields(properties.headers)
        if fields is None:
            return b"".join(properties.encode())
        flags |= _HEADERS
        parts += (_LONG.pack(len(fields)), fields)
    parts.append(bytes((properties.delivery_mode,)))
    if properties.priority is not None:
        flags |= _PRIORITY
        parts.append(bytes((properties.priority,)))
    if properties.message_id is not None:
        flags |= _ID
        parts.append(_short_string(properties.message_id))
    return _SHORT.pack(flags) + b"".join(parts)


def _is_common(properties: BasicProperties) -> bool:
    return (
        properties.delivery_mode is not None
        and properties.correlation_id is None
        and properties.reply_to is None
        and properties.expiration is None
        and properties.timestamp is None
        and properties.type is None
        and properties.user_id is None
        and properties.app_id is None
        and properties.cluster_id is None
    )


def _fields(headers: dict[str, Any]) -> bytes | None:
    """The headers' names and values; None when one is of a kind that is left to pika."""
    parts = []
    for name, value in headers.items():
        kind = type(value)
        if kind is str:
            parts.append(_text_field(name, value) if len(value) <= _REMEMBERED else _text(name, value))
        elif kind is bool:
            parts.append(_name(name) + (b"t\1" if value else b"t\0"))
        elif kind is int and value in _INT32:
            parts.append(_number_field(name, value))
        else:
            return None
    return b"".join(parts)


def _text(name: str, value: str) -> bytes:
    raw = value.encode()
    return _name(name) + b"S" + _LONG.pack(len(raw)) + raw


_name = lru_cache(maxsize=1024)(_short_string)
_text_field = lru_cache(maxsize=1024)(_text)


@lru_cache(maxsize=1024)
def _number_field(name: str, value: int) -> bytes:
    return _name(name) + b"I" + value.to_bytes(4, "big", signed=True)
