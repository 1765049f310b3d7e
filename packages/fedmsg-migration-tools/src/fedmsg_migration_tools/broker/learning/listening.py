# SPDX-License-Identifier: MIT
"""Listening to the old bus for a while. What is heard is read in ``messages``."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ...sockets import Subscriber
from .publishers import Unlearnt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .messages import Reader, Sent
    from .recordings import Notes

__all__ = ["listen"]

_READ = 256  # messages in one turn of the loop
_LOOK = 0.2  # seconds between two looks at who is connected
# libzmq would hold any number of messages that are not read as fast as they come.
_MOST_HELD = 10_000


def listen(
    endpoints: Sequence[str],
    seconds: float,
    reader: Reader,
    notes: Notes,
    hear: Callable[[Sent], object],
    reached: set[str],
) -> None:
    """Hear what publishers send, for so many seconds, or until Ctrl-C.

    Arguments:
        endpoints: of the publishers.
        seconds: how long.
        reader: of each message.
        notes: is added to.
        hear: is called with each message.
        reached: the endpoints that could be heard are added.

    Raises:
        ToolsError: an endpoint is none.
    """

    def read() -> None:
        for frames in subscriber.receive(_READ):
            try:
                sent = reader.frames(frames)
                hear(sent if sent.at is not None else replace(sent, at=time.time()))
            except Unlearnt as error:
                notes.add("ZeroMQ", "what was heard", error)

    async def watch() -> None:
        subscriber.attach(read)
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, _LOOK))
            reached.update(name for name, state in subscriber.endpoints.items() if state.connected)

    subscriber = Subscriber([""], high_water_mark=_MOST_HELD)
    try:
        for endpoint in endpoints:
            subscriber.connect(endpoint)
        asyncio.run(watch())
    finally:
        subscriber.close()
