# SPDX-License-Identifier: MIT
"""The ways to the bus: sessions, the functions on a loop's shared one, and the blocking ones; signals and counters."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging import aio, api, background, config
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

from .buses import DURABLE, eventually, settings
from .work import KINDS, Until, as_kind, consume, fill, numbered, numbers_in, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .buses import Bus

THREADS = 16


@pytest.fixture
def configured(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """What the configuration file would say; the blocking functions read it when they are first used."""

    def configure(**more: Any) -> None:
        for key, value in {**settings(bus, "q"), **more}.items():
            monkeypatch.setitem(config.conf, key, value)

    config.conf.load_config()
    configure()
    _new_process(monkeypatch)
    yield configure
    background._close()


def _new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had been published by this process yet."""
    monkeypatch.setattr(background, "_main", None)
    monkeypatch.setattr(background, "_reentrant", None)


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


def test_blocking_publish_without_a_broker(
    bus: Bus, configured: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(amqp_url=bus.away)
    with pytest.raises(PublishTimeout, match=bus.reason):
        api.publish(Message(topic="a"), timeout=0.3)
    background._close()
    _new_process(monkeypatch)
    configured(amqp_url=bus.refusing)
    with pytest.raises(ConnectionException, match="refused the user"):
        api.publish(Message(topic="a"))
    background._close()
    _new_process(monkeypatch)
    configured(amqp_url="carrier-pigeon://loft")
    for _ in range(2):
        with pytest.raises(ConfigurationException, match="'carrier-pigeon'"):
            api.publish(Message(topic="a"))


@pytest.mark.parametrize("kind", KINDS)
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
