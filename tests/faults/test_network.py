# SPDX-License-Identifier: MIT
"""A network that cuts, resets and stalls, between a real broker and an application that publishes and consumes."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme

from fedora_messaging.aio import Session
from fedora_messaging.private_node import PrivateNode

from .proxy import Proxy, Way
from .support import PATIENCE, Seen, consuming, eventually, heartbeat, keep_publishing, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Fault = Callable[[Proxy, Proxy], None]


async def scenario(
    publishing: Proxy, consumer: Proxy, url: str, fault: Fault, size: int, conf: dict[str, Any]
) -> Seen:
    seen, over = Seen(), asyncio.Event()
    async with (
        Session(settings(consumer.url(url), **conf)) as listener,
        Session(settings(publishing.url(url), **conf)) as speaker,
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


def run(url: str, fault: Fault, *, size: int = 0, **conf: Any) -> str:
    """Publish while consuming, each by a proxy of its own; ``fault`` happens in the middle. What was counted."""
    port = urlsplit(url).port
    assert port is not None
    with Proxy(port) as publishing, Proxy(port) as consumer:
        seen = asyncio.run(scenario(publishing, consumer, url, fault, size, conf))
    return f"{len(seen.ids)} arrived, {seen.duplicates} duplicates"


def is_replaced(proxy: Proxy, accepted: int, patience: float = PATIENCE) -> None:
    """Wait until a client has connected again."""
    eventually(lambda: proxy.accepted > accepted, "the next connection", patience)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
@pytest.mark.parametrize("way", list(Way), ids=["up", "down"])
def test_cut_in_the_middle_of_a_frame(
    amqp_url: str, note: Callable[[str], None], way: Way, *, reset: bool
) -> None:
    def fault(publishing: Proxy, consumer: Proxy) -> None:
        for proxy, frames in ((publishing, 20), (consumer, 2), (publishing, 0), (consumer, 1)):
            accepted = proxy.accepted
            assert proxy.cut(way, frames, reset=reset).done.wait(30)
            is_replaced(proxy, accepted)

    note(run(amqp_url, fault, size=3000))


def end_three_times(how: Callable[[Proxy], None]) -> Fault:
    """A fault that ends each side's connection, and waits for the next one, three times."""

    def fault(publishing: Proxy, consumer: Proxy) -> None:
        for _ in range(3):
            for proxy in (publishing, consumer):
                accepted = proxy.accepted
                how(proxy)
                is_replaced(proxy, accepted)

    return fault


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
def test_connections_end_again_and_again(amqp_url: str, note: Callable[[str], None], *, reset: bool) -> None:
    note(run(amqp_url, end_three_times(lambda proxy: proxy.sever(reset=reset))))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The URL of a node that speaks TLS, and the settings that trust it."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    config = {
        f"ssl_options.{name}": str(folder / file)
        for name, file in (("cacertfile", "ca.pem"), ("certfile", "cert.pem"), ("keyfile", "key.pem"))
    }
    with PrivateNode(plugins=(), ports={"amqps": 0}, config=config) as node:
        url = f"amqps://{node.user}:{node.password}@localhost:{node.ports['amqps']}/%2F"
        yield url, {"ca_cert": str(folder / "ca.pem"), "certfile": None, "keyfile": None}


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
def test_connections_with_tls_end(
    secure: tuple[str, dict[str, str | None]], note: Callable[[str], None], *, reset: bool
) -> None:
    url, tls = secure
    note(run(url, end_three_times(lambda proxy: proxy.sever(reset=reset)), tls=tls))


def stall(publishing_ways: tuple[Way, ...], consuming_ways: tuple[Way, ...]) -> Fault:
    """A fault that leaves the connections open, and lets nothing through; later ones are well.

    The proxy stops reading, so that what is published fills the buffers of both kernels: nothing of that may delay
    the end of the connection. pika looks for heartbeats every 6 s here, and gives up when one such span was silent.
    """

    def fault(publishing: Proxy, consumer: Proxy) -> None:
        before = publishing.accepted, consumer.accepted
        publishing.stall_open(*publishing_ways)
        consumer.stall_open(*consuming_ways)
        is_replaced(publishing, before[0], patience=25)
        is_replaced(consumer, before[1], patience=25)

    return fault


def test_stalled_connections_are_given_up(
    rabbitmq: PrivateNode,
    amqp_url: str,
    secure: tuple[str, dict[str, str | None]],
    note: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once, since each takes as long as the heartbeat: stalled both ways, each way, and with TLS."""
    both = (Way.UP, Way.DOWN)
    other = rabbitmq.add_vhost("stalled")
    with caplog.at_level(logging.INFO, "fedora_messaging"), ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(run, heartbeat(amqp_url, 1), stall(both, (Way.DOWN,)), size=36_000),
            pool.submit(run, heartbeat(other, 1), stall((Way.UP,), both)),
            pool.submit(run, heartbeat(secure[0], 1), stall(both, both), size=36_000, tls=secure[1]),
        ]
        for done in runs:
            note(done.result())
    rabbitmq.delete_vhost("stalled")
    assert len([line for line in caplog.messages if "Lost the connection" in line]) == 2 * len(runs)
    assert len([line for line in caplog.messages if "again for" in line]) == 2 * len(runs)
