# SPDX-License-Identifier: MIT
"""Publishes a message and waits for it, in asyncio, settling deliveries by hand."""

import asyncio

from fedora_messaging import aio
from fedora_messaging.api import Message


async def main() -> None:
    """One session publishes and consumes, on a connection for each."""
    async with aio.Session() as session, session.deliveries() as deliveries:
        await session.publish(Message(topic="org.example.shop.order.paid", body={"order": 42}))
        async for delivery in deliveries:
            print(delivery.message.topic, delivery.message.body)
            delivery.ack()
            break


asyncio.run(main())
