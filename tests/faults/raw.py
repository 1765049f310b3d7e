# SPDX-License-Identifier: MIT
"""Publishing over a bare socket what no client would: bytes as properties that mean nothing, or do not fit.

AMQP 0.9.1: 2.3.5 (frames), 4.2.6.1 (the content header), 4.2.5.5 (field tables).
"""

from __future__ import annotations

import socket
from struct import pack
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from types import TracebackType

TYPE, ENCODING, HEADERS, MODE, ID = 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 7
_BODY = 100_000  # bytes of a body in one frame; less than RabbitMQ's frame_max of 131,072


def short(text: bytes) -> bytes:
    """A short string."""
    return bytes([len(text)]) + text


def long(data: bytes) -> bytes:
    """A long string, or a table."""
    return pack(">I", len(data)) + data


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def _method(channel: int, class_id: int, method: int, arguments: bytes = b"") -> bytes:
    return _frame(1, channel, pack(">HH", class_id, method) + arguments)


class Raw:
    """A connection with one channel in confirm mode."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), 10)
        self._read = self._socket.makefile("rb")
        login = b"\0" + (parts.username or "").encode() + b"\0" + (parts.password or "").encode()
        self._socket.sendall(b"AMQP\0\0\x09\x01")
        self._expect(10, 10)
        self._send(_method(0, 10, 11, long(b"") + short(b"PLAIN") + long(login) + short(b"en_US")))
        self._expect(10, 30)
        self._send(_method(0, 10, 31, pack(">HIH", 10, 131072, 0)))
        self._send(_method(0, 10, 40, short(unquote(parts.path[1:]).encode()) + b"\0\0"))
        self._expect(10, 41)
        self._send(_method(1, 20, 10, b"\0"))
        self._expect(20, 11)
        self._send(_method(1, 85, 10, b"\0"))
        self._expect(85, 11)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def publish(self, body: bytes, flags: int, properties: bytes, topic: bytes = b"faults.raw") -> None:
        """To amq.topic: the properties as the bytes that follow the flags. Waits for the confirm."""
        header = pack(">HHQH", 60, 0, len(body), flags) + properties
        pieces = [body[start : start + _BODY] for start in range(0, len(body), _BODY)]
        self._send(
            _method(1, 60, 40, b"\0\0" + short(b"amq.topic") + short(topic) + b"\0"),
            _frame(2, 1, header),
            *(_frame(3, 1, piece) for piece in pieces),
        )
        self._expect(60, 80)

    def _send(self, *frames: bytes) -> None:
        self._socket.sendall(b"".join(frames))

    def _expect(self, class_id: int, method: int) -> None:
        while True:
            head = self._read.read(7)
            payload = self._read.read(int.from_bytes(head[3:7], "big") + 1)
            if head[:1] == b"\x08":  # a heartbeat
                continue
            if payload[:4] != pack(">HH", class_id, method):
                raise AssertionError(f"expected {class_id}.{method}, got {payload!r}")
            return
