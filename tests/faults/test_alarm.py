# SPDX-License-Identifier: MIT
"""A broker that is short of memory takes no messages; one that is full says so. The two are told apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session
from fedora_messaging.exceptions import PublishBlocked, PublishNacked, PublishTimeout

from .support import Seen, consuming, declare, depth, numbered, numbers_in, settings

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode

IN_FLIGHT = 200


def starve(node: PrivateNode) -> None:
    node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001)")


def feed(node: PrivateNode) -> None:
    node.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.4)")


def test_publishing_waits_while_the_broker_is_short_of_memory(victim: PrivateNode, victim_url: str) -> None:
    declare(victim_url)

    async def scenario() -> None:
        async with Session(settings(victim_url)) as session:
            await session.publish(numbered([0])[0])
            await asyncio.to_thread(starve, victim)
            first = asyncio.create_task(session.publish(numbered([1])[0], timeout=60))
            with pytest.raises(PublishBlocked, match="memory") as caught:
                await session.publish(numbered([2])[0], timeout=1)
            assert (caught.value.exchange, caught.value.topic) == ("amq.topic", "faults.test")
            waiting = [
                asyncio.create_task(session.publish(message, timeout=60))
                for message in numbered(range(3, IN_FLIGHT))
            ]
            assert not first.done()
            await asyncio.to_thread(feed, victim)
            await asyncio.gather(first, *waiting)

    asyncio.run(scenario())
    arrived = numbers_in(victim_url)
    # the second one's time was up: nobody promised that it would not arrive
    assert [n for n in arrived if n != 2] == [n for n in range(IN_FLIGHT) if n != 2]


def test_consuming_goes_on_while_the_broker_is_short_of_memory(victim: PrivateNode, victim_url: str) -> None:
    declare(victim_url)
    seen = Seen()

    async def scenario() -> None:
        async with Session(settings(victim_url)) as session:
            await session.publish_many(numbered(range(300)))
            await asyncio.to_thread(starve, victim)
            blocked = asyncio.create_task(session.publish(numbered([300])[0], timeout=60))
            async with consuming(session, seen):
                await seen.has(range(300))
                assert not blocked.done()
                await asyncio.to_thread(feed, victim)
                await blocked
                await seen.has(range(301))
        assert await asyncio.to_thread(depth, victim_url) == 0

    asyncio.run(scenario())


def test_a_session_can_be_closed_while_the_broker_is_short_of_memory(
    victim: PrivateNode, victim_url: str
) -> None:
    declare(victim_url)

    async def scenario() -> None:
        session = Session(settings(victim_url))
        await session.publish(numbered([0])[0])
        await asyncio.to_thread(starve, victim)
        waiting = asyncio.create_task(session.publish(numbered([1])[0], timeout=2))
        await asyncio.sleep(0)
        async with asyncio.timeout(
            20
        ):  # 2 s for the message, 5 s for a goodbye that the broker does not answer
            await session.close()
        with pytest.raises(PublishBlocked):
            await waiting

    asyncio.run(scenario())


def test_full_and_short_of_memory_are_told_apart(victim: PrivateNode, victim_url: str) -> None:
    declare(victim_url, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})

    async def scenario() -> None:
        async with Session(settings(victim_url)) as session:
            await session.publish(numbered([0])[0])
            with pytest.raises(PublishNacked, match="full") as full:
                await asyncio.gather(*(session.publish(message) for message in numbered(range(1, 20))))
            assert not isinstance(full.value, PublishTimeout)
            await asyncio.to_thread(starve, victim)
            with pytest.raises(PublishBlocked):
                await session.publish(numbered([20])[0], timeout=1)

    asyncio.run(scenario())
