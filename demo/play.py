# SPDX-License-Identifier: MIT
"""The play: everything starts over ZeroMQ, and application by application moves to AMQP while messages flow.

Nothing here prints. What one sees of it is the business of ``view``.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from fedora_messaging import aio
from fedora_messaging.message import Message

from . import cast, publishers, sample, verifier
from .ledger import Account, Ledger, is_build
from .processes import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .processes import Command, Program, Stage

STEPS = (
    "Everyone is on ZeroMQ; both bridges run",
    "A publisher moves to AMQP: the release monitor",
    "A consumer moves to AMQP: hotness",
    "The other publishers move to AMQP, one after the other",
    "Nobody publishes over ZeroMQ: the bridge from there is turned off",
)
BEGINS = (0.0, 0.2, 0.4, 0.6, 0.85)  # of each step, as a part of the whole time
TICK = 0.02  # seconds between two looks at what is due
STARTING = 60.0  # seconds until everyone must have heard everyone
PATIENCE = 10.0  # seconds without any arrival after which what is missing counts as lost
LATE = 0.5  # seconds to wait for what comes twice


class Play:
    """One run.

    Arguments:
        stage: where programs run.
        cast: which programs.
        amqp_url: the broker.
        rate: messages a second of all publishers together.
        seconds: how long messages flow.
        lose: the part of the messages from AMQP that the bridge does wrong with.
    """

    def __init__(
        self, stage: Stage, cast: cast.Cast, amqp_url: str, rate: float, seconds: float, lose: float = 0.0
    ) -> None:
        self.ledger = Ledger()
        self.publishers = publishers.all_of_them(self.ledger, rate)
        self.step = 0
        self.hotness_over = "ZeroMQ"
        self.bridge_runs = True
        self.page = cast.page
        self.books: dict[str, dict[str, int]] = {}  # of the verifier, by leg; at the end
        self.enough = asyncio.Event()
        self.faults: set[tuple[str, str]] = (
            set()
        )  # what the bridge did wrong: the verdict it should get, and the id
        self.verdicts: set[tuple[str, str]] = set()  # and what it got
        self.lose = lose
        self._stage = stage
        self._cast = cast
        self._url = amqp_url
        self._seconds = seconds
        self._begin: float | None = None
        self._programs: dict[str, Program] = {}
        self._reacts = {"ZeroMQ": asyncio.Event(), "AMQP": asyncio.Event()}

    @property
    def elapsed(self) -> float:
        """Seconds since the count began; 0 before."""
        return 0.0 if self._begin is None else time.monotonic() - self._begin

    @property
    def accounts(self) -> list[Account]:
        """How it stands with each consumer."""
        return [*(self.ledger.account(name) for name in cast.CONSUMERS), self._reactions]

    @property
    def _reactions(self) -> Account:
        return self.ledger.reactions("hotness, a build each", cast.MONITOR)

    # Before the count

    async def prepare(self) -> None:
        """Start everyone, and wait until every consumer has heard every publisher on every path.

        A subscriber of ZeroMQ gets what is published after it has connected, and nobody tells it when that is.
        """
        for name in cast.CONSUMERS:
            await self._start(name, self._cast.consumer(name), self._hear_consumer(name))
        await self._start("verify_missing", self._cast.verifier(), _ignore)
        await self._start("zmq_to_amqp", self._cast.zmq_to_amqp(), _ignore)
        await self._start("amqp_to_zmq", self._cast.amqp_to_zmq(self.lose), self._hear_bridge)
        await self._start_hotness()
        for publisher in self.publishers:
            await publisher.start(self._stage, self._cast, self.ledger)
        await self._hear_each_other()

    async def _start(self, name: str, command: Command, hear: Callable[[str], None]) -> None:
        self._programs[name] = await self._stage.start(name, command, hear)

    async def _hear_each_other(self) -> None:
        async with aio.Session(amqp_url=self._url) as session:
            end = time.monotonic() + STARTING
            number = 0
            while unheard := self._unheard() or await asyncio.to_thread(verifier.blind, self.page):
                if time.monotonic() > end:
                    raise DemoError(f"Not all hear each other after {STARTING:.0f} s: {unheard[0]}.")
                number += 1
                for publisher in self.publishers:
                    publisher.hello()
                body = {"project": {"name": "hello"}, "upstream_version": f"amqp.{number}"}
                await session.publish(Message(topic=sample.RELEASES, body=body))
                await asyncio.sleep(0.3)

    def _unheard(self) -> list[str]:
        """Who has not heard whom. The last two show that hotness hears the monitor, and what comes over AMQP."""
        wanted = [f"hello {name}" for name in cast.REPLAYED]
        wanted += ["hello ", "hello amqp.", "started hello ", "started hello amqp."]
        return [
            f"the consumer of {name} does not hear {hello!r}"
            for name in cast.CONSUMERS
            for hello in wanted
            if hello not in self.ledger.hellos[name]
        ]

    def _hear_bridge(self, line: str) -> None:
        """What a faulty one says of itself."""
        kind, _, message_id = line.partition(" ")
        if kind in verifier.FAULTS:
            self.faults.add((kind, message_id))

    def _hear_consumer(self, consumer: str) -> Callable[[str], None]:
        def hear(line: str) -> None:
            _, way, checksum, name = line.split(" ", 3)
            self.ledger.had(consumer, way, int(checksum), name)

        return hear

    # While messages flow

    async def perform(self, *, stay: bool) -> None:
        """All steps; with ``stay`` messages go on flowing after the last one, until :attr:`enough` is set."""
        self._begin = time.monotonic()
        flow = asyncio.create_task(self._flow())
        try:
            await self._steps()
            if stay:
                await self.enough.wait()
            else:
                await asyncio.sleep(self._seconds - self.elapsed)
        finally:
            flow.cancel()

    async def _steps(self) -> None:
        moves = (None, self._move_monitor, self._move_hotness, self._move_rest, self._turn_off)
        for step, (begin, move) in enumerate(zip(BEGINS, moves, strict=True)):
            await asyncio.sleep(begin * self._seconds - self.elapsed)
            self.step = step
            if move is not None:
                await move()

    async def _flow(self) -> None:
        while True:
            for publisher in self.publishers:
                publisher.feed(self.elapsed)
            await asyncio.sleep(TICK)

    async def _move_monitor(self) -> None:
        await self._move(self.publishers[0])

    async def _move_rest(self) -> None:
        for publisher in self.publishers[1:]:
            await self._move(publisher)

    async def _move(self, publisher: publishers.Publisher) -> None:
        await publisher.move(self._stage, self._cast, self.ledger)

    async def _turn_off(self) -> None:
        await self._programs["zmq_to_amqp"].stop(signal.SIGTERM)
        self.bridge_runs = False

    # hotness

    async def _start_hotness(self) -> None:
        over = self.hotness_over

        def hear(line: str) -> None:
            self._reacts[over].set()
            if is_build(line):
                self.ledger.published(cast.HOTNESS, over, line)

        await self._start(cast.HOTNESS, self._cast.hotness(over), hear)

    async def _move_hotness(self) -> None:
        """For a moment both run. The old one ends between two releases, since nothing would tell it again of one.

        A bridge that shall do wrong does so from then on: what the old one missed, nobody would react to.
        """
        before, self.hotness_over = self._programs[cast.HOTNESS], "AMQP"
        await self._start_hotness()
        await self._reacts["AMQP"].wait()
        end = time.monotonic() + PATIENCE
        while self._reactions.had < self.publishers[0].fed and time.monotonic() < end:
            await asyncio.sleep(0.005)
        await before.stop(signal.SIGINT)
        if self.lose:
            self._programs["amqp_to_zmq"].feed("do wrong")

    # After the last message

    async def conclude(self) -> None:
        """Let everyone finish, and wait for what is on its way."""
        for publisher in self.publishers:
            await publisher.finish()
        await self._settle(lambda: self._reactions.missing)
        await self._programs[cast.HOTNESS].stop(signal.SIGINT)
        await self._settle(lambda: sum(account.missing for account in self.accounts))
        await asyncio.sleep(LATE)
        await self._close_the_books()
        await self._programs["verify_missing"].stop(signal.SIGTERM)
        await self._programs["amqp_to_zmq"].stop(signal.SIGTERM)

    async def _close_the_books(self) -> None:
        """When the verifier has judged what it saw, or cannot by then."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.books = await asyncio.to_thread(verifier.books, self.page)
            self.verdicts = await asyncio.to_thread(verifier.verdicts, self.page)
            judged = self.books and not any(leg["in_flight"] for leg in self.books.values())
            if judged and self.verdicts == self.faults:
                return
            await asyncio.sleep(0.2)

    async def _settle(self, missing: Callable[[], int]) -> None:
        """Until nothing is missing, or nothing has come for a long time."""
        before, since = missing(), time.monotonic()
        while before and time.monotonic() - since < PATIENCE:
            await asyncio.sleep(0.05)
            if (now := missing()) != before:
                before, since = now, time.monotonic()


def _ignore(line: str) -> None:
    """What a bridge writes to its standard output is not for here."""
