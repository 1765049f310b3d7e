# SPDX-License-Identifier: MIT
"""The limit: what RabbitMQ gives a client that does nothing but move bytes.

Frames are encoded beforehand and sent over one bare blocking socket; what comes back is counted, not decoded.
It also sets the stage for the other contestants: declares, fills and empties their queue. A tool of the
benchmark, with no care for errors beyond stopping at them; nothing of the library may import it.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from . import frames, payload
from .frames import Frame, FrameReader, Method
from .meter import Meter, latencies

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_SIZE = 1 << 18


class LimitError(Exception):
    """The broker said something that was not expected."""


class ConfirmCount:
    """Counts settled publishes; confirms of RabbitMQ may arrive in any order, some for many at once."""

    def __init__(self) -> None:
        self.settled = 0
        self._below = 0
        self._alone: set[int] = set()

    def note(self, tag: int, multiple: bool) -> None:
        """A confirm arrived."""
        if multiple:
            done_alone = {one for one in self._alone if one <= tag}
            self._alone -= done_alone
            self.settled += tag - self._below - len(done_alone)
            self._below = tag
        else:
            self._alone.add(tag)
            self.settled += 1


class Bare:
    """One connection with one channel, opened by a minimal handshake; ``version`` is the broker's.

    ``confirmed`` counts the messages of :func:`send_within_window`.
    """

    def __init__(self, amqp_url: str) -> None:
        url = urlsplit(amqp_url)
        self._socket = socket.create_connection((url.hostname or "127.0.0.1", url.port or 5672))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = FrameReader()
        self._early: list[Frame] = []
        self.confirmed = ConfirmCount()
        self._shake_hands(url.username or "guest", url.password or "guest", unquote(url.path[1:]) or "/")

    def _shake_hands(self, user: str, password: str, vhost: str) -> None:
        self.send(frames.PROTOCOL_HEADER)
        self.version = frames.server_version(self.wait(frames.CONNECTION_START))
        self.send(frames.start_ok(user, password))
        channels, frame_size = struct.unpack_from(">HI", self.wait(frames.CONNECTION_TUNE), 4)
        no_heartbeat = 0
        limits = struct.pack(">HIH", channels, frame_size, no_heartbeat)
        self.send(frames.method(frames.CONNECTION_TUNE_OK, 0, limits))
        open_ = frames.method(frames.CONNECTION_OPEN, 0, frames.short_string(vhost) + b"\0\0")
        self.call(open_, frames.CONNECTION_OPEN_OK)
        self.call(frames.method(frames.CHANNEL_OPEN, 1, b"\0"), frames.CHANNEL_OPEN_OK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._say_goodbye()
        self._socket.close()

    def _say_goodbye(self) -> None:
        """Close in order: closing the socket over unread bytes resets it, and the last acks are lost with it."""
        self.send(frames.close_connection())
        while not any(
            received.kind == frames.METHOD and received.method == frames.CONNECTION_CLOSE_OK
            for received in self.receive()
        ):
            pass

    def timeout(self, seconds: float | None) -> None:
        """How long to wait for bytes from the broker; ``TimeoutError`` after that."""
        self._socket.settimeout(seconds)

    def send(self, data: bytes) -> None:
        """All of ``data``."""
        self._socket.sendall(data)

    def receive(self) -> list[Frame]:
        """The frames that have come; waits for at least a few bytes."""
        if self._early:
            early, self._early = self._early, []
            return early
        data = self._socket.recv(READ_SIZE)
        if not data:
            raise LimitError("The broker closed the connection")
        return self._reader.feed(data)

    def wait(self, wanted: Method) -> bytes:
        """The payload of the next method, which must be ``wanted``; later frames are kept."""
        while True:
            received = self.receive()
            if not received:
                continue
            first, self._early = received[0], received[1:]
            if first.method != wanted:
                raise LimitError(f"Expected {wanted}, the broker sent {first.method}: {first.payload!r}")
            return first.payload

    def call(self, request: bytes, answer: Method) -> bytes:
        """Send ``request`` and wait for ``answer``."""
        self.send(request)
        return self.wait(answer)

    def confirms(self) -> None:
        """Let the broker confirm what is published from here on."""
        self.call(frames.method(frames.CONFIRM_SELECT, 1, b"\0"), frames.CONFIRM_SELECT_OK)

    def prepare_queue(self, exchange: str = payload.EXCHANGE, queue: str = payload.QUEUE) -> None:
        """A durable queue, bound and empty; the exchange is made if the broker has none of that name."""
        if not exchange.startswith("amq."):
            self.call(frames.declare_exchange(exchange), frames.EXCHANGE_DECLARE_OK)
        self.call(frames.declare_queue(queue), frames.QUEUE_DECLARE_OK)
        self.call(frames.bind_queue(queue, exchange, payload.TOPIC), frames.QUEUE_BIND_OK)
        self.purge(queue)

    def purge(self, queue: str = payload.QUEUE) -> int:
        """Empty the queue; how many messages that were."""
        ok = self.call(frames.purge_queue(queue), frames.QUEUE_PURGE_OK)
        return int.from_bytes(ok[-4:])

    def queue_counts(self, queue: str = payload.QUEUE) -> tuple[int, int]:
        """How many messages wait in the queue, and how many consumers it has."""
        ok = self.call(frames.declare_queue(queue, passive=True), frames.QUEUE_DECLARE_OK)
        messages, consumers = struct.unpack(">II", ok[-8:])
        return messages, consumers


HEADERS = {"": payload.HEADERS, "bridged": payload.BRIDGED_HEADERS, "signed": payload.SIGNED_HEADERS}


def encode_messages(count: int, kind: str = "") -> list[bytes]:
    """``count`` messages as frames, each with an id of its own; ``kind`` is one of ``HEADERS``."""
    body = payload.encoded_body()
    headers = HEADERS[kind]
    return [
        frames.publish(
            payload.EXCHANGE,
            payload.TOPIC,
            body,
            headers=headers,
            message_id=payload.message_id(number),
        )
        for number in range(count)
    ]


def round_trips(bare: Bare, count: int, warm_up: int) -> dict[str, float]:
    """One publish and its confirm, alone: ``count`` times after the first ``warm_up``."""
    messages = encode_messages(count)
    seconds: list[float] = []
    bare.confirms()
    send_within_window(bare, encode_messages(warm_up), 1)
    meter = Meter()
    for message in messages:
        begun = time.perf_counter()
        bare.call(message, frames.BASIC_ACK)
        seconds.append(time.perf_counter() - begun)
    return meter.result(count) | latencies(seconds)


def publish(bare: Bare, count: int, window: int, warm_up: int, kind: str = "") -> dict[str, float]:
    """Pipelined publishing of ``count`` messages, at most ``window`` unconfirmed, after the first ``warm_up``."""
    messages = encode_messages(count, kind)
    bare.confirms()
    send_within_window(bare, encode_messages(warm_up), window)
    meter = Meter()
    send_within_window(bare, messages, window)
    return meter.result(count)


def send_within_window(bare: Bare, messages: Sequence[bytes], window: int) -> None:
    """Publish all, with at most ``window`` unconfirmed at any time; returns when all are confirmed."""
    before, sent = bare.confirmed.settled, 0
    while (settled := bare.confirmed.settled - before) < len(messages):
        room = min(window - (sent - settled), len(messages) - sent)
        if room:
            bare.send(b"".join(messages[sent : sent + room]))
            sent += room
        for received in bare.receive():
            if received.method != frames.BASIC_ACK:
                raise LimitError(f"Instead of a confirm the broker sent {received.method}")
            bare.confirmed.note(*frames.settled(received.payload))


def consume(bare: Bare, count: int, prefetch: int, warm_up: int) -> dict[str, float]:
    """Take ``count`` messages after the first ``warm_up``, acking once for all that one read brought."""
    bare.call(frames.qos(prefetch), frames.BASIC_QOS_OK)
    bare.call(frames.consume(payload.QUEUE), frames.BASIC_CONSUME_OK)
    first = take_deliveries(bare, warm_up)
    meter = Meter()
    last = take_deliveries(bare, first + count)
    return meter.result(last - first) | {"handled": last}


def take_deliveries(bare: Bare, last: int) -> int:
    """Acks deliveries until the tag ``last``, or a few more; returns the tag reached."""
    tag = complete = 0
    while tag < last:
        before = tag
        for kind, content in bare.receive():
            if kind == frames.BODY:
                tag = complete
            elif kind == frames.METHOD:
                complete = frames.delivery_tag(content)
        if tag > before:
            bare.send(frames.ack(tag))
    return tag


def delivered(bare: Bare, count: int) -> dict[int, float]:
    """When each of ``count`` messages, by its number, was delivered; the consumer is there already."""
    got_at: dict[int, float] = {}
    tag = 0
    while len(got_at) < count:
        received = bare.receive()
        now = time.perf_counter()
        for kind, content in received:
            if kind == frames.METHOD:
                tag = frames.delivery_tag(content)
            for number in payload.numbers(content):  # in the header, or in the body where the id is another
                got_at.setdefault(number, now)
        if received and kind == frames.BODY:
            bare.send(frames.ack(tag))
    return got_at


def paced(bare: Bare, count: int, rate: int, warm_up: int) -> dict[str, float]:
    """From the send of one message to its delivery to a consumer, ``rate`` times a second. One process does both."""
    bare.call(frames.consume(payload.QUEUE), frames.BASIC_CONSUME_OK)
    messages = encode_messages(warm_up + count)
    seconds: list[float] = []
    begun = time.perf_counter()
    for number, message in enumerate(messages):
        time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        sent_at = time.perf_counter()
        bare.send(message)
        seconds += [got_at - sent_at for got_at in delivered(bare, 1).values()]
    return {"messages": count, "handled": 0} | latencies(seconds[warm_up:])


def fill_queue(bare: Bare, count: int, queue: str = payload.QUEUE, window: int = 1000) -> None:
    """Empty the queue and put ``count`` messages there."""
    bare.prepare_queue(queue=queue)
    bare.confirms()
    send_within_window(bare, encode_messages(count), window)
