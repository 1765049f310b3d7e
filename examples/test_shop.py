# SPDX-License-Identifier: MIT
"""Three ways to test an application that publishes and consumes, from the quickest to the most real."""

import asyncio

import shop

from fedora_messaging import aio, api, testing

PAID = api.Message(topic="org.example.shop.order.paid", body={"order": 42})
THANKS = api.Message(topic="org.example.shop.thanks", body={"order": 42})


def test_it_sends_what_it_should() -> None:
    """Without any broker: what would have been sent is compared with what is expected."""
    with testing.mock_sends(THANKS):
        shop.thank(PAID)
