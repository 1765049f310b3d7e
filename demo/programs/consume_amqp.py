# SPDX-License-Identifier: MIT
"""A consumer that has moved: one queue, bound to everything in both exchanges; the environment has the URL."""

import asyncio
import os

from fedora_messaging import aio

from . import seen

TOPIC = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}
QUEUE = {"consumer": {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}}
SETTINGS = {
    "exchanges": {"amq.topic": TOPIC, "zmq.topic": TOPIC},
    "qos": {"prefetch_count": 200},  # many, since each is handled in no time
}
EVERYTHING = [
    {"queue": "consumer", "exchange": exchange, "routing_keys": ["#"]}
    for exchange in ("amq.topic", "zmq.topic")
]


async def main() -> None:
    """Write down what arrives."""
    async with (
        aio.Session(SETTINGS, amqp_url=os.environ["FEDMSG_MIGRATION_TOOLS_AMQP_URL"]) as session,
        session.deliveries(bindings=EVERYTHING, queues=QUEUE) as deliveries,
    ):
        async for delivery in deliveries:
            way = "bridge" if delivery.incoming.exchange == "zmq.topic" else "straight"
            print(seen.line(delivery.message.topic, delivery.message.body, way), flush=True)
            delivery.ack()


asyncio.run(main())
