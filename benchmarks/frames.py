# SPDX-License-Identifier: MIT
"""AMQP 0.9.1 as bytes: as much as the limit needs to shake hands, publish and consume. Pure; no sockets here.

Numbers and layouts are those of the specification's "4.2 AMQP Wire-Level Format" and of its generated
method reference; ``confirm.select`` and ``basic.nack`` are RabbitMQ's extensions.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = 0xCE
#: type, channel, size of the payload.
FRAME_HEAD = struct.Struct(">BHI")
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"

Method = tuple[int, int]
CONNECTION_START, CONNECTION_START_OK = (10, 10), (10, 11)
CONNECTION_TUNE, CONNECTION_TUNE_OK = (10, 30), (10, 31)
CONNECTION_OPEN, CONNECTION_OPEN_OK = (10, 40), (10, 41)
CONNECTION_CLOSE, CONNECTION_CLOSE_OK = (10, 50), (10, 51)
CHANNEL_OPEN, CHANNEL_OPEN_OK = (20, 10), (20, 11)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)
EXCHANGE_DECLARE, EXCHANGE_DECLARE_OK = (40, 10), (40, 11)
QUEUE_DECLARE, QUEUE_DECLARE_OK = (50, 10), (50, 11)
QUEUE_BIND, QUEUE_BIND_OK = (50, 20), (50, 21)
QUEUE_PURGE, QUEUE_PURGE_OK = (50, 30), (50, 31)
BASIC_QOS, BASIC_QOS_OK = (60, 10), (60, 11)
BASIC_CONSUME, BASIC_CONSUME_OK = (60, 20), (60, 21)
BASIC_PUBLISH, BASIC_DELIVER = (60, 40), (60, 60)
BASIC_ACK, BASIC_NACK = (60, 80), (60, 120)

DURABLE = 0b10
ACK_WITH_MULTIPLE = 1


class Frame(NamedTuple):
    """One frame: its kind (``METHOD``, ``HEADER``, ``BODY``, or 8 for a heartbeat) and its payload."""

    kind: int
    payload: bytes

    @property
    def method(self) -> Method:
        """Class and method number of a method frame."""
        first, second = struct.unpack_from(">HH", self.payload)
        return first, second


def short_string(text: str) -> bytes:
    """At most 255 bytes, with its length in front."""
    raw = text.encode()
    return bytes([len(raw)]) + raw


def long_string(raw: bytes) -> bytes:
    """Bytes with their length in front."""
    return struct.pack(">I", len(raw)) + raw


def table(fields: Mapping[str, str | int]) -> bytes:
    """A field table of strings (``S``) and 32 bit integers (``I``)."""
    encoded = b"".join(short_string(name) + _field(value) for name, value in fields.items())
    return long_string(encoded)


def _field(value: str | int) -> bytes:
    if isinstance(value, int):
        return b"I" + struct.pack(">i", value)
    return b"S" + long_string(value.encode())


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """One frame, ready to be sent."""
    return FRAME_HEAD.pack(kind, channel, len(payload)) + payload + bytes([FRAME_END])


def method(number: Method, channel: int, arguments: bytes = b"") -> bytes:
    """A method frame."""
    return frame(METHOD, channel, struct.pack(">HH", *number) + arguments)


def start_ok(user: str, password: str) -> bytes:
    """The answer to ``connection.start``: PLAIN authentication, no client properties."""
    response = f"\0{user}\0{password}".encode()
    return method(
        CONNECTION_START_OK,
        0,
        table({}) + short_string("PLAIN") + long_string(response) + short_string("en_US"),
    )


def server_version(start: bytes) -> str:
    """The broker's version, from the server properties in ``connection.start``; empty when it is not there."""
    name = short_string("version") + b"S"
    _, found, rest = start.partition(name)
    return rest[4 : 4 + int.from_bytes(rest[:4], "big")].decode() if found else ""


def close_connection() -> bytes:
    """``connection.close``: all is well (200), and no method is to blame."""
    arguments = struct.pack(">H", 200) + short_string("") + struct.pack(">HH", 0, 0)
    return method(CONNECTION_CLOSE, 0, arguments)


def publish(
    exchange: str,
    topic: str,
    body: bytes,
    *,
    headers: Mapping[str, str | int],
    message_id: str,
    channel: int = 1,
) -> bytes:
    """The three frames of a persistent JSON message that fits into one body frame."""
    arguments = struct.pack(">H", 0) + short_string(exchange) + short_string(topic) + b"\0"
    return b"".join(
        (
            method(BASIC_PUBLISH, channel, arguments),
            frame(HEADER, channel, _content_header(len(body), headers, message_id)),
            frame(BODY, channel, body),
        )
    )


def _content_header(size: int, headers: Mapping[str, str | int], message_id: str) -> bytes:
    """Properties in the order of their flags, from bit 15: content type, content encoding, headers, delivery
    mode (12); message id (7).
    """
    flags = 1 << 15 | 1 << 14 | 1 << 13 | 1 << 12 | 1 << 7
    return (
        struct.pack(">HHQH", 60, 0, size, flags)
        + short_string("application/json")
        + short_string("utf-8")
        + table(headers)
        + b"\x02"
        + short_string(message_id)
    )


def declare_exchange(name: str) -> bytes:
    """``exchange.declare`` of a durable topic exchange on channel 1."""
    names = short_string(name) + short_string("topic")
    return method(EXCHANGE_DECLARE, 1, struct.pack(">H", 0) + names + bytes([DURABLE]) + table({}))


def declare_queue(name: str, *, passive: bool = False) -> bytes:
    """``queue.declare`` of a durable classic queue on channel 1."""
    flags = DURABLE | passive
    return method(QUEUE_DECLARE, 1, struct.pack(">H", 0) + short_string(name) + bytes([flags]) + table({}))


def bind_queue(name: str, exchange: str, topic: str) -> bytes:
    """``queue.bind`` on channel 1."""
    names = short_string(name) + short_string(exchange) + short_string(topic)
    return method(QUEUE_BIND, 1, struct.pack(">H", 0) + names + b"\0" + table({}))


def purge_queue(name: str) -> bytes:
    """``queue.purge`` on channel 1."""
    return method(QUEUE_PURGE, 1, struct.pack(">H", 0) + short_string(name) + b"\0")


def qos(prefetch: int) -> bytes:
    """``basic.qos``: ``prefetch`` unsettled deliveries for each consumer."""
    return method(BASIC_QOS, 1, struct.pack(">IHB", 0, prefetch, 0))


def consume(queue: str, arguments: Mapping[str, str | int] | None = None) -> bytes:
    """``basic.consume`` with acks, not exclusive, tag chosen by the broker."""
    return method(
        BASIC_CONSUME, 1, struct.pack(">H", 0) + short_string(queue) + b"\0\0" + table(arguments or {})
    )


def ack(tag: int) -> bytes:
    """``basic.ack`` of ``tag`` and all deliveries before it."""
    return method(BASIC_ACK, 1, struct.pack(">QB", tag, ACK_WITH_MULTIPLE))


def settled(payload: bytes) -> tuple[int, bool]:
    """Tag and ``multiple`` of the ``basic.ack`` in ``payload``."""
    tag, flags = struct.unpack_from(">QB", payload, 4)
    return tag, bool(flags & ACK_WITH_MULTIPLE)


def delivery_tag(payload: bytes) -> int:
    """The tag of the ``basic.deliver`` in ``payload``; the consumer's tag stands before it."""
    (tag,) = struct.unpack_from(">Q", payload, 5 + payload[4])
    return int(tag)


class FrameReader:
    """Cuts the stream of bytes into frames; keeps what is not complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with ``data``."""
        data = self._rest + data if self._rest else data
        frames: list[Frame] = []
        position, end = 0, len(data)
        while end - position >= FRAME_HEAD.size:
            kind, _, size = FRAME_HEAD.unpack_from(data, position)
            after = position + FRAME_HEAD.size + size + 1
            if after > end:
                break
            frames.append(Frame(kind, data[position + FRAME_HEAD.size : after - 1]))
            position = after
        self._rest = data[position:]
        return frames
