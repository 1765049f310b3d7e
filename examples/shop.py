# SPDX-License-Identifier: MIT
"""A small application: it thanks for what was paid, by a message of its own."""

from fedora_messaging import aio
from fedora_messaging.api import Message


async def thank(message: Message) -> None:
    """The callback: say thanks for a paid order."""
    order = message.body["order"]
    await aio.publish(Message(topic="org.example.shop.thanks", body={"order": order}))
