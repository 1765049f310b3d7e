# SPDX-License-Identifier: MIT
"""The frames that come by the thousand, read by a short way: confirms, and deliveries. Pure.

Every other frame is pika's. What is read here is AMQP 0.9.1, 1.8.3.13 (basic.ack), 1.8.3.14 (basic.deliver) and
4.2.6 (content frames, which never mix on one channel).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pika import spec

from .base import Incoming

if TYPE_CHECKING:
    from .base import ChannelEvents

_METHOD, _HEADER, _BODY = 1, 2, 3
_HEAD = 7  # bytes of a frame before its payload
_ACK = bytes((0, 60, 0, 80))  # class and method
_DELIVER = bytes((0, 60, 0, 60))
_TAG = slice(_HEAD + 4, _HEAD + 12)  # in basic.ack
_MULTIPLE = _HEAD + 12
_SIZE = slice(_HEAD + 4, _HEAD + 12)  # of the body, in a content header
_PROPERTIES = slice(_HEAD + 12, -1)


class Shortcuts:
    """Confirms and deliveries of one channel, told to ``events``.

    ``consumers`` are the tags whose deliveries are taken.
    """

    def __init__(self, events: ChannelEvents) -> None:
        self._events = events
        self.consumers: set[str] = set()
        self._method: tuple[int, str, str, bool, str] | None = None  # of the delivery that is coming in
        self._properties = spec.BasicProperties()
        self._fault: str | None = None
        self._missing = 0  # bytes of its body
        self._pieces: list[bytes] = []

    def take(self, data: bytes) -> bool:
        """Take the frame ``data`` (whole, with its head and end), or leave it to pika: False."""
        kind = data[0]
        if kind == _METHOD:
            return self._take_method(data)
        if self._method is None:
            return False
        if kind == _HEADER:
            self._read_header(data)
        elif kind == _BODY:
            self._pieces.append(data[_HEAD:-1])
            self._missing -= len(data) - _HEAD - 1
        else:
            return False
        if self._missing <= 0:
            self._complete()
        return True

    def _take_method(self, data: bytes) -> bool:
        if data.startswith(_DELIVER, _HEAD):
            return self._begin(data)
        if data.startswith(_ACK, _HEAD):
            self._events.confirmed(int.from_bytes(data[_TAG], "big"), data[_MULTIPLE] != 0)
            return True
        return False

    def _begin(self, data: bytes) -> bool:
        consumer, position = _short_string(data, _HEAD + 4)
        if consumer not in self.consumers:
            return False
        tag = int.from_bytes(data[position : position + 8], "big")
        redelivered = data[position + 8] != 0
        exchange, position = _short_string(data, position + 9)
        topic, _ = _short_string(data, position)
        self._method = (tag, exchange, topic, redelivered, consumer)
        return True

    def _read_header(self, data: bytes) -> None:
        self._missing = int.from_bytes(data[_SIZE], "big")
        self._fault = None
        self._properties = spec.BasicProperties()
        try:
            self._properties.decode(data[_PROPERTIES])
        except Exception as error:  # noqa: BLE001 - a header of a type that pika does not know, a time out of range
            # The fault of one message, which must not end the connection: the broker would only deliver it again.
            self._fault = f"its properties cannot be read: {error!r}"
            self._properties = spec.BasicProperties()

    def _complete(self) -> None:
        assert self._method is not None  # noqa: S101 - take() looked
        tag, exchange, topic, redelivered, consumer = self._method
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._method, self._pieces = None, []
        self._events.delivered(
            Incoming(tag, exchange, topic, self._properties, body, redelivered, consumer, self._fault)
        )


def _short_string(data: bytes, position: int) -> tuple[str, int]:
    end = position + 1 + data[position]
    return str(data[position + 1 : end], "utf-8", "backslashreplace"), end
