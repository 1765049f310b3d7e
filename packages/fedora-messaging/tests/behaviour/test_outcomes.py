# SPDX-License-Identifier: MIT
"""What a callback's outcome means for its message, and what becomes of bytes that are no message."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import Drop, HaltConsumer, Nack
from fedora_messaging.message import Message

from .buses import settings
from .work import KINDS, Until, as_kind, consume, fill, of_every_kind, run

if TYPE_CHECKING:
    from .buses import Bus


# outcomes


@of_every_kind(KINDS)
def test_nack_returns_the_message_to_the_queue(bus: Bus, kind: str) -> None:
    fill(bus, range(3))
    seen = []

    def handle(message: Message) -> None:
        seen.append(message.body["n"])
        if seen.count(1) == 1 and message.body["n"] == 1:
            raise Nack
        if len(seen) == 4:
            raise HaltConsumer

    session = consume(bus, as_kind(kind, handle))
    assert sorted(seen) == [0, 1, 1, 2]
    assert session.statistics.rejected == 1
    assert bus.take("q") == []


@of_every_kind(KINDS)
def test_drop_sends_the_message_to_the_dead_letter_exchange(bus: Bus, kind: str) -> None:
    bus.exchange("graveyard")
    bus.queue("dead", exchange="graveyard")
    bus.queue("q", x_dead_letter_exchange="graveyard")
    fill(bus, range(3))
    seen = []

    def handle(message: Message) -> None:
        seen.append(message.body["n"])
        if message.body["n"] == 1:
            raise Drop
        if message.body["n"] == 2:
            raise HaltConsumer

    session = consume(bus, as_kind(kind, handle))
    assert seen == [0, 1, 2]
    assert session.statistics.dropped == 1
    assert bus.take("q") == []
    assert [taken.json["n"] for taken in bus.take("dead")] == [1]


@of_every_kind(KINDS)
def test_drop_without_a_dead_letter_exchange_loses_the_message(bus: Bus, kind: str) -> None:
    fill(bus, range(2))

    def handle(message: Message) -> None:
        raise Drop if message.body["n"] == 0 else HaltConsumer

    consume(bus, as_kind(kind, handle))
    assert bus.take("q") == []


@of_every_kind(KINDS)
@pytest.mark.parametrize("requeue", [False, True])
def test_halt_ends_consuming_with_or_without_its_message(bus: Bus, kind: str, requeue: bool) -> None:
    fill(bus, range(20))
    halt = HaltConsumer(exit_code=3, reason="enough", requeue=requeue)

    def handle(message: Message) -> None:
        if message.body["n"] == 2:
            raise halt

    async def work() -> aio.Session:
        async with aio.Session(settings(bus, "q")) as session:
            with pytest.raises(HaltConsumer, match="enough") as caught:
                await session.consume(as_kind(kind, handle))
            assert caught.value is halt
            return session

    session = run(work())
    assert [taken.json["n"] for taken in bus.take("q")] == list(range(2 if requeue else 3, 20))
    assert session.statistics.processed == (2 if requeue else 3)


@of_every_kind(KINDS)
def test_a_callback_at_fault_returns_its_message_and_all_that_was_fetched(bus: Bus, kind: str) -> None:
    fill(bus, range(20))

    def handle(message: Message) -> None:
        if message.body["n"] == 5:
            raise LookupError("no such order")

    async def work() -> aio.Session:
        async with aio.Session(settings(bus, "q", qos={"prefetch_count": 10})) as session:
            with pytest.raises(LookupError, match="no such order"):
                await session.consume(as_kind(kind, handle))
            return session

    session = run(work())
    taken = bus.take("q")
    assert [one.json["n"] for one in taken] == list(range(5, 20))
    assert taken[0].redelivered
    assert not taken[-1].redelivered
    assert session.statistics.failed == 1
    assert session.statistics.processed == 5


def test_an_async_callback_that_is_cancelled_by_others_is_at_fault(bus: Bus) -> None:
    fill(bus, range(2))

    async def handle(_: Message) -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task

    async def work() -> None:
        async with aio.Session(settings(bus, "q")) as session:
            with pytest.raises(asyncio.CancelledError):
                await session.consume(handle)

    run(work())
    assert [taken.json["n"] for taken in bus.take("q")] == [0, 1]


# bytes that are no message

WRONG: dict[str, tuple[bytes, dict[str, Any]]] = {
    "not JSON": (b"hello", {}),
    "no object": (b"[1, 2]", {}),
    "not UTF-8": (b'{"x": "\xff"}', {}),
    "unknown encoding": (b"{}", {"content_encoding": "klingon"}),
    "deeply nested": (b'{"x":' * 100_000 + b"1" + b"}" * 100_000, {}),
    "wrong severity": (b"{}", {"headers": {"fedora_messaging_severity": "high"}}),
    "wrong schema": (b"{}", {"headers": {"fedora_messaging_schema": ["x"]}}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_message_goes_to_the_dead_letter_exchange_and_the_next_comes(
    bus: Bus, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    bus.exchange("graveyard")
    bus.queue("dead", exchange="graveyard")
    bus.queue("q", x_dead_letter_exchange="graveyard")
    body, properties = WRONG[wrong]
    bus.put("q", body, message_id="wrong-one", **properties)
    fill(bus, range(1))
    handle = Until(1)
    session = consume(bus, handle)
    assert handle.seen == [0]
    assert session.statistics.invalid == 1
    assert session.statistics.received == session.statistics.processed == 1
    assert [taken.body for taken in bus.take("dead")] == [body]
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "wrong-one" in line.getMessage()
    assert "topic q" in line.getMessage()
    assert "\n" not in line.getMessage()
    assert line.exc_info is None


def test_bytes_without_headers_are_a_message(bus: Bus) -> None:
    bus.queue("q")
    bus.put("q", b'{"n": 0}')
    handle = Until(1)
    consume(bus, handle)
    assert handle.seen == [0]
    assert type(handle.messages[0]) is Message


def test_a_large_message_is_a_message(bus: Bus) -> None:
    bus.queue("q")
    bus.put("q", b'{"n": 0, "x": "' + b"y" * 10_000_000 + b'"}')
    handle = Until(1)
    consume(bus, handle)
    assert len(handle.messages[0].body["x"]) == 10_000_000
