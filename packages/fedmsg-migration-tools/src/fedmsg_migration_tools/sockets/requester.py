# SPDX-License-Identifier: MIT
"""Asking those who answer requests: the other end of a :class:`.replier.Replier`, or of fedmsg's own REP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import zmq

from ..exceptions import ToolsError
from .address import check_connect, is_ipv6
from .options import tune
from .wakeup import Wakeup

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Requester"]

_LARGEST = 64 * 1024 * 1024


class Requester:
    """Asks, each time by a REQ socket of its own: one that got no answer could not ask again.

    Arguments:
        largest: bytes of an answer, and of each of its parts.
        parts: how many parts an answer may have.
    """

    def __init__(self, *, largest: int = _LARGEST, parts: int = 10_000) -> None:
        self._largest = largest
        self._parts = parts
        self._context: zmq.Context[Any] = zmq.Context()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Only when nobody waits for an answer any more."""
        self._context.term()

    async def ask(self, endpoint: str, request: bytes, *, seconds: float) -> list[bytes]:
        """The parts of the answer.

        Arguments:
            endpoint: whom to ask.
            request: one frame.
            seconds: for connecting and answering.

        Raises ``ToolsError`` when no such address can exist or the answer is too long, and ``TimeoutError``.
        """
        check_connect(endpoint)
        answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        socket = self._context.socket(zmq.REQ)
        wakeup = Wakeup(socket, lambda: self._look(socket, answer))
        try:
            socket.linger = 0
            socket.ipv6 = is_ipv6(endpoint)
            tune(socket, largest=self._largest)
            wakeup.start()
            _send(socket, endpoint, request)
            wakeup.again()
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            wakeup.stop()
            socket.close()

    def _look(self, socket: zmq.Socket[Any], answer: asyncio.Future[list[bytes]]) -> None:
        if answer.done():
            return
        try:
            answer.set_result(self._receive(socket))
        except zmq.Again:
            return
        except ToolsError as error:
            answer.set_exception(error)

    def _receive(self, socket: zmq.Socket[Any]) -> list[bytes]:
        """All parts of the answer: once the first is there, so are the others."""
        parts = [socket.recv(zmq.NOBLOCK)]
        size = len(parts[0])
        while socket.getsockopt(zmq.RCVMORE):
            part = socket.recv(zmq.NOBLOCK)
            size += len(part)
            if size > self._largest or len(parts) == self._parts:
                raise ToolsError(f"the answer has more than {self._largest} bytes or {self._parts} parts")
            parts.append(part)
        return parts


def _send(socket: zmq.Socket[Any], endpoint: str, request: bytes) -> None:
    try:
        socket.connect(endpoint)
        socket.send(request, zmq.NOBLOCK)
    except zmq.ZMQError as exc:
        raise ToolsError(f"{endpoint!r}: {exc.strerror}") from exc
