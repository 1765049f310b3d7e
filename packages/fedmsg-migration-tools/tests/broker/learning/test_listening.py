# SPDX-License-Identifier: MIT
"""Listening to publishers of the old bus, over real sockets."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from fedmsg_migration_tools.broker.learning import publishers
from fedmsg_migration_tools.broker.learning.listening import listen
from fedmsg_migration_tools.broker.learning.messages import Reader, Sent
from fedmsg_migration_tools.broker.learning.recordings import Notes
from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.fedmsg import translation

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC = "org.example.prod.bodhi.event"


class Publisher:
    """Sends what it is given as soon as somebody listens."""

    def __init__(self, messages: list[list[bytes]]) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.linger = 0
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self._messages = messages
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        if self._socket.poll(60_000):
            self._socket.recv()
            for frames in self._messages:
                self._socket.send_multipart(frames)

    def close(self) -> None:
        self._thread.join()
        self._socket.close()
        self._context.term()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    good = [list(translation.frames({"topic": TOPIC, "msg": {"i": i}})) for i in range(3)]
    one = Publisher([good[0], [b"odd"], [b"\xff", b"{}"], good[1], good[2]])
    yield one
    one.close()


def test_what_is_sent_is_heard_until_ctrl_c(publisher: Publisher) -> None:
    heard: list[Sent] = []

    def hear(sent: Sent) -> None:
        heard.append(sent)
        if len(heard) == 3:
            signal.raise_signal(signal.SIGINT)

    notes, reached = Notes(), set[str]()
    with pytest.raises(KeyboardInterrupt):
        listen([publisher.endpoint], 600, Reader(publishers.unverified), notes, hear, reached)
    assert [sent.topic for sent in heard] == [TOPIC] * 3
    assert notes.count == 2
    assert all(sent.at and abs(sent.at - time.time()) < 600 for sent in heard)
    (line,) = notes.lines()
    assert line.startswith(
        "ZeroMQ: 2 times frames that are no message, the first in what was heard (1 frames;"
    )


def test_it_ends_by_itself_and_says_who_could_not_be_heard() -> None:
    reached: set[str] = set()
    listen(["tcp://127.0.0.1:1"], 0.1, Reader(publishers.unverified), Notes(), print, reached)
    assert reached == set()


def test_an_endpoint_that_is_none_is_one_line() -> None:
    with pytest.raises(ToolsError) as caught:
        listen(["tcp://nonsense"], 600, Reader(publishers.unverified), Notes(), print, set())
    assert "\n" not in str(caught.value)
