# SPDX-License-Identifier: MIT
"""A broker that stops in its tracks (SIGSTOP), for longer than the heartbeat."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from fedora_messaging.aio import Session

from .support import Seen, consuming, heartbeat, keep_publishing, settings, soon

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from fedora_messaging.private_node import PrivateNode

# pika looks every 7 s (heartbeat + 5) whether anything came, and gives up after one such span without: 7 to 14 s
NOTICED = 14 + 5
BACK = 20


def test_everything_goes_on_after_a_freeze(
    victim: PrivateNode, victim_url: str, caplog: pytest.LogCaptureFixture, note: Callable[[str], None]
) -> None:
    url = heartbeat(victim_url, 2)

    def lines(text: str) -> int:
        return len([line for line in caplog.messages if text in line])

    async def scenario() -> tuple[Seen, int, float]:
        seen, over = Seen(), asyncio.Event()
        async with (
            Session(settings(url)) as listener,
            Session(settings(url)) as speaker,
            consuming(listener, seen),
        ):
            working = asyncio.create_task(keep_publishing(speaker, over))
            await soon(lambda: len(seen.ids) > 1000, "the first messages")
            await asyncio.to_thread(victim.freeze)
            await soon(lambda: lines("Lost the connection") == 2, "both notice", NOTICED)
            before = len(seen.ids)
            await asyncio.to_thread(victim.thaw)
            thawed = time.monotonic()
            await soon(lambda: lines("again for") == 2 and len(seen.ids) > before, "both are back", BACK)
            seconds = time.monotonic() - thawed
            over.set()
            published = await working
            await seen.has(range(published))
        return seen, published, seconds

    with caplog.at_level(logging.INFO, "fedora_messaging"):
        seen, published, seconds = asyncio.run(scenario())
    note(f"{published} arrived, {seen.duplicates} duplicates; back {seconds:.1f} s after the freeze")
    assert lines("Lost the connection for publishing") == lines("Lost the connection for consuming") == 1
    assert lines("again for publishing") == lines("again for consuming") == 1
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 4
