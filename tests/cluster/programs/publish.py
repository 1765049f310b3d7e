# SPDX-License-Identifier: MIT
"""Publishes numbered messages at a rate, by ``api`` in threads and ``aio`` in batches; prints each that is confirmed.

Arguments: how many messages, how many of them a second, how many threads. Half of them are for asyncio. Each thread
has a stream of numbers of its own, and asyncio has one: a million apart, so that the order within each can be judged.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from fedora_messaging import aio, api

TIMEOUT = 100.0
BATCH = 25
STREAM = 1_000_000


def message(number: int) -> api.Message:
    return api.Message(topic="cluster.test", body={"n": number})


def tell(messages: list[api.Message], error: Exception | None = None) -> None:
    outcome = f"failed {error!r}" if error else "confirmed"
    sys.stdout.write("".join(f"{outcome} {message.body['n']} {message.id}\n" for message in messages))


def by_thread(stream: int, count: int, pause: float) -> None:
    began = time.monotonic()
    for n in range(count):
        time.sleep(max(0.0, began + n * pause - time.monotonic()))
        one = message(stream * STREAM + n)
        try:
            api.publish(one, timeout=TIMEOUT)
        except Exception as error:  # noqa: BLE001 - the test wants to know of all
            tell([one], error)
        else:
            tell([one])


async def by_batches(count: int, pause: float) -> None:
    began = time.monotonic()
    for first in range(0, count, BATCH):
        await asyncio.sleep(began + first * pause - time.monotonic())
        batch = [message(n) for n in range(first, min(first + BATCH, count))]
        try:
            await aio.publish_many(batch, timeout=TIMEOUT)
        except Exception as error:  # noqa: BLE001 - as above
            tell(batch, error)
        else:
            tell(batch)


def main(count: int, rate: int, threads: int) -> None:
    each = count // 2 // threads
    with ThreadPoolExecutor(threads + 1) as pool:
        running = [pool.submit(by_thread, 1 + n, each, 2 * threads / rate) for n in range(threads)]
        running.append(pool.submit(asyncio.run, by_batches(count - threads * each, 2 / rate)))
    for one in running:
        one.result()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
