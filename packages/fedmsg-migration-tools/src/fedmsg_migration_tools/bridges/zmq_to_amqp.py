# SPDX-License-Identifier: MIT
"""The bridge from ZeroMQ to AMQP: what fedmsg publishers send reaches the exchange ``zmq.topic``.

Here is the shell: sockets, spool, broker, and what is told of them. What becomes of a message is decided in
:mod:`.crossing`, what waits and in which order in :mod:`.outbox`.
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

from .. import endpoints
from ..exceptions import Reason, SpoolFull, ToolsError, Unbridgeable
from ..figures import Counter, Gauge
from ..progress import Progress
from ..sockets import Subscriber
from ..spool import Spool
from . import service
from .complaints import Complaints
from .crossing import Crossing, Prepared
from .inorder import InOrder
from .keys import client_keys
from .memory import resident
from .outbox import Item, Outbox
from .signing import validator
from .tally import Shown, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fedora_messaging.aio import Session
    from fedora_messaging.publisher import Publication

    from ..config import Config
    from ..config import ZmqToAmqp as Settings
    from ..figures import Figures

__all__ = ["ZmqToAmqp", "run"]

_log = logging.getLogger(__name__)

TITLE = "zmq_to_amqp"
WINDOW = 2000  # messages published and not confirmed; more gains nothing (docs/explanation/speed)
_READ = 256  # messages read from the sockets in one turn of the loop
_PUBLISH = 256  # messages handed to the broker in one turn
_SECURE_AFTER = 1.0  # seconds without a confirm after which a message is written to disk
_FAREWELL = 5.0  # seconds that a stop waits for confirms
_RETRY_MAX = 60.0  # seconds between two attempts at a message that a queue refuses, at most
_SHARE = 64  # signatures that a thread checks at a time

_DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}


class ZmqToAmqp:
    """Carries messages from ZeroMQ to AMQP; see :class:`.service.Bridge`. To be made on its event loop.

    Arguments:
        settings: the section ``zmq_to_amqp``.
        quarantine: the queue for what cannot cross.
        session: where to publish.

    Raises ``ToolsError`` when its files or endpoints are not to be used.
    """

    title = TITLE

    def __init__(self, settings: Settings, quarantine: str, session: Session) -> None:
        self._settings = settings
        self._quarantine = quarantine
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._validator = validator(settings.signatures)
        self._crossing = Crossing(
            settings.exchange,
            quarantine,
            f"{TITLE}@{settings.name}",
            self._validator,
            settings.signatures.bridge_signers,
            refuse_expired=settings.signatures.when_expired == "quarantine",
        )
        self._spool = Spool(settings.spool.path, settings.spool.max_bytes)
        self._outbox = Outbox(
            self._spool, settings.max_unconfirmed, settings.max_unconfirmed_bytes, durable=settings.durable
        )
        self._tally = Tally(TITLE, "confirmed by the broker")
        self.progress = Progress(settings.progress_timeout, time.monotonic())
        self.figures: Figures = Shown(self._tally, self._gauges, self._ready)
        self._subscriber = Subscriber(settings.topics, curve=client_keys(settings.curve))
        self._checking: InOrder[Item, Prepared] | None = None
        if self._validator is not None:
            self._checking = InOrder(
                lambda item: self._crossing.prepare(item.entry),
                self._prepared,
                threads=settings.signatures.threads,
                share=_SHARE,
            )
        self._publications: dict[int, Publication] = {}
        self._out = 0  # messages handed out by the outbox and not settled
        self._pumping = False
        self._closed: str | None = "not connected yet"  # why nothing is published
        self._said: str | None = None  # and what was said of that
        self._reopen = asyncio.Event()
        self._held: list[list[bytes]] = []  # read, and no room for them
        self._full: str | None = None
        self._resident = 0  # bytes, when reading stopped
        self._confirmed_at = time.monotonic()
        self._complaints = Complaints()
        self._stopping = False

    # the life of it

    async def work(self) -> None:
        """Listen, and keep the way to the broker open."""
        self.reload()
        self._subscriber.attach(self._read)
        _log.info(
            "Bridging from %d ZeroMQ endpoints, topics %s, to the exchange %s; %d messages wait in %s",
            len(self._subscriber.endpoints),
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
        """Connect to the endpoints that are configured now, and leave those that are not any more."""
        wanted = endpoints.read(self._settings.zmq_endpoints)
        if not wanted:
            raise ToolsError("no ZeroMQ endpoints: name them with --zmq-endpoint, or in zmq_endpoints")
        known = set(self._subscriber.endpoints)
        for endpoint in wanted:
            if endpoint not in known:
                try:
                    self._subscriber.connect(endpoint)
                except ToolsError as error:
                    _log.error("%s; the others go on", error)
        for endpoint in known.difference(wanted):
            _log.info("No longer listening to %s", endpoint)
            self._subscriber.disconnect(endpoint)
        if self._validator is not None:
            self._validator.refresh()

    async def stop(self) -> None:
        """Take what has arrived, wait a moment for confirms, and leave the rest in the spool."""
        self._stopping = True
        self._subscriber.pause()
        await self._read_the_rest()
        deadline = time.monotonic() + _FAREWELL
        while self._out and time.monotonic() < deadline and self._session.statistics.connected:
            await asyncio.sleep(0.01)
        if self._checking is not None:
            self._checking.close()
        for publication in self._publications.values():
            self._session.withdraw(publication)
        self._publications.clear()
        self._subscriber.close()
        try:
            if self._held:
                self._take(self._held)
            self._outbox.secure()
        except SpoolFull as error:
            lost = self._outbox.unsecured + len(self._held)
            raise ToolsError(f"{lost} messages are lost with this process: {error}") from error
        finally:
            self._outbox.flush()
            left = self._spool.messages
            self._spool.close()
        if left:
            _log.info("%d messages wait in %s for the next start", left, self._settings.spool.path)

    async def _read_the_rest(self) -> None:
        while self._full is None:
            messages = self._subscriber.receive(_READ)
            if not messages:
                return
            self._store(messages)
            await asyncio.sleep(0)

    # from the sockets

    def _read(self) -> None:
        """Something can be read."""
        messages = self._subscriber.receive(_READ)
        if messages:
            self._store(messages)
            self._pump()

    def _store(self, messages: list[list[bytes]]) -> None:
        application, count = self._tally.application, self._tally.received.add
        for frames in messages:
            count(1, application(frames[0].decode(errors="replace")))
        try:
            self._take(messages)
        except SpoolFull as error:
            self._held += messages
            self._stop_reading(str(error))
        if not self._session.statistics.connected:
            # While the broker is away, reaching the disk is all the progress there can be; a restart gains nothing.
            self.progress.moved(time.monotonic())

    def _take(self, messages: Sequence[Sequence[bytes]]) -> None:
        now = time.monotonic()
        if not self._outbox.in_memory:
            self._confirmed_at = now  # what has just begun to wait has not waited for long
        self._outbox.take(messages, time.time(), now)

    def _stop_reading(self, why: str) -> None:
        if self._full is None:
            _log.critical(
                "No room for what comes in: %s. Reading has stopped; %d messages wait. Free the disk, raise "
                "spool.max_bytes, or bring the broker back",
                why,
                self._spool.messages,
            )
            self._resident = resident()
        self._full = why
        self._subscriber.pause()

    def _try_reading_again(self) -> None:
        """There may be room again. While there is none, what libzmq holds has a bound too."""
        try:
            self._outbox.flush()
            self._take(self._held)
        except SpoolFull as error:
            self._full = str(error)
            if resident() - self._resident > self._settings.receive_max_bytes:
                self._give_up_some()
            return
        _log.warning("There is room again: reading goes on. %.0f messages were lost", self._tally.lost.total)
        self._held, self._full = [], None
        self._subscriber.resume()

    def _give_up_some(self) -> None:
        """Memory is at its bound and nothing can be stored: the oldest that no one took yet go, and are counted."""
        count = 0
        while (messages := self._subscriber.receive(_READ)) and count < 64 * _READ:
            count += len(messages)
        self._tally.lost.add(count)
        _log.critical("%d messages are lost: no room in memory (receive_max_bytes) nor on disk", count)

    # to the broker

    def _pump(self) -> None:
        """Publish what may be published now."""
        if self._closed is not None or self._stopping:
            return
        limit = min(_PUBLISH, WINDOW - self._out)
        items = self._outbox.next(limit, time.time(), time.monotonic())
        self._out += len(items)
        if self._checking is not None:
            self._checking.give(items)
        else:
            for item in items:
                self._prepared(item, self._crossing.prepare(item.entry))
            self._session.flush()
        if items and len(items) == limit:
            self._pump_soon()

    def _pump_soon(self) -> None:
        """After confirms: once for all of this turn."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pumping = False
        self._pump()

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
        outgoing = prepared.outgoing
        assert outgoing is not None  # noqa: S101 - the caller looked
        publication = self._session.submit(outgoing, None, partial(self._answered, item, prepared))
        if publication.done is not None:
            self._publications[item.position] = publication

    def _settle(self, item: Item) -> None:
        self._outbox.settled(item)
        self._out -= 1
        if self._said is not None:
            self._said = None
            _log.warning("Publishing goes on; %d messages wait", self._outbox.waiting)
        self._confirmed_at = now = time.monotonic()
        self.progress.moved(now)
        self._pump_soon()

    def _answered(self, item: Item, prepared: Prepared, error: LibraryError | None) -> None:
        """The broker has confirmed it, or refused."""
        self._publications.pop(item.position, None)
        if error is not None:
            self._refused(item, prepared, error)
            return
        if prepared.fault is None:
            self._tally.bridged.add(1, self._tally.application(prepared.topic))
            if prepared.timestamp is not None:
                self._tally.lag.observe(max(0.0, time.time() - prepared.timestamp))
        else:
            self._tally.quarantined.add(1, prepared.fault.reason)
            if self._complaints.due(prepared.fault.reason):
                _log.warning(
                    "Set aside in %s: %s, %s (no more of this kind for a minute)",
                    self._quarantine,
                    prepared.topic[:100] or "a message",
                    prepared.fault,
                )
        self._settle(item)

    def _refused(self, item: Item, prepared: Prepared, error: LibraryError) -> None:
        if isinstance(error, PublishNacked):
            self._put_off(item, error)
        elif isinstance(error, PublishReturned):
            # Nothing is published as mandatory but letters to quarantine: the exchange or that queue is gone.
            self._close_way(str(error), _SECURE_AFTER)
        elif isinstance(error, PublishForbidden | ValidationError) and prepared.fault is None:
            reason = Reason.FORBIDDEN if isinstance(error, PublishForbidden) else Reason.REFUSED
            self._publish(item, self._crossing.set_aside(item.entry, Unbridgeable(reason, str(error))))
        elif isinstance(error, ConnectionException):
            self._close_way(str(error), _SECURE_AFTER)
        else:
            self._put_off(item, error)

    def _put_off(self, item: Item, error: LibraryError) -> None:
        """A queue has no room, or quarantine is not to be had: others may go on meanwhile."""
        pause = min(_RETRY_MAX, 2.0**item.attempts)
        if self._complaints.due(type(error).__name__):
            _log.warning("Put off, to be tried again until it is taken: %s", error)
        self._tally.put_off.add(1, type(error).__name__)
        self._outbox.put_off(item, time.time() + pause, str(error))
        self._out -= 1
        self._pump_soon()

    # the way to the broker

    async def _open(self) -> None:
        """See that the exchange and the quarantine queue are there; waits as long as that takes."""
        pauses = delays()
        while True:
            try:
                await _declare(self._session, self._settings.exchange, self._quarantine)
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
        for publication in self._publications.values():
            self._session.withdraw(publication)
        self._publications.clear()
        if self._checking is not None:
            self._checking.forget()
        self._outbox.rewind()
        self._out = 0

    def _say_closed(self, why: str) -> None:
        self._closed = why
        if self._said != why:
            self._said = why
            _log.error("Nothing can be published: %s. Messages wait in %s", why, self._settings.spool.path)

    # each second

    def tick(self, now: float) -> None:
        """Bring to disk what waits for long, and look after what was put off."""
        if self._full is not None:
            self._try_reading_again()
        try:
            self._outbox.secure(now - _SECURE_AFTER)
        except SpoolFull as error:
            self._stop_reading(str(error))
        self._outbox.flush()
        self.progress.wait(now, self._outbox.waiting)
        self._pump()

    def _ready(self) -> tuple[bool, Mapping[str, Any]]:
        now = time.monotonic()
        waiting = self._outbox.waiting
        idle = now - self._confirmed_at if waiting else 0.0
        said = {
            "waiting": waiting,
            "spooled": self._spool.messages,
            "connected": self._session.statistics.connected,
            "endpoints": {name: state.connected for name, state in self._subscriber.endpoints.items()},
        }
        reason = self._full or (
            self._closed or f"nothing was confirmed for {idle:.0f} s"
            if idle > self._settings.progress_timeout
            else None
        )
        return (reason is None, said if reason is None else {**said, "reason": reason})

    def summary(self) -> str:
        """What was done since the last one."""
        return self._tally.summary(waiting=self._outbox.waiting, spooled=self._spool.messages)

    def _gauges(self) -> Iterator[Gauge | Counter]:
        yield Gauge.of("zmq_to_amqp_unconfirmed", "Messages published and not confirmed.", self._out)
        yield Gauge.of("zmq_to_amqp_waiting", "Messages that are not settled.", self._outbox.waiting)
        yield Gauge.of("zmq_to_amqp_spool_messages", "Messages on disk.", self._spool.messages)
        yield Gauge.of("zmq_to_amqp_spool_bytes", "Bytes of the messages on disk.", self._spool.bytes)
        yield Gauge.of(
            "zmq_to_amqp_spool_deferred", "Messages on disk that were put off.", self._spool.deferred
        )
        yield Gauge.of(
            "zmq_to_amqp_full", "1 while there is no room for what comes in.", float(self._full is not None)
        )
        yield Gauge.of(
            "zmq_to_amqp_closed", "1 while nothing can be published.", float(self._closed is not None)
        )
        yield Gauge.of(
            "zmq_to_amqp_connected", "1 while connected to the broker.", self._session.statistics.connected
        )
        states = dict(self._subscriber.endpoints)
        yield Gauge(
            "zmq_to_amqp_endpoint_connected",
            "1 while the endpoint is connected.",
            ("endpoint",),
            {(name,): float(state.connected) for name, state in states.items()},
        )
        yield Counter(
            "zmq_to_amqp_endpoint_disconnects",
            "Connections to the endpoint that were lost.",
            ("endpoint",),
            {(name,): state.disconnects for name, state in states.items()},
        )


def run(config: Config, *, amqp_url: str | None = None) -> None:
    """Bridge until SIGTERM or SIGINT.

    Raises ``ToolsError``, or the library's ``ConfigurationException``, when that cannot be.
    """
    settings = config.zmq_to_amqp
    conf = service.settings_of_library(amqp_url or config.amqp_url, f"{TITLE} {settings.name}")
    make: Callable[[Session], ZmqToAmqp] = partial(ZmqToAmqp, settings, config.quarantine.queue)
    service.run(conf, make, settings.monitoring)


async def _declare(session: Session, exchange: str, quarantine: str) -> None:
    """What is there already needs no permission to be found; only what is missing is made."""
    exchanges = {exchange: {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}}}
    queues = {quarantine: _DURABLE}
    try:
        await session.declare(exchanges=exchanges, queues=queues, passive=True)
    except BadDeclaration:
        await session.declare(exchanges=exchanges)
        await session.declare(queues=queues)
