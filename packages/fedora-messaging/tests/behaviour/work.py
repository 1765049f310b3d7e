# SPDX-License-Identifier: MIT
"""What the tests of behaviour share: running a coroutine, numbered messages, callbacks of every kind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import HaltConsumer
from fedora_messaging.message import Message

from .buses import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from .buses import Bus

ASYNC_KINDS = ["async function", "async class", "lambda of a coroutine"]
KINDS = ["function", "class", "partial", *ASYNC_KINDS]
# What kind a callback is makes no difference to the broker: the real one sees a plain and an async one.
ON_BOTH = ["function", "async function"]


def of_every_kind(kinds: list[str]) -> pytest.MarkDecorator:
    """Run a test with callbacks of these kinds in ``kind``."""
    memory = [("memory", kind) for kind in kinds]
    rabbitmq = [("rabbitmq", kind) for kind in kinds if kind in ON_BOTH]
    return pytest.mark.parametrize(("bus", "kind"), memory + rabbitmq, indirect=["bus"])


EXCLUSIVE = {"durable": False, "auto_delete": True, "exclusive": True, "arguments": {}}


def binding(queue: str | None, *topics: str, exchange: str = "amq.topic") -> dict[str, Any]:
    named = {} if queue is None else {"queue": queue}
    return {**named, "exchange": exchange, "routing_keys": list(topics)}


async def published(session: aio.Session, numbers: range, topic: str = "shop.order") -> None:
    await session.publish_many(numbered(numbers, topic))


def run(coroutine: Coroutine[Any, Any, Any], seconds: float = 30) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, seconds))


def numbered(numbers: Iterable[int], topic: str = "shop.order") -> list[Message]:
    return [Message(topic=topic, body={"n": n}) for n in numbers]


def numbers_in(bus: Bus, queue: str = "q") -> list[int]:
    """The numbers of the messages that wait in the queue, which is empty then."""
    return [taken.json["n"] for taken in bus.take(queue)]


def fill(bus: Bus, numbers: Iterable[int], queue: str = "q") -> None:
    """Put numbered messages in the queue, which gets everything where it is not there yet."""
    if not bus.has(queue):
        bus.queue(queue)

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish_many(numbered(numbers))

    run(publish())


class Until:
    """A callback that collects, and halts with the last of so many messages."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen: list[int] = []
        self.messages: list[Message] = []

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self.seen.append(message.body["n"])
        if len(self.seen) == self.count:
            raise HaltConsumer


def as_kind(kind: str, handle: Callable[[Message], None]) -> Any:
    """A callback of that kind which does what ``handle`` does."""

    async def soon(message: Message) -> None:
        await asyncio.sleep(0)
        handle(message)

    if kind in ASYNC_KINDS:
        return as_async_kind(kind, soon)

    class Plain:
        def __call__(self, message: Message) -> None:
            handle(message)

    callbacks: dict[str, Any] = {
        "function": handle,
        "class": Plain,
        "partial": functools.partial(lambda _, message: handle(message), None),
    }
    return callbacks[kind]


def as_async_kind(kind: str, handle: Callable[[Message], Coroutine[Any, Any, None]]) -> Any:
    """A callback of that kind which does what the coroutine function ``handle`` does."""

    class Async:
        async def __call__(self, message: Message) -> None:
            await handle(message)

    callbacks: dict[str, Any] = {
        "async function": handle,
        "async class": Async,
        "lambda of a coroutine": lambda message: handle(message),  # noqa: PLW0108 - what it is must not be seen
    }
    return callbacks[kind]


def consume(bus: Bus, callback: Any, *queues: str, **more: Any) -> aio.Session:
    """Consume until the callback halts; the session, which is closed by then."""

    async def work() -> aio.Session:
        async with aio.Session(settings(bus, *(queues or ("q",)), **more)) as session:
            with contextlib.suppress(HaltConsumer):
                await session.consume(callback)
            return session

    session: aio.Session = run(work())
    return session
