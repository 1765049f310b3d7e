# SPDX-License-Identifier: MIT
"""Asking a broker for one thing after the other, and hearing why it refuses. What to ask is in :mod:`.permissions`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..exceptions import ConnectionException
from ..transports import for_address
from ..transports.base import ChannelClosed, ChannelEvents, ConnectionEvents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..transports.base import Address, Channel, Connection, Outgoing

    Attempt = Callable[[Channel], Awaitable[object]]

SECONDS = 10.0  # for the broker to answer one probe


class Prober(ConnectionEvents):
    """Asks for things on channels of their own, over one connection, which is opened again when it breaks."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Connection | None = None
        self._blocked = ""

    async def connect(self) -> Connection:
        """The connection. Raises ``ConnectionException``, ``ConfigurationException``."""
        if self._connection is None:
            self._connection = await for_address(self._address).connect(self)
        return self._connection

    async def close(self) -> None:
        """Say goodbye."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def refusal(self, attempt: Attempt) -> ChannelClosed | None:
        """What the broker says to the attempt; None when it lets it be. Raises ``ConnectionException``."""
        connection = await self.connect()
        try:
            async with asyncio.timeout(SECONDS):
                channel = await connection.channel(ChannelEvents())
                await attempt(channel)
                await channel.close()
        except ChannelClosed as refusal:
            return refusal
        except TimeoutError as error:
            await self.close()
            reason = f"the broker has blocked us: {self._blocked}" if self._blocked else "is it overloaded?"
            raise ConnectionException(reason=f"no answer within {SECONDS:g} s; {reason}") from error
        return None

    async def refusal_of(self, message: Outgoing) -> ChannelClosed | None:
        """What the broker says to the message; None when it would take it."""
        return await self.refusal(lambda channel: channel.rehearse(message))

    def lost(self, error: ConnectionException) -> None:
        """The probe in hand raises it; the next one connects again."""
        del error
        self._connection = None

    def blocked(self, reason: str) -> None:
        """Remember why the broker does not answer."""
        self._blocked = reason
