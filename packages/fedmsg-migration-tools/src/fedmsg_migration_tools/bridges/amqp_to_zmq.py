# SPDX-License-Identifier: MIT
"""The bridge from AMQP to ZeroMQ: what reaches ``amq.topic`` reaches those who listen over ZeroMQ, as fedmsg sends it.

A message is acknowledged when it was handed to libzmq, and not before. Those who subscribe are counted; one that does
not keep up loses messages beyond its high-water mark, and slows nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from fedora_messaging.exceptions import BadDeclaration

from ..exceptions import Reason, Unbridgeable
from ..fedmsg import setaside, translation, values
from ..fedmsg.marks import headers_bear_mark
from ..figures import Gauge
from ..progress import Progress
from ..sockets import Broadcaster
from . import service
from .complaints import Complaints
from .inorder import InOrder
from .keys import server_keys
from .replaying import Replaying
from .signing import signer
from .tally import Shown, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fedora_messaging.aio import Session
    from fedora_messaging.deliveries import Delivery
    from fedora_messaging.exceptions import BaseException as LibraryError
    from fedora_messaging.transports.base import Incoming

    from ..config import AmqpToZmq as Settings
    from ..config import Config
    from ..fedmsg.signing import Signer
    from ..figures import Figures

__all__ = ["AmqpToZmq", "run"]

_log = logging.getLogger(__name__)

TITLE = "amqp_to_zmq"
_BATCH = 64  # messages stored for replay, and sent, at a time
_TURN = 256  # messages between two turns of the loop
_SHARE = 4  # messages that a thread signs at a time
_RETRY = 5.0  # seconds until a message comes back that could not even be set aside
_POLL = 0.05  # seconds between two looks for a peer

_DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}


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
        self._bridge = f"{TITLE}@{settings.name}"
        self._tally = Tally(TITLE, "handed to ZeroMQ")
        self.progress = Progress(settings.progress_timeout, time.monotonic())
        self.figures: Figures = Shown(self._tally, self._gauges, self._ready)
        self._signer = signer(settings.signing)
        self._replaying = Replaying.of(settings.replay)
        self._broadcaster = Broadcaster(
            settings.publish_endpoint,
            connect=settings.remote_publish,
            high_water_mark=settings.high_water_mark,
            linger=settings.linger,
            curve=server_keys(settings.curve),
            curve_endpoints=() if settings.curve is None else settings.curve.endpoints,
        )
        self._signing: InOrder[_Leaving, tuple[bytes, bytes] | Unbridgeable] | None = None
        if self._signer is not None:
            self._signing = InOrder(self._sign, self._signed, threads=settings.signing.threads, share=_SHARE)
        self._sent = 0  # the counter ``i`` of this process
        self._batch: list[_Leaving] = []
        self._flushing = False
        self._in_hand = 0
        self._complaints = Complaints()
        self._consuming = False
        self._ended = asyncio.Event()
        self._stopping = False

    # the life of it

    async def work(self) -> None:
        """Consume, and send."""
        self._broadcaster.attach()
        if self._replaying is not None:
            self._replaying.attach()
        settings = self._settings
        _log.info(
            "Bridging from the exchange %s, topics %s, by the queue %s, to ZeroMQ at %s%s",
            settings.exchange,
            ", ".join(settings.topics),
            settings.queue,
            ", ".join(self._broadcaster.endpoints),
            "" if self._signer is None else f", signed by {self._signer.name}",
        )
        await self._declare()
        await asyncio.sleep(settings.subscriber_grace)  # for those who listened before a restart
        bindings = [
            {"queue": settings.queue, "exchange": settings.exchange, "routing_keys": list(settings.topics)}
        ]
        self._consuming = True
        try:
            async with self._session.deliveries(bindings, {settings.queue: _DURABLE}, raw=True) as deliveries:
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

    async def _declare(self) -> None:
        """The quarantine; the library declares the rest when it begins to consume."""
        queues = {self._quarantine: _DURABLE}
        try:
            await self._session.declare(queues=queues, passive=True)
        except BadDeclaration:
            await self._session.declare(queues=queues)

    async def _peer(self) -> bool:
        """Wait until the relay that is published to is there: without one, what is sent is lost. False at the end."""
        while not self._broadcaster.peers and not self._stopping:
            await asyncio.sleep(_POLL)
        return bool(self._broadcaster.peers)

    async def _finish(self) -> None:
        """Let what is in hand be sent and acknowledged, while it still can be."""
        deadline = time.monotonic() + self._settings.linger
        while self._in_hand and time.monotonic() < deadline:
            await asyncio.sleep(_POLL)

    def reload(self) -> None:
        """Certificate and key may have been renewed."""
        if self._signer is not None:
            self._signer = signer(self._settings.signing)

    async def stop(self) -> None:
        """Finish what is in hand, return the rest to the queue, and let what was sent leave."""
        self._stopping = True
        self._session.stop_consuming()
        if self._consuming:
            await self._ended.wait()
        if self._signing is not None:
            self._signing.close()
        if self._replaying is not None:
            self._replaying.close()
        self._broadcaster.close()

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
            envelope = self._translate(incoming, headers)
        except Unbridgeable as fault:
            self._set_aside(delivery, fault)
            return
        leaving = _Leaving(delivery, incoming.topic, envelope)
        if self._signing is not None:
            self._signing.give([leaving])
        else:
            self._signed(leaving, _frames(envelope))

    def _translate(self, incoming: Incoming, headers: Mapping[str, Any]) -> dict[str, Any]:
        envelope = translation.to_envelope(
            incoming.topic,
            incoming.properties.message_id,
            headers,
            incoming.body,
            i=self._sent + 1,
            now=time.time(),
            bridge=self._bridge,
        )
        # Numbered only now that it can cross: whoever listens takes a gap for a lost message.
        self._sent += 1
        if self._replaying is not None:
            envelope["seq_id"] = self._replaying.next_seq()
        return envelope

    def _sign(self, leaving: _Leaving) -> tuple[bytes, bytes] | Unbridgeable:
        """In a thread."""
        return _frames(leaving.envelope, self._signer)

    def _signed(self, leaving: _Leaving, frames: tuple[bytes, bytes] | Unbridgeable) -> None:
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
        if self._replaying is not None and batch:
            self._replaying.keep([(leaving.envelope, leaving.frames) for leaving in batch])
        for leaving in batch:
            self._broadcaster.send(leaving.frames)
            leaving.delivery.ack()
            self._tally.bridged.add(1, self._tally.application(leaving.topic))
            self._tally.lag.observe(max(0.0, time.time() - leaving.envelope["timestamp"]))
        self._in_hand -= len(batch)
        self.progress.moved(time.monotonic())

    def _set_aside(self, delivery: Delivery, fault: Unbridgeable) -> None:
        incoming = delivery.incoming
        letter = setaside.SetAside(
            reason=fault.reason,
            detail=fault.detail,
            received_at=time.time(),
            bridge=self._bridge,
            direction=TITLE,
            frames=(incoming.topic.encode(), incoming.body),
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
        self._session.submit(letter.encode(self._quarantine), None, done)

    def _was_set_aside(self, delivery: Delivery, fault: Unbridgeable, error: LibraryError | None) -> None:
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
        self.progress.wait(now, self._in_hand + (not self._session.statistics.consuming))

    def _ready(self) -> tuple[bool, Mapping[str, Any]]:
        idle = self.progress.stalled(time.monotonic())
        said = {
            "in_hand": self._in_hand,
            "consuming": self._session.statistics.consuming,
            "subscribers": self._broadcaster.peers,
        }
        if idle is None:
            return True, said
        return False, {**said, "reason": f"nothing has moved for {idle:.0f} s"}

    def summary(self) -> str:
        """What was done since the last one."""
        return self._tally.summary(in_hand=self._in_hand, subscribers=self._broadcaster.peers)

    def _gauges(self) -> Iterator[Gauge]:
        yield Gauge.of("amqp_to_zmq_in_hand", "Messages taken from the queue and not settled.", self._in_hand)
        yield Gauge.of("amqp_to_zmq_subscribers", "Sockets that are connected.", self._broadcaster.peers)
        yield Gauge.of(
            "amqp_to_zmq_consuming",
            "1 while messages are being consumed.",
            self._session.statistics.consuming,
        )
        yield Gauge(
            "amqp_to_zmq_subscriptions",
            "Subscriptions by topic prefix; the empty one is to everything.",
            ("prefix",),
            {
                (name.decode(errors="replace"),): count
                for name, count in dict(self._broadcaster.prefixes).items()
            },
        )
        if self._replaying is not None:
            yield from self._replaying.gauges()


def _frames(envelope: dict[str, Any], signer: Signer | None = None) -> tuple[bytes, bytes] | Unbridgeable:
    """The frames, or why there are none: what can be read can be nested too deeply to be written in an envelope."""
    try:
        return translation.frames(envelope if signer is None else signer.sign(envelope))
    except Unbridgeable as fault:
        return fault
    except ValueError as error:
        return Unbridgeable(Reason.JSON, f"it cannot be signed: {error}")


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
