# SPDX-License-Identifier: MIT
"""The requester on real sockets: our own replier and a plain REP answer it, late, too much, or not at all."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import zmq
from zmq.asyncio import Context

from fedmsg_migration_tools.exceptions import ToolsError
from fedmsg_migration_tools.sockets import Replier, Requester

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def answer(request: bytes) -> list[bytes]:
    if request == b"large":
        return [b"x" * 600] * 2
    if request == b"huge":
        return [b"x" * 5000]
    return [request] * (50 if request == b"many" else 3)


def run(test: Callable[[Requester, str], Awaitable[None]]) -> None:
    async def whole() -> None:
        replier = Replier("tcp://127.0.0.1:*", answer)
        replier.attach()
        try:
            with Requester(largest=1000, parts=40) as requester:
                await test(requester, replier.endpoint)
        finally:
            replier.close()

    asyncio.run(whole())


def test_all_parts_of_the_answer() -> None:
    async def test(requester: Requester, endpoint: str) -> None:
        assert await requester.ask(endpoint, b"one", seconds=5) == [b"one"] * 3
        answers = await asyncio.gather(
            *(requester.ask(endpoint, b"%d" % number, seconds=5) for number in range(30))
        )
        assert answers == [[b"%d" % number] * 3 for number in range(30)]

    run(test)


def test_one_that_is_not_there_yet_answers_when_it_is() -> None:
    async def test(requester: Requester, _endpoint: str) -> None:
        context = Context()
        with context.socket(zmq.REP) as late:
            port = late.bind_to_random_port("tcp://127.0.0.1")
            late.unbind(f"tcp://127.0.0.1:{port}")
            asking = asyncio.create_task(requester.ask(f"tcp://127.0.0.1:{port}", b"?", seconds=10))
            await asyncio.sleep(0.2)
            late.bind(f"tcp://127.0.0.1:{port}")
            assert await late.recv() == b"?"
            await late.send_multipart([b"a", b"b"])
            assert await asking == [b"a", b"b"]
        context.destroy(linger=0)

    run(test)


def test_no_answer_ends_in_time_and_harms_nobody() -> None:
    async def test(requester: Requester, endpoint: str) -> None:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            await requester.ask("tcp://127.0.0.1:9", b"?", seconds=0.3)
        assert time.monotonic() - begun < 2
        assert await requester.ask(endpoint, b"next", seconds=5) == [b"next"] * 3

    run(test)


@pytest.mark.parametrize("request_", [b"many", b"large"])
def test_too_much_is_refused(request_: bytes) -> None:
    async def test(requester: Requester, endpoint: str) -> None:
        with pytest.raises(ToolsError, match="more than 1000 bytes or 40 parts"):
            await requester.ask(endpoint, request_, seconds=5)

    run(test)


def test_a_part_that_is_too_long_never_comes_in() -> None:
    async def test(requester: Requester, endpoint: str) -> None:
        with pytest.raises(TimeoutError):
            await requester.ask(endpoint, b"huge", seconds=0.5)

    run(test)


@pytest.mark.parametrize("endpoint", ["tcp://*:1", "nonsense", "ipc://" + "x" * 200])
def test_what_is_no_address_is_said(endpoint: str) -> None:
    async def test(requester: Requester, _endpoint: str) -> None:
        with pytest.raises(ToolsError, match=r"endpoint|listening|path"):
            await requester.ask(endpoint, b"?", seconds=1)

    run(test)


def test_who_stops_waiting_leaves_nothing_behind() -> None:
    async def test(requester: Requester, endpoint: str) -> None:
        asking = asyncio.create_task(requester.ask("tcp://127.0.0.1:9", b"?", seconds=60))
        await asyncio.sleep(0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await requester.ask(endpoint, b"next", seconds=5) == [b"next"] * 3

    run(test)  # closing would wait for ever for a socket that was left open
