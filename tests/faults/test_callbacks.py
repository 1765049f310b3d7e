# SPDX-License-Identifier: MIT
"""What becomes of messages whose callback raises, on a real broker with a real dead-letter exchange."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging.aio import Session
from fedora_messaging.exceptions import Drop, HaltConsumer, Nack

from .support import channel, consuming, declare, drain, numbered, numbers_in, settings, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedora_messaging.message import Message

MESSAGES = 30  # three times what is prefetched


class Fault(Exception):
    """The application's own."""


def raising(what: dict[int, BaseException], kind: str, taken: list[int]) -> Callable[[Message], Any]:
    """A callback that raises at the first sight of some messages."""

    def plain(message: Message) -> None:
        taken.append(message.body["n"])
        if (error := what.pop(message.body["n"], None)) is not None:
            raise error

    async def coroutine(message: Message) -> None:
        await asyncio.sleep(0)
        plain(message)

    return plain if kind == "plain" else coroutine


async def consume_until_it_raises(
    url: str, callback: Callable[[Message], Any]
) -> tuple[BaseException, Session]:
    """Publish, consume, and what ``consume`` raised."""
    async with Session(settings(url)) as session:
        await session.publish_many(numbered(range(MESSAGES)))
        async with asyncio.timeout(30):
            try:
                await session.consume(callback)
            except BaseException as error:  # noqa: BLE001 - any of them is a result
                return error, session
    raise AssertionError("it returned")


kinds = pytest.mark.parametrize("kind", ["plain", "async"])


@kinds
@pytest.mark.parametrize(
    "error", [Fault("x"), SystemExit(3), KeyboardInterrupt()], ids=lambda e: type(e).__name__
)
def test_a_fault_returns_all_and_reaches_the_caller(amqp_url: str, kind: str, error: BaseException) -> None:
    declare(amqp_url)
    taken: list[int] = []
    raised, session = asyncio.run(consume_until_it_raises(amqp_url, raising({4: error}, kind, taken)))
    assert raised is error
    assert taken == [0, 1, 2, 3, 4]
    assert numbers_in(amqp_url) == list(range(4, MESSAGES))
    assert (session.statistics.processed, session.statistics.failed) == (4, 1)


@kinds
@pytest.mark.parametrize("requeue", [False, True], ids=["acked", "requeued"])
def test_halting(amqp_url: str, kind: str, *, requeue: bool) -> None:
    declare(amqp_url)
    taken: list[int] = []
    halt = HaltConsumer(exit_code=7, reason="enough", requeue=requeue)
    raised, _ = asyncio.run(consume_until_it_raises(amqp_url, raising({4: halt}, kind, taken)))
    assert raised is halt
    assert taken == [0, 1, 2, 3, 4]
    assert numbers_in(amqp_url) == list(range(4 if requeue else 5, MESSAGES))


@kinds
def test_nack_and_drop(amqp_url: str, kind: str) -> None:
    dead_letters = {"x-dead-letter-exchange": "amq.fanout"}
    with channel(amqp_url) as ch:
        ch.queue_declare("dead", durable=True)
        ch.queue_bind("dead", "amq.fanout")
    queues = {
        "faults": {"durable": True, "auto_delete": False, "exclusive": False, "arguments": dead_letters}
    }
    taken: list[int] = []
    outcomes: dict[int, BaseException] = {3: Nack(), 4: Drop(), 20: Drop(), 29: Nack()}

    async def scenario() -> None:
        async with Session(settings(amqp_url, queues=queues)) as session:
            async with consuming(session, raising(outcomes, kind, taken)):
                await session.publish_many(numbered(range(MESSAGES)))
                await soon(lambda: len(taken) == MESSAGES + 2, "all messages, and two of them again")
            counted = session.statistics
            assert (counted.received, counted.processed) == (MESSAGES + 2, MESSAGES - 2)
            assert (counted.rejected, counted.dropped) == (2, 2)

    asyncio.run(scenario())
    assert sorted(taken) == sorted([*range(MESSAGES), 3, 29])
    assert numbers_in(amqp_url, "dead") == [4, 20]
    assert not drain(amqp_url)


@kinds
def test_stopping_settles_what_was_done_and_returns_the_rest(amqp_url: str, kind: str) -> None:
    declare(amqp_url)
    taken: list[int] = []

    async def scenario() -> None:
        async with Session(settings(amqp_url)) as session:
            await session.publish_many(numbered(range(MESSAGES)))
            callback = raising({}, kind, taken)

            def stopping(message: Message) -> Any:
                if message.body["n"] == 9:
                    session.stop_consuming()
                return callback(message)

            async with asyncio.timeout(30):
                await session.consume(stopping)

    asyncio.run(scenario())
    # A callback in a thread has its next message at hand: it may have some before the word reaches the loop.
    assert taken == list(range(len(taken)))
    assert 10 <= len(taken) < MESSAGES
    assert numbers_in(amqp_url) == list(range(len(taken), MESSAGES))
