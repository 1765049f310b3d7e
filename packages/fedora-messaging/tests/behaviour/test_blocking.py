# SPDX-License-Identifier: MIT
"""The blocking functions: from many threads, from inside callbacks, and where a test looks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio, api
from fedora_messaging.exceptions import (
    ConfigurationException,
    ConnectionException,
    HaltConsumer,
    PublishException,
    PublishForbidden,
    PublishIncomplete,
    PublishReturned,
    PublishTimeout,
    ValidationError,
)
from fedora_messaging.message import Message
from fedora_messaging.testing import mock_sends

from .buses import DURABLE, eventually
from .work import KINDS, Until, as_kind, consume, fill, numbered, numbers_in, of_every_kind, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from .buses import Bus

THREADS = 16


# blocking


def test_sixteen_threads_publish_at_once(bus: Bus, configured: Callable[..., None]) -> None:
    bus.queue("q")
    configured()
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for n in range(50):
                api.publish(Message(topic="shop.order", body={"n": thread * 100 + n}), timeout=20)
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    arrived = numbers_in(bus)
    assert sorted(arrived) == [thread * 100 + n for thread in range(THREADS) for n in range(50)]
    for thread_number in range(THREADS):
        mine = [number for number in arrived if number // 100 == thread_number]
        assert mine == sorted(mine)


def test_threads_hear_each_of_their_own_message(bus: Bus, configured: Callable[..., None]) -> None:
    bus.queue("q", ["shop.#"])
    bus.forbid("secret")
    configured()
    topics = ["shop.order", "secret.plan", "stock.count", "x" * 256]
    outcomes: dict[int, Any] = {}

    def work(thread: int) -> None:
        try:
            api.publish(Message(topic=topics[thread % 4], body={"n": thread}), timeout=20, mandatory=True)
            outcomes[thread] = None
        except (PublishException, ValidationError) as error:
            outcomes[thread] = error

    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    kinds = [type(None), PublishForbidden, PublishReturned, ValidationError]
    assert [type(outcomes[n]) for n in range(THREADS)] == kinds * 4
    assert set(numbers_in(bus)) == {0, 4, 8, 12}


def test_blocking_functions_raise_what_the_others_do(bus: Bus, configured: Callable[..., None]) -> None:
    bus.queue("q", ["shop.#"])
    configured()
    with pytest.raises(PublishReturned):
        api.publish(Message(topic="a"), mandatory=True)
    with pytest.raises(PublishReturned):
        api.publish(Message(topic="a"), exchange="nowhere")
    with pytest.raises(PublishIncomplete) as caught:
        api.publish_many([*numbered(range(2)), Message(topic="a")], mandatory=True)
    assert [type(error) for _, error in caught.value.failures] == [PublishReturned]
    with pytest.raises(ValidationError):
        api.publish(Message(topic="x" * 256))
    assert numbers_in(bus) == [0, 1]


def test_blocking_publish_without_a_broker(bus: Bus, configured: Callable[..., None]) -> None:
    configured(amqp_url=bus.away)
    with pytest.raises(PublishTimeout, match=bus.reason):
        api.publish(Message(topic="a"), timeout=0.3)
    configured(amqp_url=bus.refusing)
    with pytest.raises(ConnectionException, match="refused the user"):
        api.publish(Message(topic="a"))
    configured(amqp_url="carrier-pigeon://loft")
    for _ in range(2):
        with pytest.raises(ConfigurationException, match="'carrier-pigeon'"):
            api.publish(Message(topic="a"))


@of_every_kind(KINDS)
def test_a_callback_publishes_and_is_not_blocked_by_it(
    bus: Bus, configured: Callable[..., None], kind: str
) -> None:
    """The blocking function inside a callback of any kind, even one that runs on the very loop."""
    bus.queue("answers", ["answer.#"])
    fill(bus, range(3))
    configured()

    def answer(message: Message) -> None:
        api.publish(Message(topic="answer.order", body=message.body), timeout=10)
        api.publish_many([Message(topic="answer.order", body=message.body)], timeout=10)
        if message.body["n"] == 2:
            raise HaltConsumer

    bus.unbind("q", "#")
    with pytest.raises(HaltConsumer):
        api.consume(as_kind(kind, answer))
    assert numbers_in(bus, "answers") == [0, 0, 1, 1, 2, 2]
    assert numbers_in(bus) == []


def test_two_threads_consume_and_a_third_publishes(bus: Bus, configured: Callable[..., None]) -> None:
    bus.queue("one", ["one"])
    bus.queue("two", ["two"])
    configured()
    handles = {name: Until(10) for name in ("one", "two")}
    ends = []

    def work(name: str) -> None:
        try:
            api.consume(handles[name], queues={name: DURABLE}, bindings=[])
        except HaltConsumer as end:
            ends.append(end)

    threads = [threading.Thread(target=work, args=(name,)) for name in handles]
    for thread in threads:
        thread.start()
    for name in handles:
        api.publish_many(numbered(range(10), name))
    for thread in threads:
        thread.join(20)
    assert len(ends) == 2
    assert [handle.seen for handle in handles.values()] == [list(range(10))] * 2


# a test that looks


def test_a_test_catches_what_is_published_in_any_way(bus: Bus, configured: Callable[..., None]) -> None:
    bus.queue("q")
    configured()
    messages = numbered(range(6))

    async def asynchronously() -> None:
        await aio.publish(messages[2])
        await aio.publish_many(messages[3:4])
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(messages[4])
            await session.publish_many(messages[5:])

    with mock_sends(*messages[:5], Message) as sent:
        api.publish(messages[0])
        api.publish_many(messages[1:2])
        run(asynchronously())
    assert [message.body["n"] for message in sent] == list(range(6))
    assert numbers_in(bus) == []
    api.publish(messages[0])
    assert numbers_in(bus) == [0]


def test_consuming_is_not_disturbed_by_a_test_that_looks(bus: Bus) -> None:
    fill(bus, range(2))
    handle = Until(2)
    with mock_sends():
        consume(bus, handle)
    assert handle.seen == [0, 1]
    assert eventually(lambda: bus.waiting("q") == 0)
