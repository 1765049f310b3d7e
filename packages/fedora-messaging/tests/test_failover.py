# SPDX-License-Identifier: MIT
"""When a node is left though the connection to it stands."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pika
import pytest

from fedora_messaging import failover
from fedora_messaging.aio import Session
from fedora_messaging.exceptions import PublishNacked
from fedora_messaging.failover import ELECTION, LONGEST, SILENCE, Doubt
from fedora_messaging.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_refusal_soon_after_connecting_is_not_believed() -> None:
    doubt = Doubt(several=True)
    assert not doubt.of_refusal(0.0)  # not connected yet
    doubt.connected(100.0)
    assert doubt.of_refusal(100.0)
    assert doubt.of_refusal(100.0 + ELECTION - 0.1)
    assert not doubt.of_refusal(100.0 + ELECTION)


def test_a_queue_that_refuses_everywhere_is_believed_in_the_end() -> None:
    doubt = Doubt(several=True)
    doubt.connected(100.0)
    for second in range(int(ELECTION)):
        assert doubt.of_refusal(100.0 + second)
        doubt.left(silent=False)
        doubt.connected(100.5 + second)  # does not begin the time anew
    assert not doubt.of_refusal(100.0 + ELECTION)
    doubt.connected(200.0)  # but another outage does
    assert doubt.of_refusal(200.0 + ELECTION - 0.1)


def test_silence_is_borne_twice_as_long_after_each_node_that_was_left_in_vain() -> None:
    doubt = Doubt(several=True)
    now, patience = 0.0, SILENCE
    for _ in range(8):
        doubt.connected(now)
        assert not doubt.of_silence(now + patience - 0.1)
        assert doubt.of_silence(now + patience)
        doubt.left(silent=True)
        now, patience = now + patience, min(2 * patience, LONGEST)
    doubt.connected(now)
    doubt.confirmed(now)
    assert not doubt.of_silence(now + SILENCE - 0.1)
    assert doubt.of_silence(now + SILENCE)


def test_a_time_of_rest_is_no_silence() -> None:
    doubt = Doubt(several=True)
    doubt.connected(0.0)
    doubt.busy(1000.0)
    assert not doubt.of_silence(1000.0 + SILENCE - 0.1)


def test_the_only_node_is_never_left() -> None:
    doubt = Doubt(several=False)
    doubt.connected(0.0)
    assert not doubt.of_refusal(0.0)
    assert not doubt.of_silence(1000.0)


# with a publisher, on a real broker


FULL = {"x-max-length": 1, "x-overflow": "reject-publish"}


@pytest.fixture
def full(amqp_url: str) -> Iterator[Any]:
    """A channel to a queue that has room for one message, and holds it."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.queue_declare("full", durable=True, arguments=FULL)
    channel.queue_bind("full", "amq.topic", "#")
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", "first", b"{}")
    yield channel
    connection.close()


async def publish(url: str, hosts: int) -> Session:
    async with Session({"amqp_urls": [url] * hosts}) as session:
        await session.publish(Message(topic="second"), timeout=30)
    return session


def test_what_one_of_several_hosts_refuses_is_tried_again_until_it_is_taken(amqp_url: str, full: Any) -> None:
    async def scenario() -> int:
        publishing = asyncio.create_task(publish(amqp_url, 2))
        await asyncio.sleep(1)
        assert not publishing.done()
        full.basic_get("full", auto_ack=True)
        return (await publishing).statistics.reconnects

    assert asyncio.run(scenario()) >= 1
    assert full.basic_get("full", auto_ack=True)[0].routing_key == "second"


def test_a_refusal_that_lasts_is_told(amqp_url: str, full: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "ELECTION", 0.5)
    with pytest.raises(PublishNacked):
        asyncio.run(publish(amqp_url, 2))
    assert full.basic_get("full", auto_ack=True)[0].routing_key == "first"


def test_the_only_host_is_believed_at_once(amqp_url: str, full: Any) -> None:
    began = time.monotonic()
    with pytest.raises(PublishNacked):
        asyncio.run(publish(amqp_url, 1))
    assert time.monotonic() - began < failover.ELECTION
    assert full.basic_get("full", auto_ack=True)[0].routing_key == "first"
