# SPDX-License-Identifier: MIT
"""A network that cuts, resets and stalls, between a real broker and an application that publishes and consumes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session

from .proxy import Proxy, Way
from .support import PATIENCE, Seen, consuming, eventually, heartbeat, keep_publishing, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedora_messaging.private_node import PrivateNode

    Fault = Callable[[Proxy, Proxy], None]


async def scenario(publishing: Proxy, consumer: Proxy, url: str, fault: Fault, size: int) -> Seen:
    seen, over = Seen(), asyncio.Event()
    async with (
        Session(settings(consumer.url(url))) as listener,
        Session(settings(publishing.url(url))) as speaker,
        consuming(listener, seen),
    ):
        working = asyncio.create_task(keep_publishing(speaker, over, size))
        await seen.has(range(500))
        try:
            await asyncio.to_thread(fault, publishing, consumer)
        finally:
            over.set()
            published = await working
        await seen.has(range(published))
    return seen


def run(node: PrivateNode, url: str, fault: Fault, *, size: int = 0) -> str:
    """Publish while consuming, each by a proxy of its own; ``fault`` happens in the middle. What was counted."""
    with Proxy(node.amqp_port) as publishing, Proxy(node.amqp_port) as consumer:
        seen = asyncio.run(scenario(publishing, consumer, url, fault, size))
    return f"{len(seen.ids)} arrived, {seen.duplicates} duplicates"


def is_replaced(proxy: Proxy, accepted: int, patience: float = PATIENCE) -> None:
    """Wait until a client has connected again."""
    eventually(lambda: proxy.accepted > accepted, "the next connection", patience)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
@pytest.mark.parametrize("way", list(Way), ids=["up", "down"])
def test_cut_in_the_middle_of_a_frame(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None], way: Way, *, reset: bool
) -> None:
    def fault(publishing: Proxy, consumer: Proxy) -> None:
        for proxy, frames in ((publishing, 20), (consumer, 2), (publishing, 0), (consumer, 1)):
            accepted = proxy.accepted
            assert proxy.cut(way, frames, reset=reset).done.wait(30)
            is_replaced(proxy, accepted)

    note(run(rabbitmq, amqp_url, fault, size=3000))


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
def test_connections_end_again_and_again(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None], *, reset: bool
) -> None:
    def fault(publishing: Proxy, consumer: Proxy) -> None:
        for _ in range(3):
            for proxy in (publishing, consumer):
                accepted = proxy.accepted
                proxy.sever(reset=reset)
                is_replaced(proxy, accepted)

    note(run(rabbitmq, amqp_url, fault))


@pytest.mark.parametrize(
    ("publishing_stalls", "consuming_stalls", "size"),
    [((Way.UP, Way.DOWN), (Way.DOWN,), 36_000), ((Way.UP,), (Way.UP, Way.DOWN), 0)],
    ids=["publishing both ways", "consuming both ways"],
)
def test_a_stalled_connection_is_given_up(
    rabbitmq: PrivateNode,
    amqp_url: str,
    note: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    publishing_stalls: tuple[Way, ...],
    consuming_stalls: tuple[Way, ...],
    size: int,
) -> None:
    """The connection stays open, and nothing comes through; later ones are well.

    The proxy stops reading, so that what is published fills the buffers of both kernels: nothing of that may delay
    the end of the connection. pika looks for heartbeats every 6 s here, and gives up when one such span was silent.
    """

    def fault(publishing: Proxy, consumer: Proxy) -> None:
        before = publishing.accepted, consumer.accepted
        publishing.stall_open(*publishing_stalls)
        consumer.stall_open(*consuming_stalls)
        is_replaced(publishing, before[0], patience=25)
        is_replaced(consumer, before[1], patience=25)

    with caplog.at_level(logging.INFO, "fedora_messaging"):
        note(run(rabbitmq, heartbeat(amqp_url, 1), fault, size=size))
    assert len([line for line in caplog.messages if "Lost the connection" in line]) == 2
    assert len([line for line in caplog.messages if "again for" in line]) == 2
