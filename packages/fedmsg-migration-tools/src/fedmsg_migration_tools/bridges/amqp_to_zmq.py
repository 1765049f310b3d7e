# SPDX-License-Identifier: MIT
"""The bridge from AMQP to ZeroMQ: what reaches ``amq.topic`` reaches those who listen over ZeroMQ, as fedmsg sends it.

A message is acknowledged when it was handed to libzmq, and not before. Here is how messages get from the queue to
:mod:`.outlet`, in order, and what becomes of those that cannot.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from ..exceptions import Unbridgeable
from ..fedmsg import setaside, values
from ..fedmsg.marks import headers_bear_mark
from ..figures import Gauge
from ..progress import Progress
from . import service
from .complaints import Complaints
from .declaring import as_it_is, declare
from .inorder import InOrder
from .outlet import TITLE, Frames, Outlet
from .tally import Shown, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fedora_messaging.aio import Session
    from fedora_messaging.deliveries import Delivery
    from fedora_messaging.exceptions import BaseException as LibraryError
    from fedora_messaging.publication import Publication

    from ..config import AmqpToZmq as Settings
    from ..config import Config
    from ..figures import Figures

__all__ = ["AmqpToZmq", "run"]

_log = logging.getLogger(__name__)

_BATCH = 64  # messages stored for replay, and sent, at a time
_TURN = 256  # messages between two turns of the loop
_SHARE = 4  # messages that a thread signs at a time
_RETRY = 5.0  # seconds until a message comes back that could not even be set aside
_POLL = 0.05  # seconds between two looks for a peer


class _Leaving:
    """A message on its way out."""

    __slots__ = ("delivery", "envelope", "frames", "topic")

    def __init__(self, delivery: Delivery, topic: str, envelope: dict[str, Any]) -> None:
        self.delivery = delivery
        self.topic = topic
        self.envelope = envelope
        self.frames = (b"", b"")  # as they are sent, once they are made


class AmqpToZmq:
    """Carries messages from AMQP to ZeroMQ; see :class:`.service.Bridge`. To be made on its event loop.

    Arguments:
        settings: the section ``amqp_to_zmq``.
        quarantine: the queue for what cannot cross.
        session: where to consume.

    Raises ``ToolsError`` when its endpoints or files are not to be used.
    """

    title = TITLE

    def __init__(self, settings: Settings, quarantine: str, session: Session) -> None:
        self._settings = settings
        self._quarantine = quarantine
        self._session = session
        self._outlet = Outlet(settings)
        self._tally = Tally(TITLE, "handed to ZeroMQ")
        self.progress = Progress(settings.progress_timeout, time.monotonic())
        self.figures: Figures = Shown(self._tally, self._gauges, self._ready)
        self._complaints = Complaints()
        self._signing: InOrder[_Leaving, Frames | Unbridgeable] | None = None
        if self._outlet.signs:
            self._signing = InOrder(self._frames, self._made, threads=settings.signing.threads, share=_SHARE)
        self._batch: list[_Leaving] = []
        self._flushing = False
        self._letters: dict[Delivery, Publication] = {}  # to quarantine, not confirmed
        self._in_hand = 0  # messages taken from the queue and not settled
        self._held_up = False  # the next message waits for a relay
        self._consuming = False
        self._ended = asyncio.Event()
        self._stopping = False

    # the life of it

    async def work(self) -> None:
        """Consume, and send."""
        self._outlet.attach()
        settings = self._settings
        _log.info(
            "Bridging from the exchange %s, topics %s, by the queue %s, to ZeroMQ at %s",
            settings.exchange,
            ", ".join(settings.topics),
            settings.queue,
            self._outlet.describe(),
        )
        await declare(self._session, quarantine=self._quarantine)
        await asyncio.sleep(settings.subscriber_grace)  # for those who listened before a restart
        bindings = [
            {"queue": settings.queue, "exchange": settings.exchange, "routing_keys": list(settings.topics)}
        ]
        self._consuming = True
        try:
            queues = {settings.queue: await as_it_is(self._session, settings.queue, bindings)}
            async with self._session.deliveries(bindings, queues, raw=True) as deliveries:
                seen = 0
                async for delivery in deliveries:
                    seen += 1
                    if seen % _TURN == 0:
                        await asyncio.sleep(0)
                    if settings.remote_publish and not await self._peer():
                        break
                    self._carry(delivery)
                await self._finish()
        finally:
            self._ended.set()

    async def _peer(self) -> bool:
        """Wait until the relay that is published to is there: without one, what is sent is lost. False at the end."""
        while not self._outlet.peers and not self._stopping:
            self._held_up = True
            await asyncio.sleep(_POLL)
        if self._held_up and not self._stopping:
            await asyncio.sleep(self._settings.subscriber_grace)  # until it has subscribed
        self._held_up = False
        return bool(self._outlet.peers)

    async def _finish(self) -> None:
        """Let what is in hand be sent and acknowledged, while it still can be."""
        deadline = time.monotonic() + self._settings.linger
        while self._in_hand and time.monotonic() < deadline:
            await asyncio.sleep(_POLL)

    def reload(self) -> None:
        """Certificate and key may have been renewed."""
        self._outlet.reload()

    async def stop(self) -> None:
        """Finish what is in hand, return the rest to the queue, and let what was sent leave."""
        self._stopping = True
        self._session.stop_consuming()
        if self._consuming:
            await self._ended.wait()
        for publication in self._letters.values():  # their messages are back in the queue
            self._session.withdraw(publication)
        if self._signing is not None:
            self._signing.close()
        self._outlet.close()

    # one message

    def _carry(self, delivery: Delivery) -> None:
        incoming = delivery.incoming
        headers: Mapping[str, Any] = incoming.properties.headers or {}
        application = self._tally.application(incoming.topic)
        self._tally.received.add(1, application)
        if headers_bear_mark(headers):
            self._tally.loops.add(1, application)
            delivery.ack()
            return
        self._in_hand += 1
        try:
            envelope = self._outlet.envelope(
                incoming.topic, incoming.properties.message_id, headers, incoming.body
            )
        except Unbridgeable as fault:
            self._set_aside(delivery, fault)
            return
        leaving = _Leaving(delivery, incoming.topic, envelope)
        if self._signing is not None:
            self._signing.give([leaving])
        else:
            self._made(leaving, self._frames(leaving))

    def _frames(self, leaving: _Leaving) -> Frames | Unbridgeable:
        """In a thread, where messages are signed."""
        try:
            return self._outlet.frames(leaving.envelope)
        except Unbridgeable as fault:
            return fault

    def _made(self, leaving: _Leaving, frames: Frames | Unbridgeable) -> None:
        """It can be sent: with others, so that they are stored for replay in one go."""
        if isinstance(frames, Unbridgeable):
            self._set_aside(leaving.delivery, frames)
            return
        leaving.frames = frames
        self._batch.append(leaving)
        if len(self._batch) >= _BATCH:
            self._send()
        elif not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        """Store, hand to libzmq, acknowledge: in this order."""
        self._flushing = False
        batch, self._batch = self._batch, []
        self._outlet.send([(leaving.envelope, leaving.frames) for leaving in batch])
        now = time.time()
        for leaving in batch:
            leaving.delivery.ack()
            self._tally.arrived(leaving.topic, leaving.envelope["timestamp"], now)
        self._in_hand -= len(batch)
        self.progress.moved(time.monotonic())

    # what cannot cross

    def _set_aside(self, delivery: Delivery, fault: Unbridgeable) -> None:
        incoming = delivery.incoming
        letter = setaside.SetAside(
            reason=fault.reason,
            detail=fault.detail,
            received_at=time.time(),
            bridge=self._outlet.bridge,
            direction=TITLE,
            frames=(incoming.topic.encode(errors="surrogatepass"), incoming.body),
            properties={
                "message_id": incoming.properties.message_id,
                "headers": values.as_json(incoming.properties.headers or {}),
            },
        )
        if self._complaints.due(fault.reason):
            _log.warning(
                "Set aside in %s: %s, %s (no more of this kind for a minute)",
                self._quarantine,
                incoming.topic[:100],
                fault,
            )
        done = partial(self._was_set_aside, delivery, fault)
        publication = self._session.submit(letter.encode(self._quarantine), None, done)
        if publication.done is not None:
            self._letters[delivery] = publication

    def _was_set_aside(self, delivery: Delivery, fault: Unbridgeable, error: LibraryError | None) -> None:
        self._letters.pop(delivery, None)
        if error is None:
            delivery.ack()
            self._tally.quarantined.add(1, fault.reason)
            self._in_hand -= 1
            self.progress.moved(time.monotonic())
            return
        if self._complaints.due("quarantine"):
            _log.error("Cannot set a message aside, it stays in %s: %s", self._settings.queue, error)
        asyncio.get_running_loop().call_later(_RETRY, self._give_back, delivery)

    def _give_back(self, delivery: Delivery) -> None:
        delivery.requeue()
        self._in_hand -= 1

    # each second

    def tick(self, now: float) -> None:
        """Note whether anything waits."""
        self.progress.wait(now, self._in_hand + self._held_up + (not self._session.statistics.consuming))

    def _ready(self) -> tuple[bool, Mapping[str, Any]]:
        idle = self.progress.stalled(time.monotonic())
        said = {
            "in_hand": self._in_hand,
            "consuming": self._session.statistics.consuming,
            "subscribers": self._outlet.peers,
        }
        if idle is None:
            return True, said
        return False, {**said, "reason": f"nothing has moved for {idle:.0f} s"}

    def summary(self) -> str:
        """What was done since the last one."""
        return self._tally.summary(in_hand=self._in_hand, subscribers=self._outlet.peers)

    def _gauges(self) -> Iterator[Gauge]:
        consuming = self._session.statistics.consuming
        yield Gauge.of(f"{TITLE}_in_hand", "Messages taken from the queue and not settled.", self._in_hand)
        yield Gauge.of(f"{TITLE}_consuming", "1 while messages are being consumed.", consuming)
        yield from self._outlet.gauges()


def run(config: Config, *, amqp_url: str | None = None) -> None:
    """Bridge until SIGTERM or SIGINT.

    Raises ``ToolsError``, or what the library raises when it cannot consume.
    """
    settings = config.amqp_to_zmq
    conf = service.settings_of_library(
        amqp_url or config.amqp_url, f"{TITLE} {settings.name}", settings.prefetch
    )
    make: Callable[[Session], AmqpToZmq] = partial(AmqpToZmq, settings, config.quarantine.queue)
    service.run(conf, make, settings.monitoring)
