# SPDX-License-Identifier: MIT
"""Everything at once: refused messages among good ones, callbacks that return messages, connections that break."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from fedora_messaging.aio import Session
from fedora_messaging.exceptions import Nack, PublishException, PublishForbidden, PublishReturned
from fedora_messaging.message import Message

from .proxy import Proxy, Way
from .support import Seen, consuming, declare, settings, user_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedora_messaging.private_node import PrivateNode

SECONDS = 8.0
SEED = 20  # the faults are the same in each run; what they hit is not
EXPECTED: dict[str, type[PublishException] | None] = {
    "good": None,
    "forbidden": PublishForbidden,
    "forged": PublishForbidden,
    "lost": PublishReturned,
}


class Chaos:
    """One run: publishing by one proxy, consuming by another."""

    def __init__(self) -> None:
        self.random = Random(SEED)
        self.seen = Seen()
        self.confirmed: set[int] = set()
        self.wrong: list[tuple[int, str, PublishException | None]] = []

    def callback(self, message: Message) -> None:
        """Process most of them."""
        if self.random.random() < 0.02:
            raise Nack
        self.seen(message)

    async def publish(self, session: Session, number: int) -> None:
        """One message of some kind; its outcome must be that of its kind."""
        kind = self.random.choices(list(EXPECTED), [400, 3, 1, 1])[0]
        filling = "x" * self.random.choice([0, 0, 100, 5000, 60_000])
        topic = "not.mine" if kind == "forbidden" else "mine.all"
        message = Message(topic=topic, body={"n": number, "filling": filling})
        if kind == "forged":
            message._properties.user_id = "somebody"
        outcome: PublishException | None = None
        try:
            await session.publish(message, "nowhere" if kind == "lost" else None, timeout=60)
        except PublishException as error:
            outcome = error
        else:
            self.confirmed.add(number)
        if type(outcome) is not (EXPECTED[kind] or type(None)):
            self.wrong.append((number, kind, outcome))

    async def keep_publishing(self, session: Session, over: asyncio.Event) -> int:
        """Some hundred messages at a time; how many there were."""
        number = 0
        async with asyncio.TaskGroup() as group:
            while not over.is_set():
                for _ in range(self.random.randrange(1, 200)):
                    group.create_task(self.publish(session, number))
                    number += 1
                await asyncio.sleep(self.random.random() * 0.3)
        return number

    def hurt(self, proxy: Proxy) -> None:
        """One fault."""
        reset = self.random.random() < 0.5
        match self.random.randrange(3):
            case 0:
                proxy.sever(reset=reset)
            case 1:
                proxy.cut(self.random.choice(list(Way)), self.random.randrange(30), reset=reset)
            case 2:
                proxy.refuse()
                proxy.sever(reset=reset)
                proxy.listen()

    async def run(self, node: PrivateNode, url: str, limited: str) -> int:
        """The whole; how many messages were published."""
        over = asyncio.Event()
        with Proxy(node.amqp_port) as publishing, Proxy(node.amqp_port) as listening:
            async with (
                Session(settings(listening.url(url))) as listener,
                Session(settings(publishing.url(limited))) as speaker,
                consuming(listener, self.callback),
            ):
                working = asyncio.create_task(self.keep_publishing(speaker, over))
                end = asyncio.get_running_loop().time() + SECONDS
                while asyncio.get_running_loop().time() < end:
                    await asyncio.sleep(self.random.random())
                    await asyncio.to_thread(self.hurt, self.random.choice([publishing, listening]))
                over.set()
                published = await working
                await self.seen.has(self.confirmed)
        return published


def test_each_message_meets_the_fate_of_its_kind(
    rabbitmq: PrivateNode, amqp_url: str, note: Callable[[str], None]
) -> None:
    declare(amqp_url)
    chaos = Chaos()
    published = asyncio.run(chaos.run(rabbitmq, amqp_url, user_url(rabbitmq, amqp_url, r"^mine\..*")))
    assert not chaos.wrong
    assert set(chaos.seen.ids) == chaos.confirmed
    assert all(len(ids) == 1 for ids in chaos.seen.ids.values())
    note(f"{published} published, {len(chaos.confirmed)} confirmed, {chaos.seen.duplicates} duplicates")
