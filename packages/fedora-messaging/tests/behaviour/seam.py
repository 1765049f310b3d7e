# SPDX-License-Identifier: MIT
"""A connection and a channel of a transport, and all that they say."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from pika import BasicProperties

from fedora_messaging.transports import for_address
from fedora_messaging.transports.base import (
    Address,
    ChannelClosed,
    ChannelEvents,
    ConnectionEvents,
    Incoming,
    Outgoing,
    Returned,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fedora_messaging.exceptions import ConnectionException
    from fedora_messaging.transports.base import Channel, Connection

    from .buses import Bus


class Said(ConnectionEvents, ChannelEvents):
    """Everything that a connection and its channel said, in order."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.more = asyncio.Event()

    def _note(self, what: Any) -> None:
        self.all.append(what)
        self.more.set()

    def lost(self, error: ConnectionException) -> None:
        self._note(("lost", error))

    def blocked(self, reason: str) -> None:
        self._note(("blocked", reason))

    def unblocked(self) -> None:
        self._note("unblocked")

    def confirmed(self, tag: int, multiple: bool) -> None:
        self._note(("confirmed", tag, multiple))

    def refused(self, tag: int, multiple: bool) -> None:
        self._note(("refused", tag, multiple))

    def returned(self, message: Returned) -> None:
        self._note(message)

    def delivered(self, message: Incoming) -> None:
        self._note(message)

    def cancelled(self, consumer: str) -> None:
        self._note(("cancelled", consumer))

    def closed(self, error: ChannelClosed) -> None:
        self._note(("closed", error))

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.all if isinstance(one, kind)]

    def words(self) -> list[str]:
        return [one[0] if isinstance(one, tuple) else one for one in self.all]

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            self.more.clear()
            async with asyncio.timeout(10):
                await self.more.wait()

    def settled(self) -> dict[int, str]:
        """Which tags were confirmed and which refused, ``multiple`` spelled out; none twice, and none unknown."""
        settled: dict[int, str] = {}
        for one in self.all:
            if isinstance(one, tuple) and one[0] in ("confirmed", "refused"):
                word, tag, multiple = one
                tags = [t for t in range(1, tag + 1) if t not in settled] if multiple else [tag]
                for each in tags:
                    assert each not in settled, f"{each} was settled twice"
                    settled[each] = word
        return settled


@contextlib.asynccontextmanager
async def connected(bus: Bus) -> AsyncIterator[tuple[Connection, Said]]:
    said = Said()
    connection = await for_address(Address(bus.url)).connect(said)
    try:
        yield connection, said
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def open_channel(bus: Bus, **how: Any) -> AsyncIterator[tuple[Channel, Said]]:
    async with connected(bus) as (connection, _):
        said = Said()
        yield await connection.channel(said, **how), said


def outgoing(n: int, topic: str = "a.b", exchange: str = "amq.topic", *, mandatory: bool = False) -> Outgoing:
    return Outgoing(exchange, topic, BasicProperties(message_id=str(n)), b'{"n": %d}' % n, mandatory)
