# SPDX-License-Identifier: MIT
"""The seam: what the rest of the library needs of a broker, and nothing more.

A *transport* opens *connections* to one address; a connection opens *channels*; a channel publishes,
declares, consumes and settles. What the broker says by itself arrives as calls on the ``…Events`` objects,
always on the event loop that opened the connection. ``transports.amqp`` is the real thing,
``transports.memory`` the one in this process. Nothing here does I/O.

A package adds a scheme by an entry point in the group ``fedora_messaging.transports``: its name is the URL's
scheme, its value a class that is called with an :class:`Address` and meets :class:`Transport`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pika import BasicProperties

    from ..exceptions import ConnectionException


@dataclass(frozen=True, slots=True)
class Address:
    """One broker, and how to introduce oneself.

    ``url`` is the whole URL of one host, which may hold a password and so is not in the ``repr``; ``tls`` has
    ``ca_cert``, ``certfile``, ``keyfile`` (paths or None); ``client_properties`` go to the broker as they are.
    """

    url: str = field(repr=False)
    tls: Mapping[str, str | None] = field(default_factory=dict)
    client_properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Outgoing:
    """A message on its way to the broker, encoded. ``topic`` is the whole routing key, at most 255 bytes."""

    exchange: str
    topic: str
    properties: BasicProperties
    body: bytes
    mandatory: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Incoming:
    """A message as the broker delivered it; ``tag`` counts from 1 in its channel.

    ``fault`` says why its properties could not be read from the wire; they are then empty.
    """

    tag: int
    exchange: str
    topic: str
    properties: BasicProperties
    body: bytes
    redelivered: bool
    consumer: str
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """A mandatory message that no queue took (basic.return). ``message_id`` may be None."""

    exchange: str
    topic: str
    message_id: str | None
    reason: str


class ChannelClosed(Exception):
    """The broker closed the channel. ``code`` and ``text`` are its own (AMQP 0.9.1, 1.1 reply codes)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"({code}) {text}")
        self.code = code
        self.text = text


class ConnectionEvents:
    """What a connection tells its owner, who overrides what it wants to know."""

    def lost(self, error: ConnectionException) -> None:
        """The connection is gone, and its channels with it. Called once; not after :meth:`Connection.close`."""

    def blocked(self, reason: str) -> None:
        """The broker accepts no messages on this connection (memory or disk alarm)."""

    def unblocked(self) -> None:
        """It does again."""


class ChannelEvents:
    """What a channel tells its owner, who overrides what it wants to know.

    After ``closed``, or the connection's ``lost``, nothing more comes.
    """

    def confirmed(self, tag: int, multiple: bool) -> None:
        """The broker has the message ``tag`` (with ``multiple``: and all before it)."""

    def refused(self, tag: int, multiple: bool) -> None:
        """The broker could not take the message ``tag`` (basic.nack)."""

    def returned(self, message: Returned) -> None:
        """No queue took the mandatory message; its confirm follows."""

    def delivered(self, message: Incoming) -> None:
        """A message from a queue consumed on this channel."""

    def cancelled(self, consumer: str) -> None:
        """The broker ended this consumer: its queue is gone, or its node is."""

    def closed(self, error: ChannelClosed) -> None:
        """The broker closed the channel: nothing in flight on it will be settled any more."""


class Channel(Protocol):
    """One channel. The coroutines raise :class:`ChannelClosed` when the broker refuses (which also closes the
    channel, and is then not reported by ``closed``), and ``ConnectionException`` when the connection goes.
    The plain methods only hand over: on a closed channel they do nothing, since ``closed`` or ``lost`` told.
    """

    def publish(self, message: Outgoing) -> None:
        """Send it. Tags of confirms count the calls on this channel from 1."""

    async def rehearse(self, message: Outgoing) -> None:
        """Publish in a transaction that is taken back: does the broker let us? Nothing is routed, whoever we are.

        For a channel without confirms, on which nothing else is published.
        """

    def flush(self) -> None:
        """Send now what was handed over; otherwise it goes at the end of this turn of the loop, in one piece."""

    def ack(self, tag: int, multiple: bool = False) -> None:
        """The delivery ``tag`` (with ``multiple``: and all before it) is done with."""

    def reject(self, tag: int, requeue: bool) -> None:
        """The delivery ``tag`` goes back to the queue, or to its dead-letter exchange."""

    async def declare_exchange(self, name: str, settings: Mapping[str, Any], passive: bool = False) -> None:
        """Declare, or with ``passive`` only look; keys ``type``, ``durable``, ``auto_delete``, ``arguments``."""

    async def declare_queue(self, name: str, settings: Mapping[str, Any], passive: bool = False) -> str:
        """The queue's name (the broker's choice for ``""``); keys ``durable``, ``auto_delete``, ``exclusive``,
        ``arguments``.
        """

    async def delete_queue(self, name: str) -> None:
        """Delete it, with what is in it; one that does not exist is fine."""

    async def bind(
        self, queue: str, exchange: str, topic: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Let ``queue`` have what ``exchange`` gets with a matching topic."""

    async def unbind(
        self, queue: str, exchange: str, topic: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Undo :meth:`bind` with the same four; a binding that does not exist is fine."""

    async def consume(self, queue: str, arguments: Mapping[str, Any] | None = None) -> str:
        """Start deliveries; returns the consumer's tag. ``arguments`` are the broker's own (basic.consume)."""

    async def cancel(self, consumer: str) -> None:
        """End deliveries; what is unsettled stays so."""

    async def close(self) -> None:
        """Close; deliveries that are not settled go back to their queues. No ``closed`` follows."""


class Connection(Protocol):
    """One connection to a broker."""

    async def channel(self, events: ChannelEvents, *, confirms: bool = False, prefetch: int = 0) -> Channel:
        """Open a channel; ``prefetch`` bounds unsettled deliveries a consumer (0: no bound).

        Raises ``NoFreeChannels`` at the broker's limit.
        """

    async def close(self) -> None:
        """Say goodbye, bounded in time. Never raises; ``lost`` is not called."""

    def abandon(self) -> None:
        """Drop the socket without a word (in a forked child: it belongs to the parent). ``lost`` is not called."""


class Transport(Protocol):
    """Opens connections to one address."""

    async def connect(self, events: ConnectionEvents) -> Connection:
        """An open, authenticated connection; ``ConnectionException`` with reason and ``permanent`` otherwise."""
