# SPDX-License-Identifier: MIT
"""One message on its way, from when it is submitted until its outcome is told. Publishing it is done elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from .exceptions import BaseException as LibraryError

if TYPE_CHECKING:
    import asyncio

    from .transports.base import Outgoing

Done = Callable[[LibraryError | None], None]

_log = logging.getLogger(__name__)

_TICK = 0.05  # seconds that a time limit may be late, so that one look settles many


class Publication:
    """One message on its way; ``done`` is called exactly once, with None or the reason of the failure."""

    __slots__ = ("deadline", "done", "in_flight", "message", "seconds")

    def __init__(self, message: Outgoing, seconds: float | None, deadline: float, done: Done) -> None:
        self.message = message
        self.seconds = seconds
        self.deadline = deadline
        self.done: Done | None = done
        self.in_flight = False

    def tell(self, error: LibraryError | None) -> None:
        """Tell the outcome, for the first and last time."""
        done, self.done = self.done, None
        assert done is not None  # noqa: S101 - the caller looked
        try:
            done(error)
        except Exception:  # noqa: BLE001 - a signal's receiver: neither this connection nor others are to suffer
            _log.exception("What was to be told of a message's outcome raised")


class Alarm:
    """Rings once at the earliest of the times that it was set to, or a moment later.

    Arguments:
        loop: whose clock it goes by.
        ring: what to call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, time: float) -> None:
        """Ring at this time as well; never, if it is infinite."""
        when = time + _TICK
        if when == float("inf") or (self._handle is not None and self._handle.when() <= when):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(when, self._rings)

    def _rings(self) -> None:
        self._handle = None
        self._ring()
