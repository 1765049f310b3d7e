# SPDX-License-Identifier: MIT
"""Sessions, the functions on a loop's shared one, signals and counters."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio, api
from fedora_messaging.exceptions import (
    HaltConsumer,
    PublishForbidden,
    PublishIncomplete,
)
from fedora_messaging.message import Message

from .buses import settings
from .work import Until, numbered, numbers_in, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .buses import Bus


# sessions


def test_a_session_takes_what_its_settings_lack_from_the_defaults(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with aio.Session({"amqp_url": bus.url}) as session:
            assert session.conf["publish_exchange"] == "amq.topic"
            await session.publish(Message(topic="a", body={"n": 1}))
        async with aio.Session({"amqp_url": bus.away}, amqp_url=bus.url) as session:
            await session.publish(Message(topic="a", body={"n": 2}))
        async with aio.Session({"amqp_urls": [bus.away]}, amqp_url=bus.url) as session:
            await session.publish(Message(topic="a", body={"n": 3}))

    run(work())
    assert numbers_in(bus) == [1, 2, 3]


def test_without_settings_it_takes_those_of_the_process(bus: Bus, configured: Callable[..., None]) -> None:
    bus.queue("q")
    configured(publish_exchange="amq.direct")

    async def work() -> None:
        async with aio.Session() as session:
            assert session.conf["publish_exchange"] == "amq.direct"
            await session.publish(Message(topic="a", body={"n": 1}), exchange="amq.topic")

    run(work())
    assert numbers_in(bus) == [1]


def test_the_functions_of_the_module_share_a_session_on_each_loop(
    bus: Bus, configured: Callable[..., None]
) -> None:
    bus.queue("q")
    configured()
    sessions = []

    async def work() -> None:
        handle = Until(3)
        sessions.append(aio.shared_session())
        await aio.publish(numbered([0])[0])
        await aio.publish_many(numbered([1, 2]))
        with pytest.raises(HaltConsumer):
            await aio.consume(handle)
        assert aio.shared_session() is sessions[-1]
        assert sessions[-1].statistics.published == 3
        assert handle.seen == [0, 1, 2]

    run(work())
    run(work())
    assert sessions[0] is not sessions[1]


def test_a_loop_that_ends_ends_its_shared_session(
    bus: Bus, configured: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    bus.queue("q")
    configured()
    asyncio.run(aio.publish(numbered([0])[0]))
    asyncio.run(asyncio.wait_for(aio.publish_many(numbered([1, 2])), 10))
    assert numbers_in(bus) == [0, 1, 2]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_counters(bus: Bus) -> None:
    bus.queue("q")
    bus.forbid("secret")

    async def work() -> None:
        async with aio.Session(settings(bus, "q", amqp_url=bus.url)) as session:
            statistics = session.statistics
            connected = [statistics.connected]
            await session.publish_many(numbered(range(5)))
            connected.append(statistics.connected)
            for wrong in (Message(topic="secret.plan"), Message(topic="secret.plan")):
                with pytest.raises(PublishForbidden):
                    await session.publish(wrong)
            assert statistics.published == 5
            assert statistics.publish_failures == Counter(PublishForbidden=2)
            async with session.deliveries() as deliveries:
                consuming = [statistics.consuming]
                (await anext(deliveries)).ack()
                (await anext(deliveries)).reject()
                (await anext(deliveries)).requeue()
            consuming.append(statistics.consuming)
            assert statistics.received >= 3
            assert (statistics.processed, statistics.dropped, statistics.rejected) == (1, 1, 1)
        assert [*connected, statistics.connected] == [False, True, False]
        assert consuming == [True, False]

    run(work())


# signals


class Ear:
    """Listens to all three signals."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any, dict[str, Any]]] = []

    def before(self, sender: Any, **facts: Any) -> None:
        self.heard.append(("before", sender, facts))

    def after(self, sender: Any, **facts: Any) -> None:
        self.heard.append(("after", sender, facts))

    def failed(self, sender: Any, **facts: Any) -> None:
        self.heard.append(("failed", sender, facts))

    def about(self, message: Message) -> list[tuple[str, Any, dict[str, Any]]]:
        return [
            (what, sender, {key: value for key, value in facts.items() if key != "message"})
            for what, sender, facts in self.heard
            if facts["message"] is message
        ]


@contextmanager
def listening() -> Iterator[Ear]:
    ear = Ear()
    with (
        api.pre_publish_signal.connected_to(ear.before),
        api.publish_signal.connected_to(ear.after),
        api.publish_failed_signal.connected_to(ear.failed),
    ):
        yield ear


def test_signals_tell_before_and_after_each_message(bus: Bus, configured: Callable[..., None]) -> None:
    bus.queue("q")
    bus.forbid("secret")
    configured()
    good, bad, many = Message(topic="a"), Message(topic="secret.plan"), numbered(range(3))

    async def asynchronously() -> None:
        await aio.publish(good)
        with pytest.raises(PublishForbidden):
            await aio.publish(bad)
        with pytest.raises(PublishIncomplete):
            await aio.publish_many([*many, bad])

    def blocking() -> None:
        api.publish(good)
        with pytest.raises(PublishForbidden):
            api.publish(bad)
        with pytest.raises(PublishIncomplete):
            api.publish_many([*many, bad])

    for sender, work in (
        (aio.publish, lambda: run(asynchronously())),
        (api.publish, blocking),
    ):
        with listening() as ear:
            work()
        for message in (good, *many):
            assert ear.about(message) == [("before", sender, {}), ("after", sender, {})]
        kinds = [what for what, _, _ in ear.about(bad)]
        assert kinds == ["before", "failed"] * 2
        for what, by, facts in ear.about(bad):
            assert by is sender
            if what == "failed":
                assert isinstance(facts["error"], PublishForbidden)
                assert facts["reason"] is facts["error"]


def test_a_receiver_may_change_a_message_before_it_is_published(bus: Bus) -> None:
    bus.queue("q")

    def stamp(_: object, message: Message) -> None:
        message.body["stamped"] = True

    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            await session.publish(Message(topic="a", body={"n": 0}))
            await session.publish_many([Message(topic="a", body={"n": 1})])

    with api.pre_publish_signal.connected_to(stamp):
        run(work())
    assert [taken.json for taken in bus.take("q")] == [{"n": n, "stamped": True} for n in range(2)]


def test_a_receiver_that_raises_fails_nothing_but_itself(bus: Bus) -> None:
    bus.queue("q")

    def fail(_: object, message: Message) -> None:
        raise LookupError(message.topic)

    async def work() -> None:
        async with aio.Session(amqp_url=bus.url) as session:
            with api.publish_signal.connected_to(fail):
                tasks = [asyncio.create_task(session.publish(message)) for message in numbered(range(3))]
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
                assert {type(outcome) for outcome in outcomes} <= {LookupError, type(None)}
            await session.publish(numbered([3])[0])

    run(work())
    assert numbers_in(bus) == [0, 1, 2, 3]
