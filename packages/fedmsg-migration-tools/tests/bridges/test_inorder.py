# SPDX-License-Identifier: MIT
"""Threads finish as they like; results come in the order of the work."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import TYPE_CHECKING

from fedmsg_migration_tools.bridges.inorder import InOrder

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_results_come_in_order_whoever_is_faster() -> None:
    seen: list[tuple[int, int]] = []
    threads = set()

    def work(number: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(random.random() / 500)
        return number * number

    async def main() -> None:
        ended = asyncio.Event()

        def done(number: int, square: int) -> None:
            seen.append((number, square))
            if len(seen) == 300:
                ended.set()

        workers = InOrder(work, done, threads=4, share=3)
        for start in range(0, 300, 10):
            workers.give(range(start, start + 10))
            await asyncio.sleep(0)
        await asyncio.wait_for(ended.wait(), 20)
        workers.close()

    asyncio.run(main())
    assert seen == [(number, number * number) for number in range(300)]
    assert len(threads) > 1


def test_what_is_given_one_by_one_in_a_turn_is_worked_on_by_shares() -> None:
    shares: list[int] = []

    class Counting(InOrder[int, None]):
        def _several(self, items: Sequence[int]) -> list[tuple[int, None]]:
            shares.append(len(items))
            return super()._several(items)

    async def main() -> None:
        ended = asyncio.Event()
        workers = Counting(
            lambda _: None, lambda number, _: ended.set() if number == 9 else None, threads=1, share=4
        )
        for number in range(10):
            workers.give([number])
        await asyncio.wait_for(ended.wait(), 20)
        workers.close()

    asyncio.run(main())
    assert shares == [4, 4, 2]


def test_what_is_forgotten_is_not_handed_back_and_what_comes_after_is() -> None:
    seen: list[int] = []
    gate = threading.Event()

    def work(number: int) -> None:
        if number < 10:
            gate.wait(10)

    async def main() -> None:
        ended = asyncio.Event()

        def done(number: int, _result: None) -> None:
            seen.append(number)
            if number == 29:
                ended.set()

        workers = InOrder(work, done, threads=2, share=1)
        workers.give(range(20))
        workers.forget()
        workers.give(range(20, 30))
        gate.set()
        await asyncio.wait_for(ended.wait(), 20)
        workers.close()

    asyncio.run(main())
    assert seen == list(range(20, 30))


def test_closing_waits_for_no_more_than_what_is_in_hand() -> None:
    async def main() -> None:
        workers: InOrder[int, None] = InOrder(
            lambda _number: time.sleep(0.05), lambda *_: None, threads=2, share=1
        )
        workers.give(range(1000))
        before = time.monotonic()
        workers.close()
        assert time.monotonic() - before < 5

    asyncio.run(main())
