# SPDX-License-Identifier: MIT
"""Queues that go away under a consumer are declared, bound and consumed again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fedora_messaging import aio
from fedora_messaging.exceptions import PublishReturned

from .buses import eventually, settings
from .work import EXCLUSIVE, binding, numbered, numbers_in, published, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .buses import Bus


async def published_at_last(session: aio.Session, number: int, topic: str = "shop.order") -> None:
    """Published when a queue is bound for it."""
    (message,) = numbered([number], topic)
    while True:
        try:
            return await session.publish(message, mandatory=True)
        except PublishReturned:
            await asyncio.sleep(0.02)


async def first_of(deliveries: AsyncIterator[aio.Delivery]) -> int:
    """The number of the next message, which is acknowledged."""
    delivery = await anext(deliveries)
    delivery.ack()
    number: int = delivery.message.body["n"]
    return number


def test_a_deleted_queue_is_declared_and_bound_again(bus: Bus) -> None:
    conf = settings(
        bus, "q", passive_declares=False, bindings=[binding("q", "shop.#"), binding("q", "stock.#")]
    )

    async def work() -> None:
        async with aio.Session(conf) as session, session.deliveries() as deliveries:
            await published(session, range(1))
            assert await first_of(deliveries) == 0
            await asyncio.to_thread(bus.delete_queue, "q")
            assert await asyncio.to_thread(eventually, lambda: bus.has("q"))
            await published_at_last(session, 1, "stock.count")
            assert await first_of(deliveries) == 1

    run(work())


def test_a_server_named_queue_that_is_deleted_gets_a_new_name(bus: Bus) -> None:
    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session, session.deliveries() as deliveries:
            await published(session, range(1))
            old = (await anext(deliveries)).message.queue
            assert old is not None
            if bus.url.startswith("memory"):
                bus.delete_queue(old)
            else:  # exclusive: only its own connection, or the operator, may delete it
                await asyncio.to_thread(bus.kill_connections)
            delivery, number = None, 0
            while delivery is None:  # until the new one is bound, nobody wants the message
                number += 1
                await published(session, range(number, number + 1))
                with contextlib.suppress(TimeoutError):
                    delivery = await asyncio.wait_for(anext(deliveries), 0.1)
            assert delivery.message.queue is not None
            assert delivery.message.queue.startswith("amq.gen-")
            assert delivery.message.queue != old

    run(work())


def test_one_deleted_queue_does_not_disturb_the_others(bus: Bus) -> None:
    bus.queue("stays", ["stays"])
    conf = settings(
        bus,
        "stays",
        "goes",
        passive_declares=False,
        bindings=[binding("stays", "stays"), binding("goes", "goes")],
    )

    async def work() -> None:
        async with aio.Session(conf) as session, session.deliveries() as deliveries:
            await published(session, range(1), "stays")
            held = await anext(deliveries)
            await asyncio.to_thread(bus.delete_queue, "goes")
            assert await asyncio.to_thread(eventually, lambda: bus.has("goes"))
            assert held.live
            held.ack()
            await published_at_last(session, 1, "goes")
            assert await first_of(deliveries) == 1
            await published(session, range(2, 3), "stays")
            assert await first_of(deliveries) == 2

    run(work())
    assert numbers_in(bus, "stays") == numbers_in(bus, "goes") == []


def test_with_passive_declarations_a_deleted_queue_is_waited_for(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with aio.Session(settings(bus, "q")) as session, session.deliveries() as deliveries:
            await published(session, range(1))
            assert await first_of(deliveries) == 0
            await asyncio.to_thread(bus.delete_queue, "q")
            await asyncio.sleep(0.3)
            await asyncio.to_thread(bus.queue, "q")
            await published_at_last(session, 1, "x")
            assert await first_of(deliveries) == 1

    run(work())


def test_after_an_outage_everything_is_declared_again(bus: Bus) -> None:
    conf = settings(bus, passive_declares=False, queues={"q": EXCLUSIVE}, bindings=[binding("q", "#")])

    async def work() -> None:
        async with aio.Session(conf) as session, session.deliveries() as deliveries:
            await published(session, range(1))
            assert await first_of(deliveries) == 0
            await asyncio.to_thread(bus.kill_connections)
            await published_at_last(session, 1, "x")
            assert await first_of(deliveries) == 1

    run(work())
