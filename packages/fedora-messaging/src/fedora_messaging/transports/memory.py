# SPDX-License-Identifier: MIT
"""The scheme ``memory:``, a broker in this process, for tests: no socket, no installation, and faults at will.

``memory://name`` is the :class:`Broker` of that name, shared by all sessions, loops and threads of the process::

    broker = Broker.named("orders")
    broker.forbid("amq.topic", "koji.#")
    async with Session(amqp_url="memory://orders") as session: ...

It confirms, routes by topic, redelivers, dead-letters, and refuses in RabbitMQ's words. What it does not do:
persist, authenticate, expire, or prioritise.
"""

from __future__ import annotations

import asyncio
import threading
from typing import ClassVar
from urllib.parse import urlsplit

from ..exceptions import ConnectionException
from .base import Address, ChannelClosed, ConnectionEvents
from .memory_broker import State, Stored
from .memory_channel import Connection


class Broker:
    """One in-process broker. Its methods may be called from any thread.

    Those named after faults do at once what a real broker does when it is unwell.
    """

    _named: ClassVar[dict[str, Broker]] = {}

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.state = State()
        self.connections: set[Connection] = set()
        self.down: ConnectionException | None = None
        self.blocked: str | None = None
        self.unconfirmed = 0  # how many of the next messages are taken without a confirm
        self.refusals: dict[tuple[str, str], ChannelClosed] = {}
        self.closings: list[ChannelClosed] = []  # why it closed channels, each time

    @classmethod
    def named(cls, name: str) -> Broker:
        """The broker behind ``memory://name``; made at the first call."""
        return cls._named.setdefault(name, cls())

    # looking in

    def messages(self, queue: str) -> list[Stored]:
        """What waits in a queue, oldest first; nothing of what is delivered and not settled."""
        with self.lock:
            return list(self.state.queues[queue].messages)

    def queues(self) -> list[str]:
        """The names of all queues."""
        with self.lock:
            return sorted(self.state.queues)

    # faults

    def stop(self, reason: str = "connection refused", *, permanent: bool = False) -> None:
        """End all connections, and accept none until :meth:`start`. Durable queues keep their messages."""
        with self.lock:
            self.down = ConnectionException(reason=reason, permanent=permanent)
            self.kill_connections("the broker was stopped")
            self.state.restart()

    def start(self) -> None:
        """Accept connections again."""
        self.down = None

    def kill_connections(self, reason: str = "connection reset") -> None:
        """End all connections, as a network does. Messages published and not confirmed stay in their queues."""
        with self.lock:
            for connection in list(self.connections):
                connection.kill(reason)

    def close_channels(self, code: int, text: str) -> None:
        """Close every channel, as the broker does over ``consumer_timeout`` (406)."""
        with self.lock:
            for connection in self.connections:
                for channel in list(connection.channels):
                    channel.fail(ChannelClosed(code, text))

    def block(self, reason: str = "low on memory") -> None:
        """Accept no messages, until :meth:`unblock`."""
        with self.lock:
            self.blocked = reason
            for connection in self.connections:
                connection.tell(connection.events.blocked, reason)

    def unblock(self) -> None:
        """Take what was held back, and all that comes."""
        with self.lock:
            self.blocked = None
            for connection in self.connections:
                connection.tell(connection.events.unblocked)
                for channel in list(connection.channels):
                    channel.release()

    def forbid(self, exchange: str, pattern: str) -> None:
        """Refuse messages to ``exchange`` with topics that match ``pattern`` (403, closes the channel)."""
        self.refusals[exchange, pattern] = ChannelClosed(
            403, "ACCESS_REFUSED - access to topic '{topic}' in exchange '{exchange}' in vhost '/' refused"
        )

    def allow(self, exchange: str, pattern: str) -> None:
        """Undo :meth:`forbid`."""
        self.refusals.pop((exchange, pattern), None)

    def swallow_confirms(self, messages: int) -> None:
        """Take the next ``messages`` without confirming them."""
        self.unconfirmed = messages

    def delete_queue(self, name: str) -> None:
        """Delete a queue under its consumers."""
        with self.lock:
            self.state.delete_queue(name)


class Transport:
    """Connections to a :class:`Broker`."""

    def __init__(self, address: Address) -> None:
        parts = urlsplit(address.url)
        self._broker = Broker.named(parts.netloc or parts.path)

    async def connect(self, events: ConnectionEvents) -> Connection:
        """A connection, unless the broker was stopped."""
        await asyncio.sleep(0)
        with self._broker.lock:
            if (down := self._broker.down) is not None:
                raise ConnectionException(reason=down.reason, permanent=down.permanent)
            connection = Connection(self._broker, events)
            self._broker.connections.add(connection)
            if self._broker.blocked is not None:
                connection.tell(events.blocked, self._broker.blocked)
            return connection
