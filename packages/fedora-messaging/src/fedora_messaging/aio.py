# SPDX-License-Identifier: MIT
"""Publish and consume from asyncio.

A :class:`Session` is one application's place on the bus::

    async with Session() as session:
        await session.publish(Message(topic="app.event", body={"hello": "world"}))

The functions :func:`publish`, :func:`publish_many` and :func:`consume` do the same on a session that all code
on the running loop shares.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Self

from . import _outbox, wire
from . import config as _config
from .address import addresses
from .callbacks import resolve, run
from .consumer import Consumer
from .deliveries import Delivery
from .dialer import LONGEST, Dialer
from .exceptions import BaseException as LibraryError
from .exceptions import ConfigurationException, ConnectionException, PublishIncomplete
from .publisher import WINDOW, Publisher
from .signals import Announced
from .statistics import Statistics
from .topology import Topology
from .transports.base import ConnectionEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from .message import Message
    from .publication import Publication
    from .transports.base import Outgoing

_SLICE = 64  # messages of a batch between two looks at what the broker says

__all__ = ["Delivery", "Session", "consume", "publish", "publish_many", "shared_session"]


class Session:
    """Publishing and consuming with one configuration, on one event loop.

    Connections are opened when they are first needed: one for publishing, and one for each consumer, since the
    broker stops reading from a publisher's connection while it is short of memory or disk.

    Arguments:
        conf: the settings, with the keys of the configuration file; :data:`.config.conf` when omitted. Messages take
            ``topic_prefix`` and ``publish_priority`` from there in any case.
        amqp_url: instead of the one that the settings name.
        sender: what the signals name as their sender; :func:`publish` when omitted.
        longest_pause: seconds between two attempts to connect, at most.
    """

    def __init__(
        self,
        conf: Mapping[str, Any] | None = None,
        *,
        amqp_url: str | None = None,
        sender: object = None,
        longest_pause: float = LONGEST,
    ) -> None:
        settings = dict(_config.conf.copy() if conf is None else {**_config.DEFAULTS, **conf})
        if amqp_url is not None:
            settings.update(amqp_url=amqp_url, amqp_urls=[])
        self.conf: Mapping[str, Any] = settings
        self.statistics = Statistics()
        self.sender = sender or publish
        self._longest_pause = longest_pause
        self._publisher: Publisher | None = None
        self._consumers: set[Consumer] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for what is being published (each message has its time limit), then close all connections."""
        self._closed = True
        for consumer in list(self._consumers):
            await consumer.close()
        if self._publisher is not None:
            await self._publisher.close()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connections without disturbing them. Not for use otherwise."""
        for part in (self._publisher, *self._consumers):
            if part is not None:
                part.abandon()

    def _dialer(self, purpose: str) -> Dialer:
        return Dialer(addresses(self.conf), purpose, self._longest_pause)

    # publishing

    async def publish(
        self,
        message: Message,
        exchange: str | None = None,
        timeout: float | None = 30.0,
        mandatory: bool = False,
    ) -> None:
        """Publish a message; returns when the broker has confirmed it.

        Arguments:
            message: what to publish; it is validated first.
            exchange: where to; the configuration's ``publish_exchange`` when omitted.
            timeout: seconds; None waits without limit.
            mandatory: fail when no queue is bound to take it.

        Raises:
            ValidationError: it breaks its schema, or does not fit on the wire; nothing was sent.
            PublishForbidden: the user may not publish that topic there.
            PublishReturned: ``mandatory``, and nobody is bound; or there is no such exchange.
            PublishNacked: a queue refused it.
            PublishTimeout, PublishBlocked: no confirm in time; it may have arrived, and may be published again.
            ConnectionException: the broker refuses us for good (password, virtual host, certificate).
        """
        if _outbox.capture(message):
            return
        with Announced(self.sender, message):
            await self._confirmed(self.encode(message, exchange, mandatory=mandatory), timeout)

    async def publish_many(
        self,
        messages: Iterable[Message],
        exchange: str | None = None,
        timeout: float | None = 30.0,
        mandatory: bool = False,
    ) -> None:
        """Publish messages in one pipeline, in order; returns when each is confirmed, or has failed.

        ``messages`` may be any iterable; some thousands of it are held at a time. ``timeout`` is for each
        message, in seconds from when it is taken. The other arguments are those of :meth:`publish`.

        Raises ``PublishIncomplete``, which says which messages failed and why; all others are confirmed.
        """
        batch = _Batch(self)
        try:
            for taken, message in enumerate(messages, 1):
                batch.add(message, exchange, timeout, mandatory)
                if taken % _SLICE == 0:
                    await asyncio.sleep(0)  # let confirms in
                await batch.wait(2 * WINDOW)
            await batch.wait(0)
        except asyncio.CancelledError:
            batch.withdraw()
            raise
        batch.conclude()

    def encode(self, message: Message, exchange: str | None = None, *, mandatory: bool = False) -> Outgoing:
        """The message as it goes to the broker. Raises ``ValidationError`` when it cannot."""
        return wire.encode(
            message, self.conf["publish_exchange"] if exchange is None else exchange, mandatory
        )

    def submit(
        self, outgoing: Outgoing, timeout: float | None, done: Callable[[LibraryError | None], None]
    ) -> Publication:
        """Publish an encoded message, and call ``done`` with None or the error. On the loop's thread only."""
        if self._publisher is None:
            if self._closed:
                raise ConnectionException(reason="the session is closed")
            self._publisher = Publisher(self._dialer("publishing"), self.statistics)
        return self._publisher.submit(outgoing, timeout, done)

    def withdraw(self, publication: Publication) -> None:
        """Nobody waits for it any more: not sent yet, it never is; sent already, its confirm is not told."""
        if self._publisher is not None:
            self._publisher.withdraw(publication)

    def flush(self) -> None:
        """Send at once what was submitted in this turn of the loop. On the loop's thread only."""
        if self._publisher is not None:
            self._publisher.flush()

    @property
    def unconfirmed(self) -> int:
        """Messages that are published and not confirmed yet."""
        return self._publisher.unconfirmed if self._publisher else 0

    async def _confirmed(self, outgoing: Outgoing, timeout: float | None) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: LibraryError | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)

        publication = self.submit(outgoing, timeout, done)
        try:
            await answer
        finally:
            self.withdraw(publication)

    # consuming

    async def consume(
        self,
        callback: Any,
        bindings: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        queues: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Call ``callback`` with each message, one at a time, until it raises or the task is cancelled.

        Arguments:
            callback: a function, a class (instantiated once) with ``__call__``, either of them ``async`` or not;
                plain ones run in a thread. A return acknowledges; ``Nack``, ``Drop`` and ``HaltConsumer`` say
                otherwise; anything else that it raises returns the message to the queue and ends consuming.
            bindings: what to bind, in the configuration's terms, and from there when omitted.
            queues: what to declare and consume, likewise.

        Raises:
            HaltConsumer: raised by the callback; or anything else that it raised.
            ConnectionException: no connection in ``connection_attempts`` attempts, or refused for good.
            BadDeclaration, PermissionException: the broker does not let us declare or consume.
            ConsumerCanceled: the queue is gone, and did not come back.
            ValueError: the callback, bindings or queues are not what they should be.
        """
        target = resolve(callback)
        async with self._consumer(bindings, queues) as consumer:
            await run(consumer, target)

    @contextlib.asynccontextmanager
    async def deliveries(
        self,
        bindings: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        queues: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        raw: bool = False,
    ) -> AsyncIterator[AsyncIterator[Delivery]]:
        """Messages to settle by hand.

        ::

            async with session.deliveries() as deliveries:
                async for delivery in deliveries:
                    print(delivery.message)
                    delivery.ack()

        What is not settled at the end returns to its queue. With ``raw`` nothing is decoded, so nothing is refused
        either: the bytes are in ``delivery.incoming``, and there is no ``delivery.message``. The other arguments
        and the errors are those of :meth:`consume`.
        """
        async with self._consumer(bindings, queues, raw=raw) as consumer:
            yield consumer

    @contextlib.asynccontextmanager
    async def _consumer(self, bindings: Any, queues: Any, *, raw: bool = False) -> AsyncIterator[Consumer]:
        topology = _topology(self.conf, bindings, queues)
        if self._closed:
            raise ConnectionException(reason="the session is closed")
        prefetch = self.conf["qos"].get("prefetch_count", 10)
        consumer = Consumer(self._dialer("consuming"), topology, prefetch, self.statistics, raw=raw)
        self._consumers.add(consumer)
        try:
            await consumer.start()
            yield consumer
        finally:
            self._consumers.discard(consumer)
            await consumer.close()

    async def declare(
        self,
        *,
        exchanges: Mapping[str, Mapping[str, Any]] | None = None,
        queues: Mapping[str, Mapping[str, Any]] | None = None,
        bindings: Mapping[str, Any] | Sequence[Mapping[str, Any]] = (),
        passive: bool = False,
    ) -> dict[str, str]:
        """Declare without consuming, for those who only publish; waits for the broker as long as it is away.

        Arguments:
            exchanges: name → settings, in the configuration's terms, like the other two.
            queues: name → settings.
            bindings: of these queues.
            passive: exchanges and queues must be there already: ask for nothing that needs a permission.

        Returns the name of each queue → its name on the broker.

        Raises:
            BadDeclaration, PermissionException: the broker does not let us, or has it otherwise.
            ConnectionException: refused for good (password, virtual host, certificate).
            ValueError: the queues or bindings are not what they should be.
        """
        conf = {**self.conf, "exchanges": exchanges or {}, "passive_declares": passive}
        topology = _topology(conf, bindings, queues or {})
        connection = await self._dialer("declaring").dial(ConnectionEvents())
        try:
            return await topology.declare(connection)
        finally:
            await connection.close()

    def stop_consuming(self) -> None:
        """Let every ``consume`` of this session finish the message in hand, and return."""
        for consumer in self._consumers:
            consumer.stop()


class _Batch:
    """The messages of one :meth:`Session.publish_many`: how many are out, and which failed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._failures: list[tuple[int, Message, LibraryError]] = []
        self._total = 0
        self._out: dict[int, Publication | None] = {}
        self._target = 0
        self._reached = asyncio.Event()

    def add(self, message: Message, exchange: str | None, timeout: float | None, mandatory: bool) -> None:
        """Publish one more."""
        position, self._total = self._total, self._total + 1
        if _outbox.capture(message):
            return
        announced = Announced(self._session.sender, message)
        announced.__enter__()

        def done(error: LibraryError | None) -> None:
            del self._out[position]
            if error is not None:
                self._failures.append((position, message, error))
            if len(self._out) <= self._target:
                self._reached.set()
            announced.__exit__(None, error, None)

        self._out[position] = None
        try:
            outgoing = self._session.encode(message, exchange, mandatory=mandatory)
        except LibraryError as error:
            done(error)
            return
        publication = self._session.submit(outgoing, timeout, done)
        if position in self._out:
            self._out[position] = publication

    def withdraw(self) -> None:
        """Nobody waits for the rest any more."""
        for publication in self._out.values():
            if publication is not None:
                self._session.withdraw(publication)

    async def wait(self, target: int) -> None:
        """Until no more than ``target`` messages are out."""
        while len(self._out) > target:
            self._target = target
            self._reached.clear()
            await self._reached.wait()

    def conclude(self) -> None:
        if self._failures:
            failures = [
                (message, error) for _, message, error in sorted(self._failures, key=lambda item: item[0])
            ]
            raise PublishIncomplete(failures, self._total - len(failures))


def _topology(conf: Mapping[str, Any], bindings: Any, queues: Any) -> Topology:
    try:
        if bindings is None:
            bindings = conf["bindings"] or []
        else:
            bindings = [bindings] if isinstance(bindings, dict) else bindings
            _config.validate_bindings(bindings)
        if queues is None:
            queues = conf["queues"]
        else:
            _config.validate_queues(queues)
    except ConfigurationException as error:
        raise ValueError(error.message) from error
    return Topology(conf["exchanges"], queues, bindings, conf["passive_declares"])


# one session for all code on a loop

_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Session] = weakref.WeakKeyDictionary()


def shared_session() -> Session:
    """The session that the functions of this module use on the running loop; made at the first call."""
    loop = asyncio.get_running_loop()
    session = _shared.get(loop)
    if session is None or session._closed:  # noqa: SLF001 - this module's own
        for other in [other for other in list(_shared) if other.is_closed()]:
            _shared.pop(other, None)  # the session knows its loop: a weak key alone would keep both
        session = _shared[loop] = Session()
    return session


async def publish(
    message: Message, exchange: str | None = None, timeout: float | None = 30.0, mandatory: bool = False
) -> None:
    """Publish on the loop's shared session: see :meth:`Session.publish`."""
    await shared_session().publish(message, exchange, timeout, mandatory)


async def publish_many(
    messages: Iterable[Message],
    exchange: str | None = None,
    timeout: float | None = 30.0,
    mandatory: bool = False,
) -> None:
    """Publish a batch on the loop's shared session: see :meth:`Session.publish_many`."""
    await shared_session().publish_many(messages, exchange, timeout, mandatory)


async def consume(
    callback: Any,
    bindings: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    queues: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Consume on the loop's shared session: see :meth:`Session.consume`."""
    await shared_session().consume(callback, bindings, queues)
