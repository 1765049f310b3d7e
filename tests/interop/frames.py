# SPDX-License-Identifier: MIT
"""ZeroMQ sockets for the tests of the bridges, which send and take frames as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import zmq

from tests.interop.bridging import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


class Publisher:
    """A socket that publishes the frames it is given, and knows its subscribers."""

    def __init__(self) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def wait(self, subscribers: int = 1) -> None:
        """Until so many have subscribed to everything."""
        for seen in range(subscribers):
            assert self._socket.poll(int(PATIENCE * 1000)), f"{seen} of {subscribers} subscribed"
            assert self._socket.recv() == b"\x01"

    def send(self, *frames: bytes) -> None:
        """Publish one message of these frames."""
        self._socket.send_multipart(frames)

    def envelope(self, envelope: Mapping[str, Any]) -> None:
        """Publish this envelope on its topic."""
        self.send(envelope["topic"].encode(), json.dumps(envelope).encode())


class Subscriber:
    """A socket that gets all that is published at some endpoints."""

    def __init__(self, *endpoints: str) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.subscribe(b"")
        for each in endpoints:
            self._socket.connect(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def frames(self) -> list[bytes]:
        """The next message as it is."""
        assert self._socket.poll(int(PATIENCE * 1000)), f"no message within {PATIENCE:g} s"
        return self._socket.recv_multipart()

    def next(self, patience: float = PATIENCE) -> tuple[str, dict[str, Any]] | None:
        """The topic and the envelope of the next message, or None."""
        if not self._socket.poll(int(patience * 1000)):
            return None
        topic, body = self.frames()
        return topic.decode(), json.loads(body)

    def all(self, quiet: float = 1.0) -> list[tuple[str, dict[str, Any]]]:
        """What comes until nothing has come for ``quiet`` seconds."""
        got = []
        while (message := self.next(quiet)) is not None:
            got.append(message)
        return got
