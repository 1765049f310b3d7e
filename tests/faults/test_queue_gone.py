# SPDX-License-Identifier: MIT
"""A queue that is deleted under its consumer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pika
import pytest

from fedora_messaging import consumer
from fedora_messaging.aio import Session
from fedora_messaging.exceptions import ConsumerCanceled

from .proxy import Proxy
from .support import DURABLE, QUEUE, Seen, channel, consuming, declare, numbered, settings

if TYPE_CHECKING:
    from fedora_messaging.private_node import PrivateNode

BASIC_CONSUME = bytes((0, 60, 0, 20))  # class and method: AMQP 0.9.1, 1.8.3.3


def delete(url: str, queue: str = QUEUE) -> None:
    with channel(url) as ch:
        ch.queue_delete(queue)


def is_there(url: str, queue: str = QUEUE) -> bool:
    """Whether the queue exists and is consumed."""
    with channel(url) as ch:
        try:
            return bool(ch.queue_declare(queue, passive=True).method.consumer_count)
        except pika.exceptions.ChannelClosedByBroker:
            return False


async def is_back(url: str, queue: str = QUEUE) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(is_there, url, queue):
            await asyncio.sleep(0.05)


def only_queue(node: PrivateNode, url: str) -> str:
    """The name of the virtual host's one queue; "" while there is none."""
    queues = node.management("GET", f"/api/queues/{url.rpartition('/')[2]}?columns=name")
    return str(queues[0]["name"]) if queues else ""


@pytest.mark.parametrize("name", [QUEUE, ""], ids=["named", "named by the broker"])
def test_it_is_declared_and_bound_again(rabbitmq: PrivateNode, amqp_url: str, name: str) -> None:
    queues = {name: {"durable": False, "auto_delete": True, "exclusive": False, "arguments": {}}}
    bindings = [{"queue": name, "exchange": "amq.topic", "routing_keys": ["faults.#"]}]
    seen = Seen()

    async def scenario() -> None:
        conf = settings(amqp_url, queues=queues, bindings=bindings)
        async with Session(conf) as session, consuming(session, seen):
            gone = ""
            for n in range(3):
                while (queue := await asyncio.to_thread(only_queue, rabbitmq, amqp_url)) in {"", gone}:
                    await asyncio.sleep(0.05)
                await is_back(amqp_url, queue)
                await session.publish(numbered([n])[0])
                await seen.has([n])
                await asyncio.to_thread(delete, amqp_url, queue)
                gone = queue if not name else ""
            assert session.statistics.reconnects == 0

    asyncio.run(scenario())
    assert seen.order == [0, 1, 2]


def test_other_queues_are_not_disturbed(amqp_url: str) -> None:
    names = [QUEUE, "other", "third"]
    queues = dict.fromkeys(names, DURABLE)
    bindings = [{"queue": name, "exchange": "amq.topic", "routing_keys": [f"{name}.#"]} for name in names]
    seen = Seen()

    async def scenario() -> None:
        async with (
            Session(settings(amqp_url, queues=queues, bindings=bindings)) as session,
            consuming(session, seen),
        ):
            for n in range(10):
                await asyncio.gather(*(asyncio.to_thread(delete, amqp_url, name) for name in names[:2]))
                await session.publish(numbered([100 + n], "third.of.three")[0])
                await asyncio.gather(*(is_back(amqp_url, name) for name in names[:2]))
            await session.publish(numbered([1], f"{QUEUE}.one")[0])
            await session.publish(numbered([2], "other.one")[0])
            await seen.has([1, 2, 109])

    asyncio.run(scenario())
    assert seen.duplicates == 0


def test_passively_it_waits_until_somebody_declares_it(amqp_url: str) -> None:
    declare(amqp_url)
    seen = Seen()

    async def scenario() -> None:
        conf = settings(amqp_url, passive_declares=True)
        async with Session(conf) as session, consuming(session, seen) as task:
            await session.publish(numbered([0])[0])
            await seen.has([0])
            await asyncio.to_thread(delete, amqp_url)
            await asyncio.sleep(1)  # some attempts
            assert not task.done()
            assert not await asyncio.to_thread(is_there, amqp_url)
            await asyncio.to_thread(declare, amqp_url)
            await is_back(amqp_url)
            await session.publish(numbered([1])[0])
            await seen.has([1])

    asyncio.run(scenario())


def test_it_goes_in_the_instant_in_which_consuming_begins(rabbitmq: PrivateNode, amqp_url: str) -> None:
    """The broker's answer to basic.consume and the end of that consumer come in one piece."""
    seen = Seen()

    async def scenario() -> None:
        with Proxy(rabbitmq.amqp_port) as proxy:
            proxy.hold_answer_to(BASIC_CONSUME)
            async with Session(settings(proxy.url(amqp_url))) as session:
                task = asyncio.create_task(session.consume(seen))
                await is_back(amqp_url)
                await asyncio.to_thread(delete, amqp_url)
                proxy.flow()
                await is_back(amqp_url)
                await session.publish(numbered([0])[0])
                await seen.has([0])
                task.cancel()
                await asyncio.wait([task])

    asyncio.run(scenario())


@pytest.mark.parametrize("interrupted", [False, True], ids=["connection stays", "connection breaks"])
def test_patience_ends(
    rabbitmq: PrivateNode, amqp_url: str, monkeypatch: pytest.MonkeyPatch, *, interrupted: bool
) -> None:
    declare(amqp_url)
    monkeypatch.setattr(consumer, "PATIENCE", 2.0)

    async def scenario() -> None:
        conf = settings(amqp_url, passive_declares=True)
        async with Session(conf) as session, consuming(session, Seen()) as task:
            await asyncio.to_thread(delete, amqp_url)
            if interrupted:
                vhost = amqp_url.rpartition("/")[2]
                rabbitmq.evaluate(
                    f'[rabbit_networking:close_connection(P, "test") || '
                    f'[{{pid, P}}, {{vhost, <<"{vhost}">>}}] <- rabbit_networking:connection_info_all([pid, vhost])]'
                )
            with pytest.raises(ConsumerCanceled, match=QUEUE):
                async with asyncio.timeout(30):
                    await task

    asyncio.run(scenario())
