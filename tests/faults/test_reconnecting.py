# SPDX-License-Identifier: MIT
"""Connecting again: how often, what the log says of it, to which host, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedora_messaging import dialer
from fedora_messaging.aio import Session
from fedora_messaging.exceptions import ConnectionException, PublishTimeout
from fedora_messaging.transports import stream

from .proxy import Mode, Proxy
from .support import (
    Seen,
    consuming,
    declare,
    heartbeat,
    keep_publishing,
    numbered,
    numbers_in,
    settings,
    soon,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedora_messaging.private_node import PrivateNode

OUTAGE = 3.0  # seconds: at 0.1 s, doubling, each shortened by up to a half, that is six attempts or so
CONFIRM_SELECT = bytes((0, 85, 0, 10))  # class and method
NOWHERE = "amqp://guest:guest@127.0.0.1:9/"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("how", ["refused", "closed at once"])
def test_attempts_are_few_and_two_lines_tell_of_them(
    rabbitmq: PrivateNode, amqp_url: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    seen = Seen()

    async def scenario() -> None:
        with Proxy(rabbitmq.amqp_port) as proxy:
            conf = settings(proxy.url(amqp_url))
            async with Session(conf) as session, consuming(session, seen):
                await session.publish(numbered([0])[0])
                if how == "refused":
                    proxy.refuse()
                else:
                    proxy.answer(Mode.CLOSE)
                accepted = proxy.accepted
                proxy.sever(reset=True)
                publishing = asyncio.create_task(session.publish(numbered([1])[0], timeout=60))
                await asyncio.sleep(OUTAGE)  # what is counted happens within a time
                attempts = proxy.accepted - accepted
                proxy.answer(Mode.FORWARD)
                if how == "refused":
                    proxy.listen()
                else:
                    assert 6 <= attempts <= 20, "by two connections"
                await publishing
                await seen.has([0, 1])

    asyncio.run(scenario())
    starts = Counter(" ".join(line.split()[:3]) for line in warnings(caplog))
    assert starts == {"Lost the connection": 2, "Connected to 127.0.0.1": 2}


def test_connections_that_do_not_last_are_not_opened_in_a_storm(
    rabbitmq: PrivateNode, amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The handshake succeeds each time, and what comes after it ends the connection."""
    declare(amqp_url)

    async def scenario() -> None:
        with Proxy(rabbitmq.amqp_port) as proxy:
            async with Session(settings(proxy.url(amqp_url))) as session:
                proxy.reset_at(CONFIRM_SELECT)
                publishing = asyncio.create_task(session.publish(numbered([0])[0], timeout=60))
                await asyncio.sleep(OUTAGE)
                assert 3 <= proxy.accepted <= 12
                proxy.reset_at(None)
                await publishing

    asyncio.run(scenario())
    assert len(warnings(caplog)) <= 2 * 12
    assert numbers_in(amqp_url) == [0]


@pytest.mark.parametrize("how", [Mode.CLOSE, Mode.SILENT])
def test_a_first_connection_waits_for_a_broker_that_is_not_ready(
    rabbitmq: PrivateNode, amqp_url: str, caplog: pytest.LogCaptureFixture, how: Mode
) -> None:
    """A load balancer, or a container's proxy, accepts before there is anything behind it."""
    seen = Seen()
    declare(amqp_url)

    async def scenario() -> None:
        with Proxy(rabbitmq.amqp_port) as proxy:
            proxy.answer(how)
            url = f"{proxy.url(amqp_url)}?stack_timeout=0.5&connection_attempts=60&retry_delay=0.2"
            async with Session(settings(url)) as session:
                publishing = asyncio.create_task(session.publish(numbered([0])[0], timeout=60))
                listening = asyncio.create_task(session.consume(seen))
                with pytest.raises(PublishTimeout, match="not connected"):
                    await session.publish(numbered([1])[0], timeout=2)
                assert not listening.done()
                proxy.answer(Mode.FORWARD)
                await publishing
                await seen.has([0])
                listening.cancel()
                await asyncio.wait([listening])

    asyncio.run(scenario())
    assert len(warnings(caplog)) == 4  # for each connection one when it is missing, and one when it is there


def test_a_consumers_first_attempts_are_counted(rabbitmq: PrivateNode, amqp_url: str) -> None:
    async def scenario() -> None:
        with Proxy(rabbitmq.amqp_port) as proxy:
            proxy.answer(Mode.CLOSE)
            url = f"{proxy.url(amqp_url)}?connection_attempts=3&retry_delay=0.1"
            async with Session(settings(url)) as session:
                with pytest.raises(ConnectionException):
                    await session.consume(Seen())
            assert proxy.accepted == 3

    asyncio.run(scenario())


def test_what_is_wrong_for_good_is_told_each_time_at_once(amqp_url: str) -> None:
    async def scenario() -> None:
        async with Session(settings(amqp_url.replace("//admin:", "//admin:wrong"))) as session:
            for _ in range(8):
                with pytest.raises(ConnectionException, match="admin") as caught:
                    await session.publish(numbered([0])[0], timeout=5)
                assert caught.value.permanent

    asyncio.run(scenario())


def test_a_dead_first_host_is_passed_over(amqp_url: str, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen()

    async def scenario() -> None:
        conf = settings("", amqp_urls=[NOWHERE, amqp_url])
        async with Session(conf) as session, consuming(session, seen):
            await session.publish(numbered([0])[0])
            await seen.has([0])

    asyncio.run(scenario())
    assert not warnings(caplog)


def test_the_next_host_takes_over(
    victim: PrivateNode, victim_url: str, amqp_url: str, note: Callable[[str], None]
) -> None:
    declare(victim_url)
    declare(amqp_url)
    seen = Seen()

    async def scenario() -> int:
        over = asyncio.Event()
        conf = settings("", amqp_urls=[heartbeat(victim_url, 5), heartbeat(amqp_url, 5)])
        async with Session(conf) as session, Session(conf) as speaker, consuming(session, seen):
            working = asyncio.create_task(keep_publishing(speaker, over))
            await soon(lambda: len(seen.ids) > 1000, "the first messages")
            killed = time.monotonic()
            await asyncio.to_thread(victim.kill)
            before = len(seen.ids)
            await soon(lambda: len(seen.ids) > before + 1000, "messages by the other host", 30)
            note(f"1000 more messages {time.monotonic() - killed:.1f} s after the kill")
            over.set()
            return await working

    published = asyncio.run(scenario())
    victim.start()
    assert {*seen.ids, *numbers_in(victim_url), *numbers_in(amqp_url)} == set(range(published))


def test_a_silent_first_host_is_passed_over(victim: PrivateNode, victim_url: str, amqp_url: str) -> None:
    declare(amqp_url)
    victim.freeze()

    async def scenario() -> None:
        conf = settings("", amqp_urls=[f"{victim_url}?stack_timeout=1", amqp_url])
        async with Session(conf) as session:
            await session.publish(numbered([0])[0], timeout=20)

    asyncio.run(scenario())
    assert numbers_in(amqp_url) == [0]


class Footprint:
    """What the process holds."""

    def __init__(self) -> None:
        gc.collect()
        self.descriptors = len(list(Path("/proc/self/fd").iterdir()))
        # not those that asyncio keeps for name look-ups: it makes up to six, one by one
        self.threads = len([one for one in threading.enumerate() if not one.name.startswith("asyncio_")])
        self.tasks = len(asyncio.all_tasks())
        ours = (type(thing) for thing in gc.get_objects())
        self.objects = Counter(
            kind.__name__ for kind in ours if str(kind.__module__).startswith(("fedora_m", "pika"))
        )


def test_fifty_reconnections_leave_nothing_behind(
    rabbitmq: PrivateNode,
    amqp_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialer, "LASTING", 0.0)  # no pauses: the connections here do not last
    monkeypatch.setattr(stream, "_LINGER", 0.1)  # nor do their last words take 5 s
    seen = Seen()
    caplog.set_level(logging.CRITICAL, "fedora_messaging")  # what it captures is held, too

    async def scenario() -> tuple[Footprint, Footprint]:
        with Proxy(rabbitmq.amqp_port) as proxy:
            conf = settings(proxy.url(amqp_url))
            async with Session(conf) as session, consuming(session, seen):

                async def reconnect(times: range) -> Footprint:
                    for n in times:
                        await session.publish(numbered([n])[0], timeout=60)
                        await seen.has([n])
                        await asyncio.to_thread(proxy.sever, reset=bool(n % 2))
                        while session.statistics.reconnects < 2 * (n + 1):
                            await asyncio.sleep(0.01)
                    await session.publish(numbered([1000])[0], timeout=60)
                    await soon(lambda: session.statistics.consuming, "consuming")
                    await soon(lambda: proxy.open_links == 2, "the old links are gone")
                    await asyncio.sleep(0.5)  # timers of the old connections, see above
                    return Footprint()

                return await reconnect(range(5)), await reconnect(range(5, 55))

    before, after = asyncio.run(scenario())
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads
    assert after.tasks <= before.tasks
    grown = {
        name: (before.objects[name], count)
        for name, count in after.objects.items()
        if count > before.objects[name] + 5
    }
    assert not grown
