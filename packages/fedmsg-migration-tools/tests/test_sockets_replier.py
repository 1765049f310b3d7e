# SPDX-License-Identifier: MIT
"""The replier on real sockets: REQ clients are answered as by a REP, and none of them holds up the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import zmq
from zmq.asyncio import Context

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.sockets import Replier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def answer(request: bytes) -> list[bytes]:
    if request == b"fail":
        raise RuntimeError
    return [request] * (100_000 if request == b"many" else 3)


def run(test: Callable[[Replier, Context], Awaitable[None]], endpoint: str = "tcp://127.0.0.1:*") -> None:
    async def whole() -> None:
        context = Context()
        replier = Replier(endpoint, answer)
        replier.attach()
        try:
            await test(replier, context)
        finally:
            replier.close()
            context.destroy(linger=0)

    asyncio.run(whole())


async def ask(context: Context, replier: Replier, request: bytes) -> list[bytes]:
    with context.socket(zmq.REQ) as socket:
        socket.linger = 0
        socket.connect(replier.endpoint)
        await socket.send(request)
        return await asyncio.wait_for(socket.recv_multipart(), 5)


def test_a_request_is_answered_in_parts() -> None:
    async def test(replier: Replier, context: Context) -> None:
        with context.socket(zmq.REQ) as socket:
            socket.connect(replier.endpoint)
            for request in (b"one", b"", b"two"):
                await socket.send(request)
                assert await socket.recv_multipart() == [request] * 3

    run(test)


def test_many_clients_at_once_each_get_their_own() -> None:
    async def test(replier: Replier, context: Context) -> None:
        answers = await asyncio.gather(*(ask(context, replier, b"%d" % number) for number in range(50)))
        assert answers == [[b"%d" % number] * 3 for number in range(50)]

    run(test)


def test_clients_that_vanish_or_do_not_read_hold_up_nobody() -> None:
    async def test(replier: Replier, context: Context) -> None:
        flooding = context.socket(zmq.DEALER)
        flooding.sndhwm = 0
        flooding.rcvhwm = 1
        flooding.connect(replier.endpoint)
        for _ in range(20):
            await flooding.send_multipart([b"", b"many"])
            gone = context.socket(zmq.REQ)
            gone.connect(replier.endpoint)
            await gone.send(b"many")
            gone.close(linger=100)
        await asyncio.sleep(0.2)
        assert await ask(context, replier, b"here") == [b"here"] * 3

    run(test)


def test_a_request_that_fails_is_answered_and_the_next_one_too(caplog: pytest.LogCaptureFixture) -> None:
    async def test(replier: Replier, context: Context) -> None:
        (part,) = await ask(context, replier, b"fail")
        assert part.startswith(b"error: ")
        assert await ask(context, replier, b"next") == [b"next"] * 3

    run(test)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_is_no_request_is_passed_over() -> None:
    async def test(replier: Replier, context: Context) -> None:
        with context.socket(zmq.DEALER) as odd:
            odd.linger = 0
            odd.connect(replier.endpoint)
            for frames in ([b""], [b"no delimiter"], [b"a", b"b"], [b"", b"a", b"b"]):
                await odd.send_multipart(frames)
            _reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(replier.endpoint.rpartition(":")[2])
            )
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert await ask(context, replier, b"good") == [b"good"] * 3
            assert not await odd.poll(100)
            writer.close()

    run(test)


def test_an_address_in_use_is_said_in_a_line() -> None:
    async def test(replier: Replier, _context: Context) -> None:
        with pytest.raises(ToolsError, match="in use"):
            Replier(replier.endpoint, answer)

    run(test)
