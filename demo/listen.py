# SPDX-License-Identifier: MIT
"""The consuming process: ``python -m demo.listen AMQP_URL``.

It writes ``ready`` once its queue is bound, and then a line for each message: the id, and the time of arrival on the
clock that all processes of a Linux machine share. It ends with SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
import time

from fedora_messaging import aio

QUEUE = {"demo": {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}}
PREFETCH = {"qos": {"prefetch_count": 200}}  # many, since each is handled in no time
EVERYTHING = [{"queue": "demo", "exchange": "amq.topic", "routing_keys": ["#"]}]


async def listen(amqp_url: str) -> None:
    """Write down what arrives."""
    async with (
        aio.Session(PREFETCH, amqp_url=amqp_url) as session,
        session.deliveries(bindings=EVERYTHING, queues=QUEUE) as deliveries,
    ):
        print("ready", flush=True)
        async for delivery in deliveries:
            print(delivery.message.id, time.monotonic(), flush=True)
            delivery.ack()


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1]))
