# SPDX-License-Identifier: MIT
"""What a user hears who may not do everything on a real broker; the broker in memory lets everybody do all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from fedora_messaging import aio
from fedora_messaging.exceptions import BadDeclaration, PermissionException, PublishForbidden
from fedora_messaging.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from fedora_messaging.private_node import PrivateNode

    Allow = Callable[..., str]

DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
TOPIC = {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}


@pytest.fixture
def allow(rabbitmq: PrivateNode, amqp_url: str) -> Iterator[Allow]:
    """Makes a user who may do only that in the virtual host of the test; returns the URL."""
    vhost = urlsplit(amqp_url).path[1:]

    def make(configure: str = ".*", write: str = ".*", read: str = ".*", topics: str = "") -> str:
        rabbitmq.management("PUT", "/api/users/limited", {"password": "secret", "tags": ""})
        permissions = {"configure": configure, "write": write, "read": read}
        rabbitmq.management("PUT", f"/api/permissions/{vhost}/limited", permissions)
        if topics:
            only = {"exchange": "amq.topic", "write": topics, "read": topics}
            rabbitmq.management("PUT", f"/api/topic-permissions/{vhost}/limited", only)
        return amqp_url.replace(f"{rabbitmq.user}:{rabbitmq.password}@", "limited:secret@")

    yield make
    rabbitmq.management("DELETE", "/api/users/limited")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


def settings(url: str, *topics: str, **more: Any) -> dict[str, Any]:
    bindings = [{"queue": "q", "exchange": "amq.topic", "routing_keys": list(topics)}]
    return {"amqp_url": url, "queues": {"q": DURABLE}, "bindings": bindings, **more}


async def declare(url: str, **exchanges: Any) -> None:
    async with aio.Session(settings(url, "#", exchanges=exchanges)) as session, session.deliveries():
        pass


def test_a_queue_that_one_may_not_read(allow: Allow, amqp_url: str) -> None:
    limited = allow(read="^amq[.]topic$")

    async def work() -> None:
        await declare(amqp_url)
        async with aio.Session(settings(limited, passive_declares=True)) as session:
            with pytest.raises(PermissionException, match="ACCESS_REFUSED") as caught:
                await session.consume(print)
            assert not isinstance(caught.value, BadDeclaration)
            assert (caught.value.obj_type, caught.value.description) == ("queue", "q")
            assert "(403)" in str(caught.value)

    run(work())


@pytest.mark.parametrize(
    ("allowed", "about"),
    [
        ({"configure": "^$"}, ("exchange", "amq.topic")),
        ({"configure": "^amq[.]topic$"}, ("queue", "q")),
        ({"write": "^$"}, ("binding", "q to amq.topic for 'org.shop.#'")),
        ({"read": "^$"}, ("binding", "q to amq.topic for 'org.shop.#'")),
        ({"topics": r"^org\.shop\.order$"}, ("binding", "q to amq.topic for 'org.shop.#'")),
    ],
)
def test_what_one_may_not_declare(allow: Allow, allowed: dict[str, str], about: tuple[str, str]) -> None:
    async def work() -> None:
        async with aio.Session(settings(allow(**allowed), "org.shop.order", "org.shop.#")) as session:
            with pytest.raises(BadDeclaration, match="ACCESS_REFUSED") as caught:
                await session.consume(print)
            obj_type, description = caught.value.obj_type, caught.value.description
            if about[0] == "binding" and "topics" not in allowed:  # refused with the first already
                description = str(description).replace("org.shop.order", "org.shop.#")
            assert (obj_type, description) == about

    run(work())


def test_an_exchange_that_one_may_not_write_to(allow: Allow, amqp_url: str) -> None:
    """The broker names the exchange and no topic."""
    limited = allow(write="^amq[.]topic$")

    async def work() -> None:
        await declare(amqp_url, orders=TOPIC)
        async with aio.Session(settings(limited)) as session:
            exchanges = ["amq.topic", "orders", "amq.topic", "", "orders", "amq.topic"]
            outcomes = await asyncio.gather(
                *(session.publish(Message(topic="org.shop.order"), exchange=one) for one in exchanges),
                return_exceptions=True,
            )
            kinds = [type(None) if one == "amq.topic" else PublishForbidden for one in exchanges]
            assert [type(one) for one in outcomes] == kinds
            for exchange, outcome in zip(exchanges, outcomes, strict=True):
                if outcome is not None:
                    assert isinstance(outcome, PublishForbidden)
                    assert outcome.exchange == exchange
                    assert f"exchange '{exchange or 'amq.default'}'" in str(outcome)

    run(work())


def test_an_internal_exchange(rabbitmq: PrivateNode, amqp_url: str) -> None:
    vhost = urlsplit(amqp_url).path[1:]
    internal = {"type": "topic", "durable": True, "internal": True}
    rabbitmq.management("PUT", f"/api/exchanges/{vhost}/inside", internal)

    async def work() -> None:
        async with aio.Session(amqp_url=amqp_url) as session:
            outcomes = await asyncio.gather(
                *(
                    session.publish(Message(topic="a"), exchange=one)
                    for one in ("amq.topic", "inside", "amq.topic")
                ),
                return_exceptions=True,
            )
            assert [type(one) for one in outcomes] == [type(None), PublishForbidden, type(None)]
            assert "internal exchange 'inside'" in str(outcomes[1])

    run(work())
