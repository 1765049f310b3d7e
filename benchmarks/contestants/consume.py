# SPDX-License-Identifier: MIT
"""``api.consume`` with a callback that counts; the queue is filled already.

fedora-messaging 3.9.1 runs an ``async`` callback only on Twisted's asyncio reactor, which its command line
installs and its ``api`` does not: this installs it likewise, so that there is something to compare with.
"""

from __future__ import annotations

import asyncio
import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks import payload
from benchmarks.meter import Meter

from . import Result, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fedora_messaging.api import Message


def prepare_peer() -> None:
    """Give the peer's Twisted an asyncio loop, before fedora_messaging is imported."""
    if version("fedora-messaging") != "3.9.1":
        return
    loop = asyncio.new_event_loop()
    importlib.import_module("twisted.internet.asyncioreactor").install(loop)
    reactor = importlib.import_module("twisted.internet.reactor")
    reactor.callWhenRunning(asyncio.set_event_loop, loop)


def consume(count: int, warm_up: int, asynchronous: bool) -> Result:
    """Measure from the callback of message ``warm_up`` to that of the ``count``-th after it; then stop."""
    if asynchronous:
        prepare_peer()
    api = importlib.import_module("fedora_messaging.api")
    exceptions = importlib.import_module("fedora_messaging.exceptions")

    meter, seen, last = Meter(), 0, warm_up + count

    def note(message: Message) -> None:
        nonlocal seen
        seen += 1
        if seen == warm_up:
            if message.topic != payload.TOPIC or message.body != payload.BODY:
                raise ValueError(f"Consumed something else: {message!r}")
            meter.restart()
        elif seen == last:
            meter.stop()
            raise exceptions.HaltConsumer

    async def note_async(message: Message) -> None:
        note(message)

    callback: Callable[[Message], Awaitable[None] | None] = note_async if asynchronous else note
    try:
        api.consume(callback)
    except exceptions.HaltConsumer:
        return meter.result(count)
    raise RuntimeError("consume returned although the callback raised HaltConsumer")


if __name__ == "__main__":
    run(consume)
