# SPDX-License-Identifier: MIT
"""A broker behind the seam that says nothing by itself: a test says what it does, and when. No clock, no socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fedora_messaging.exceptions import (
    BaseException as LibraryError,
)
from fedora_messaging.exceptions import (
    ConnectionException,
)
from fedora_messaging.transports.base import (
    ChannelClosed,
    ChannelEvents,
    ConnectionEvents,
    Outgoing,
)

if TYPE_CHECKING:
    from fedora_messaging.publication import Publication

# What the broker does with a message, by its kind.
ACCEPTED = ("plain", "unroutable", "accented")
NAMED = ("topic", "exchange", "missing")  # it closes the channel and says because of what
UNNAMED = ("odd", "long")  # it closes the channel and does not
UNSAYABLE = "unsayable"  # it closes the connection, an internal error, since its own words are too long
STUCK = "stuck"  # its queue has no majority: no confirm ever comes
KINDS = ("plain", "plain", "plain", *ACCEPTED, *NAMED, *UNNAMED, UNSAYABLE, STUCK)

INTERNAL_ERROR = 541


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time stands still unless it is told."""

    now = 1000.0

    def time(self) -> float:
        return self.now


@dataclass(eq=False)
class Sent:
    """One message of the application's, and all that became of it."""

    index: int
    kind: str
    outgoing: Outgoing
    deadline: float
    publication: Publication | None = None
    outcomes: list[LibraryError | None] = field(default_factory=list)
    withdrawn: bool = False
    acked: bool = False
    nacked: bool = False
    returned: bool = False
    refused: bool = False

    @property
    def open(self) -> bool:
        return not self.outcomes and not self.withdrawn


@dataclass(eq=False)
class OnChannel:
    """One transmission of a message."""

    tag: int
    message: Sent
    processed: bool = False
    settled: bool = False


class FakeChannel:
    """Takes what is published; says nothing by itself."""

    def __init__(self, broker: FakeBroker, events: ChannelEvents) -> None:
        self.broker = broker
        self.events = events
        self.open = True
        self.sent: list[OnChannel] = []

    def publish(self, message: Outgoing) -> None:
        if self.open:
            self.sent.append(OnChannel(len(self.sent) + 1, self.broker.known[message]))
            self.broker.check_order(self.sent)

    def flush(self) -> None:
        pass

    async def close(self) -> None:
        self.open = False

    @property
    def unprocessed(self) -> list[OnChannel]:
        return [one for one in self.sent if not one.processed]

    @property
    def unsettled(self) -> list[OnChannel]:
        return [one for one in self.sent if one.processed and not one.settled and one.message.kind != STUCK]


class FakeConnection:
    """Opens channels, one at a time."""

    def __init__(self, broker: FakeBroker, events: ConnectionEvents) -> None:
        self.broker = broker
        self.events = events
        self.open = True

    async def channel(
        self, events: ChannelEvents, *, confirms: bool = False, prefetch: int = 0
    ) -> FakeChannel:
        assert confirms
        assert not prefetch
        await asyncio.sleep(0)
        if not self.open:
            raise ConnectionException(reason="the connection is closed")
        if self.broker.refuse_channels:
            raise self.broker.refuse_channels.pop()
        assert not (self.broker.channel and self.broker.channel.open), "two channels at once"
        self.broker.openings += 1
        self.broker.channel = FakeChannel(self.broker, events)
        return self.broker.channel

    async def close(self) -> None:
        self.open = False
        if self.broker.channel:
            self.broker.channel.open = False

    def abandon(self) -> None:
        raise AssertionError("only in a forked child")


class FakeBroker:
    """A dialer, and the broker that it reaches."""

    user = "me"

    several = False

    def __init__(self) -> None:
        self.known: dict[Outgoing, Sent] = {}
        self.connection: FakeConnection | None = None
        self.channel: FakeChannel | None = None
        self.up = asyncio.Event()
        self.up.set()
        self.last_error: ConnectionException | None = None
        self.refuse_channels: list[LibraryError | ChannelClosed] = []
        self.openings = 0
        self.faults = 0
        self.outages = 0
        self.ends = 0  # of connections, by what is unsayable
        self.transmitted: list[int] = []

    async def dial(self, events: ConnectionEvents) -> FakeConnection:
        await self.up.wait()
        self.connection = FakeConnection(self, events)
        return self.connection

    def lost(self, error: ConnectionException, *, settled: bool = False) -> None:
        assert not settled or error.code == INTERNAL_ERROR
        self.last_error = error
        self.outages += 1

    def check_order(self, sent: list[OnChannel]) -> None:
        indices = [one.message.index for one in sent]
        assert indices == sorted(set(indices)), "out of order, or twice on one channel"
        assert sent[-1].message.open, "sent although nobody waits for it"
        if sent[-1].message.index not in self.transmitted:
            self.transmitted.append(sent[-1].message.index)
        assert self.transmitted == sorted(self.transmitted), (
            "first transmissions are not in the order of submission"
        )


def words_of_refusal(sent: Sent) -> ChannelClosed:
    """RabbitMQ's words."""
    topic, exchange = sent.outgoing.topic, sent.outgoing.exchange
    match sent.kind:
        case "topic":
            text = f"access to topic '{topic}' in exchange '{exchange}' in vhost '/' refused for user 'me'"
        case "long":
            text = f"access to topic '{topic}"[:230] + "..."
        case "exchange":
            text = f"access to exchange '{exchange}' in vhost '/' refused for user 'me'"
        case "missing":
            return ChannelClosed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'")
        case _:
            return ChannelClosed(406, "PRECONDITION_FAILED - invalid expiration 'abc': no_integer")
    return ChannelClosed(403, f"ACCESS_REFUSED - {text}")
