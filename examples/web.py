# SPDX-License-Identifier: MIT
"""A web application (WSGI) that tells the bus about an order. Any pre-forking server can run it."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from fedora_messaging import api, exceptions

log = logging.getLogger(__name__)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Take an order: ``POST /orders/42``."""
    number = int(environ["PATH_INFO"].rpartition("/")[2])
    # Here the order goes into the shop's own database; the message only tells others about it.
    try:
        api.publish(api.Message(topic="org.example.shop.order.new", body={"order": number}), timeout=5)
    except exceptions.BaseException as error:
        # The customer should not suffer for a broker that is away; what is to be said later belongs in a table.
        log.error("Nobody was told of order %s: %s", number, error)  # noqa: TRY400 - the sentence says it all
    start_response("201 Created", [("Content-Type", "text/plain")])
    return [b"thank you\n"]
