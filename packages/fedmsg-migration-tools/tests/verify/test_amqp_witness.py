# SPDX-License-Identifier: MIT
"""When the witness at the broker was blind, as it tells it itself; with a real broker and connections that break."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from fedmsg_migration_tools.verify.amqp_witness import PATIENCE, AmqpWitness
from fedora_messaging.aio import Session
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedora_messaging.private_node import PrivateNode


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.02)


async def nothing() -> None:
    """What this one needs is there."""


def test_the_time_between_two_queues_is_blind_however_short_it_was(
    rabbitmq: PrivateNode, amqp_url: str
) -> None:
    told: list[tuple[float, float | None]] = []

    async def scenario(proxy: Proxy) -> tuple[float, float]:
        async with Session(amqp_url=proxy.url(amqp_url)) as session:
            witness = AmqpWitness(
                session, ["amq.topic"], lambda *_: None, lambda begin, end: told.append((begin, end))
            )
            listening = asyncio.create_task(witness.listen(nothing))
            await until(lambda: witness.seeing)
            told.clear()
            cut = time.time()
            await asyncio.to_thread(proxy.sever, reset=True)
            await until(lambda: bool(told) and witness.seeing)
            back = time.time()
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            return cut, back

    with Proxy(rabbitmq.amqp_port) as proxy:
        cut, back = asyncio.run(scenario(proxy))
    (begin, still), (_, end) = told
    assert still is None
    assert end is not None
    assert begin <= cut < end <= back
    assert end - begin < PATIENCE + 5
