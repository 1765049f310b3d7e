# SPDX-License-Identifier: MIT
"""Answering requests of REQ clients, one at a time, none of which can hold up the others."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import zmq

from .options import bind, tune
from .wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_LARGEST_REQUEST = 1024 * 1024


class Replier:
    """A ROUTER socket that answers as a REP would: fedmsg's clients notice no difference.

    Arguments:
        endpoint: where to listen.
        answer: from a request to the parts of its answer (at least one); called on the loop.
    """

    def __init__(self, endpoint: str, answer: Callable[[bytes], list[bytes]]) -> None:
        self._answer = answer
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 1000
        tune(self._socket, largest=_LARGEST_REQUEST)
        self._wakeup: Wakeup | None = None
        try:
            self.endpoint: str = bind(self._socket, endpoint)
        except BaseException:
            self.close()
            raise

    def attach(self) -> None:
        """Answer on the running loop from now on."""
        self._wakeup = Wakeup(self._socket, self._read)
        self._wakeup.start()

    def close(self) -> None:
        """Close; answers that are not on the wire after a second are lost."""
        if self._wakeup is not None:
            self._wakeup.stop()
        self._socket.close()
        self._context.term()

    def _read(self) -> None:
        """Answer one request in a turn of the loop, so that other work gets its own."""
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        if self._wakeup is not None:
            self._wakeup.again()
        if len(frames) < 3 or frames[-2] != b"":
            return
        self._socket.send_multipart([*frames[:-1], *self._parts(frames[-1])], zmq.NOBLOCK)

    def _parts(self, request: bytes) -> list[bytes]:
        try:
            return self._answer(request)
        except Exception:  # noqa: BLE001 - one request must not end the answers to the others
            _log.exception("A request for a replay could not be answered")
            return [b"error: it could not be answered"]
