# SPDX-License-Identifier: MIT
"""Deliveries of some queues, for as long as they are wanted, whatever happens to the connection.

:class:`Consumer` keeps the queues consumed and hands out :class:`.Delivery` objects in order; whoever takes
one settles it. Running callbacks does not belong here (:mod:`.callbacks`), nor decoding (:mod:`.deliveries`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from .backoff import delays
from .deliveries import Intake
from .exceptions import (
    BadDeclaration,
    ConnectionException,
    ConsumerCanceled,
    NoFreeChannels,
    PermissionException,
)
from .transports.base import ChannelClosed, ConnectionEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .deliveries import Delivery
    from .dialer import Dialer
    from .statistics import Statistics
    from .topology import Topology
    from .transports.base import Connection

_log = logging.getLogger(__name__)

PATIENCE = (
    300.0  # seconds to wait for a queue that was there and is gone (deleted, its node down) to come back
)

_ACCESS_REFUSED = 403


class Consumer(ConnectionEvents):
    """Consumes the queues of a topology on a connection of its own, and resumes by itself.

    Arguments:
        dialer: where connections come from.
        topology: what to declare; each of its queues is consumed.
        prefetch: unsettled messages that the broker may have out to this consumer, a queue; 0 is no bound.
        statistics: counters to keep.
        patience: seconds to wait for a queue that has gone; :data:`PATIENCE` when omitted.
        raw: hand deliveries out without decoding them.
    """

    def __init__(
        self,
        dialer: Dialer,
        topology: Topology,
        prefetch: int,
        statistics: Statistics,
        patience: float | None = None,
        *,
        raw: bool = False,
    ) -> None:
        self._dialer = dialer
        self._topology = topology
        self._prefetch = prefetch
        self._statistics = statistics
        self._raw = raw
        self._patience = PATIENCE if patience is None else patience
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._broken = asyncio.Event()
        self._connection: Connection | None = None
        self._intake: Intake | None = None
        self._starting: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._restorers: set[asyncio.Task[None]] = set()
        self._fatal: Exception | None = None
        self._stopping = False

    async def start(self) -> None:
        """Connect, declare, consume.

        Raises ``ConnectionException``, ``BadDeclaration``, ``PermissionException``, ``ConfigurationException``.
        """
        self._starting = self._loop.create_task(self._begin())
        try:
            await self._starting
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        else:
            self._task = self._loop.create_task(self._keep_up(), name="fedora-messaging consumer")

    async def _begin(self) -> None:
        self._connection = await self._dialer.dial(self, self._dialer.attempts)
        await self._subscribe(self._connection)

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries, as they come. Ends after :meth:`stop`; raises what ended the consumer otherwise.

        No generator: one that waits for the next delivery may be cancelled, and ask again later.
        """
        return self

    async def __anext__(self) -> Delivery:
        while not self._stopping:
            if self._inbox:
                delivery = self._inbox.popleft()
                if delivery.open(raw=self._raw):
                    return delivery
            elif self._fatal is not None:
                raise self._fatal
            else:
                self._arrived.clear()
                await self._arrived.wait()
        raise StopAsyncIteration

    def stop(self) -> None:
        """Hand out nothing more."""
        self._stopping = True
        if self._starting is not None:
            self._starting.cancel()
        self._arrived.set()

    async def close(self) -> None:
        """Send what is acknowledged, return what is not to the queues, and close the connection."""
        self.stop()
        self._statistics.consuming = False
        for task in [self._task, *self._restorers]:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._intake is not None:
            self._intake.flush()
            if self._intake.channel is not None:
                await (
                    self._intake.channel.close()
                )  # the broker has seen the acknowledgements once this is answered
        await self._hang_up()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's socket."""
        if self._connection is not None:
            self._connection.abandon()

    # keeping it up

    async def _keep_up(self) -> None:
        try:
            while True:
                await self._broken.wait()
                await self._resume()
        except Exception as error:  # noqa: BLE001 - whatever it is, it reaches whoever takes the deliveries
            self._fatal = error
            self._statistics.consuming = False
            self._arrived.set()

    async def _resume(self) -> None:
        """Consume again, on this connection or the next; gives up only what the broker refuses for good."""
        pauses = delays()
        deadline = self._loop.time() + self._patience
        said = ""
        while True:
            try:
                if self._connection is None:
                    self._connection = await self._dialer.dial(self)
                    deadline = self._loop.time() + self._patience
                await self._subscribe(self._connection)
            except (BadDeclaration, PermissionException) as error:
                if self._loop.time() >= deadline:
                    raise ConsumerCanceled(
                        f"cannot consume any more, for {self._patience:g} s now: {error}"
                    ) from error
                level = logging.DEBUG if said == str(error) else logging.WARNING
                said = str(error)
                _log.log(level, "Cannot consume again yet: %s; trying again", error)
            except (ChannelClosed, NoFreeChannels) as error:
                _log.info("Cannot consume again yet: %s; trying again", error)
            except ConnectionException as error:
                _log.info("Cannot consume again yet: %s; connecting again", error)
                # It may have been lost before the dialer returned it, and nobody says so twice.
                await self._hang_up()
            else:
                return
            await asyncio.sleep(next(pauses))

    async def _subscribe(self, connection: Connection) -> None:
        """Declare and consume everything, on a new channel."""
        self._forget_intake()
        self._broken.clear()
        names = await self._topology.declare(connection)
        intake = Intake(self._deliver, self._interrupted, self._cancelled, self._prefetch, self._statistics)
        channel = await connection.channel(intake, prefetch=self._prefetch)
        intake.channel = channel
        self._intake = intake
        for name, queue in names.items():
            await self._consume(intake, name, queue)
        self._statistics.consuming = True

    async def _consume(self, intake: Intake, name: str, queue: str) -> None:
        try:
            await intake.consume(name, queue)
        except ChannelClosed as error:
            intake.channel = None
            self._broken.set()
            if error.code == _ACCESS_REFUSED:
                advice = "have read permission for it granted"
                raise PermissionException("queue", queue, f"{error.text} ({error.code}); {advice}") from error
            raise BadDeclaration("queue", queue, f"{error.text} ({error.code})") from error

    def _deliver(self, delivery: Delivery) -> None:
        self._inbox.append(delivery)
        self._arrived.set()

    def _forget_intake(self) -> None:
        """What the old channel delivered and nobody took yet comes again by the new one."""
        if self._intake is not None:
            self._intake.channel = None
            self._intake = None
        self._inbox.clear()
        self._statistics.consuming = False

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    # what the broker says

    def lost(self, error: ConnectionException) -> None:
        """The connection is gone; what was delivered and not acknowledged will come again."""
        self._connection = None
        self._statistics.reconnects += 1
        self._dialer.lost(error)
        self._forget_intake()
        self._broken.set()

    def _interrupted(self, error: ChannelClosed) -> None:
        _log.warning("The broker closed the consuming channel: %s; consuming again", error)
        self._forget_intake()
        self._broken.set()

    def _cancelled(self, consumer: str) -> None:
        intake = self._intake
        if intake is None or consumer not in intake.queues:
            return
        queue, name = intake.queues.pop(consumer), intake.configured.pop(consumer)
        _log.warning("The queue %s is gone; declaring it again", queue)
        task = self._loop.create_task(self._restore(intake, name), name="fedora-messaging restore queue")
        self._restorers.add(task)
        task.add_done_callback(self._restorers.discard)

    async def _restore(self, intake: Intake, name: str) -> None:
        """Consume a queue again that was deleted, without disturbing the others."""
        pauses = delays()
        deadline = self._loop.time() + self._patience
        while intake is self._intake and self._connection is not None:
            try:
                names = await self._topology.only(name).declare(self._connection)
                await self._consume(intake, name, names[name])
            except (BadDeclaration, PermissionException) as error:
                if self._loop.time() >= deadline:
                    self._fatal = ConsumerCanceled(
                        f"the queue {name} is gone, and did not come back: {error}"
                    )
                    self._arrived.set()
                    return
            except (ChannelClosed, NoFreeChannels, ConnectionException) as error:
                _log.info("The queue %s is not back yet: %s; trying again", name, error)
            else:
                return
            await asyncio.sleep(next(pauses))
