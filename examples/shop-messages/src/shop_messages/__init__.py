# SPDX-License-Identifier: MIT
"""The messages of the shop, for those who publish them and those who consume them."""

from typing import Any, ClassVar

from fedora_messaging.message import Message


class OrderPaidV1(Message):
    """Somebody paid an order."""

    topic = "org.example.shop.order.paid"
    body_schema: ClassVar[dict[str, Any]] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "order": {"type": "integer", "description": "The order's number"},
            "total": {"type": "string", "description": "In euros, such as 19.90"},
            "customer": {"type": "string", "description": "The user's name"},
        },
        "required": ["order", "total", "customer"],
    }

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.body['customer']} paid order {self.body['order']}"

    @property
    def app_name(self) -> str:
        """The application that sent it."""
        return "The shop"

    @property
    def agent_name(self) -> str:
        """Who did it."""
        return str(self.body["customer"])

    @property
    def usernames(self) -> list[str]:
        """Whom it is about; becomes a header that consumers can bind to."""
        return [self.body["customer"]]

    def __str__(self) -> str:
        """Some lines for people, such as the text of a mail."""
        return f"{self.summary}: {self.body['total']} EUR."
