# SPDX-License-Identifier: MIT
"""The page's sockets: real ones, and clients that are slow, silent, many or rude."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.web import Page, serve, server

from .bus import Bus
from .serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator


def ask(serving: Serving, raw: bytes) -> bytes:
    """All that is answered, until the server closes."""
    with serving.connect() as connection:
        connection.sendall(raw)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def get(target: str, *more: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *more, "", ""]).encode()


def first_line(answer: bytes) -> bytes:
    return answer.partition(b"\r\n")[0]


def events(connection: socket.socket) -> Iterator[dict[str, object]]:
    for line in connection.makefile("rb"):
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def test_the_page_comes_with_headers_that_let_nothing_foreign_in(serving: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
    for path in ("/", "/page.js", "/api/snapshot", "/nothing"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
        assert answer.headers["Server"] is None


def test_head_is_get_without_the_body(serving: Serving) -> None:
    head = ask(serving, get("/", method="HEAD"))
    whole = ask(serving, get("/"))
    assert head == whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert first_line(ask(serving, get("/events", method="HEAD"))) == b"HTTP/1.1 200 OK"


def test_a_stream_tells_everything_once_and_then_what_changed(bus: Bus, serving: Serving) -> None:
    with serving.connect() as connection:
        connection.sendall(get("/events"))
        told = events(connection)
        assert set(next(told)) >= {"legs", "map", "gate", "verdicts", "trouble"}
        bus.pass_on("zmq_to_amqp", 5)
        assert set(next(told)) == {"now", "legs"}


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /" + b"a" * 80_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
    ],
)
def test_what_is_no_request_for_this_page_is_refused(serving: Serving, raw: bytes, status: int) -> None:
    assert first_line(ask(serving, raw)).split()[1] == str(status).encode()


def test_who_takes_too_long_to_ask_is_cut_off(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ASKING", 0.3)
    began = time.monotonic()
    with serving.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHo")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    assert 0.2 < time.monotonic() - began < 5


def test_at_the_limit_of_connections_the_oldest_gives_way(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 3)
    idle = [serving.connect() for _ in range(6)]
    try:
        assert first_line(ask(serving, get("/api/snapshot"))) == b"HTTP/1.1 200 OK"
    finally:
        for connection in idle:
            connection.close()


def test_there_is_an_end_to_streams_too(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STREAMS", 2)
    streams = [serving.connect() for _ in range(2)]
    for connection in streams:
        connection.sendall(get("/events"))
        next(events(connection))
    refused = ask(serving, get("/events"))
    assert first_line(refused) == b"HTTP/1.1 503 Service Unavailable"
    assert first_line(ask(serving, get("/"))) == b"HTTP/1.1 200 OK"
    streams.pop().close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # its place is free again as soon as its end is noticed
        with serving.connect() as connection:
            connection.sendall(get("/events"))
            if b" 200 " in connection.recv(100):
                break
        time.sleep(0.2)
    else:
        pytest.fail("the place of a stream that ended stays taken")
    streams.pop().close()


def test_a_client_that_does_not_read_is_dropped_and_holds_little(
    bus: Bus, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "READING", 0.5)
    bus.judge("lost", evidence={"body": "x" * 3_000_000})
    with serving.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(get("/events"))
        running = serving.server
        assert running is not None
        deadline = time.monotonic() + 10
        while not running._streams and time.monotonic() < deadline:
            time.sleep(0.01)
        while running._streams and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not running._streams
    assert first_line(ask(serving, get("/"))) == b"HTTP/1.1 200 OK"


def test_clients_that_vanish_are_no_error(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    for raw in (b"", b"GET", get("/"), get("/events")):
        with serving.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # RST at once
            connection.sendall(raw)
    assert first_line(ask(serving, get("/"))) == b"HTTP/1.1 200 OK"
    time.sleep(1.2)
    assert [record.message for record in caplog.records if record.levelname != "DEBUG"] == []


def test_stopping_ends_what_is_open_at_once(serving: Serving) -> None:
    with serving.connect() as connection, serving.connect():
        connection.sendall(get("/events"))
        next(events(connection))
        began = time.monotonic()
        serving.stop()
        assert time.monotonic() - began < 1
        with pytest.raises(ConnectionRefusedError):
            serving.connect()


def test_a_token_opens_the_page_from_elsewhere(bus: Bus) -> None:
    token = "correct-horse-battery"
    serving = Serving(bus, token, host="0.0.0.0").start()
    try:
        assert first_line(ask(serving, get("/"))) == b"HTTP/1.1 401 Unauthorized"
        answer = ask(serving, get(f"/?token={token}"))
        assert first_line(answer) == b"HTTP/1.1 303 See Other"
        cookie = next(line for line in answer.split(b"\r\n") if line.startswith(b"Set-Cookie: "))[12:]
        pair = cookie.partition(b";")[0].decode()
        assert first_line(ask(serving, get("/api/snapshot", f"Cookie: {pair}"))) == b"HTTP/1.1 200 OK"
    finally:
        serving.close()


@pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80"])
def test_without_a_token_it_listens_on_loopback_only(listen: str) -> None:
    bus = Bus()
    with pytest.raises(ToolsError, match="token"):
        asyncio.run(serve(Page(bus.snapshot, bus.message, bus.verdicts), listen))


@pytest.mark.parametrize(
    "listen", ["", "8071", "localhost", "localhost:", "localhost:http", "127.0.0.1:70000", "::1:80", "a:-1"]
)
def test_what_is_no_address_is_said(listen: str) -> None:
    bus = Bus()
    with pytest.raises(ToolsError, match="HOST:PORT"):
        asyncio.run(serve(Page(bus.snapshot, bus.message, bus.verdicts), listen))


def test_a_port_that_is_taken_is_said(serving: Serving, bus: Bus) -> None:
    with pytest.raises(ToolsError, match=f"cannot listen on 127.0.0.1:{serving.port}: "):
        asyncio.run(serve(Page(bus.snapshot, bus.message, bus.verdicts), f"127.0.0.1:{serving.port}"))
