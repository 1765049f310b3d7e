# SPDX-License-Identifier: MIT
"""Publishing on a channel: what every transport owes to the rest of the library (``transports.base``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.transports.base import (
    Returned,
)

from .buses import DURABLE
from .seam import Said, connected, open_channel, outgoing
from .work import run

if TYPE_CHECKING:
    from .buses import Bus


# publishing


def test_tags_of_confirms_count_what_was_published(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with open_channel(bus, confirms=True) as (channel, said):
            for n in range(1, 201):
                channel.publish(outgoing(n))
            await said.until(lambda: len(said.settled()) == 200)
            assert said.settled() == dict.fromkeys(range(1, 201), "confirmed")

    run(work())
    assert [taken.json["n"] for taken in bus.take("q")] == list(range(1, 201))


def test_what_is_flushed_goes_before_the_turn_of_the_loop_ends(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with open_channel(bus, confirms=True) as (channel, said):
            channel.publish(outgoing(1))
            channel.flush()
            channel.flush()
            await said.until(lambda: said.settled() == {1: "confirmed"})

    run(work())


def test_a_mandatory_message_comes_back_before_its_confirm(bus: Bus) -> None:
    bus.queue("q", ["a.b"])

    async def work() -> None:
        async with open_channel(bus, confirms=True) as (channel, said):
            channel.publish(outgoing(1, mandatory=True))
            channel.publish(outgoing(2, "nobody.wants", mandatory=True))
            channel.publish(outgoing(3, "nobody.wants"))
            await said.until(lambda: len(said.settled()) == 3)
            (returned,) = said.of(Returned)
            assert (returned.exchange, returned.topic, returned.message_id) == (
                "amq.topic",
                "nobody.wants",
                "2",
            )
            assert "NO_ROUTE" in returned.reason
            before = Said()
            before.all = said.all[: said.all.index(returned)]
            assert 2 not in before.settled()

    run(work())


def test_a_queue_that_rejects_gives_a_nack(bus: Bus) -> None:
    bus.queue("q", x_max_length=1, x_overflow="reject-publish")

    async def work() -> None:
        async with open_channel(bus, confirms=True) as (channel, said):
            for n in range(1, 6):
                channel.publish(outgoing(n))
                await said.until(lambda: len(said.settled()) == n)  # noqa: B023
            assert said.settled()[1] == "confirmed"
            assert said.settled()[5] == "refused"

    run(work())


def test_a_refused_message_closes_the_channel_after_the_confirms_of_those_before(bus: Bus) -> None:
    bus.queue("q")
    bus.forbid("secret")

    async def work() -> None:
        async with open_channel(bus, confirms=True) as (channel, said):
            channel.publish(outgoing(1))
            channel.publish(outgoing(2, "secret.plan"))
            channel.publish(outgoing(3))
            await said.until(lambda: "closed" in said.words())
            error = said.all[-1][1]
            assert error.code == 403
            assert "topic 'secret.plan' in exchange 'amq.topic' in vhost '" in error.text
            assert said.settled().get(1, "confirmed") == "confirmed"
            assert not said.settled().keys() & {2, 3}
            channel.publish(outgoing(4))
            channel.flush()
            channel.ack(1)
            channel.reject(1, requeue=True)
            await asyncio.sleep(0.1)
            assert said.words()[-1] == "closed"
            with pytest.raises(ConnectionException):
                await channel.declare_queue("q", DURABLE)
            await channel.close()

    run(work())
    assert [taken.json["n"] for taken in bus.take("q")] == [1]


def test_a_missing_exchange_closes_the_channel(bus: Bus) -> None:
    async def work() -> None:
        async with connected(bus) as (connection, on_connection):
            said = Said()
            channel = await connection.channel(said, confirms=True)
            channel.publish(outgoing(1, exchange="nowhere"))
            await said.until(lambda: "closed" in said.words())
            error = said.all[-1][1]
            assert error.code == 404
            assert "no exchange 'nowhere' in vhost '" in error.text
            second = await connection.channel(said, confirms=True)
            second.publish(outgoing(2))
            await said.until(lambda: said.settled() == {1: "confirmed"})
            assert on_connection.all == []

    run(work())


def test_a_blocked_connection_says_so_and_takes_all_when_it_is_not(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with connected(bus) as (connection, on_connection):
            said = Said()
            channel = await connection.channel(said, confirms=True)
            bus.block()
            channel.publish(outgoing(1))
            await on_connection.until(lambda: ("blocked", "low on memory") in on_connection.all)
            channel.publish(outgoing(2))
            await asyncio.sleep(0.1)
            assert 2 not in said.settled()
            bus.unblock()
            await said.until(lambda: said.settled() == {1: "confirmed", 2: "confirmed"})
            assert on_connection.words() == ["blocked", "unblocked"]

    run(work())
