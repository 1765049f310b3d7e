# SPDX-License-Identifier: MIT
"""What no network can be made to do on command: two things that happen in one instant, in the worse order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pika import BasicProperties

from fedora_messaging.aio import Session
from fedora_messaging.dialer import Dialer
from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.publisher import Publisher
from fedora_messaging.statistics import Statistics
from fedora_messaging.transports import memory, memory_channel
from fedora_messaging.transports.base import Address, ChannelClosed, ChannelEvents, ConnectionEvents, Outgoing

from .support import Seen, consuming, numbered, settings, soon

if TYPE_CHECKING:
    import pytest

    from fedora_messaging.exceptions import BaseException as LibraryError

BROKER = Address("memory://instants")
TOPICS = ["first", "second", "third"]


class HastyConnection(memory_channel.Connection):
    """The broker closes its first channel in the piece of the stream that says that it is open."""

    hasty = True

    async def channel(
        self, events: ChannelEvents, *, confirms: bool = False, prefetch: int = 0
    ) -> memory_channel.Channel:
        channel = await super().channel(events, confirms=confirms, prefetch=prefetch)
        if confirms and self.hasty:
            self.hasty = False
            await channel.close()
            events.closed(ChannelClosed(541, "INTERNAL_ERROR"))
        return channel


async def publish_each(publisher: Publisher) -> dict[str, LibraryError | None]:
    """Publish one after the other; the outcomes by topic."""
    outcomes: dict[str, LibraryError | None] = {}
    for topic in TOPICS:
        done = asyncio.Event()

        def tell(error: LibraryError | None, topic: str = topic, done: asyncio.Event = done) -> None:
            outcomes[topic] = error
            done.set()

        publisher.submit(Outgoing("amq.topic", topic, BasicProperties(), b"{}"), 2, tell)
        await done.wait()
    return outcomes


def test_nothing_is_published_on_a_channel_that_closes_while_it_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "Connection", HastyConnection)  # where the transport takes it from

    async def scenario() -> dict[str, LibraryError | None]:
        setup = await (await memory.Transport(BROKER).connect(ConnectionEvents())).channel(ChannelEvents())
        await setup.declare_queue("faults", {"durable": True})
        await setup.bind("faults", "amq.topic", "#")
        publisher = Publisher(Dialer([BROKER], "publishing"), Statistics())
        outcomes = await publish_each(publisher)
        await publisher.close()
        return outcomes

    outcomes = asyncio.run(scenario())
    assert outcomes == dict.fromkeys(TOPICS)
    assert [stored.topic for stored in memory.Broker.named("instants").messages("faults")] == TOPICS


def test_a_connection_that_is_lost_while_it_opens_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = memory.Transport.connect
    to_lose = [False, True, True]

    async def connect_and_lose(self: memory.Transport, events: ConnectionEvents) -> memory_channel.Connection:
        connection = await connect(self, events)
        if to_lose and to_lose.pop(0):
            await connection.close()
            events.lost(ConnectionException(reason="in the same instant"))
        return connection

    monkeypatch.setattr(memory.Transport, "connect", connect_and_lose)
    broker = memory.Broker.named("instants-consuming")
    seen = Seen()

    async def scenario() -> None:
        conf = settings("memory://instants-consuming")
        async with Session(conf) as session, consuming(session, seen):
            broker.kill_connections()
            await soon(lambda: session.statistics.reconnects == 3, "three losses", 20)
            async with Session(conf) as speaker:
                await speaker.publish(numbered([0])[0])
            await seen.has([0], 20)

    asyncio.run(scenario())
    assert not to_lose
