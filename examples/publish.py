# SPDX-License-Identifier: MIT
"""Says that an order was paid. When ``publish`` returns, the broker has the message."""

from fedora_messaging import api

message = api.Message(topic="org.example.shop.order.paid", body={"order": 42, "total": "19.90"})
api.publish(message)
print("published", message.id)
