# SPDX-License-Identifier: MIT
"""Messages settled by hand, and what ends consuming."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.message import Message

from .buses import DURABLE, eventually, settings
from .work import fill, numbers_in, run

if TYPE_CHECKING:
    from .buses import Bus


def test_each_is_settled_as_it_is_told(bus: Bus) -> None:
    bus.exchange("graveyard")
    bus.queue("dead", exchange="graveyard")
    bus.queue("q", x_dead_letter_exchange="graveyard")
    fill(bus, range(9))

    async def work() -> aio.Session:
        async with (
            aio.Session(settings(bus, "q")) as session,
            session.deliveries() as deliveries,
        ):
            seen = []
            async for delivery in deliveries:
                n = delivery.message.body["n"]
                seen.append((n, delivery.redelivered))
                if delivery.redelivered or n % 3 == 0:
                    delivery.ack()
                elif n % 3 == 1:
                    delivery.reject()
                else:
                    delivery.requeue()
                if len(seen) == 12:
                    break
            assert sorted(seen) == sorted([(n, False) for n in range(9)] + [(n, True) for n in (2, 5, 8)])
            return session

    session = run(work())
    assert numbers_in(bus) == []
    assert numbers_in(bus, "dead") == [1, 4, 7]
    assert session.statistics.processed == 6
    assert session.statistics.dropped == session.statistics.rejected == 3


def test_what_is_not_settled_at_the_end_returns_to_its_queue(bus: Bus) -> None:
    fill(bus, range(10))

    async def work() -> None:
        async with (
            aio.Session(settings(bus, "q")) as session,
            session.deliveries() as deliveries,
        ):
            async for delivery in deliveries:
                if delivery.message.body["n"] % 2:
                    delivery.ack()
                if delivery.message.body["n"] == 7:
                    break

    run(work())
    assert numbers_in(bus) == [0, 2, 4, 6, 8, 9]


def test_they_may_be_settled_in_any_order(bus: Bus) -> None:
    fill(bus, range(30))

    async def work() -> None:
        conf = settings(bus, "q", qos={"prefetch_count": 30})
        async with aio.Session(conf) as session, session.deliveries() as deliveries:
            held = [await anext(deliveries) for _ in range(30)]
            for delivery in held[::-2] + held[:10:2]:
                delivery.ack()
                await asyncio.sleep(0)

    run(work())
    assert numbers_in(bus) == list(range(10, 30, 2))


def test_settling_twice_counts_once(bus: Bus) -> None:
    fill(bus, range(2))

    async def work() -> aio.Session:
        async with (
            aio.Session(settings(bus, "q")) as session,
            session.deliveries() as deliveries,
        ):
            first = await anext(deliveries)
            first.ack()
            first.ack()
            first.requeue()
            first.reject()
            second = await anext(deliveries)
            second.requeue()
            second.ack()
            return session

    session = run(work())
    assert numbers_in(bus) == [1]
    assert (session.statistics.processed, session.statistics.rejected, session.statistics.dropped) == (
        1,
        1,
        0,
    )


def test_no_more_are_out_than_is_asked_for(bus: Bus) -> None:
    fill(bus, range(5))

    async def work() -> None:
        conf = settings(bus, "q", qos={"prefetch_count": 2})
        async with aio.Session(conf) as session, session.deliveries() as deliveries:
            held = [await anext(deliveries), await anext(deliveries)]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(deliveries), 0.2)
            for delivery in held:
                delivery.ack()
            third = await anext(deliveries)  # who gave up waiting may wait again
            assert third.message.body["n"] == 2

    run(work())
    assert numbers_in(bus) == [2, 3, 4]


def test_a_delivery_whose_connection_is_gone_comes_again(bus: Bus) -> None:
    fill(bus, range(1))

    async def work() -> None:
        async with (
            aio.Session(settings(bus, "q")) as session,
            session.deliveries() as deliveries,
        ):
            old = await anext(deliveries)
            was_live = old.live
            assert not old.redelivered
            await asyncio.to_thread(bus.kill_connections)
            new = await anext(deliveries)
            assert (was_live, old.live) == (True, False)
            assert new.redelivered
            assert new.message.id == old.message.id
            old.ack()  # says nothing to anybody
            new.ack()

    run(work())
    assert numbers_in(bus) == []


def test_two_sessions_share_a_queue(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        conf = settings(bus, "q", qos={"prefetch_count": 1})
        async with (
            aio.Session(conf) as one,
            aio.Session(conf) as other,
            one.deliveries() as to_one,
            other.deliveries() as to_other,
        ):
            await asyncio.to_thread(fill, bus, range(2))
            first, second = await asyncio.gather(anext(to_one), anext(to_other))
            assert {first.message.body["n"], second.message.body["n"]} == {0, 1}
            first.ack()
            second.ack()

    run(work())
    assert numbers_in(bus) == []


def test_one_session_consumes_several_times_and_publishes(bus: Bus) -> None:
    bus.queue("one", ["one"])
    bus.queue("two", ["two"])
    queues = settings(bus, "one", "two")["queues"]

    async def work() -> None:
        async with (
            aio.Session(settings(bus)) as session,
            session.deliveries(queues={"one": queues["one"]}) as ones,
            session.deliveries(queues={"two": queues["two"]}) as twos,
        ):
            await asyncio.gather(*(session.publish(Message(topic=topic)) for topic in ["two", "one"]))
            for deliveries, topic in ((ones, "one"), (twos, "two")):
                delivery = await anext(deliveries)
                assert (delivery.message.topic, delivery.message.queue) == (topic, topic)
                delivery.ack()

    run(work())
    assert bus.waiting("one") == bus.waiting("two") == 0


# the end


@pytest.mark.parametrize("asynchronous", [False, True])
def test_stopping_finishes_the_message_in_hand(bus: Bus, asynchronous: bool) -> None:
    fill(bus, range(5))
    done = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        began = asyncio.Event()

        def plain(message: Message) -> None:
            loop.call_soon_threadsafe(began.set)
            time.sleep(0.1)
            done.append(message.body["n"])

        async def slow(message: Message) -> None:
            began.set()
            await asyncio.sleep(0.1)
            done.append(message.body["n"])

        async with aio.Session(settings(bus, "q")) as session:
            consuming = asyncio.create_task(session.consume(slow if asynchronous else plain))
            await began.wait()
            session.stop_consuming()
            await consuming
            assert not session.statistics.consuming

    run(work())
    assert done == [0]
    assert numbers_in(bus) == [1, 2, 3, 4]


def test_cancelling_lets_a_plain_callback_finish_and_loses_nothing(bus: Bus) -> None:
    fill(bus, range(5))
    began, done = threading.Event(), []

    def slow(message: Message) -> None:
        began.set()
        time.sleep(0.2)
        done.append(message.body["n"])

    async def work() -> None:
        async with aio.Session(settings(bus, "q")) as session:
            consuming = asyncio.create_task(session.consume(slow))
            await asyncio.to_thread(began.wait, 10)
            consuming.cancel()
            with pytest.raises(asyncio.CancelledError):
                await consuming

    run(work())
    assert done == [0]
    assert numbers_in(bus) == [1, 2, 3, 4]


def test_cancelling_reaches_an_async_callback_whose_message_returns(bus: Bus) -> None:
    fill(bus, range(5))
    cancelled = []

    async def work() -> None:
        began = asyncio.Event()

        async def slow(message: Message) -> None:
            began.set()
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                cancelled.append(message.body["n"])
                raise

        async with aio.Session(settings(bus, "q")) as session:
            consuming = asyncio.create_task(session.consume(slow))
            await began.wait()
            consuming.cancel()
            with pytest.raises(asyncio.CancelledError):
                await consuming

    run(work())
    assert cancelled == [0]
    assert numbers_in(bus) == [0, 1, 2, 3, 4]


def test_closing_the_session_ends_its_consumers(bus: Bus) -> None:
    bus.queue("q")

    async def work() -> None:
        async with aio.Session(settings(bus, "q")) as session:
            consuming = asyncio.create_task(session.consume(print))
            while not session.statistics.consuming:
                await asyncio.sleep(0.01)
        await asyncio.wait_for(consuming, 5)

    run(work())


def test_stopping_ends_also_what_has_not_begun(bus: Bus) -> None:
    async def work() -> None:
        async with aio.Session(amqp_url=f"{bus.away}?connection_attempts=1000&retry_delay=1") as session:
            consuming = asyncio.create_task(session.consume(print))
            await asyncio.sleep(0.2)
            session.stop_consuming()
            await asyncio.wait_for(consuming, 2)

    run(work())


def test_without_a_broker_consuming_gives_up_after_the_attempts_of_the_url(bus: Bus) -> None:
    async def work() -> None:
        async with aio.Session(amqp_url=f"{bus.away}?connection_attempts=3&retry_delay=0.1") as session:
            begin = time.monotonic()
            with pytest.raises(ConnectionException, match=bus.reason) as caught:
                await session.consume(print)
            assert not caught.value.permanent
            assert 0.2 <= time.monotonic() - begin < 2

    run(work())


def test_what_no_attempt_can_mend_is_said_at_once(bus: Bus) -> None:
    async def work() -> None:
        async with aio.Session(amqp_url=f"{bus.refusing}?connection_attempts=3&retry_delay=60") as session:
            with pytest.raises(ConnectionException, match="refused the user") as caught:
                await session.consume(print)
            assert caught.value.permanent

    run(work())


def test_consuming_goes_on_after_the_connection_was_lost(bus: Bus) -> None:
    bus.queue("q")
    seen: list[int] = []

    async def work() -> None:
        async with aio.Session(settings(bus, "q")) as session:
            consuming = asyncio.create_task(session.consume(lambda message: seen.append(message.body["n"])))
            while not session.statistics.consuming:
                await asyncio.sleep(0.01)
            for n in range(3):
                await asyncio.to_thread(fill, bus, range(n, n + 1))
                assert await asyncio.to_thread(eventually, lambda: len(set(seen)) == n + 1)  # noqa: B023
                await asyncio.to_thread(bus.kill_connections)
                while session.statistics.reconnects <= n or not session.statistics.consuming:
                    await asyncio.sleep(0.01)
            session.stop_consuming()
            await consuming

    run(work())
    assert list(dict.fromkeys(seen)) == [0, 1, 2]


def test_raw_deliveries_are_the_bytes_that_came_whatever_they_are(bus: Bus) -> None:
    bodies = [b"\xff no text", b"[1]", b'{"n": 1, "n":  2}']
    bus.queue("q")
    for body in bodies:
        bus.put("q", body, headers={"fedora_messaging_schema": "of nobody"})

    async def work() -> list[bytes]:
        seen = []
        async with (
            aio.Session(settings(bus, "q")) as session,
            session.deliveries(raw=True) as deliveries,
        ):
            async for delivery in deliveries:
                assert delivery.incoming.properties.headers == {"fedora_messaging_schema": "of nobody"}
                seen.append(delivery.incoming.body)
                delivery.ack()
                if len(seen) == len(bodies):
                    break
        return seen

    assert run(work()) == bodies
    assert bus.take("q") == []


def test_what_keeps_coming_back_to_a_quorum_queue_is_spoken_of(
    amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    queues = {"work": {**DURABLE, "arguments": {"x-queue-type": "quorum"}}}
    bindings = [{"queue": "work", "exchange": "amq.topic", "routing_keys": ["#"]}]
    message = Message(topic="shop.order")

    async def work() -> None:
        async with aio.Session(amqp_url=amqp_url) as session:
            await session.declare(queues=queues, bindings=bindings)
            await session.publish(message)
            async with session.deliveries(queues=queues, bindings=[]) as deliveries:
                for times in range(15):
                    delivery = await anext(deliveries)
                    assert delivery.redelivered == (times > 0)
                    if times < 14:
                        delivery.requeue()
                delivery.ack()

    run(work())
    (said,) = [record.getMessage() for record in caplog.records if record.name.endswith("deliveries")]
    about = f"The message {message.id} with topic shop.order"
    assert said.startswith(f"{about} has come back to the queue work 10 times")
