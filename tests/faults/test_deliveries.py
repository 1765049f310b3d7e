# SPDX-License-Identifier: MIT
"""Deliveries settled by hand, over the end of the connection that brought them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fedora_messaging.aio import Session

from .proxy import Proxy
from .support import declare, numbered, numbers_in, settings, soon

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode


def test_what_was_delivered_by_a_lost_connection_comes_again(rabbitmq: PrivateNode, amqp_url: str) -> None:
    """Settling the old ones does nothing: their numbers mean other messages on the new channel."""
    declare(amqp_url)

    async def scenario() -> tuple[list[int], list[int]]:
        with Proxy(rabbitmq.amqp_port) as proxy:
            conf = settings(proxy.url(amqp_url))
            async with Session(conf) as session, session.deliveries() as deliveries:
                await session.publish_many(numbered(range(5)))
                old = [await anext(deliveries) for _ in range(5)]
                old[0].ack()
                await asyncio.sleep(0.5)  # sent at the end of the turn, and taken by the broker
                proxy.sever(reset=True)
                await soon(lambda: session.statistics.reconnects == 2, "both are lost")
                new = [await anext(deliveries) for _ in range(4)]
                old[1].reject()
                old[2].requeue()
                old[3].ack()
                old[4].ack()
                await session.publish_many(numbered(range(5, 7)))
                more = [await anext(deliveries) for _ in range(2)]
                new[0].ack()
                new[3].requeue()
                again = await anext(deliveries)
                again.ack()
                more[1].ack()
                return [d.message.body["n"] for d in new], [int(d.redelivered) for d in (*new, *more, again)]

    numbers, redelivered = asyncio.run(scenario())
    assert numbers == [1, 2, 3, 4]
    assert redelivered == [1, 1, 1, 1, 0, 0, 1]
    assert sorted(numbers_in(amqp_url)) == [2, 3, 5]


def test_leaving_returns_what_was_not_settled_in_order(amqp_url: str) -> None:
    declare(amqp_url)

    async def scenario() -> None:
        async with Session(settings(amqp_url)) as session:
            await session.publish_many(numbered(range(30)))
            async with session.deliveries() as deliveries:
                async for delivery in deliveries:
                    if delivery.message.body["n"] == 7:
                        break
                    delivery.ack()

    asyncio.run(scenario())
    assert numbers_in(amqp_url) == list(range(7, 30))
