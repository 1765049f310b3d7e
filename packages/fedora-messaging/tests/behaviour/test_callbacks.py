# SPDX-License-Identifier: MIT
"""Consuming with a callback, of every kind: in order, one at a time, as many as are asked for."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import HaltConsumer
from fedora_messaging.message import Message

from .buses import eventually, settings
from .work import ASYNC_KINDS, KINDS, Until, as_async_kind, as_kind, consume, fill, of_every_kind, run

if TYPE_CHECKING:
    from .buses import Bus


# of every kind


@of_every_kind(KINDS)
def test_each_message_comes_once_in_order_and_is_acknowledged(bus: Bus, kind: str) -> None:
    fill(bus, range(100))
    handle = Until(100)
    session = consume(bus, as_kind(kind, handle))
    assert handle.seen == list(range(100))
    assert bus.take("q") == []
    assert session.statistics.received == session.statistics.processed == 100
    assert session.statistics.failed == session.statistics.dropped == session.statistics.rejected == 0


@of_every_kind(KINDS)
def test_one_message_at_a_time(bus: Bus, kind: str) -> None:
    fill(bus, range(5))
    inside, most = 0, 0
    lock = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)

    def leave(message: Message) -> None:
        nonlocal inside
        with lock:
            inside -= 1
        if message.body["n"] == 4:
            raise HaltConsumer

    def slow(message: Message) -> None:
        enter()
        time.sleep(0.02)
        leave(message)

    async def slow_too(message: Message) -> None:
        enter()
        await asyncio.sleep(0.02)
        leave(message)

    consume(bus, as_async_kind(kind, slow_too) if kind in ASYNC_KINDS else as_kind(kind, slow))
    assert most == 1


def test_plain_callbacks_run_beside_the_loop_and_async_ones_on_it(bus: Bus) -> None:
    fill(bus, range(2))
    threads = []

    def plain(_: Message) -> None:
        threads.append(threading.current_thread())
        raise HaltConsumer

    async def asynchronous(_: Message) -> None:
        threads.append(threading.current_thread())
        raise HaltConsumer

    consume(bus, plain)
    consume(bus, asynchronous)
    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.main_thread()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_class_is_made_once(bus: Bus, asynchronous: bool) -> None:
    fill(bus, range(3))

    class Callback:
        made: ClassVar[list[object]] = []

        def __init__(self) -> None:
            self.made.append(self)
            self.count = 0

        def __call__(self, message: Message) -> None:
            self.count += 1
            assert message.body["n"] == self.count - 1
            if self.count == 3:
                raise HaltConsumer

    class AsyncCallback(Callback):
        async def __call__(self, message: Message) -> None:  # type: ignore[override]
            super().__call__(message)

    consume(bus, AsyncCallback if asynchronous else Callback)
    assert len(Callback.made) == 1


def test_what_is_no_callback_is_refused_before_anything_is_opened(bus: Bus) -> None:
    class NoCall:
        pass

    class NeedsArguments:
        def __init__(self, _: object) -> None:
            pass

    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            for wrong in (None, "module:name", NoCall, NoCall()):
                with pytest.raises(ValueError, match="callback"):
                    await session.consume(wrong)
            with pytest.raises(TypeError):
                await session.consume(NeedsArguments)

    run(work())


def test_a_message_says_which_queue_it_came_from(bus: Bus) -> None:
    """Also those that waited already when consuming began."""
    fill(bus, range(20))
    handle = Until(20)
    consume(bus, handle)
    assert {message.queue for message in handle.messages} == {"q"}


# how many are fetched


@pytest.mark.parametrize("prefetch", [1, 5])
def test_no_more_are_fetched_than_is_asked_for(bus: Bus, prefetch: int) -> None:
    fill(bus, range(20))
    began, go_on = threading.Event(), threading.Event()

    def handle(_: Message) -> None:
        began.set()
        go_on.wait(10)
        raise HaltConsumer

    async def work() -> None:
        async with aio.Session(settings(bus, "q", qos={"prefetch_count": prefetch})) as session:
            consuming = asyncio.create_task(session.consume(handle))
            await asyncio.to_thread(began.wait, 10)
            try:
                assert await asyncio.to_thread(eventually, lambda: bus.waiting("q") == 20 - prefetch)
                await asyncio.sleep(0.1)
                assert await asyncio.to_thread(bus.waiting, "q") == 20 - prefetch
            finally:
                go_on.set()
            with pytest.raises(HaltConsumer):
                await consuming

    run(work())
    assert bus.waiting("q") == 19


def test_an_acknowledgement_comes_only_after_the_callback_returned(bus: Bus) -> None:
    fill(bus, range(1))
    began, go_on = threading.Event(), threading.Event()

    def handle(_: Message) -> None:
        began.set()
        go_on.wait(10)

    async def work() -> None:
        async with aio.Session(settings(bus, "q")) as session:
            consuming = asyncio.create_task(session.consume(handle))
            await asyncio.to_thread(began.wait, 10)
            await asyncio.to_thread(bus.kill_connections)
            await asyncio.sleep(0.05)
            go_on.set()  # too late: the message comes again
            await asyncio.sleep(0.05)
            assert session.statistics.received <= 2
            consuming.cancel()
            await asyncio.wait([consuming])

    run(work())


# publishing from inside


@of_every_kind(ASYNC_KINDS)
def test_an_async_callback_publishes_on_the_session_that_consumes(bus: Bus, kind: str) -> None:
    fill(bus, range(10))
    bus.queue("answers", ["answer.#"])

    async def work() -> None:
        async with aio.Session(settings(bus, "q")) as session:

            async def answer(message: Message) -> None:
                await session.publish(Message(topic="answer.order", body=message.body))
                if message.body["n"] == 9:
                    raise HaltConsumer

            bus.unbind("q", "#")
            with pytest.raises(HaltConsumer):
                await session.consume(as_async_kind(kind, answer))

    run(work())
    assert [taken.json["n"] for taken in bus.take("answers")] == list(range(10))
