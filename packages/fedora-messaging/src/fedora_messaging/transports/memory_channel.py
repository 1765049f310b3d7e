# SPDX-License-Identifier: MIT
"""Connections and channels of the broker in this process: what the seam asks for, on :mod:`.memory_broker`'s state.

The broker itself, its name and its faults are :mod:`.memory`'s.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

from pika import BasicProperties

from ..exceptions import ConnectionException
from ..topics import matches
from .base import ChannelClosed, ChannelEvents, ConnectionEvents, Incoming, Outgoing, Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .memory import Broker
    from .memory_broker import Queue, Stored


class Connection:
    """See :class:`.base.Connection`."""

    def __init__(self, broker: Broker, events: ConnectionEvents) -> None:
        self.broker = broker
        self.events = events
        self.channels: list[Channel] = []
        self._loop = asyncio.get_running_loop()
        self._open = True

    def tell(self, event: Callable[..., None], *facts: object) -> None:
        """Call back on the owner's loop, unless the connection has ended by then."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: event(*facts) if self._open else None)

    async def channel(self, events: ChannelEvents, *, confirms: bool = False, prefetch: int = 0) -> Channel:
        """Open a channel."""
        await asyncio.sleep(0)
        with self.broker.lock:
            if self not in self.broker.connections:  # perhaps the owner has not heard of that yet
                raise ConnectionException(reason="the connection is closed")
            channel = Channel(self, events, confirms, prefetch)
            self.channels.append(channel)
            return channel

    async def close(self) -> None:
        """Close; what is unsettled returns to its queues."""
        self.abandon()
        await asyncio.sleep(0)

    def abandon(self) -> None:
        """The same: there is no socket to save."""
        with self.broker.lock:
            self._open = False
            self._end()

    def kill(self, reason: str) -> None:
        """End it from the broker's side."""
        error = ConnectionException(reason=reason)

        def lose() -> None:
            was_open, self._open = self._open, False
            if was_open:
                self.events.lost(error)

        self._end()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lose)

    def _end(self) -> None:
        self.broker.connections.discard(self)
        for channel in list(self.channels):
            channel.end()
        state = self.broker.state
        for queue in [queue for queue in state.queues.values() if queue.owner is self]:
            state.delete_queue(queue.name)


class Channel:
    """See :class:`.base.Channel`."""

    def __init__(self, connection: Connection, events: ChannelEvents, confirms: bool, prefetch: int) -> None:
        self._connection = connection
        self._broker = connection.broker
        self._events = events
        self._confirms = confirms
        self._prefetch = prefetch
        self._published = 0
        self._held: list[tuple[int, Outgoing]] = []
        self._tags = count(1)
        self._unsettled: dict[int, tuple[Queue, Stored, str]] = {}
        self._out: dict[str, int] = {}  # consumer → how many are unsettled
        self._open = True

    # ending

    def fail(self, error: ChannelClosed) -> None:
        """Close it from the broker's side."""
        if self._open:
            self._broker.closings.append(error)
            self.end()
            self._connection.tell(self._events.closed, error)

    def end(self) -> None:
        """What is unsettled returns to its queues; consumers end."""
        self._open = False
        if self in self._connection.channels:
            self._connection.channels.remove(self)
        for queue in list(self._broker.state.queues.values()):
            mine = [tag for tag in queue.consumers if tag in self._out]
            for tag in mine:
                self._drop_consumer(queue, tag)
        for _, (queue, stored, _consumer) in sorted(self._unsettled.items(), reverse=True):
            queue.give_back(stored)
        touched = {queue for queue, _, _ in self._unsettled.values()}
        self._unsettled.clear()
        for queue in touched:
            queue.drain()

    def _drop_consumer(self, queue: Queue, tag: str) -> None:
        del queue.consumers[tag]
        queue.cancelled.pop(tag, None)
        if queue.settings["auto_delete"] and not queue.consumers:
            self._broker.state.delete_queue(queue.name)

    # publishing

    def publish(self, message: Outgoing) -> None:
        """Take a message, or hold it while the broker is blocked."""
        with self._broker.lock:
            if not self._open:
                return
            self._published += 1
            if self._broker.blocked is not None:
                self._held.append((self._published, message))
            else:
                self._take(self._published, message)

    async def rehearse(self, message: Outgoing) -> None:
        """Whether the message would be taken."""
        with self._call():
            self._check_allowed(message)
            if message.exchange:
                self._broker.state.exchange(message.exchange)

    def flush(self) -> None:
        """Nothing is kept back here."""

    def release(self) -> None:
        """Take what was held."""
        held, self._held = self._held, []
        for tag, message in held:
            self._take(tag, message)

    def _take(self, tag: int, message: Outgoing) -> None:
        if not self._open:
            return
        try:
            self._check_allowed(message)
            routed, taken = self._broker.state.publish(message)
        except ChannelClosed as error:
            self.fail(error)
            return
        if message.mandatory and not routed:
            returned = Returned(
                message.exchange, message.topic, message.properties.message_id, "NO_ROUTE (312)"
            )
            self._connection.tell(self._events.returned, returned)
        if self._broker.unconfirmed:
            self._broker.unconfirmed -= 1
        elif self._confirms:
            self._connection.tell(self._events.confirmed if taken else self._events.refused, tag, False)

    def _check_allowed(self, message: Outgoing) -> None:
        for (exchange, pattern), refusal in self._broker.refusals.items():
            if exchange == message.exchange and matches(pattern, message.topic):
                text = refusal.text.format(topic=message.topic, exchange=message.exchange)
                raise ChannelClosed(refusal.code, text)

    # consuming

    async def consume(self, queue: str, arguments: Mapping[str, Any] | None = None) -> str:  # noqa: ARG002
        """Deliver from ``queue`` as the prefetch count allows; ``arguments`` mean nothing here."""
        with self._call():
            source = self._broker.state.queue(queue, self._connection)
            tag = f"ctag-{id(self):x}-{len(self._out)}"
            self._out[tag] = 0
            source.consumers[tag] = lambda queue, stored: self._deliver(tag, queue, stored)
            source.cancelled[tag] = lambda: self._connection.tell(self._events.cancelled, tag)
            self._connection.tell(lambda: self._drain(queue))
        await asyncio.sleep(0)
        return tag

    def _drain(self, queue: str) -> None:
        with self._broker.lock:
            if queue in self._broker.state.queues:
                self._broker.state.queues[queue].drain()

    def _deliver(self, consumer: str, queue: Queue, stored: Stored) -> bool:
        if not self._open or (self._prefetch and self._out[consumer] >= self._prefetch):
            return False
        tag = next(self._tags)
        self._unsettled[tag] = (queue, stored, consumer)
        self._out[consumer] += 1
        properties = BasicProperties()
        properties.decode(stored.properties)
        incoming = Incoming(
            tag, stored.exchange, stored.topic, properties, stored.body, stored.redelivered, consumer
        )
        self._connection.tell(self._events.delivered, incoming)
        return True

    def ack(self, tag: int, multiple: bool = False) -> None:
        """Forget it."""
        with self._broker.lock:
            tags = [one for one in self._unsettled if one == tag or (multiple and one < tag)]
            if not tags:
                self._fail_unknown(tag)
            for queue in {self._settle(one)[0] for one in tags}:
                queue.drain()

    def reject(self, tag: int, requeue: bool) -> None:
        """Put it back where it was, or dead-letter it."""
        with self._broker.lock:
            if tag not in self._unsettled:
                self._fail_unknown(tag)
                return
            queue, stored = self._settle(tag)
            if requeue:
                queue.give_back(stored)
            else:
                self._broker.state.dead_letter(queue, stored)
            queue.drain()

    def _fail_unknown(self, tag: int) -> None:
        self.fail(ChannelClosed(406, f"PRECONDITION_FAILED - unknown delivery tag {tag}"))

    def _settle(self, tag: int) -> tuple[Queue, Stored]:
        queue, stored, consumer = self._unsettled.pop(tag)
        self._out[consumer] -= 1
        return queue, stored

    async def cancel(self, consumer: str) -> None:
        """End deliveries."""
        with self._call():
            for queue in list(self._broker.state.queues.values()):
                if consumer in queue.consumers:
                    self._drop_consumer(queue, consumer)

    # declaring

    def _call(self) -> _Call:
        return _Call(self)

    async def declare_exchange(self, name: str, settings: Mapping[str, Any], passive: bool = False) -> None:
        """As exchange.declare."""
        with self._call():
            self._broker.state.declare_exchange(name, settings, passive)

    async def declare_queue(self, name: str, settings: Mapping[str, Any], passive: bool = False) -> str:
        """As queue.declare."""
        with self._call():
            return self._broker.state.declare_queue(name, settings, passive, self._connection)

    async def delete_queue(self, name: str) -> None:
        """As queue.delete."""
        with self._call():
            self._broker.state.delete_queue(name)

    async def bind(
        self, queue: str, exchange: str, topic: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        """As queue.bind; ``arguments`` are for headers exchanges, which this broker lacks."""
        del arguments
        with self._call():
            target = self._broker.state.queue(queue, self._connection)
            self._broker.state.exchange(exchange).bind(target, topic)

    async def unbind(
        self, queue: str, exchange: str, topic: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        """As queue.unbind; ``arguments`` mean nothing here."""
        del arguments
        with self._call():
            target = self._broker.state.queue(queue, self._connection)
            self._broker.state.exchange(exchange).unbind(target, topic)

    async def close(self) -> None:
        """Close; what is unsettled returns to its queues."""
        with self._broker.lock:
            if self._open:
                self.end()
        await asyncio.sleep(0)


class _Call:
    """One synchronous method: holds the broker's lock, and closes the channel when it is refused."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __enter__(self) -> None:
        self._channel._broker.lock.acquire()  # noqa: SLF001 - of this module
        if not self._channel._open:  # noqa: SLF001 - of this module
            self._channel._broker.lock.release()  # noqa: SLF001 - of this module
            raise ConnectionException(reason="the channel is closed")

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ChannelClosed):
            self._channel._broker.closings.append(error)  # noqa: SLF001 - of this module
            self._channel.end()
        self._channel._broker.lock.release()  # noqa: SLF001 - of this module
