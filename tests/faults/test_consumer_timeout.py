# SPDX-License-Identifier: MIT
"""A callback that takes longer than the broker waits for an acknowledgement (consumer_timeout, 3 s on this node)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fedora_messaging.aio import Session

from .support import Seen, consuming, declare, depth, eventually, numbered, settings, soon

if TYPE_CHECKING:
    from fedora_messaging.message import Message

MESSAGES = 30


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_consuming_resumes_and_only_the_late_message_comes_again(
    victim_url: str, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    declare(victim_url)
    seen = Seen()
    slow = [5]

    def closed() -> bool:
        return any("closed the consuming channel" in line and "timed out" in line for line in caplog.messages)

    def plain(message: Message) -> None:
        if message.body["n"] in slow:
            slow.clear()
            eventually(closed, "the broker closes the channel")
        seen(message)

    async def coroutine(message: Message) -> None:
        if message.body["n"] in slow:
            slow.clear()
            await soon(closed, "the broker closes the channel")
        seen(message)

    async def scenario() -> None:
        async with Session(settings(victim_url)) as session:
            await session.publish_many(numbered(range(MESSAGES)))
            async with consuming(session, coroutine if kind == "async" else plain):
                await soon(lambda: seen.all_of(range(MESSAGES)) and seen.order.count(5) == 2, "all messages")
            assert session.statistics.reconnects == 0

    asyncio.run(scenario())
    assert seen.order == [*range(6), *range(5, MESSAGES)]
    assert depth(victim_url) == 0
