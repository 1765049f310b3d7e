# SPDX-License-Identifier: MIT
"""The archive on a real socket: what the command's tests do not see of it, the slow, the large and the crooked."""

import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import URLError
from urllib.request import Request

import pytest

from fedora_messaging import datagrepper

ANSWERS = {
    b"good": b"HTTP/1.1 200 OK\r\n\r\n{}",
    b"large": b"HTTP/1.1 200 OK\r\n\r\n" + b'"' + b"x" * 2000 + b'"',
    b"cut": b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"a"',
    b"none": b"",
}


class Drip(socketserver.BaseRequestHandler):
    """Answers by the message's id; ``slow`` with a byte now and then, without end."""

    def handle(self) -> None:
        asked = self.request.recv(4096).split(b"id=")[1].split(b"&")[0]
        if asked != b"slow":
            self.request.sendall(ANSWERS[asked])
            return
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
        try:
            while True:
                self.request.sendall(b" ")
                time.sleep(0.05)
        except OSError:
            return


@pytest.fixture
def url() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_answer(url: str) -> None:
    assert datagrepper.ask(url, "good") == {}


def test_an_answer_without_end_has_one(url: str) -> None:
    begun = time.monotonic()
    with pytest.raises(datagrepper.Unreachable, match=r"no answer from the archive at http.*timed out"):
        datagrepper.ask(url, "slow", seconds=0.5)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("message_id", "words"),
    [("large", "more than 1000 bytes"), ("cut", "something else than JSON"), ("none", "no answer")],
)
def test_what_is_no_answer(url: str, message_id: str, words: str) -> None:
    with pytest.raises(datagrepper.Unreachable, match=words):
        datagrepper.ask(url, message_id, largest=1000)


def test_from_https_it_does_not_follow_to_http() -> None:
    handler: Any = datagrepper._NoWayDown()
    arguments: tuple[Any, ...] = (None, 302, "Found", {})
    with pytest.raises(URLError, match="not https"):
        handler.redirect_request(Request("https://a.example/x"), *arguments, "http://b.example/")
    there = handler.redirect_request(Request("https://a.example/x"), *arguments, "https://b.example/")
    assert there is not None
    assert there.full_url == "https://b.example/"
