# SPDX-License-Identifier: MIT
"""What the broker in memory can be made to do; what it has in common with a real one is in ``tests/behaviour``."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import (
    ConnectionException,
    HaltConsumer,
    PublishForbidden,
    PublishIncomplete,
    PublishTimeout,
)
from fedora_messaging.message import Message
from fedora_messaging.publisher import WINDOW
from fedora_messaging.transports.memory import Broker

if TYPE_CHECKING:
    from collections.abc import Coroutine

numbers = itertools.count()
DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
TRANSIENT = {**DURABLE, "durable": False}


@pytest.fixture
def name() -> str:
    return f"memory-{next(numbers)}"


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 20))


def session(name: str, **queues: Any) -> aio.Session:
    bindings = [{"queue": queue, "exchange": "amq.topic", "routing_keys": ["#"]} for queue in queues]
    return aio.Session({"amqp_url": f"memory://{name}", "queues": queues, "bindings": bindings})


async def declare(name: str, **queues: Any) -> None:
    async with session(name, **queues) as one, one.deliveries():
        pass


def waiting(name: str, queue: str = "q") -> list[str]:
    return [stored.topic for stored in Broker.named(name).messages(queue)]


def test_brokers_of_different_names_know_nothing_of_each_other(name: str) -> None:
    async def work() -> None:
        await declare(name, q=DURABLE)
        await declare(f"{name}-other", q=DURABLE)
        async with session(name) as one:
            await one.publish(Message(topic="a"))

    run(work())
    assert waiting(name) == ["a"]
    assert waiting(f"{name}-other") == []
    assert Broker.named(name) is Broker.named(name)


def test_what_it_forbids_it_can_allow_again(name: str) -> None:
    broker = Broker.named(name)
    broker.forbid("amq.topic", "secret.*")

    async def work() -> None:
        await declare(name, q=DURABLE)
        async with session(name) as one:
            with pytest.raises(PublishForbidden):
                await one.publish(Message(topic="secret.plan"))
            await one.publish(Message(topic="secret.plan.b"))
            broker.allow("amq.topic", "secret.*")
            await one.publish(Message(topic="secret.plan"))

    run(work())
    assert waiting(name) == ["secret.plan.b", "secret.plan"]


def test_swallowed_confirms_are_published_again_with_the_same_id(name: str) -> None:
    broker = Broker.named(name)

    async def work() -> None:
        await declare(name, q=DURABLE)
        async with session(name) as one:
            broker.swallow_confirms(2)
            first = asyncio.create_task(one.publish(Message(topic="a")))
            await asyncio.sleep(0)
            with pytest.raises(PublishTimeout, match=r"no confirm within 0\.1 s"):
                await one.publish(Message(topic="b"), timeout=0.1)
            await one.publish(Message(topic="c"))
            assert not first.done()
            broker.kill_connections()
            await first

    run(work())
    assert waiting(name) == ["a", "b", "c", "a"]
    ids = [stored.properties for stored in broker.messages("q") if stored.topic == "a"]
    assert ids[0] == ids[1]


def test_messages_whose_confirms_never_come_hold_up_no_others(name: str) -> None:
    """As from a queue without a majority: what was given up on leaves the window, and a window of it the connection."""
    broker = Broker.named(name)

    async def work() -> None:
        await declare(name, q=DURABLE)
        async with session(name) as one:
            broker.swallow_confirms(WINDOW)
            with pytest.raises(PublishIncomplete) as caught:
                await one.publish_many([Message(topic="a")] * WINDOW, timeout=0.2)
            assert {type(error) for _, error in caught.value.failures} == {PublishTimeout}
            await one.publish(Message(topic="b"), timeout=5)
            assert (one.statistics.published, one.statistics.reconnects) == (1, 1)

    run(work())
    assert waiting(name)[-1] == "b"


def test_a_stopped_broker_keeps_what_is_durable_and_lets_nobody_in(name: str) -> None:
    broker = Broker.named(name)

    async def work() -> None:
        await declare(name, q=DURABLE, t=TRANSIENT)
        async with session(name) as one:
            await one.publish(Message(topic="a"))
            broker.stop("gone fishing")
            with pytest.raises(PublishTimeout, match="gone fishing"):
                await one.publish(Message(topic="b"), timeout=0.3)
            waits = asyncio.create_task(one.publish(Message(topic="c")))
            await asyncio.sleep(0)
            broker.start()
            await waits

    run(work())
    assert broker.queues() == ["q"]
    assert waiting(name) == ["a", "c"]


def test_a_broker_may_be_stopped_for_good(name: str) -> None:
    Broker.named(name).stop("wrong password", permanent=True)

    async def work() -> None:
        async with session(name) as one:
            for attempt in (one.publish(Message()), one.consume(print)):
                with pytest.raises(ConnectionException, match="wrong password") as caught:
                    await attempt
                assert caught.value.permanent

    run(work())


def test_a_closed_channel_is_opened_again(name: str) -> None:
    """What RabbitMQ does over ``consumer_timeout``: the delivery comes again."""
    broker = Broker.named(name)

    async def work() -> None:
        async with session(name, q=DURABLE) as one, one.deliveries() as deliveries:
            await one.publish(Message(topic="a"))
            old = await anext(deliveries)
            broker.close_channels(406, "PRECONDITION_FAILED - delivery acknowledgement timed out")
            new = await anext(deliveries)
            assert (old.live, new.live, new.redelivered) == (False, True, True)
            assert one.statistics.reconnects == 0
            new.ack()

    run(work())
    assert waiting(name) == []


def test_consumers_of_a_queue_take_turns(name: str) -> None:
    async def work() -> None:
        async with (
            session(name, q=DURABLE) as one,
            session(name, q=DURABLE) as other,
            one.deliveries() as ones,
            other.deliveries() as others,
        ):
            await one.publish_many([Message(topic=f"t{n}") for n in range(6)])
            for turn in range(3):
                assert (await anext(ones)).message.topic == f"t{2 * turn}"
                assert (await anext(others)).message.topic == f"t{2 * turn + 1}"

    run(work())


def test_threads_with_loops_of_their_own_meet_on_one_broker(name: str) -> None:
    got: list[int] = []
    consuming = threading.Event()

    def handle(message: Message) -> None:
        got.append(message.body["n"])
        if len(got) == 400:
            raise HaltConsumer

    async def consume() -> None:
        async with session(name, q=DURABLE) as one:
            task = asyncio.create_task(one.consume(handle))
            while not one.statistics.consuming:
                await asyncio.sleep(0.001)
            consuming.set()
            with pytest.raises(HaltConsumer):
                await task

    async def publish(thread: int) -> None:
        async with session(name) as one:
            await one.publish_many([Message(topic="a", body={"n": 100 * thread + n}) for n in range(100)])

    threads = [threading.Thread(target=run, args=(consume(),))]
    threads[0].start()
    assert consuming.wait(10)
    threads += [threading.Thread(target=run, args=(publish(n),)) for n in range(4)]
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(got) == list(range(400))
    assert waiting(name) == []


def test_what_a_publisher_changes_afterwards_does_not_change_what_waits(name: str) -> None:
    message = Message(topic="a", headers={"n": 1}, body={"n": 1})

    async def work() -> None:
        await declare(name, q=DURABLE)
        async with session(name, q=DURABLE) as one:
            await one.publish(message)
            message._headers["n"] = 2
            message.body["n"] = 2
            async with one.deliveries() as deliveries:
                delivery = await anext(deliveries)
                assert delivery.message.body == {"n": 1}
                assert delivery.message._headers["n"] == 1

    run(work())
