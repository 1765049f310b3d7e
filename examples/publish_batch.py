# SPDX-License-Identifier: MIT
"""Publishes a thousand messages in one pipeline, and says which of them failed, if any."""

import sys

from fedora_messaging import api, exceptions

orders = [api.Message(topic="org.example.shop.order.new", body={"order": number}) for number in range(1000)]
try:
    api.publish_many(orders, timeout=60)
except exceptions.PublishIncomplete as error:
    for message, reason in error.failures:
        print("not published:", message.body["order"], reason)
    sys.exit(1)
print("published", len(orders))
