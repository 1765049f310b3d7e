# SPDX-License-Identifier: MIT
"""Publishes numbered messages, half of them from threads and half from asyncio, and prints each that is confirmed.

Arguments: how many messages, how many threads, how many tasks.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from fedora_messaging import aio, api

TIMEOUT = 120

numbers = itertools.count()
lock = threading.Lock()


def following(limit: int) -> api.Message | None:
    with lock:
        number = next(numbers)
    return api.Message(topic="faults.test", body={"n": number}) if number < limit else None


def tell(message: api.Message, error: Exception | None) -> None:
    outcome = f"failed {error!r}" if error else "confirmed"
    sys.stdout.write(f"{outcome} {message.body['n']} {message.id}\n")


def by_thread(limit: int) -> None:
    while (message := following(limit)) is not None:
        try:
            api.publish(message, timeout=TIMEOUT)
        except Exception as error:  # noqa: BLE001 - the test wants to know of all
            tell(message, error)
        else:
            tell(message, None)


async def by_task(limit: int) -> None:
    while (message := following(limit)) is not None:
        try:
            await aio.publish(message, timeout=TIMEOUT)
        except Exception as error:  # noqa: BLE001 - as above
            tell(message, error)
        else:
            tell(message, None)


async def by_tasks(limit: int, tasks: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(by_task(limit))


def main(limit: int, threads: int, tasks: int) -> None:
    with ThreadPoolExecutor(threads + 1) as pool:
        running = [pool.submit(by_thread, limit) for _ in range(threads)]
        running.append(pool.submit(asyncio.run, by_tasks(limit, tasks)))
    for one in running:
        one.result()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
