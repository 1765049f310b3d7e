# SPDX-License-Identifier: MIT
"""An event loop in a thread of its own, with a session on it, for code that blocks.

It starts at the first use, in whatever process that is: a forked child lets go of its parent's connections and
gets a thread of its own at its first use. Nothing here knows what a message is.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
from collections import deque
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .aio import Session
from .callbacks import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_log = logging.getLogger(__name__)

_SLICE = 0.5  # seconds
_GOODBYE = 5.0  # seconds at the end of the process for what is being published


class Background:
    """A loop thread and its session. Every method may be called from any thread but the loop's own."""

    def __init__(self, sender: object) -> None:
        self.session = Session(sender=sender)  # may raise what is wrong with the configuration
        self._loop = asyncio.new_event_loop()
        self._calls: deque[Callable[[], object]] = deque()
        self._woken = False
        self._thread = threading.Thread(target=self._run, name="fedora-messaging", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    @property
    def is_mine(self) -> bool:
        """Whether the caller runs on this loop, and must not wait for it."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[[], object]) -> None:
        """Run ``function`` on the loop; calls of several threads share one wake-up."""
        self._calls.append(function)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._woken = False
        while self._calls:
            try:
                self._calls.popleft()()
            except Exception:  # noqa: BLE001 - those behind it are to be called all the same
                _log.exception("A call on the background loop raised")
        self.session.flush()

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the loop, and wait for what it returns or raises."""
        future = asyncio.run_coroutine_threadsafe(contained(coroutine), self._loop)
        # In slices: a signal that comes just before a thread falls asleep does not wake it, and its handler
        # runs only when the thread does.
        while not wait([future], _SLICE).done:
            pass
        result, error = future.result()
        if error is not None:
            raise error
        return cast("T", result)

    def close(self) -> None:
        """End of the process: let what is in flight be confirmed, and say goodbye."""
        with contextlib.suppress(TimeoutError, RuntimeError):  # whoever waited for these messages is gone
            asyncio.run_coroutine_threadsafe(self.session.close(), self._loop).result(_GOODBYE)

    def abandon(self) -> None:
        """In a forked child: the thread is not here, and the sockets are the parent's."""
        self.session.abandon()


_lock = threading.Lock()
_main: Background | None = None
_reentrant: Background | None = None
_abandoned: list[Background | None] = []  # never collected: their destructors would touch the parent's epoll


def background(sender: object = None) -> Background:
    """The process's background loop; for a caller that runs on that very loop, a second one."""
    global _main, _reentrant  # noqa: PLW0603 - one a process is what it is for
    if _main is not None and not _main.is_mine:
        return _main
    with _lock:
        if _main is None:
            _main = Background(sender)
        if not _main.is_mine:
            return _main
        if _reentrant is None:
            _reentrant = Background(sender)
        return _reentrant


def _close() -> None:
    for one in (_main, _reentrant):
        if one is not None:
            one.close()


def _forget() -> None:
    """In the child after a fork."""
    global _lock, _main, _reentrant  # noqa: PLW0603 - see above
    _lock = threading.Lock()
    for one in (_main, _reentrant):
        if one is not None:
            one.abandon()
            _abandoned.append(one)
    _main = _reentrant = None


atexit.register(_close)
os.register_at_fork(after_in_child=_forget)
