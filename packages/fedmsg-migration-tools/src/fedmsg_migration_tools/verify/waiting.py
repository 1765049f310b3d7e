# SPDX-License-Identifier: MIT
"""Lost messages that wait for their repair: until when, how many at a time, and with how much of them in memory.

How they are repaired is not known here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .recovered import Lost

__all__ = ["Pace", "Waiting"]

_log = logging.getLogger(__name__)


class Pace:
    """No more than so many a second.

    Arguments:
        rate: how many.
    """

    def __init__(self, rate: float) -> None:
        self._step = 1.0 / rate
        self._next = 0.0

    async def wait(self) -> None:
        """Until it is one's turn."""
        now = asyncio.get_running_loop().time()
        turn = self._next = max(now, self._next + self._step)
        if turn > now:
            await asyncio.sleep(turn - now)


class Waiting:
    """What was taken and is not gone yet, and the work that is begun when its time has come. On one event loop.

    Arguments:
        max_bytes: what the messages may hold together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.messages = 0

    def take(self, lost: Lost) -> Lost:
        """One more; without its content, where there is no room for that: others may have it."""
        if self._bytes + lost.size > self._max_bytes:
            lost = dataclasses.replace(lost, frames=None, delivery=None)
        self._bytes += lost.size
        self.messages += 1
        return lost

    def gone(self, lost: Lost) -> None:
        """One less: what :meth:`take` returned."""
        self._bytes -= lost.size
        self.messages -= 1

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin it then."""

        def due() -> None:
            self._timers.discard(timer)
            task = asyncio.get_running_loop().create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._ended)

        timer = asyncio.get_running_loop().call_later(seconds, due)
        self._timers.add(timer)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A repair ended in a way that it should not", exc_info=error)

    async def close(self) -> None:
        """Begin nothing any more, and end what was begun."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
