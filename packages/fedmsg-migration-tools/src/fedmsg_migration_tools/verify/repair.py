# SPDX-License-Identifier: MIT
"""Sending lost messages again, each once, as the bridge would have sent it, with its own id and a mark.

To AMQP it is published where the bridge publishes; to ZeroMQ it goes into the bridge's own queue, so that the bridge
numbers, signs and sends it. Which message is lost is not decided here, and where it is looked for is in
:mod:`.sources`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Literal

from fedora_messaging.exceptions import BaseException as LibraryError
from fedora_messaging.exceptions import PublishReturned, ValidationError

from ..bridges import signing
from ..bridges.complaints import Complaints
from ..bridges.crossing import Crossing
from ..exceptions import ToolsError
from ..fedmsg import marks, setaside
from ..figures import Counter, Gauge
from ..quarantine import PATIENCE, confirmed, to_bridges_queue
from ..spool import Entry
from .recovered import Lost
from .sources import Found, Sources
from .waiting import Pace, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fedora_messaging.aio import Session
    from fedora_messaging.transports.base import Outgoing

    from ..figures import Metric
    from ..reconcile.model import Leg
    from ..shapes import Config, VerifyMissing
    from .recovered import Message

__all__ = ["Lost", "Outcome", "Repaired", "Repairer", "crossing"]

_log = logging.getLogger(__name__)

TITLE = "verify_missing"
RATE = 500.0  # messages a second: a hot standby has to keep up with the bus, and no broker suffers
_AT_ONCE = 32
_REMEMBERED = 100_000  # messages repaired, so that none is repaired twice
_WAITING = 100_000  # messages given and not settled
_TRIES = (10.0, 60.0, 300.0)  # seconds until a failed repair is tried again

Outcome = Literal["sent", "would send", "was there", "not found", "failed", "unbridgeable"]


@dataclasses.dataclass(frozen=True, slots=True)
class Repaired:
    """What became of it.

    Attributes:
        outcome: "sent"; "would send", where nothing is to be sent; "was there": it had come after all, or was repaired
            before; "not found": no source has it; "failed": for now, it may be tried again; "unbridgeable": the bridge
            would not carry it either.
        source: who had it: ``memory``, ``replay ENDPOINT`` or ``datagrepper``; empty where nobody was asked or has it.
        detail: one line.
    """

    outcome: Outcome
    source: str = ""
    detail: str = ""


class _Unfit(Exception):
    """It cannot be sent, now or later."""


def mark(name: str) -> str:
    """What a verifier of this name marks with what it sends."""
    return f"{TITLE}@{name}"


def crossing(config: Config, name: str | None = None) -> Crossing:
    """The rules of the bridge to AMQP, its signatures included, but under the verifier's own name.

    So that a copy by the bridge, should it come after all, is not taken for a second one by the same bridge.

    Arguments:
        config: all settings.
        name: of the verifier; the host's when omitted.

    Raises ``ToolsError`` when signatures cannot be checked.
    """
    signatures = config.zmq_to_amqp.signatures
    return Crossing(
        config.verify_missing.zmq_exchange,
        config.quarantine.queue,
        mark(name or socket.gethostname()),
        signing.validator(signatures),
        signatures.bridge_signers,
    )


class Repairer:
    """Repairs. To be made and used on one event loop.

    Arguments:
        settings: the section ``verify_missing``.
        session: where to publish.
        rules: what :func:`crossing` gives.
        name: of this verifier, for the mark; the host's when omitted.
        still_lost: asked before anything is done, and again before it is sent; beside what :meth:`Repairer.came` says.
        told: called with what became of each message of :meth:`give`.
        known: legs and keys of what was repaired before a restart.
        sources: where to look; as the settings say when omitted.
        rate: messages a second, at most.
        tries: seconds until a message of :meth:`give` is tried again when that failed, one after the other.

    Raises ``ToolsError`` when an address in the settings is none.
    """

    def __init__(
        self,
        settings: VerifyMissing,
        session: Session,
        rules: Crossing,
        *,
        name: str | None = None,
        still_lost: Callable[[Lost], bool] = lambda _: True,
        told: Callable[[Lost, Repaired], None] = lambda *_: None,
        known: Iterable[tuple[Leg, bytes]] = (),
        sources: Sources | None = None,
        rate: float = RATE,
        tries: tuple[float, ...] = _TRIES,
    ) -> None:
        self._settings = settings
        self._dry = settings.repair.dry_run
        self._rules = rules
        self._mark = mark(name or socket.gethostname())
        self._still_lost = still_lost
        self._told = told
        self._sources = sources or Sources(settings.repair)
        self._ways = _Ways(session, settings.bridge_queue)
        self._pace = Pace(rate)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tries = tries
        self._done: OrderedDict[tuple[Leg, bytes], None] = OrderedDict.fromkeys(known)
        self._in_hand: set[tuple[Leg, bytes]] = set()
        self._given: set[tuple[Leg, bytes]] = set()
        self._came: set[tuple[Leg, bytes]] = set()  # of those
        self._waiting = Waiting(settings.content_max_bytes)
        self._closed = False
        self._complaints = Complaints()
        self.outcomes = Counter(
            "verify_repairs", "Lost messages, by what became of their repair.", ("outcome", "source")
        )

    # given, and repaired in the background

    def give(self, lost: Lost) -> None:
        """Repair it after ``repair.delay``, if it is lost by then, and later again while that fails. Never waits."""
        if self._closed or self._waiting.messages >= _WAITING:
            why = "it was stopped" if self._closed else f"{_WAITING} messages wait for their repair already"
            self._settle(lost, Repaired("failed", detail=why))
            return
        self._given.add((lost.leg, lost.key))
        self._wait(self._waiting.take(lost), self._settings.repair.delay, 0)

    def came(self, leg: Leg, key: bytes) -> None:
        """The verdict is taken back: it has come after all, or was repaired by another. Nothing is sent then."""
        if (leg, key) in self._given:
            self._came.add((leg, key))

    def _lost(self, lost: Lost) -> bool:
        return (lost.leg, lost.key) not in self._came and self._still_lost(lost)

    def _wait(self, lost: Lost, seconds: float, tried: int) -> None:
        self._waiting.later(seconds, partial(self._try, lost, tried))

    async def _try(self, lost: Lost, tried: int) -> None:
        repaired = await self._repair(lost)
        if repaired.outcome == "failed" and tried < len(self._tries):
            self._complain(lost, repaired)
            self._wait(lost, self._tries[tried], tried + 1)
            return
        self._waiting.gone(lost)
        for known in (self._given, self._came):
            known.discard((lost.leg, lost.key))
        self._settle(lost, repaired)

    def _settle(self, lost: Lost, repaired: Repaired) -> None:
        self._count(lost, repaired)
        self._told(lost, repaired)

    async def close(self) -> None:
        """Repair no more; what was given and waits is not repaired."""
        self._closed = True
        await self._waiting.close()
        self._sources.close()

    # one message

    async def repair(self, lost: Lost) -> Repaired:
        """Repair it now, if it is lost still. Never raises for what is wrong with it, the sources or the broker."""
        repaired = await self._repair(lost)
        self._count(lost, repaired)
        return repaired

    async def _repair(self, lost: Lost) -> Repaired:
        known_as = (lost.leg, lost.key)
        if known_as in self._done or known_as in self._in_hand:
            return Repaired("was there", detail="repaired before")
        self._in_hand.add(known_as)
        try:
            async with self._slots:
                if not self._lost(lost):
                    return _CAME
                await self._pace.wait()
                repaired = await self._look_and_send(lost)
        finally:
            self._in_hand.discard(known_as)
        if repaired.outcome == "sent":
            self._remember(known_as)
        return repaired

    def _remember(self, known_as: tuple[Leg, bytes]) -> None:
        self._done[known_as] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    async def _look_and_send(self, lost: Lost) -> Repaired:
        found = await self._sources.find(lost)
        if found.message is None:
            return _nowhere(found)
        if not self._lost(lost):
            return _CAME
        try:
            return await self._send(found.message, found.source)
        except _Unfit as error:
            return Repaired("unbridgeable", found.source, str(error))
        except ValidationError as error:
            return Repaired("unbridgeable", found.source, error.summary)
        except (ToolsError, LibraryError, TimeoutError) as error:
            return Repaired("failed", found.source, str(error) or f"no answer in {PATIENCE:g} s")

    async def _send(self, message: Message, source: str) -> Repaired:
        if message.frames is not None:
            outgoing = self._to_amqp(message.frames)
            where, size = f"the exchange {outgoing.exchange}", len(outgoing.body)
            if not self._dry:
                await self._ways.publish(outgoing)
        else:
            letter = self._to_zmq(message)
            where, size = f"the queue {self._settings.bridge_queue}", len(letter.frames[1])
            if not self._dry:
                await self._ways.hand_over(letter)
        return Repaired("would send" if self._dry else "sent", source, f"{size} bytes to {where}")

    def _to_amqp(self, frames: tuple[bytes, ...]) -> Outgoing:
        """As the bridge would publish it. Raises ``_Unfit`` or ``Expired``."""
        prepared = self._rules.prepare(Entry(0, 0.0, frames))
        if prepared.hold is not None:
            raise prepared.hold
        if prepared.fault is not None:
            raise _Unfit(str(prepared.fault))
        if prepared.outgoing is None:
            raise _Unfit("it bears a bridge's mark: it came from AMQP, and is there")
        prepared.outgoing.properties.headers[marks.REPAIRED_BY] = self._mark
        return prepared.outgoing

    def _to_zmq(self, message: Message) -> setaside.SetAside:
        """As the bridge's queue takes it. Raises ``_Unfit``."""
        assert message.delivery is not None  # noqa: S101 - a message has one form or the other
        topic, message_id, headers, body = message.delivery
        if marks.headers_bear_mark(headers):
            raise _Unfit("it bears a bridge's mark: it came from ZeroMQ, and was there")
        try:
            frame = topic.encode()
        except ValueError as error:
            raise _Unfit(f"the topic is no UTF-8: {error}") from error
        return setaside.SetAside(
            reason="lost",
            detail="",
            received_at=0.0,
            bridge=self._mark,
            direction="amqp_to_zmq",
            frames=(frame, body),
            properties={"message_id": message_id, "headers": {**headers, marks.REPAIRED_BY: self._mark}},
        )

    # what is told

    def _count(self, lost: Lost, repaired: Repaired) -> None:
        self.outcomes.add(1, repaired.outcome, repaired.source.split(" ")[0])
        if repaired.outcome == "would send" or (
            repaired.outcome == "sent" and self._complaints.due(f"sent {lost.application}")
        ):
            _log.info(
                "%s: %s %s, lost on the way %s, from %s, %s",
                "Would send again" if repaired.outcome == "would send" else "Sent again",
                _short(lost.message_id or lost.key.hex()),
                _short(lost.topic),
                lost.leg.name.lower(),
                repaired.source,
                repaired.detail,
            )
        elif repaired.outcome not in {"sent", "was there"}:
            self._complain(lost, repaired)

    def _complain(self, lost: Lost, repaired: Repaired) -> None:
        if self._complaints.due(repaired.outcome):
            _log.warning(
                "%s %s, lost on the way %s, is not sent again: %s: %s (no more of this kind for a minute)",
                _short(lost.message_id or lost.key.hex()),
                _short(lost.topic),
                lost.leg.name.lower(),
                repaired.outcome,
                _short(repaired.detail),
            )

    def metrics(self) -> Iterator[Metric]:
        """What monitoring shows."""
        yield self.outcomes
        yield Gauge.of(
            "verify_repairs_waiting", "Lost messages that wait for their repair.", self._waiting.messages
        )


_CAME = Repaired("was there", detail="it came after all")


def _nowhere(found: Found) -> Repaired:
    if found.silent:
        return Repaired("failed", detail=f"no answer from {', '.join(found.silent)}")
    return Repaired("not found", detail="no source has it")


def _short(text: str) -> str:
    """For one line of the log, whatever it is."""
    return ascii(text[:200])[1:-1]


class _Ways:
    """To the broker."""

    def __init__(self, session: Session, queue: str) -> None:
        self._session = session
        self._queue = queue
        self._back: Callable[[setaside.SetAside], Outgoing] | None = None
        self._declaring = asyncio.Lock()

    async def publish(self, outgoing: Outgoing) -> None:
        """Raises what the library raises."""
        await confirmed(self._session, outgoing)

    async def hand_over(self, letter: setaside.SetAside) -> None:
        """To the bridge's queue. Raises as :meth:`publish`, ``ToolsError`` or ``TimeoutError``."""
        async with self._declaring:
            if self._back is None:
                async with asyncio.timeout(PATIENCE):
                    self._back = await to_bridges_queue(self._session, self._queue)
            back = self._back
        try:
            await confirmed(self._session, back(letter))
        except PublishReturned:
            self._back = None  # the queue was made anew, and is not bound
            raise
