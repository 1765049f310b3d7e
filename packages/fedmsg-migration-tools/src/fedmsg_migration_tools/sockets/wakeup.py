# SPDX-License-Identifier: MIT
"""One ZeroMQ socket and one event loop: when to look at the socket. What is then done belongs elsewhere.

The file descriptor of a ZeroMQ socket is edge-triggered (zmq_getsockopt, ZMQ_FD): it says that something *may*
have changed, and any call on the socket may swallow that. So the rule is: look until there is nothing left, and
look again after each call that may have swallowed the sign.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import zmq


class Wakeup:
    """Calls ``look`` on the running loop whenever the socket may have something.

    Arguments:
        socket: the socket; it has to outlive this object's :meth:`stop`.
        look: takes what is there; calls :meth:`again` when it stopped before the end.
    """

    def __init__(self, socket: zmq.Socket[Any], look: Callable[[], None]) -> None:
        self._descriptor: int = socket.FD
        self._look = look
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled: asyncio.Handle | None = None

    @property
    def running(self) -> bool:
        """Between :meth:`start` and :meth:`stop`."""
        return self._loop is not None

    def start(self) -> None:
        """Begin, on the running loop; what is there already is looked at in the loop's next turn."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._descriptor, self._look)
        self.again()

    def again(self) -> None:
        """Look once more in the loop's next turn, so that its other work gets its own."""
        if self._loop is not None and self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._run)

    def stop(self) -> None:
        """No call after this one."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._descriptor)
            self._loop = None

    def _run(self) -> None:
        self._scheduled = None
        self._look()
