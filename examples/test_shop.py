# SPDX-License-Identifier: MIT
"""Three ways to test an application that publishes, from the quickest to the most real."""

import asyncio

import pytest
import shop

from fedora_messaging import aio, config, testing
from fedora_messaging.api import Message

PAID = Message(topic="org.example.shop.order.paid", body={"order": 42})
THANKS = Message(topic="org.example.shop.thanks", body={"order": 42})


def test_it_sends_thanks() -> None:
    """Without any broker: what would have been sent is compared with what is expected."""
    with testing.mock_sends(THANKS):
        asyncio.run(shop.thank(PAID))


async def what_arrives() -> Message:
    """What a consumer gets when the shop has handled a paid order."""
    async with aio.Session() as session, session.deliveries() as deliveries:
        await shop.thank(PAID)
        delivery = await anext(deliveries)
        delivery.ack()
        return delivery.message


def test_thanks_arrive_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the broker inside this process."""
    monkeypatch.setitem(config.conf, "amqp_url", "memory://shop")
    assert asyncio.run(what_arrives()) == THANKS


def test_thanks_arrive(monkeypatch: pytest.MonkeyPatch, amqp_url: str) -> None:
    """On a real one: ``amqp_url`` is a virtual host for this test alone."""
    monkeypatch.setitem(config.conf, "amqp_url", amqp_url)
    assert asyncio.run(what_arrives()) == THANKS
