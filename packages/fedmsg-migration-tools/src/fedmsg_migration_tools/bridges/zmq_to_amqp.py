# SPDX-License-Identifier: MIT
"""The bridge from ZeroMQ to AMQP: what fedmsg publishers send reaches the exchange ``zmq.topic``.

Here is how messages get from the outbox to the broker, and what its answers mean. How they come in is in
:mod:`.intake`, what waits and in which order in :mod:`.outbox`, what becomes of a message in :mod:`.crossing`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from fedora_messaging.backoff import delays
from fedora_messaging.exceptions import (
    BadDeclaration,
    ConnectionException,
    PermissionException,
    PublishForbidden,
    PublishNacked,
    PublishReturned,
    ValidationError,
)
from fedora_messaging.exceptions import BaseException as LibraryError

from ..exceptions import Reason, SpoolFull, ToolsError, Unbridgeable
from ..figures import Counter, Gauge
from ..progress import Progress
from ..spool import Spool
from . import service
from .complaints import Complaints
from .crossing import Crossing, Prepared
from .declaring import declare
from .inorder import InOrder
from .intake import Intake
from .outbox import Item, Outbox
from .signing import validator
from .tally import Shown, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fedora_messaging.aio import Session
    from fedora_messaging.publication import Publication

    from ..config import Config
    from ..config import ZmqToAmqp as Settings
    from ..figures import Figures
    from .intake import Sources

__all__ = ["ZmqToAmqp", "run"]

_log = logging.getLogger(__name__)

TITLE = "zmq_to_amqp"
WINDOW = 2000  # messages published and not confirmed; more gains nothing (docs/explanation/speed)
_PUBLISH = 256  # messages handed to the broker in one turn of the loop
_SECURE_AFTER = 1.0  # seconds without a confirm after which a message is written to disk
_FAREWELL = 5.0  # seconds that a stop waits for confirms
_RETRY_MAX = 60.0  # seconds between two attempts at a message that a queue refuses, at most
_SHARE = 64  # signatures that a thread checks at a time


class ZmqToAmqp:
    """Carries messages from ZeroMQ to AMQP; see :class:`.service.Bridge`. To be made on its event loop.

    Arguments:
        settings: the section ``zmq_to_amqp``.
        quarantine: the queue for what cannot cross.
        session: where to publish.
        sources: says anew at each reload what ``zmq_endpoints`` are; those of the settings when omitted.

    Raises ``ToolsError`` when its files or endpoints are not to be used.
    """

    title = TITLE

    def __init__(
        self, settings: Settings, quarantine: str, session: Session, sources: Sources = None
    ) -> None:
        self._settings = settings
        self._quarantine = quarantine
        self._session = session
        self._loop = asyncio.get_running_loop()
        signatures = settings.signatures
        self._validator = validator(signatures)
        self._crossing = Crossing(
            settings.exchange,
            quarantine,
            f"{TITLE}@{settings.name}",
            self._validator,
            signatures.bridge_signers,
            refuse_expired=signatures.when_expired == "quarantine",
        )
        self._checking: InOrder[Item, Prepared] | None = None
        if self._validator is not None:
            self._checking = InOrder(self._check, self._prepared, threads=signatures.threads, share=_SHARE)
        self._spool = Spool(settings.spool.path, settings.spool.max_bytes)
        self._outbox = Outbox(
            self._spool, settings.max_unconfirmed, settings.max_unconfirmed_bytes, durable=settings.durable
        )
        self._tally = Tally(TITLE, "confirmed by the broker")
        self._intake = Intake(settings, self._outbox, self._tally, self._taken, sources)
        self.progress = Progress(settings.progress_timeout, time.monotonic())
        self.figures: Figures = Shown(self._tally, self._gauges, self._ready)
        self._complaints = Complaints()
        self._publications: dict[int, Publication] = {}
        self._out = 0  # messages handed out by the outbox and not settled
        self._pumping = False
        self._confirmed_at = time.monotonic()
        self._closed: str | None = "not connected yet"  # why nothing is published
        self._said: str | None = None  # and what was said of that
        self._reopen = asyncio.Event()
        self._stopping = False

    # the life of it

    async def work(self) -> None:
        """Listen, and keep the way to the broker open."""
        self._intake.start()
        _log.info(
            "Bridging from %d ZeroMQ endpoints, topics %s, to the exchange %s; %d messages wait in %s",
            len(self._intake.endpoints),
            ", ".join(repr(topic) for topic in self._settings.topics),
            self._settings.exchange,
            self._spool.messages,
            self._settings.spool.path,
        )
        while True:
            await self._open()
            self._reopen.clear()
            self._pump()
            await self._reopen.wait()

    def reload(self) -> None:
        """Endpoints, CA and CRL may have changed."""
        self._intake.reload()
        self._look_for_certificates()

    def _look_for_certificates(self) -> None:
        """A new CA or CRL may be what messages wait for."""
        if self._validator is not None and self._validator.refresh():
            self._reopen.set()

    async def stop(self) -> None:
        """Take what has arrived, wait a moment for confirms, and leave the rest in the spool.

        Raises ``ToolsError`` when there is no room for it.
        """
        self._stopping = True
        await self._intake.finish()
        deadline = time.monotonic() + _FAREWELL
        while self._out and time.monotonic() < deadline and self._session.statistics.connected:
            await asyncio.sleep(0.01)
        if self._checking is not None:
            self._checking.close()
        self._withdraw()
        lost = self._intake.leave()
        self._outbox.flush()
        left = self._spool.messages
        self._spool.close()
        if left:
            _log.info("%d messages wait in %s for the next start", left, self._settings.spool.path)
        if lost:
            raise ToolsError(
                f"{lost} messages are lost with this process: {self._intake.full or 'no room on disk'}"
            )

    def _taken(self) -> None:
        """Messages have come in."""
        if self._closed is not None or not self._session.statistics.connected:
            # While the broker is away, or the operator has to mend something, reaching the disk is all the progress
            # there can be: a restart gains nothing, and loses what is sent meanwhile.
            self.progress.moved(time.monotonic())
        self._pump()

    # to the broker

    def _pump(self) -> None:
        """Publish what may be published now, up to a turn's worth."""
        if self._closed is not None or self._stopping:
            return
        limit = min(_PUBLISH, WINDOW - self._out)
        items = self._outbox.next(limit, time.time(), time.monotonic())
        self._out += len(items)
        if self._checking is not None:
            self._checking.give(items)
        else:
            for item in items:
                self._prepared(item, self._check(item))
            self._session.flush()
        if items and len(items) == limit:
            self._pump_soon()

    def _pump_soon(self) -> None:
        """In the loop's next turn: once for all confirms of this one."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pumping = False
        self._pump()

    def _check(self, item: Item) -> Prepared:
        return self._crossing.prepare(item.entry)

    def _prepared(self, item: Item, prepared: Prepared) -> None:
        """It is known what is to become of it."""
        if self._closed is not None:
            return  # it was taken back
        if prepared.outgoing is not None:
            self._publish(item, prepared)
        elif prepared.hold is not None:
            self._close_way(f"signatures cannot be judged: {prepared.hold}", _RETRY_MAX / 2)
        else:
            self._tally.loops.add(1, self._tally.application(prepared.topic))
            self._settle(item)

    def _publish(self, item: Item, prepared: Prepared) -> None:
        assert prepared.outgoing is not None  # noqa: S101 - the callers looked
        publication = self._session.submit(prepared.outgoing, None, partial(self._answered, item, prepared))
        if publication.done is not None:
            self._publications[item.position] = publication

    def _settle(self, item: Item) -> None:
        self._outbox.settled(item)
        self._out -= 1
        self._confirmed_at = now = time.monotonic()
        self.progress.moved(now)
        if self._said is not None:
            self._said = None
            _log.warning("Publishing goes on; %d messages wait", self._outbox.waiting)
        self._pump_soon()

    # what the broker says

    def _answered(self, item: Item, prepared: Prepared, error: LibraryError | None) -> None:
        """The broker has confirmed it, or refused."""
        self._publications.pop(item.position, None)
        if error is not None:
            self._refused(item, prepared, error)
            return
        if prepared.fault is None:
            self._tally.arrived(prepared.topic, prepared.timestamp, time.time())
        else:
            self._note_quarantined(prepared.topic, prepared.fault)
        self._settle(item)

    def _note_quarantined(self, topic: str, fault: Unbridgeable) -> None:
        self._tally.quarantined.add(1, fault.reason)
        if self._complaints.due(fault.reason):
            _log.warning(
                "Set aside in %s: %s, %s (no more of this kind for a minute)",
                self._quarantine,
                topic[:100] or "a message",
                fault,
            )

    def _refused(self, item: Item, prepared: Prepared, error: LibraryError) -> None:
        match error:
            case PublishReturned() if not isinstance(error, PublishNacked):
                # Only letters to quarantine are mandatory: that queue is gone, or the exchange is.
                self._close_way(str(error), _SECURE_AFTER)
            case ConnectionException():
                self._close_way(str(error), _SECURE_AFTER)
            case PublishForbidden() if prepared.fault is None:
                self._set_aside(item, Reason.FORBIDDEN, error)
            case ValidationError() if prepared.fault is None:
                self._set_aside(item, Reason.REFUSED, error)
            case _:
                self._put_off(item, error)

    def _set_aside(self, item: Item, reason: Reason, error: LibraryError) -> None:
        self._publish(item, self._crossing.set_aside(item.entry, Unbridgeable(reason, str(error))))

    def _put_off(self, item: Item, error: LibraryError) -> None:
        """A queue has no room, or quarantine is not to be had: others may go on meanwhile."""
        kind = type(error).__name__
        if self._complaints.due(kind):
            _log.warning("Put off, to be tried again until it is taken: %s", error)
        self._tally.put_off.add(1, kind)
        self._outbox.put_off(item, time.time() + min(_RETRY_MAX, 2.0**item.attempts), str(error))
        self._out -= 1
        self._pump_soon()

    # the way to the broker

    async def _open(self) -> None:
        """See that the exchange and the quarantine queue are there; waits as long as that takes."""
        pauses = delays(limit=service.PAUSE)
        while True:
            try:
                await declare(self._session, quarantine=self._quarantine, exchanges=[self._settings.exchange])
            except (ConnectionException, BadDeclaration, PermissionException) as error:
                self._say_closed(str(error))
                await asyncio.sleep(next(pauses))
            else:
                self._closed = None
                return

    def _close_way(self, why: str, pause: float) -> None:
        """Publish nothing until, after a pause in seconds, :meth:`_open` has succeeded; what was handed out is then
        handed out again.
        """
        self._say_closed(why)
        self._loop.call_later(pause, self._reopen.set)
        self._withdraw()
        if self._checking is not None:
            self._checking.forget()
        self._outbox.rewind()
        self._out = 0

    def _say_closed(self, why: str) -> None:
        self._closed = why
        if self._said != why:
            self._said = why
            _log.error("Nothing can be published: %s. Messages wait in %s", why, self._settings.spool.path)

    def _withdraw(self) -> None:
        """Nobody waits any more for what the broker says of what was published."""
        for publication in self._publications.values():
            self._session.withdraw(publication)
        self._publications.clear()

    # each second

    def tick(self, now: float) -> None:
        """Bring to disk what waits for long, and look after what was put off."""
        self._intake.tick()
        try:
            self._outbox.secure(now - _SECURE_AFTER)
        except SpoolFull as error:
            self._intake.stop_reading(str(error))
        self._outbox.flush()
        self.progress.wait(now, self._outbox.waiting)
        if self._intake.full is not None:
            self.progress.moved(now)  # a restart would lose what is in memory, and make no room
        if self._closed is not None:
            self._look_for_certificates()
        self._pump()

    def _ready(self) -> tuple[bool, Mapping[str, Any]]:
        waiting = self._outbox.waiting
        said = {
            "waiting": waiting,
            "spooled": self._spool.messages,
            "connected": self._session.statistics.connected,
            "endpoints": {name: state.connected for name, state in self._intake.endpoints.items()},
        }
        idle = time.monotonic() - max(self._confirmed_at, self._intake.since) if waiting else 0.0
        reason = self._intake.full
        if reason is None and idle > self._settings.progress_timeout:
            reason = self._closed or f"nothing was confirmed for {idle:.0f} s"
        return (reason is None, said if reason is None else {**said, "reason": reason})

    def summary(self) -> str:
        """What was done since the last one."""
        return self._tally.summary(waiting=self._outbox.waiting, spooled=self._spool.messages)

    def _gauges(self) -> Iterator[Gauge | Counter]:
        connected = self._session.statistics.connected
        closed = self._closed is not None or (self._outbox.waiting > 0 and not connected)
        for name, about, value in (
            ("unconfirmed", "Messages published and not confirmed.", self._out),
            ("waiting", "Messages that are not settled.", self._outbox.waiting),
            ("spool_messages", "Messages on disk.", self._spool.messages),
            ("spool_bytes", "Bytes of the messages on disk.", self._spool.bytes),
            ("spool_max_bytes", "The most bytes that may be on disk.", self._spool.max_bytes),
            ("spool_deferred", "Messages on disk that were put off.", self._spool.deferred),
            ("closed", "1 while nothing can be published.", closed),
            ("connected", "1 while there is a connection for publishing.", connected),
        ):
            yield Gauge.of(f"{TITLE}_{name}", about, float(value))
        if self._validator is not None:
            yield Gauge(
                f"{TITLE}_signatures_expire_timestamp_seconds",
                "When a CA certificate or CRL in force runs out; after that, messages wait for a new one.",
                ("what",),
                {(period.what,): period.ends for period in self._validator.periods},
            )
        yield from self._intake.gauges()


def run(config: Config, *, amqp_url: str | None = None, sources: Sources = None) -> None:
    """Bridge until SIGTERM or SIGINT; ``sources`` is that of :class:`ZmqToAmqp`.

    Raises ``ToolsError``, or the library's ``ConfigurationException``, when that cannot be.
    """
    settings = config.zmq_to_amqp
    conf = service.settings_of_library(amqp_url or config.amqp_url, f"{TITLE} {settings.name}")
    queue = config.quarantine.queue
    service.run(conf, lambda session: ZmqToAmqp(settings, queue, session, sources), settings.monitoring)
