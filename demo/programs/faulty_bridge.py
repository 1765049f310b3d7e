# SPDX-License-Identifier: MIT
"""The bridge from AMQP to ZeroMQ, with a fault now and then: it loses, alters, delays and doubles, and says so.

Arguments: the part of the messages (0 to 1), the endpoint; the broker's URL is in the environment. It does right until
it reads a line. Each fault is a line on standard output, ``KIND ID``, with the verdict that it should get.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from fedmsg_migration_tools import config
from fedmsg_migration_tools.bridges import service
from fedmsg_migration_tools.bridges.amqp_to_zmq import AmqpToZmq

if TYPE_CHECKING:
    from fedora_messaging.deliveries import Delivery

KINDS = ("lost", "changed", "late", "duplicated")
HEALTHY = 10.0  # seconds without a fault at the beginning, until the verifier has seen enough to be sure
DELAY = 12.0  # seconds: longer than the verifier waits in the demo


class Copy:
    """A delivery once more, for the same message, or for an altered one; it is settled by the first."""

    def __init__(self, delivery: Delivery, **changes: Any) -> None:
        self.incoming = dataclasses.replace(delivery.incoming, **changes)
        self.ack = delivery.ack
        self.requeue = delivery.requeue


class FaultyBridge(AmqpToZmq):
    """Does not do what it should with some of the messages."""

    share = 0.0
    began = time.monotonic()
    told = threading.Event()

    def _carry(self, delivery: Any) -> None:
        carry: Any = super()._carry
        healthy = not self.told.is_set() or time.monotonic() - self.began < HEALTHY
        if healthy or random.random() >= self.share:
            carry(delivery)
            return
        kind = random.choice(KINDS)
        print(kind, delivery.incoming.properties.message_id, flush=True)
        match kind:
            case "lost":
                delivery.ack()
            case "changed":
                carry(Copy(delivery, body=delivery.incoming.body.rstrip()[:-1] + b', "altered": true}'))
            case "late":
                asyncio.get_running_loop().call_later(DELAY, carry, delivery)
            case "duplicated":
                carry(delivery)
                carry(Copy(delivery))


def wait() -> None:
    """Until it is told to do wrong."""
    if sys.stdin.readline():
        FaultyBridge.told.set()


def main() -> None:
    """Bridge until SIGTERM."""
    threading.Thread(target=wait, daemon=True).start()
    share, endpoint = sys.argv[1:]
    url = os.environ["FEDMSG_MIGRATION_TOOLS_AMQP_URL"]
    FaultyBridge.share = float(share)
    settings = config.load(None, {"amqp_to_zmq": {"publish_endpoint": [endpoint]}})
    make = partial(FaultyBridge, settings.amqp_to_zmq, settings.quarantine.queue)
    conf = service.settings_of_library(url, "faulty bridge", settings.amqp_to_zmq.prefetch)
    service.run(conf, make, None)


if __name__ == "__main__":
    main()
