# SPDX-License-Identifier: MIT
"""Consuming on a channel: what every transport owes to the rest of the library (``transports.base``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.transports.base import (
    ChannelClosed,
    Incoming,
)

from .seam import open_channel, outgoing
from .work import run

if TYPE_CHECKING:
    from .buses import Bus


# consuming


def test_deliveries_are_numbered_from_one_and_say_all(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            tag = await channel.consume("q")
            for n in range(3):
                channel.publish(outgoing(n))
            await said.until(lambda: len(said.of(Incoming)) == 3)
            for number, one in enumerate(said.of(Incoming), 1):
                assert one.tag == number
                assert (one.exchange, one.topic, one.consumer) == ("amq.topic", "a.b", tag)
                assert one.body == b'{"n": %d}' % (number - 1)
                assert one.properties.message_id == str(number - 1)
                assert one.redelivered is False
                assert one.fault is None
                channel.ack(number)
            await channel.close()

    run(work())
    assert bus.take("q") == []


def test_prefetch_bounds_what_is_unsettled_a_consumer(bus: Bus) -> None:
    for queue in ("one", "two"):
        bus.queue(queue)

    async def work() -> None:
        async with open_channel(bus, prefetch=3) as (channel, said):
            for n in range(10):
                channel.publish(outgoing(n))
            for queue in ("one", "two"):
                await channel.consume(queue)
            await said.until(lambda: len(said.of(Incoming)) == 6)
            await asyncio.sleep(0.1)
            assert len(said.of(Incoming)) == 6
            first = said.of(Incoming)[0]
            channel.ack(first.tag)
            await said.until(lambda: len(said.of(Incoming)) == 7)
            assert said.of(Incoming)[6].consumer == first.consumer

    run(work())


def test_an_ack_may_cover_all_before_it(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            for n in range(5):
                channel.publish(outgoing(n))
            await channel.consume("q")
            await said.until(lambda: len(said.of(Incoming)) == 5)
            channel.reject(2, requeue=True)
            channel.ack(4, multiple=True)
            await said.until(lambda: len(said.of(Incoming)) == 6)
            assert said.of(Incoming)[5].redelivered
            assert said.of(Incoming)[5].body == b'{"n": 1}'
            await channel.close()

    run(work())
    taken = bus.take("q")
    assert [(one.json["n"], one.redelivered) for one in taken] == [(1, True), (4, True)]


def test_settling_what_is_settled_closes_the_channel(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            channel.publish(outgoing(1))
            await channel.consume("q")
            await said.until(lambda: said.of(Incoming))
            channel.ack(1)
            channel.ack(1)
            await said.until(lambda: "closed" in said.words())
            error = said.all[-1][1]
            assert (error.code, error.text) == (406, "PRECONDITION_FAILED - unknown delivery tag 1")

    run(work())
    assert bus.take("q") == []


def test_rejected_messages_go_to_the_dead_letter_exchange(bus: Bus) -> None:
    bus.exchange("graveyard")
    bus.queue("dead", exchange="graveyard")
    bus.queue("q", x_dead_letter_exchange="graveyard", x_dead_letter_routing_key="was.rejected")

    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            channel.publish(outgoing(1))
            await channel.consume("q")
            await said.until(lambda: said.of(Incoming))
            channel.reject(1, requeue=False)
            await channel.close()

    run(work())
    assert [(one.topic, one.json["n"]) for one in bus.take("dead")] == [("was.rejected", 1)]


def test_closing_returns_what_is_unsettled_in_its_order(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            for n in range(5):
                channel.publish(outgoing(n))
            await channel.consume("q")
            await said.until(lambda: len(said.of(Incoming)) == 5)
            channel.ack(3)
            await channel.close()
            await channel.close()
            assert "closed" not in said.words()

    run(work())
    assert [(one.json["n"], one.redelivered) for one in bus.take("q")] == [(n, True) for n in (0, 1, 3, 4)]


def test_after_a_cancel_nothing_comes_and_what_came_can_be_settled(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            channel.publish(outgoing(1))
            tag = await channel.consume("q")
            await said.until(lambda: said.of(Incoming))
            await channel.cancel(tag)
            channel.publish(outgoing(2))
            channel.ack(1)
            await asyncio.sleep(0.1)
            assert len(said.of(Incoming)) == 1
            assert said.words()[-1] != "cancelled"

    run(work())
    assert [one.json["n"] for one in bus.take("q")] == [2]


def test_a_deleted_queue_ends_its_consumer_and_not_the_channel(bus: Bus) -> None:
    bus.queue("q")
    bus.queue("other")

    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            tag = await channel.consume("q")
            await channel.consume("other")
            await asyncio.to_thread(bus.delete_queue, "q")
            await said.until(lambda: ("cancelled", tag) in said.all)
            channel.publish(outgoing(1))
            await said.until(lambda: said.of(Incoming))

    run(work())


def test_consuming_what_is_missing_closes_the_channel_and_is_told_once(bus: Bus) -> None:
    async def work() -> None:
        async with open_channel(bus) as (channel, said):
            with pytest.raises(ChannelClosed, match="NOT_FOUND - no queue 'nowhere'") as caught:
                await channel.consume("nowhere")
            assert caught.value.code == 404
            with pytest.raises(ConnectionException):
                await channel.consume("nowhere")
            assert said.all == []

    run(work())
