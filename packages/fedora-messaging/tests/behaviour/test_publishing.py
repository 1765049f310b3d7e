# SPDX-License-Identifier: MIT
"""Publishing when all is well, and giving it up."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import (
    ConnectionException,
)
from fedora_messaging.message import WARNING, Message
from fedora_messaging.publisher import WINDOW

from .buses import settings
from .work import numbered, numbers_in, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .buses import Bus


# when all is well


def test_a_confirmed_message_is_in_the_queue_as_it_was(bus: Bus) -> None:
    bus.queue("q", ["shop.#"])
    message = Message(
        topic="shop.order", body={"hello": "wörld"}, headers={"n": 1, "é": "ü"}, severity=WARNING
    )

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(message)
            (taken,) = bus.take("q")
            assert taken.topic == "shop.order"
            assert taken.json == {"hello": "wörld"}
            assert taken.properties.headers == message._headers
            assert taken.properties.headers["fedora_messaging_severity"] == WARNING
            assert taken.properties.message_id == message.id
            assert taken.properties.content_type == "application/json"
            assert taken.properties.content_encoding == "utf-8"
            assert taken.properties.delivery_mode == 2
            assert session.statistics.published == 1
            assert session.unconfirmed == 0

    run(publish())


@pytest.mark.parametrize("size", [0, 1, 130_000, 131_064, 131_065, 3_000_000])
def test_bodies_of_all_sizes_arrive(bus: Bus, size: int) -> None:
    """Around the size of a frame (131,072 bytes less its overhead), and beyond it."""
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(Message(topic="shop.order", body={"x": "y" * size}))

    run(publish())
    assert [taken.json for taken in bus.take("q")] == [{"x": "y" * size}]


def test_it_goes_to_the_exchange_that_is_named(bus: Bus) -> None:
    bus.exchange("zmq.topic")
    bus.queue("q", exchange="zmq.topic")
    bus.queue("other")

    async def publish() -> None:
        async with aio.Session(settings(bus, publish_exchange="zmq.topic")) as session:
            await session.publish(Message(topic="a", body={"n": 1}))
            await session.publish(Message(topic="a", body={"n": 2}), exchange="amq.topic")
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish_many(numbered([3]), exchange="zmq.topic")

    run(publish())
    assert numbers_in(bus) == [1, 3]
    assert numbers_in(bus, "other") == [2]


def test_without_a_queue_that_wants_it_a_message_is_confirmed_all_the_same(bus: Bus) -> None:
    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(Message(topic="shop.order"))

    run(publish())


def test_messages_published_at_once_arrive_in_their_order(bus: Bus) -> None:
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await asyncio.gather(*(session.publish(message) for message in numbered(range(500))))

    run(publish())
    assert numbers_in(bus) == list(range(500))


def test_a_batch_arrives_in_its_order(bus: Bus) -> None:
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish_many(numbered(range(3000)))
            await session.publish_many([])
            assert session.statistics.published == 3000

    run(publish())
    assert numbers_in(bus) == list(range(3000))


def test_a_batch_is_taken_from_its_iterable_as_the_broker_confirms(bus: Bus) -> None:
    """A generator over a million messages must not be held in memory."""
    held = []

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:

            def messages() -> Iterator[Message]:
                for message in numbered(range(6 * WINDOW)):
                    held.append(session.unconfirmed)
                    yield message

            await session.publish_many(messages())

    run(publish())
    assert max(held) <= 2 * WINDOW + 1


def test_a_message_that_is_published_twice_is_there_twice(bus: Bus) -> None:
    bus.queue("q")
    message = Message(topic="shop.order")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(message)
            await session.publish(message)

    run(publish())
    assert [taken.properties.message_id for taken in bus.take("q")] == [message.id, message.id]


def test_with_several_hosts_the_first_that_answers_is_taken(bus: Bus) -> None:
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(settings(bus, amqp_urls=[bus.away, bus.url])) as session:
            await session.publish(numbered([1])[0], timeout=10)

    run(publish())
    assert numbers_in(bus) == [1]


# giving up, and the end


def test_a_publish_that_is_cancelled_holds_up_nothing(bus: Bus) -> None:
    async def publish() -> None:
        begin = time.monotonic()
        async with aio.Session(amqp_url=bus.away) as session:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.publish(Message(topic="shop.order"), timeout=None), 0.2)
            assert session.unconfirmed == 0
        assert time.monotonic() - begin < 2

    run(publish())


def test_a_batch_that_is_cancelled_holds_up_nothing(bus: Bus) -> None:
    async def publish() -> None:
        begin = time.monotonic()
        async with aio.Session(amqp_url=bus.away) as session:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.publish_many(numbered(range(10)), timeout=None), 0.2)
        assert time.monotonic() - begin < 2

    run(publish())


def test_closing_waits_for_what_is_being_published(bus: Bus) -> None:
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            tasks = [asyncio.create_task(session.publish(message)) for message in numbered(range(100))]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    run(publish())
    assert numbers_in(bus) == list(range(100))


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_session_says_so(bus: Bus, used: bool) -> None:
    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            if used:
                await session.publish(Message(topic="shop.order"))
        for attempt in (session.publish(Message(topic="shop.order")), session.consume(print)):
            with pytest.raises(ConnectionException, match="closed"):
                await attempt

    run(work())


def test_a_generator_that_fails_is_heard(bus: Bus) -> None:
    bus.queue("q")

    def messages() -> Iterator[Message]:
        yield from numbered(range(3))
        raise LookupError("no more orders")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            with pytest.raises(LookupError, match="no more orders"):
                await session.publish_many(messages())

    run(publish())
    assert numbers_in(bus) == [0, 1, 2]
