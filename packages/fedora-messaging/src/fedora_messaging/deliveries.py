# SPDX-License-Identifier: MIT
"""What one consuming channel delivered, and what is said of it: decoding, and settling.

A channel that is gone takes its deliveries with it: they cannot be settled, and come again by another.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from . import wire
from .acks import Acks
from .exceptions import ConnectionException, ValidationError
from .transports.base import ChannelClosed, ChannelEvents

if TYPE_CHECKING:
    from collections.abc import Callable

    from .message import Message
    from .statistics import Statistics
    from .transports.base import Channel, Incoming

_log = logging.getLogger(__name__)

_MANY = 1000  # acknowledgements to collect where the prefetch count sets no bound
_OFTEN = 10  # times that a message may come back to a quorum queue before it is spoken of: RabbitMQ 4 drops it at 21
_AGAIN = 60.0  # seconds until the next one is spoken of


class Delivery:
    """A message in the hands of the consumer, to be settled once.

    ``message`` is the decoded :class:`.Message`, which a consumer of raw deliveries does not have; ``redelivered``
    says that the broker handed it out before. A delivery whose channel is gone by now cannot be settled: the broker
    delivers the message again, and settling this one does nothing.
    """

    __slots__ = ("_incoming", "_intake", "message")

    message: Message

    def __init__(self, incoming: Incoming, intake: Intake) -> None:
        self._incoming = incoming
        self._intake: Intake | None = intake

    @property
    def incoming(self) -> Incoming:
        """The message as it came: topic, properties and the bytes of its body."""
        return self._incoming

    @property
    def redelivered(self) -> bool:
        """Whether the broker handed it out before, to whomever."""
        return self._incoming.redelivered

    @property
    def live(self) -> bool:
        """Whether it can still be settled."""
        return self._intake is not None and self._intake.channel is not None

    def open(self, *, raw: bool = False) -> bool:
        """Decode the message, unless it is wanted ``raw``; one that cannot be decoded is rejected, and False."""
        incoming, intake = self._incoming, self._intake
        assert intake is not None  # noqa: S101 - opened before it is handed out
        if raw:
            intake.statistics.received += 1
            return True
        try:
            self.message = wire.decode(incoming, intake.queues.get(incoming.consumer))
        except Exception as error:  # noqa: BLE001 - a message class may raise anything; the next message must come
            intake.statistics.invalid += 1
            _log.error(
                "Rejected the message %s with topic %s: %s",
                incoming.properties.message_id,
                incoming.topic,
                error.summary if isinstance(error, ValidationError) else repr(error),
            )
            intake.reject(incoming.tag, requeue=False)
            return False
        intake.statistics.received += 1
        return True

    def ack(self) -> None:
        """Done with: the broker forgets it. Sent at the end of this turn of the loop, with others."""
        if (intake := self._take()) is not None:
            intake.statistics.processed += 1
            intake.ack(self._incoming.tag)

    def requeue(self) -> None:
        """Back to the queue; the broker delivers it again, to whom it likes."""
        if (intake := self._take()) is not None:
            intake.statistics.rejected += 1
            intake.reject(self._incoming.tag, requeue=True)

    def reject(self) -> None:
        """Refused for good: to the queue's dead-letter exchange, where it has one."""
        if (intake := self._take()) is not None:
            intake.statistics.dropped += 1
            intake.reject(self._incoming.tag, requeue=False)

    def fail(self) -> None:
        """Back to the queue, because whoever handled it is at fault."""
        if (intake := self._take()) is not None:
            intake.statistics.failed += 1
            intake.reject(self._incoming.tag, requeue=True)

    def _take(self) -> Intake | None:
        intake, self._intake = self._intake, None
        return intake


class Intake(ChannelEvents):
    """One consuming channel. Dead once ``channel`` is None.

    Arguments:
        deliver: called with each delivery, not opened yet.
        interrupted: called when the broker closes the channel.
        cancelled: called with the consumer whose queue is gone.
        prefetch: how many deliveries may be unsettled, a queue; 0 is no bound.
        statistics: counters to keep.
    """

    def __init__(
        self,
        deliver: Callable[[Delivery], None],
        interrupted: Callable[[ChannelClosed], None],
        cancelled: Callable[[str], None],
        prefetch: int,
        statistics: Statistics,
    ) -> None:
        self._deliver = deliver
        self._interrupted = interrupted
        self._cancelled = cancelled
        self._loop = asyncio.get_running_loop()
        self._acks = Acks()
        # Half of what the broker lets out: it sends more while the other half is worked on.
        self._enough = max(1, prefetch // 2) if prefetch else _MANY
        self._flushing = False
        self.channel: Channel | None = None
        self.queues: dict[str, str] = {}  # the consumer's tag → the queue's name on the broker
        self.configured: dict[str, str] = {}  # … → its name in the configuration
        self._gone: set[str] = set()
        self._silent_until = float("-inf")
        self.statistics = statistics

    async def consume(self, name: str, queue: str) -> None:
        """Start deliveries from ``queue``, which the configuration calls ``name``."""
        if self.channel is None:
            raise ConnectionException(reason="the channel for consuming is gone")
        tag = await self.channel.consume(queue)
        self.queues[tag] = queue
        self.configured[tag] = name
        if tag in self._gone:
            self._cancelled(tag)

    def delivered(self, incoming: Incoming) -> None:
        """A message has come."""
        if incoming.redelivered:
            self._warn(incoming)
        self._deliver(Delivery(incoming, self))

    def _warn(self, incoming: Incoming) -> None:
        """Speak of a message that a quorum queue may soon drop: those count, in a header, and some have a limit."""
        count = (incoming.properties.headers or {}).get("x-delivery-count")
        if not isinstance(count, int) or count < _OFTEN or self._loop.time() < self._silent_until:
            return
        self._silent_until = self._loop.time() + _AGAIN
        _log.warning(
            "The message %s with topic %s has come back to the queue %s %d times: mind its delivery limit (20 in "
            "RabbitMQ 4 if none is set), after which it goes to the dead-letter exchange, or is dropped without one",
            incoming.properties.message_id,
            incoming.topic,
            self.queues.get(incoming.consumer),
            count,
        )

    def cancelled(self, consumer: str) -> None:
        """Its queue is gone; perhaps before :meth:`consume` has been told that it began."""
        if consumer in self.queues:
            self._cancelled(consumer)
        else:
            self._gone.add(consumer)

    def closed(self, error: ChannelClosed) -> None:
        """The broker has closed the channel: consumer_timeout, for one."""
        self.channel = None
        self._interrupted(error)

    def ack(self, tag: int) -> None:
        """The delivery is done with."""
        self._acks.done(tag)
        if len(self._acks) >= self._enough:
            self.flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def reject(self, tag: int, *, requeue: bool) -> None:
        """The delivery goes back, or to the dead-letter exchange."""
        self._acks.rejected(tag)
        if self.channel is not None:
            self.channel.reject(tag, requeue)

    def flush(self) -> None:
        """Send the acknowledgements collected so far."""
        self._flushing = False
        if self.channel is not None:
            for ack in self._acks.take():
                self.channel.ack(ack.tag, ack.multiple)
            self.channel.flush()
