# SPDX-License-Identifier: MIT
"""Applications that publish what they are fed, at a steady rate, and that move from ZeroMQ to AMQP meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

from . import sample
from .cast import MONITOR, REPLAYED
from .programs import seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cast import Cast
    from .ledger import Ledger
    from .processes import Program, Stage

RELEASES_A_SECOND = 10.0


class Publisher:
    """One application.

    Arguments:
        name: what the demo calls it.
        lines: what to feed it, without end.
        hellos: what to feed it for a trial, likewise.
        rate: messages a second.
    """

    def __init__(self, name: str, lines: Iterator[str], hellos: Iterator[str], rate: float) -> None:
        self.name = name
        self.over = "ZeroMQ"
        self.fed = 0
        self._lines = lines
        self._hellos = hellos
        self._rate = rate
        self._program: Program | None = None

    async def start(self, stage: Stage, cast: Cast, ledger: Ledger) -> None:
        """Start it, over ZeroMQ."""
        self._program, _ = await self._start(stage, cast, ledger, "ZeroMQ")

    async def move(self, stage: Stage, cast: Cast, ledger: Ledger) -> None:
        """Start it over AMQP; once that one publishes, go on with it, and let the other one finish what it has."""
        moved, publishes = await self._start(stage, cast, ledger, "AMQP")
        moved.feed(next(self._hellos))
        await publishes.wait()
        before, self._program, self.over = self._program, moved, "AMQP"
        if before is not None:
            await before.finish()

    async def _start(
        self, stage: Stage, cast: Cast, ledger: Ledger, over: str
    ) -> tuple[Program, asyncio.Event]:
        publishes = asyncio.Event()

        def hear(line: str) -> None:
            word, _, name = line.partition(" ")
            if word == "published":
                publishes.set()
                ledger.published(self.name, over, name)

        program = await stage.start(f"{self.name} over {over}", cast.publisher(self.name, over), hear)
        return program, publishes

    def feed(self, elapsed: float) -> None:
        """Feed it what is due, ``elapsed`` seconds after the begin."""
        assert self._program is not None
        while self.fed < elapsed * self._rate:
            self.fed += 1
            self._program.feed(next(self._lines))

    def hello(self) -> None:
        """A trial."""
        assert self._program is not None
        self._program.feed(next(self._hellos))

    async def finish(self) -> None:
        """Let it publish what it was fed, and end."""
        assert self._program is not None
        await self._program.finish()


def all_of_them(ledger: Ledger, rate: float) -> list[Publisher]:
    """The release monitor, and those that replay real messages; ``rate`` messages a second of all together."""
    monitor = Publisher(
        MONITOR, sample.releases(), map("hello {}".format, itertools.count(1)), RELEASES_A_SECOND
    )
    share = max(rate - RELEASES_A_SECOND, 1.0) / len(REPLAYED)
    return [
        monitor,
        *(
            Publisher(name, _remembered(ledger, sample.replay(name, envelopes)), _hellos(name), share)
            for name, envelopes in sample.by_application().items()
        ),
    ]


def _remembered(ledger: Ledger, messages: Iterator[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        ledger.expect(message["body"][seen.NAME], seen.checksum(message["body"]))
        yield json.dumps(message)


def _hellos(name: str) -> Iterator[str]:
    message = {"topic": "org.fedoraproject.dev.demo.hello", "body": {seen.NAME: f"hello {name}"}}
    return itertools.repeat(json.dumps(message))
