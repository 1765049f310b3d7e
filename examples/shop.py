# SPDX-License-Identifier: MIT
"""A small application: it greets who has paid, by a message of its own."""

from fedora_messaging import api


def thank(message: api.Message) -> None:
    """The callback: say thanks for a paid order."""
    order = message.body["order"]
    api.publish(api.Message(topic="org.example.shop.thanks", body={"order": order}))
