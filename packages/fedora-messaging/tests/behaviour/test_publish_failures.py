# SPDX-License-Identifier: MIT
"""A message that cannot be published, and a broker that cannot, will not, or is not there."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import (
    ConnectionException,
    PublishBlocked,
    PublishForbidden,
    PublishIncomplete,
    PublishNacked,
    PublishReturned,
    PublishTimeout,
    ValidationError,
)
from fedora_messaging.message import Message

from .work import numbered, numbers_in, run

if TYPE_CHECKING:
    from .buses import Bus


# one message that cannot be published


def test_mandatory_says_that_nobody_is_bound(bus: Bus) -> None:
    bus.queue("q", ["shop.#"])

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(Message(topic="shop.order", body={"n": 1}), mandatory=True)
            with pytest.raises(PublishReturned) as caught:
                await session.publish(Message(topic="stock.count"), mandatory=True)
            assert (caught.value.exchange, caught.value.topic) == ("amq.topic", "stock.count")
            assert not isinstance(caught.value, PublishNacked)
            assert "stock.count" in str(caught.value)
            assert "amq.topic" in str(caught.value)
            await session.publish(Message(topic="stock.count"))
            assert session.statistics.publish_failures == Counter(PublishReturned=1)

    run(publish())
    assert numbers_in(bus) == [1]


def test_one_message_sent_mandatory_to_two_exchanges_is_returned_by_the_right_one(bus: Bus) -> None:
    bus.exchange("zmq.topic")
    bus.queue("q")
    message = Message(topic="shop.order")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            outcomes = await asyncio.gather(
                session.publish(message, mandatory=True),
                session.publish(message, exchange="zmq.topic", mandatory=True),
                return_exceptions=True,
            )
            assert outcomes[0] is None
            assert isinstance(outcomes[1], PublishReturned)
            assert outcomes[1].exchange == "zmq.topic"

    run(publish())


def test_a_missing_exchange_fails_its_messages_and_no_others(bus: Bus) -> None:
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            exchanges = ["amq.topic" if n % 10 else "nowhere" for n in range(100)]
            outcomes = await asyncio.gather(
                *(
                    session.publish(m, exchange=e)
                    for m, e in zip(numbered(range(100)), exchanges, strict=True)
                ),
                return_exceptions=True,
            )
            for n, outcome in enumerate(outcomes):
                if n % 10:
                    assert outcome is None
                else:
                    assert isinstance(outcome, PublishReturned)
                    assert (outcome.exchange, outcome.topic) == ("nowhere", "shop.order")
                    assert "'nowhere'" in str(outcome)

    run(publish())
    assert set(numbers_in(bus)) == {n for n in range(100) if n % 10}


def test_a_forbidden_topic_fails_its_messages_and_no_others(bus: Bus) -> None:
    bus.queue("q")
    bus.forbid("secret")
    topics = ["secret.plan" if n % 50 == 25 else "shop.order" for n in range(500)]

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            outcomes = await asyncio.gather(
                *(session.publish(Message(topic=topic, body={"n": n})) for n, topic in enumerate(topics)),
                return_exceptions=True,
            )
            for topic, outcome in zip(topics, outcomes, strict=True):
                if topic == "shop.order":
                    assert outcome is None
                else:
                    assert isinstance(outcome, PublishForbidden)
                    assert (outcome.exchange, outcome.topic) == ("amq.topic", "secret.plan")

    run(publish())
    arrived = numbers_in(bus)
    assert set(arrived) == {n for n in range(500) if n % 50 != 25}
    first = list(dict.fromkeys(arrived))
    assert first == sorted(first)


@pytest.mark.parametrize("rest", ["x" * 220, "é" * 110, "a'b", "ü.漢"])
def test_forbidden_topics_of_all_kinds_are_told_from_others(bus: Bus, rest: str) -> None:
    """The broker cuts long ones short in what it says, even within a character."""
    bus.queue("q", ["shop.#"])
    bus.forbid("secret")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            topics = [f"secret.{rest}.1", f"shop.{rest}.1", f"secret.{rest}.2", f"shop.{rest}.2"]
            outcomes = await asyncio.gather(
                *(session.publish(Message(topic=topic)) for topic in topics), return_exceptions=True
            )
            assert [type(one) for one in outcomes] == [PublishForbidden, type(None)] * 2

    run(publish())
    assert {taken.topic for taken in bus.take("q")} == {f"shop.{rest}.1", f"shop.{rest}.2"}


def test_topics_that_the_broker_cannot_name_hold_nobody_up(bus: Bus) -> None:
    """RabbitMQ 4.0 ends the connection over each, as it cannot fit them in its answer; 3.10 the channel."""
    bus.queue("q", ["shop.#"])
    bus.forbid("secret")
    topics = [f"{'shop' if n % 5 else 'secret'}.{'é' * 110}.{n}" for n in range(100)]

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            for _ in range(2):
                outcomes = await asyncio.gather(
                    *(session.publish(Message(topic=topic), timeout=10) for topic in topics),
                    return_exceptions=True,
                )
                refused = [
                    topic
                    for topic, one in zip(topics, outcomes, strict=True)
                    if isinstance(one, PublishForbidden)
                ]
                assert refused == topics[::5]
                assert outcomes.count(None) == 80

    run(publish())
    assert {taken.topic for taken in bus.take("q")} == {topic for topic in topics if topic.startswith("shop")}


def test_a_full_queue_that_rejects_is_told_from_a_missing_one(bus: Bus) -> None:
    bus.queue("q", x_max_length=2, x_overflow="reject-publish")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish_many(numbered(range(2)))
            with pytest.raises(PublishIncomplete) as caught:
                await session.publish_many(numbered(range(2, 12)))  # a classic queue may take one more
            error = caught.value.failures[-1][1]
            assert isinstance(error, PublishNacked)
            assert (error.exchange, error.topic) == ("amq.topic", "shop.order")
            assert "x-overflow" in str(error)

    run(publish())
    assert numbers_in(bus)[:2] == [0, 1]


def test_what_cannot_be_sent_is_an_error_before_anything_is_sent(bus: Bus) -> None:
    bus.queue("q")
    wrong = [
        Message(topic="x" * 256),
        Message(topic="é" * 128),
        Message(topic="shop.order", body={"x": object()}),
        Message(topic="shop.order", body="no object"),  # type: ignore[arg-type]
        Message(topic="shop.order", headers={"x" * 256: "y"}),
        Message(topic="shop.order", headers={"x": object()}),
    ]

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            for message in wrong:
                with pytest.raises(ValidationError):
                    await session.publish(message)
            with pytest.raises(ValidationError):
                await session.publish(Message(topic="shop.order"), exchange="x" * 256)
            await session.publish(numbered([1])[0])
            assert session.statistics.published == 1

    run(publish())
    assert numbers_in(bus) == [1]


def test_a_batch_says_exactly_which_messages_failed_and_why(bus: Bus) -> None:
    bus.queue("q", ["shop.#"])
    bus.forbid("secret")
    kinds: dict[int, tuple[Message, type[Exception]]] = {
        3: (Message(topic="secret.plan"), PublishForbidden),
        4: (Message(topic="x" * 256), ValidationError),
        50: (Message(topic="stock.count"), PublishReturned),
        51: (Message(topic="secret.plan"), PublishForbidden),
        99: (Message(topic="stock.count"), PublishReturned),
    }
    batch = [kinds[n][0] if n in kinds else message for n, message in enumerate(numbered(range(100)))]

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            with pytest.raises(PublishIncomplete) as caught:
                await session.publish_many(batch, mandatory=True)
            failures = caught.value.failures
            assert [message for message, _ in failures] == [message for message, _ in kinds.values()]
            assert all(one is other for (one, _), (other, _) in zip(failures, kinds.values(), strict=True))
            assert [type(error) for _, error in failures] == [kind for _, kind in kinds.values()]
            assert caught.value.published == 95
            assert str(caught.value).startswith(
                "5 of 100 messages were not published; the first: secret.plan:"
            )

    run(publish())
    assert set(numbers_in(bus)) == set(range(100)) - kinds.keys()


# the broker that cannot, will not, or is not there


def test_without_a_broker_the_timeout_says_why(bus: Bus) -> None:
    async def publish() -> None:
        async with aio.Session(amqp_url=bus.away) as session:
            begin = time.monotonic()
            with pytest.raises(PublishTimeout) as caught:
                await session.publish(Message(topic="shop.order"), timeout=0.5)
            assert 0.5 <= time.monotonic() - begin < 2
            assert not isinstance(caught.value, PublishBlocked)
            assert (caught.value.exchange, caught.value.topic) == ("amq.topic", "shop.order")
            assert "within 0.5 s" in str(caught.value)
            assert bus.reason in str(caught.value)

    run(publish())


def test_what_no_attempt_can_mend_is_said_at_once(bus: Bus) -> None:
    async def publish() -> None:
        async with aio.Session(amqp_url=bus.refusing) as session:
            begin = time.monotonic()
            with pytest.raises(ConnectionException, match="refused the user") as caught:
                await session.publish(Message(topic="shop.order"))
            assert caught.value.permanent
            with pytest.raises(PublishIncomplete) as incomplete:
                await session.publish_many(numbered(range(3)))
            assert {type(error) for _, error in incomplete.value.failures} == {ConnectionException}
            assert len(incomplete.value.failures) == 3
            assert time.monotonic() - begin < 5

    run(publish())


def test_a_blocked_broker_is_told_from_a_silent_one(bus: Bus) -> None:
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(numbered([0])[0])
            bus.block()
            with pytest.raises(PublishBlocked) as caught:
                await session.publish(numbered([1])[0], timeout=0.5)
            assert "low on memory" in str(caught.value)
            assert (caught.value.exchange, caught.value.topic) == ("amq.topic", "shop.order")
            waiting = asyncio.create_task(session.publish(numbered([2])[0]))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            bus.unblock()
            await waiting

    run(publish())
    assert numbers_in(bus) in ([0, 2], [0, 1, 2])  # what timed out may have been on its way


def test_what_is_not_confirmed_is_published_again_on_the_next_connection(bus: Bus) -> None:
    bus.queue("q")

    async def publish() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(numbered([0])[0])
            working = asyncio.create_task(session.publish_many(numbered(range(5000))))
            for _ in range(3):
                await asyncio.sleep(0.02)
                await asyncio.to_thread(bus.kill_connections)
            await working
            assert session.statistics.published == 5001
            assert 1 <= session.statistics.reconnects <= 3

    run(publish())
    taken = bus.take("q")
    assert {one.json["n"] for one in taken} == set(range(5000))
    ids: dict[int, str] = {}
    for one in taken[1:]:
        assert ids.setdefault(one.json["n"], one.properties.message_id) == one.properties.message_id
    first = list(dict.fromkeys(one.json["n"] for one in taken))
    assert first == sorted(first)
