# SPDX-License-Identifier: MIT
"""Declaring, and how connections end: what every transport owes to the library (``transports.base``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.transports import for_address
from fedora_messaging.transports.base import (
    Address,
    ChannelClosed,
    Incoming,
)

from .buses import DURABLE
from .seam import Said, connected, open_channel, outgoing
from .work import run

if TYPE_CHECKING:
    from .buses import Bus


# declaring


def test_declaring_is_repeatable_and_refused_when_it_differs(bus: Bus) -> None:
    async def work() -> None:
        async with connected(bus) as (connection, _):
            said = Said()
            channel = await connection.channel(said)
            exchange = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
            for _ in range(2):
                await channel.declare_exchange("orders", exchange)
                assert await channel.declare_queue("q", DURABLE) == "q"
                await channel.bind("q", "orders", "a.*")
            await channel.declare_exchange("orders", {}, passive=True)
            assert await channel.declare_queue("q", {}, passive=True) == "q"
            names = {await channel.declare_queue("", DURABLE) for _ in range(2)}
            assert len(names) == 2
            assert all(name.startswith("amq.gen-") for name in names)
            await channel.unbind("q", "orders", "a.*")
            await channel.unbind("q", "orders", "never.was")
            await channel.delete_queue("q")
            await channel.delete_queue("q")
            with pytest.raises(ChannelClosed) as caught:
                await channel.declare_exchange("orders", {**exchange, "type": "fanout"})
            assert caught.value.code == 406
            assert said.all == []

    run(work())
    assert not bus.has("q")


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic"])
def test_exchanges_route_by_their_kind(bus: Bus, kind: str) -> None:
    bus.exchange("e", kind)
    bus.queue("exact", ["a.b"], exchange="e")
    bus.queue("pattern", ["a.*", "a.#"], exchange="e")

    async def work() -> None:
        async with open_channel(bus, confirms=True) as (channel, said):
            channel.publish(outgoing(1, "a.b", "e"))
            channel.publish(outgoing(2, "a.*", "e"))
            channel.publish(outgoing(3, "exact", ""))
            await said.until(lambda: len(said.settled()) == 3)

    run(work())
    expected = {
        "direct": ([1, 3], [2]),
        "fanout": ([1, 2, 3], [1, 2]),
        "topic": ([1, 3], [1, 2]),
    }
    got = tuple([one.json["n"] for one in bus.take(queue)] for queue in ("exact", "pattern"))
    assert got == expected[kind]


# the end of a connection


def test_a_lost_connection_is_told_once_and_its_channels_say_nothing(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with connected(bus) as (connection, on_connection):
            said = Said()
            channel = await connection.channel(said, confirms=True)
            channel.publish(outgoing(1))
            await said.until(said.settled)
            await asyncio.to_thread(bus.kill_connections)
            await on_connection.until(lambda: on_connection.words() == ["lost"])
            assert not on_connection.all[0][1].permanent
            assert "closed" not in said.words()
            channel.publish(outgoing(2))
            channel.flush()
            channel.ack(1)
            with pytest.raises(ConnectionException):
                await channel.declare_queue("q", DURABLE)
            with pytest.raises(ConnectionException):
                await connection.channel(Said())
            await channel.close()
            await connection.close()
            assert on_connection.words() == ["lost"]

    run(work())


def test_closing_a_connection_is_not_losing_it(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with connected(bus) as (connection, on_connection):
            said = Said()
            channel = await connection.channel(said, prefetch=1)
            channel.publish(outgoing(1))
            await channel.consume("q")
            await said.until(lambda: said.of(Incoming))
            await connection.close()
            await connection.close()
            await asyncio.sleep(0.05)
            assert on_connection.all == []
            assert "closed" not in said.words()
            with pytest.raises(ConnectionException):
                await connection.channel(Said())

    run(work())
    assert [(one.json["n"], one.redelivered) for one in bus.take("q")] == [(1, True)]


def test_who_cannot_connect_is_told_why(bus: Bus) -> None:
    async def work() -> None:
        for url, reason, permanent in (
            (bus.away, bus.reason, False),
            (bus.refusing, "refused the user", True),
        ):
            for _ in range(2):
                with pytest.raises(ConnectionException, match=reason) as caught:
                    await for_address(Address(url)).connect(Said())
                assert caught.value.permanent is permanent

    run(work())
