# SPDX-License-Identifier: MIT
"""Bindings come and go, on RabbitMQ and in memory alike."""

import asyncio

import pytest
from pika import BasicProperties

from fedora_messaging.transports import for_address
from fedora_messaging.transports.base import Address, ChannelEvents, ConnectionEvents, Outgoing, Returned

KEPT = {"durable": False, "auto_delete": True, "exclusive": True, "arguments": {}}


class Watch(ChannelEvents):
    """Counts confirms, and remembers what nobody took."""

    def __init__(self) -> None:
        self.unroutable: list[str] = []
        self.count = 0
        self.all = asyncio.Event()

    def returned(self, message: Returned) -> None:
        self.unroutable.append(message.topic)

    def confirmed(self, tag: int, multiple: bool) -> None:  # noqa: ARG002
        self.count = tag
        if tag == 4:
            self.all.set()


async def unroutable(url: str) -> list[str]:
    """Bound for two topics, unbound from one (and from others that are not bound): which of four are returned."""
    connection = await for_address(Address(url)).connect(ConnectionEvents())
    watch = Watch()
    channel = await connection.channel(watch, confirms=True)
    await channel.declare_exchange("x", {"type": "topic"})
    queue = await channel.declare_queue("", KEPT)
    for topic in ("a.*", "b.#"):
        await channel.bind(queue, "x", topic)
    for topic in ("a.*", "c", "#"):
        await channel.unbind(queue, "x", topic)
    for topic in ("a.1", "b", "b.c", "c"):
        channel.publish(Outgoing("x", topic, BasicProperties(message_id=topic), b"{}", mandatory=True))
    await asyncio.wait_for(watch.all.wait(), 10)
    await connection.close()
    return watch.unroutable


@pytest.mark.parametrize("scheme", ["amqp", "memory"])
def test_unbind_undoes_one_binding(scheme: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("amqp_url") if scheme == "amqp" else "memory://test-unbind"
    assert asyncio.run(unroutable(url)) == ["a.1", "c"]
