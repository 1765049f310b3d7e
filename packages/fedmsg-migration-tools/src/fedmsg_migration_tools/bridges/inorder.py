# SPDX-License-Identifier: MIT
"""Work that threads do for the event loop, handed back in the order in which it was given.

For RSA, which :mod:`..fedmsg.rsa_sha1` computes without the interpreter's lock, so that threads use all cores.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

__all__ = ["InOrder"]

_SWITCH = 0.0005  # seconds

T = TypeVar("T")
R = TypeVar("R")


class InOrder(Generic[T, R]):
    """Does ``work`` on each item in threads, and calls ``done`` on the loop with item and result, in order.

    Arguments:
        work: called in a thread; it must not raise.
        done: called on the event loop.
        threads: how many.
        share: items that a thread takes at a time, at most: few for slow work, so that all threads have some.
    """

    def __init__(
        self, work: Callable[[T], R], done: Callable[[T, R], None], *, threads: int, share: int
    ) -> None:
        self._work = work
        self._done = done
        self._share = share
        self._loop = asyncio.get_running_loop()
        # A thread that wants the lock back waits for this long, and a signature takes less: 5 ms is the default.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH))
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="signatures")
        self._given: deque[Future[list[tuple[T, R]]]] = deque()
        self._waking = False
        self._gathered: list[T] = []  # in this turn of the loop, less than a share

    def give(self, items: Sequence[T]) -> None:
        """Let them be worked on, by shares of what comes in one turn of the loop: to wake a thread costs too."""
        if not self._gathered:
            self._loop.call_soon(self._hand_out)
        self._gathered += items
        if len(self._gathered) >= self._share:
            self._hand_out()

    def _hand_out(self) -> None:
        items, self._gathered = self._gathered, []
        for start in range(0, len(items), self._share):
            future = self._executor.submit(self._several, items[start : start + self._share])
            self._given.append(future)
            future.add_done_callback(self._wake)

    def _several(self, items: Sequence[T]) -> list[tuple[T, R]]:
        return [(item, self._work(item)) for item in items]

    def _wake(self, _future: Future[list[tuple[T, R]]]) -> None:
        """In a thread: have the results taken, once for all that are ready by then."""
        if not self._waking:
            self._waking = True
            try:
                self._loop.call_soon_threadsafe(self._hand_back)
            except RuntimeError:  # the loop is closed: nobody waits for results
                return

    def _hand_back(self) -> None:
        self._waking = False
        while self._given and self._given[0].done():
            future = self._given.popleft()
            if not future.cancelled():
                for item, result in future.result():
                    self._done(item, result)

    def forget(self) -> None:
        """No result of what was given so far is handed back."""
        for future in self._given:
            future.cancel()
        self._given.clear()
        self._gathered.clear()

    def close(self) -> None:
        """End the threads; what they have in hand is finished and not handed back."""
        self.forget()
        self._executor.shutdown(wait=True, cancel_futures=True)
