# SPDX-License-Identifier: MIT
"""Publishing on one event loop: many messages in flight, each settled exactly once.

What the broker said of which message is decided in :mod:`.confirms`; this is the shell around it: a
connection that is kept alive, a window that bounds what is in flight, and a time limit for each message.
Encoding messages does not belong here, nor anything about threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING

from .backoff import delays
from .confirms import (
    MESSAGE_FAULTS,
    Ledger,
    Outcome,
    Settled,
    Suspects,
    culprit,
    ends_connections,
    failure,
    refusal,
    timeout,
)
from .exceptions import BaseException as LibraryError
from .exceptions import ConnectionException, NoFreeChannels, ValidationError
from .failover import Doubt
from .publication import Alarm, Publication
from .transports.base import ChannelClosed, ChannelEvents, ConnectionEvents, Outgoing, Returned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .dialer import Dialer
    from .publication import Done
    from .statistics import Statistics
    from .transports.base import Channel, Connection

_log = logging.getLogger(__name__)

WINDOW = 2000  # messages in flight: more gains nothing (docs/explanation/speed), and may be duplicated
WINDOW_BYTES = 16 * 2**20  # bodies in flight; one message of any size always fits
_LOOK = 1.0  # seconds between two looks at whether anything is confirmed, where there are several hosts


class Publisher(ConnectionEvents, ChannelEvents):
    """Publishes on a connection of its own, which it opens at the first message and opens again when it is lost.

    A refused message makes the broker close the channel without saying which it was. What was in flight is
    then published again, in order: first what came before the refused one, and only when that is confirmed,
    the rest; one by one, if the refused one could not be told. So each closing settles one message at least,
    and none is blamed for another.
    """

    def __init__(self, dialer: Dialer, statistics: Statistics) -> None:
        self._dialer = dialer
        self._statistics = statistics
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Publication] = deque()
        self._ledger: Ledger[Publication] = Ledger()
        self._in_flight = 0  # messages of the ledger that somebody waits for, and the bytes of their bodies
        self._bytes = 0
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._interrupted = asyncio.Event()
        self._lost = False
        self._blocked: str | None = None
        self._groups: deque[int] = deque()  # how many to send before all in flight must be settled, in turn
        self._quota: int | None = None
        self._suspects = Suspects()
        self._doubt = Doubt(several=dialer.several)
        self._leaving = ""  # why to go on at another node
        self._again: list[Publication] = []  # and what this one has refused
        self._farewell: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._alarm = Alarm(self._loop, self._expire)
        self._unsettled = 0
        self._idle = asyncio.Event()
        self._closing = False

    # what the owner calls

    def submit(self, message: Outgoing, timeout: float | None, done: Done) -> Publication:
        """Publish ``message``; ``done(None)`` is called when it is confirmed, ``done(error)`` when it failed.

        ``timeout`` is in seconds from now, None without limit.
        """
        deadline = self._loop.time() + timeout if timeout is not None else float("inf")
        publication = Publication(message, timeout, deadline, done)
        self._unsettled += 1
        if self._closing:
            self._settle(publication, ConnectionException(reason="the session is closed"))
            return publication
        self._waiting.append(publication)
        if self._task is None:
            self._task = self._loop.create_task(self._run(), name="fedora-messaging publisher")
        self._alarm.set(deadline)
        self._pump()
        return publication

    def flush(self) -> None:
        """Send at once what was submitted in this turn of the loop."""
        if self._channel is not None:
            self._channel.flush()

    def withdraw(self, publication: Publication) -> None:
        """Nobody waits for it any more: it is not sent, or its confirm is not told."""
        if publication.done is not None:
            publication.done = None
            self._count_down(publication)

    @property
    def unconfirmed(self) -> int:
        """How many messages are not settled."""
        return self._unsettled

    async def close(self) -> None:
        """Wait until all is settled (each message within its time limit), then close the connection."""
        self._closing = True
        if self._task is None:
            return
        while self._unsettled:
            self._idle.clear()
            await self._idle.wait()
        self._task.cancel()
        await asyncio.wait([task for task in (self._task, self._farewell) if task])

    def abandon(self) -> None:
        """In a forked child: let go of the parent's socket."""
        if self._connection is not None:
            self._connection.abandon()

    # the life of the connection

    async def _run(self) -> None:
        try:
            while True:
                self._lost = False
                self._connection = await self._dialer.dial(self)
                self._statistics.connected = True
                self._doubt.connected(self._loop.time())
                await self._serve(self._connection)
        except LibraryError as error:
            self._fail_all(error)
        except Exception as error:  # noqa: BLE001 - nobody is to wait for ever
            _log.exception("Publishing failed")
            self._recover(None)
            self._fail_all(ConnectionException(reason=f"publishing failed: {error!r}"))
        finally:
            self._task = None
            self._recover(None)
            self._statistics.connected = False
            self._fail_all(
                ConnectionException(reason="the event loop or the session ended before the confirm")
            )
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def _serve(self, connection: Connection) -> None:
        """Publish on channels of this connection until it is lost."""
        pauses = delays()
        while not self._lost:
            self._interrupted.clear()
            try:
                channel = await connection.channel(self, confirms=True)
            except (ChannelClosed, NoFreeChannels) as error:
                _log.warning("No channel for publishing: %s; trying again", error)
                await asyncio.sleep(next(pauses))
                continue
            except ConnectionException as error:
                if not self._lost:
                    self.lost(error)
                    await connection.close()
                return
            if self._interrupted.is_set():
                continue  # it is closed already: a channel's opening and its end may come in one piece
            self._channel = channel
            self._pump()
            await self._interruption()
            if self._clogged:
                self._leaving = (
                    f"no confirm came in time for {WINDOW} messages, so this connection is given up"
                )
            if self._leaving and not self._lost:
                self.lost(ConnectionException(reason=self._leaving))
                self._farewell = self._loop.create_task(connection.close())  # it may not answer for seconds

    async def _interruption(self) -> None:
        """Wait for one; what is due and does not come may be one too."""
        while self._doubt.several and not self._interrupted.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._interrupted.wait(), _LOOK)
            due = len(self._ledger) > 0 and self._blocked is None and not self._leaving
            if due and self._doubt.of_silence(self._loop.time()):
                self._leave("it owes confirms, and gives none", silent=True)
        await self._interrupted.wait()

    def _leave(self, why: str, *, silent: bool = False) -> None:
        self._doubt.left(silent=silent)
        self._leaving = f"{why}; going on elsewhere"
        self._interrupted.set()

    def lost(self, error: ConnectionException) -> None:
        """The connection is gone: all that is unconfirmed waits for the next one."""
        self._lost = True
        self._leaving = ""
        self._connection = None
        self._statistics.connected = False
        self._statistics.reconnects += 1
        self._blocked = None
        self._dialer.lost(error, settled=self._recover(error))

    def closed(self, error: ChannelClosed) -> None:
        """The broker closed the channel, mostly because of one message."""
        self._recover(error)

    def blocked(self, reason: str) -> None:
        """The broker takes nothing more for now."""
        _log.warning("The broker has blocked publishing: %s", reason)
        self._blocked = reason

    def unblocked(self) -> None:
        """It does again."""
        _log.warning("The broker accepts messages again")
        self._blocked = None
        self._pump()

    def _recover(self, error: ChannelClosed | ConnectionException | None) -> bool:
        """The channel is gone: settle the culprit, if a message was, and let the others wait in their order.

        Returns whether one was settled.
        """
        self._channel = None
        self._in_flight = self._bytes = 0
        left = [*self._again, *self._ledger.close()]  # those that nobody waits for too: it may be one of them
        self._ledger, self._again = Ledger(), []
        count = len(left)
        for publication in left:
            publication.in_flight = False
        if isinstance(error, ChannelClosed) and error.code in MESSAGE_FAULTS and left:
            left = self._take_culprit(error, left)
        elif not isinstance(error, ChannelClosed):
            self._groups.clear()
            self._quota = None
            left = self._take_unsayable(error, left)
        self._waiting.extendleft(reversed(left))
        self._next_group()
        self._interrupted.set()
        return len(left) < count

    def _take_culprit(self, error: ChannelClosed, left: list[Publication]) -> list[Publication]:
        index = culprit(error, [publication.message for publication in left])
        if index is None:
            self._groups.extendleft([1] * len(left))
            return left
        refused = left.pop(index)
        self._suspects.add(refused.message)
        if index:
            self._groups.appendleft(index)
        self._settle(refused, refusal(refused.message, error, self._dialer.user))
        return left

    def _take_unsayable(
        self, error: ConnectionException | None, left: list[Publication]
    ) -> list[Publication]:
        """Suspect those that may have ended the connection; one that was sent alone for that, and did, is refused."""
        able = [publication for publication in left if ends_connections(error, publication.message)]
        if error is not None and len(left) == len(able) == 1 and self._suspects.hold(able[0].message):
            self._settle(able[0], refusal(able[0].message, error, self._dialer.user))
            return []
        for publication in able:
            self._suspects.add(publication.message)
        return left

    # sending

    def _pump(self) -> None:
        """Send what may be sent now."""
        while self._waiting and self._channel is not None and self._blocked is None and not self._leaving:
            publication = self._waiting[0]
            message = publication.message
            suspect = bool(self._suspects) and self._suspects.hold(message)
            if not self._may_send(message, suspect):
                return
            self._waiting.popleft()
            if self._quota is not None:
                self._quota -= 1
            if publication.done is None:
                continue
            try:
                self._channel.publish(message)
            except Exception as error:  # noqa: BLE001 - what the encoder cannot take fails this message alone
                self._settle(publication, ValidationError(error))
                continue
            address = (message.properties.message_id, message.exchange, message.topic)
            self._ledger.sent(publication, address if message.mandatory else None)
            publication.in_flight = True
            if not self._in_flight:
                self._doubt.busy(self._loop.time())
            self._in_flight += 1
            self._bytes += len(message.body)
            if suspect:
                self._quota = 0

    def _may_send(self, message: Outgoing, suspect: bool) -> bool:
        if not self._in_flight:
            if self._quota == 0:
                self._next_group()
            return True
        if suspect or self._quota == 0:
            return False
        return self._in_flight < WINDOW and self._bytes + len(message.body) <= WINDOW_BYTES

    def _next_group(self) -> None:
        self._quota = self._groups.popleft() if self._groups else None

    # what the broker says

    def confirmed(self, tag: int, multiple: bool) -> None:
        """The broker has taken responsibility."""
        self._apply(self._ledger.settle(tag, multiple))

    def refused(self, tag: int, multiple: bool) -> None:
        """The broker could not."""
        self._apply(self._ledger.settle(tag, multiple, nacked=True))

    def returned(self, message: Returned) -> None:
        """Nobody was bound."""
        self._ledger.returned(message)

    def _apply(self, settled: list[Settled[Publication]]) -> None:
        self._doubt.confirmed(now := self._loop.time())
        for item in settled:
            if item.outcome is Outcome.NACKED and self._doubt.of_refusal(now):
                self._again.append(item.item)
                self._leave("it refuses what another node may take")
            elif item.outcome is Outcome.CONFIRMED:
                if self._suspects:
                    self._suspects.acquit(item.item.message)
                self._settle(item.item, None)
            else:
                self._settle(item.item, failure(item.item.message, item))
        if self._waiting:
            self._pump()

    def _settle(self, publication: Publication, error: LibraryError | None) -> None:
        """Tell the outcome, unless it was told before."""
        if publication.done is None:
            return
        if error is None:
            self._statistics.published += 1
        else:
            self._statistics.count_failure(error)
        self._count_down(publication)
        publication.tell(error)

    def _count_down(self, publication: Publication) -> None:
        if publication.in_flight:
            publication.in_flight = False
            self._in_flight -= 1
            self._bytes -= len(publication.message.body)
        self._unsettled -= 1
        if not self._unsettled:
            self._idle.set()

    # time limits

    def _expire(self) -> None:
        now = self._loop.time()
        unreachable = self._dialer.last_error if self._connection is None else None
        for publication in self._open():
            if publication.deadline <= now:
                error = timeout(publication.message, publication.seconds, self._blocked, unreachable)
                self._settle(publication, error)
        self._alarm.set(min((publication.deadline for publication in self._open()), default=float("inf")))
        if self._quota is None:
            self._waiting = deque(publication for publication in self._waiting if publication.done)
        if self._clogged:
            self._interrupted.set()
        self._pump()

    @property
    def _clogged(self) -> bool:
        """Whether a window full of messages is without a confirm, though nobody waits for them any more."""
        return self._blocked is None and len(self._ledger) - self._in_flight >= WINDOW

    def _open(self) -> Iterator[Publication]:
        yield from [publication for publication in self._ledger if publication.done]
        yield from [publication for publication in self._waiting if publication.done]

    def _fail_all(self, error: LibraryError) -> None:
        waiting, self._waiting = self._waiting, deque()
        for publication in waiting:
            self._settle(publication, error)
