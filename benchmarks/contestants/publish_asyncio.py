# SPDX-License-Identifier: MIT
"""``aio.Session.publish`` from many tasks at once; fedora-messaging 3.9.1 has no asyncio API."""

from __future__ import annotations

import asyncio

from benchmarks.meter import Meter
from fedora_messaging import aio

from . import Result, run
from ._messages import message


def publish_asyncio(count: int, warm_up: int, tasks: int) -> Result:
    """Publish ``count`` messages with ``tasks`` in flight; each task makes its messages."""
    return asyncio.run(_measure(count, warm_up, tasks))


async def _measure(count: int, warm_up: int, tasks: int) -> Result:
    async with aio.Session() as session:
        await _publish_evenly(session, warm_up, tasks)
        meter = Meter()
        return meter.result(await _publish_evenly(session, count, tasks))


async def _publish_evenly(session: aio.Session, count: int, tasks: int) -> int:
    share = -(-count // tasks)
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(_publish(session, share))
    return share * tasks


async def _publish(session: aio.Session, count: int) -> None:
    for _ in range(count):
        await session.publish(message())


if __name__ == "__main__":
    run(publish_asyncio)
