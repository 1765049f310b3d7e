# SPDX-License-Identifier: MIT
"""The verification service as a whole: who listens, who decides, what is kept, shown and repaired.

Each part is a module of its own; here they are put together. What verdicts follow from what was seen is decided in
:mod:`..reconcile`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import endpoints
from ..bridges import service
from ..bridges.declaring import declare
from ..exceptions import ToolsError
from ..progress import Progress
from ..reconcile.core import Reconciler
from ..reconcile.model import FAR, ORIGIN, Books, Kind, Leg, Verdict, Witness
from ..reconcile.window import BOUNDS, Window
from . import snapshot
from .amqp_witness import AmqpWitness
from .contents import Content, Contents
from .counted import coarser
from .figures import Seeing, Standing, VerifierFigures
from .judging import Judging, normal
from .observer import Observer
from .overlook import Overlook
from .recovered import Lost
from .repair import Repairer, crossing
from .store import Store
from .zmq_witness import ZmqWitness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from pathlib import Path

    from fedora_messaging.aio import Session

    from ..config import Config
    from ..figures import Figures, Metric

__all__ = ["Verifier", "run"]

_log = logging.getLogger(__name__)

TITLE = "verify_missing"
_STEP = 0.1  # seconds between two judgements
_STEPS = 2000  # steps of the reconciler in one judgement
_AUDIT = 10.0  # seconds between two looks at the whole store
_HISTORY = 3 * 3600.0  # seconds of history on the page
_PREFETCH = 1000


class Verifier:
    """Watches; see :class:`..bridges.service.Bridge`. To be made on its event loop.

    Arguments:
        config: all settings.
        session: the way to the broker.
        duration: seconds after which it ends by itself; None: never.

    Raises ``ToolsError`` when its files or endpoints are not to be used.
    """

    title = TITLE

    def __init__(self, config: Config, session: Session, duration: float | None = None) -> None:
        settings = config.verify_missing
        self._config = config
        self._settings = settings
        self._session = session
        self._duration = duration
        self._began = time.time()
        self._store = Store(settings.store, settings.keep_days)
        self._contents = Contents(settings.content_max_bytes)
        self._reconciler = Reconciler(
            window=Window(settings.shortest_window, settings.longest_window),
            most=settings.max_in_flight,
            books=self._books_of_before(),
        )
        exchanges = {settings.zmq_exchange: Witness.ZMQ_TOPIC, settings.amqp_exchange: Witness.AMQ_TOPIC}
        quarantine = config.quarantine.queue
        self._judging = Judging(self._store, self._contents, self._lost)
        self._observer = Observer(
            self._reconciler, self._contents, exchanges, quarantine, self._judging.arrived
        )
        self._blind_since: dict[tuple[Witness, str], float] = {}
        self._publishers = self._ears(Witness.PUBLISHERS, settings.zmq_endpoints)
        self._bridge = self._ears(Witness.BRIDGE_SOCKET, settings.bridge_endpoints)
        self._bus = AmqpWitness(session, [*exchanges, quarantine], self._observer.over_amqp, self._bus_blind)
        self._repairer: Repairer | None = None
        self._rates = snapshot.Rates()
        self._overlook = Overlook(config, session.conf, self._store)
        self._picture: Mapping[str, Any] = {}
        self._clean_days: Mapping[int, float] = {}
        self._page: Any = None
        self.progress = Progress(settings.longest_window, time.monotonic())
        self._shown = VerifierFigures(self._beside)
        self.figures: Figures = self._shown

    def _ears(self, witness: Witness, sources: tuple[str, ...]) -> ZmqWitness:
        found = endpoints.read(sources)
        if not found:
            raise ToolsError(f"no endpoints for {witness.name.lower()}: name them in [verify_missing]")
        return ZmqWitness(
            found,
            self._settings.topics,
            partial(self._observer.over_zmq, witness),
            partial(self._ear_blind, witness),
        )

    def _books_of_before(self) -> dict[Leg, Books]:
        """What was counted before a restart; what was in flight then was given up."""
        alive = self._store.last_alive
        if alive is not None:
            for witness in Witness:
                self._store.blind(int(witness), alive, self._began, "the verifier did not run")
        saved = self._store.load().get("books", {})
        return {leg: Books.from_dict(saved[leg.name.lower()]) for leg in Leg if leg.name.lower() in saved}

    def _save(self) -> None:
        books = {leg.name.lower(): books.as_dict() for leg, books in self._reconciler.books.items()}
        self._store.save({"books": books})

    # who cannot see

    def _ear_blind(self, witness: Witness, endpoint: str, begin: float, end: float | None) -> None:
        """Whoever hears tells when it began, and when it ended; both are kept as one time, from its beginning."""
        place, since = (witness, endpoint), self._blind_since
        begin = since.setdefault(place, begin) if end is None else since.pop(place, begin)
        self._reconciler.blind(witness, begin, end, endpoint)
        self._store.blind(int(witness), begin, end, endpoint)

    def _bus_blind(self, begin: float, end: float | None) -> None:
        for witness in (Witness.ZMQ_TOPIC, Witness.AMQ_TOPIC):
            self._ear_blind(witness, "", begin, end)

    def seeing(self) -> dict[str, bool]:
        """Which witness sees all that it should."""
        return {
            "publishers": all(self._publishers.seeing.values()),
            "zmq_topic": self._bus.seeing,
            "amq_topic": self._bus.seeing,
            "bridge_socket": all(self._bridge.seeing.values()),
        }

    # the life of it

    async def work(self) -> None:
        """Watch until :meth:`stop`, or for the time that was asked for."""
        settings = self._settings
        if settings.repair.enabled:
            self._repairer = Repairer(settings, self._session, crossing(self._config))
        self._publishers.attach()
        self._bridge.attach()
        await self._show()
        _log.info(
            "Watching %d publishers, %d sockets of the bridge, the exchanges %s and %s; findings are kept in %s",
            len(self._publishers.seeing),
            len(self._bridge.seeing),
            settings.zmq_exchange,
            settings.amqp_exchange,
            settings.store,
        )
        await _until_one_ends(self._judge(), self._listen(), self._look_at_all())

    async def _show(self) -> None:
        """Serve the page, if it is wanted."""
        if self._settings.listen is None:
            return
        from ..web.page import Page  # noqa: PLC0415 - only who shows it pays for it
        from ..web.server import serve  # noqa: PLC0415

        token = None if self._settings.token_file is None else _secret(self._settings.token_file)
        page = Page(self.snapshot, self.about, self.verdicts, token)
        self._page = await serve(page, self._settings.listen)
        _log.info("The page is at http://%s/", self._settings.listen)

    async def _listen(self) -> None:
        exchanges = [self._settings.zmq_exchange, self._settings.amqp_exchange]
        await self._bus.listen(
            partial(declare, self._session, quarantine=self._config.quarantine.queue, exchanges=exchanges)
        )

    async def _judge(self) -> None:
        end = None if self._duration is None else time.monotonic() + self._duration
        while end is None or time.monotonic() < end:
            await asyncio.sleep(_STEP)
            self._publishers.look()
            self._bridge.look()
            self._take(self._reconciler.advance(time.time(), _STEPS))
            while self._reconciler.behind:
                await asyncio.sleep(0)  # others have their turn: what is heard, for one
                self._take(self._reconciler.advance(time.time(), _STEPS))

    def _take(self, verdicts: list[Verdict]) -> None:
        self._shown.judged(verdicts)
        self._judging.take(verdicts)
        if self._repairer is not None:
            for verdict in verdicts:
                if verdict.kind is not Kind.LOST and "earlier" in verdict.evidence:
                    self._repairer.came(verdict.leg, verdict.key)

    def _beside(self) -> Iterable[Metric]:
        return () if self._repairer is None else self._repairer.metrics()

    async def _look_at_all(self) -> None:
        """What the page and ``status`` tell of the last days, and what reads the file."""
        while True:
            self._save()
            self._picture = await asyncio.to_thread(self._overlook.draw, self.seeing())
            self._clean_days = await asyncio.to_thread(self._ask_clean_days)
            await asyncio.sleep(_AUDIT)

    def _ask_clean_days(self) -> dict[int, float]:
        now = time.time()
        return {int(leg): self._store.clean_days(leg, now) for leg in Leg}

    def _lost(self, verdict: Verdict, content: Content | None) -> None:
        if self._repairer is None:
            return
        frames, delivery = (content.frames, content.delivery) if content is not None else (None, None)
        self._repairer.give(
            Lost(
                verdict.leg,
                verdict.key,
                content.message_id if content is not None else None,
                content.topic if content is not None else "",
                verdict.application,
                verdict.seen_at,
                frames,
                delivery,
            )
        )

    def reload(self) -> None:
        """Nothing can be changed while it runs: a new set of endpoints is a new set of witnesses."""
        raise ToolsError("verify_missing reads its endpoints at the start only: restart it")

    def tick(self, now: float) -> None:
        """Once a second."""
        seeing = self.seeing()
        self._rates.note(time.time(), self._observer.heard)
        self._judging.flush()
        self._count_delays()
        self._shown.stands(
            Standing(
                {int(leg): books for leg, books in self._reconciler.books.items()},
                self._reconciler.window,
                {
                    int(witness): Seeing(seeing[name], self._reconciler.blind_seconds(witness))
                    for name, witness in snapshot.WITNESSES.items()
                },
                {leg: self._reconciler.histogram(leg) for leg in Leg},
                self._clean_days,
                kept=(self._store.waiting, self._store.failed),
                failing=self._store.failing is not None,
            )
        )
        self.progress.moved(now)

    def _count_delays(self) -> None:
        """Those since the last time, for the minute that it is."""
        minute = int(time.time() // 60)
        for leg in Leg:
            for application, counts in self._reconciler.take_delays(leg).items():
                self._store.count(minute, application, int(leg), {}, coarser(counts, BOUNDS))

    async def stop(self) -> None:
        """Write the findings down."""
        if self._page is not None:
            await self._page.close()
        if self._repairer is not None:
            await self._repairer.close()
        self._publishers.close()
        self._bridge.close()
        self._take(self._reconciler.advance(time.time(), _STEPS))
        while any(books.in_flight for books in self._reconciler.books.values()):
            self._take(self._reconciler.give_up("the verifier was stopped", _STEPS))
            await asyncio.sleep(0)
        self._judging.flush()
        self._save()
        await asyncio.to_thread(self._store.close)

    # what is shown

    def snapshot(self) -> dict[str, Any]:
        """What goes on now, in the page's terms."""
        now = time.time()
        seeing = self.seeing()
        return {
            "version": 1,
            "now": now,
            "since": self._began,
            "window": self._reconciler.window,
            "legs": {leg.name.lower(): self._leg(leg, seeing) for leg in Leg},
            "witnesses": {name: self._witness(name, sees) for name, sees in seeing.items()},
            "history": self._store.minutes(now - _HISTORY),
            "verdicts": self._store.latest(50),
            **self._picture,
        }

    def _leg(self, leg: Leg, seeing: Mapping[str, bool]) -> dict[str, Any]:
        ends = {witness: name for name, witness in snapshot.WITNESSES.items()}
        blind = [ends[end] for end in (ORIGIN[leg], FAR[leg]) if not seeing[ends[end]]]
        rates = (self._rates.of(ORIGIN[leg]), self._rates.of(FAR[leg]))
        return snapshot.leg(leg, self._reconciler.books[leg], self._reconciler.delays(leg), rates, blind)

    def _witness(self, name: str, sees: bool) -> dict[str, Any]:
        detail = {"publishers": self._publishers, "bridge_socket": self._bridge}.get(name)
        return {
            "seeing": sees,
            "blind_seconds": self._reconciler.blind_seconds(snapshot.WITNESSES[name]),
            "detail": {} if detail is None else dict(detail.seeing),
        }

    def about(self, message_id: str) -> dict[str, Any] | None:
        """All that is known of one message."""
        from ..reconcile import sightings  # noqa: PLC0415

        key = sightings.key(message_id)
        seen = {
            witness.name.lower(): normal(content)
            for witness in Witness
            if (content := self._contents.get(witness, key)) is not None
        }
        said = self._store.about(key)
        return {"id": message_id, "seen": seen, "verdicts": said} if seen or said else None

    def verdicts(self, filters: Any) -> list[dict[str, Any]]:
        """The latest, filtered."""
        leg = None if filters.leg is None else int(Leg[filters.leg.upper()])
        return self._store.latest(filters.limit, filters.kind, leg)

    def summary(self) -> str:
        """The books of both legs, in a line."""
        parts = []
        for leg in Leg:
            figures = self._reconciler.books[leg].as_dict()
            wanted = ("in", "matched", "lost", "unverifiable", "quarantined", "loops", "in_flight")
            told = ", ".join(f"{name.replace('_', ' ')} {figures[name]}" for name in wanted)
            parts.append(f"{leg.name.lower()}: {told}")
        return "; ".join(parts)

    def findings(self) -> dict[str, int]:
        """How many of each kind, over both legs; what was taken back is not counted."""
        totals: dict[str, int] = {}
        for leg in Leg:
            for name, count in self._reconciler.books[leg].as_dict().items():
                totals[name] = totals.get(name, 0) + count
        return {str(kind): totals.get(str(kind), 0) for kind in Kind}


async def _until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them until the first ends, or fails: that is raised, for a service that is deaf in part looks well."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _secret(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ToolsError(f"{path}: the token cannot be read: {error}") from error
    if not token:
        raise ToolsError(f"{path}: there is no token in it")
    return token


def run(
    config: Config, *, amqp_url: str | None = None, duration: float | None = None, report: str | None = None
) -> dict[str, int]:
    """Verify until SIGTERM or SIGINT, or for a time; how many of each kind were found.

    Arguments:
        config: all settings.
        amqp_url: the broker, instead of the configuration's.
        duration: seconds.
        report: a file to write the report to at the end.

    Raises ``ToolsError``, or what the library raises when it cannot listen.
    """
    conf = service.settings_of_library(amqp_url, TITLE, _PREFETCH)
    made: list[Verifier] = []

    def make(session: Session) -> Verifier:
        made.append(Verifier(config, session, duration))
        return made[0]

    typed: Callable[[Session], Verifier] = make
    service.run(conf, typed, config.verify_missing.monitoring)
    if report is not None:
        from . import report as reports  # noqa: PLC0415 - only at the end, if at all

        reports.write(report, made[0].snapshot())
    return made[0].findings()
