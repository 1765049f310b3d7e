# SPDX-License-Identifier: MIT
"""Hearing all that is published to some exchanges, through a queue of this process alone.

Whether it can be heard is not taken from the connection, which may be open and lead nowhere: a probe goes to the
broker and has to come back through the same queue. From the last that did until the next that does, this is blind.
What is heard is not looked at here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fedora_messaging import wire
from fedora_messaging.backoff import delays
from fedora_messaging.exceptions import BaseException as LibraryError
from fedora_messaging.exceptions import ConfigurationException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fedora_messaging.aio import Session
    from fedora_messaging.publication import Publication
    from fedora_messaging.transports.base import Incoming

    Heard = Callable[[Incoming, float], None]  # the delivery, seconds since the epoch
    Blind = Callable[[float, float | None], None]  # from, until (None: still)

__all__ = ["AmqpWitness"]

_log = logging.getLogger(__name__)

#: Every broker has it, and only who binds this very key hears of it (AMQP 0.9.1, 3.1.3.1).
PROBES = "amq.direct"
INTERVAL = 0.5  # seconds between two probes
PATIENCE = 2.0  # seconds that a probe may take
_OUT = 64  # probes remembered
_TURN = 256  # messages between two turns of the loop
_QUEUE = {"durable": False, "auto_delete": True, "exclusive": True, "arguments": {}}


class AmqpWitness:
    """Hears what goes to the exchanges. To be used on one event loop.

    Arguments:
        session: the way to the broker.
        exchanges: topic exchanges, which have to be there.
        heard: called with each message.
        blind: called when nothing can be heard, and when it can again.
    """

    def __init__(self, session: Session, exchanges: Sequence[str], heard: Heard, blind: Blind) -> None:
        self._session = session
        self._heard = heard
        self._blind = blind
        self._token = f"verify_missing.{uuid.uuid4()}"
        self._bindings = [{"exchange": name, "routing_keys": ["#"]} for name in exchanges]
        self._bindings.append({"exchange": PROBES, "routing_keys": [self._token]})
        self._probes: OrderedDict[str, tuple[float, Publication]] = OrderedDict()
        self._consumer, self._tag = "", 0  # the last delivery's: another queue begins anew
        self._number = 0
        self._seen_at = 0.0  # when the last probe was sent that came back
        self.seeing = False
        blind(time.time(), None)

    async def listen(self, prepare: Callable[[], Awaitable[None]]) -> None:
        """Hear until cancelled; waits for the broker, and for its permission, as long as that takes.

        Arguments:
            prepare: sees that the exchanges are there.

        Raises ``ConfigurationException``.
        """
        probing = asyncio.create_task(self._probe(), name="probes")
        pauses = delays()
        try:
            while True:
                try:
                    await prepare()
                    await self._hear()
                except ConfigurationException:
                    raise  # another attempt would say the same
                except LibraryError as error:
                    _log.error("Cannot listen to the broker: %s; trying again", error)
                await asyncio.sleep(next(pauses))
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing
            for _, publication in self._probes.values():
                self._session.withdraw(publication)

    async def _hear(self) -> None:
        async with self._session.deliveries(self._bindings, {"": _QUEUE}, raw=True) as deliveries:
            count = 0
            async for delivery in deliveries:
                incoming = delivery.incoming
                if incoming.consumer != self._consumer or incoming.tag <= self._tag:
                    self._another_queue(incoming.consumer)
                self._tag = incoming.tag
                if incoming.exchange == PROBES:
                    self._back(incoming.properties.message_id or "")
                else:
                    self._heard(incoming, time.time())
                delivery.ack()
                count += 1
                if count % _TURN == 0:
                    await asyncio.sleep(0)

    def _another_queue(self, consumer: str) -> None:
        """The connection was lost and made anew: what was published in between went to no queue of this one.

        It may have taken less time than a probe is waited for. Probes from before, which may have been sent again on
        the new connection, say nothing about that time.
        """
        self._consumer = consumer
        for _, publication in self._probes.values():
            self._session.withdraw(publication)
        self._probes.clear()
        if self.seeing:
            self.seeing = False
            self._blind(self._seen_at, None)

    # probes

    async def _probe(self) -> None:
        while True:
            self._send()
            await asyncio.sleep(INTERVAL)
            self._judge(time.time())

    def _send(self) -> None:
        self._number += 1
        name = f"{self._token}.{self._number}"
        probe = wire.raw(PROBES, self._token, b"{}", message_id=name, headers={})
        publication = self._session.submit(probe, PATIENCE, lambda _error: None)
        self._probes[name] = (time.time(), publication)
        while len(self._probes) > _OUT:
            self._probes.popitem(last=False)

    def _back(self, name: str) -> None:
        """A probe has come back: all that was published after it was sent was heard, and what comes will be."""
        sent, _ = self._probes.pop(name, (0.0, None))
        if not sent:
            return
        if not self.seeing:
            self.seeing = True
            self._blind(sent, sent)  # the beginning is known
        self._seen_at = max(self._seen_at, sent)

    def _judge(self, now: float) -> None:
        if self.seeing and now - self._seen_at > PATIENCE + INTERVAL:
            self.seeing = False
            self._blind(self._seen_at, None)

    def close(self) -> dict[str, Any]:
        """What there is to say at the end."""
        return {"seeing": self.seeing, "since": self._seen_at}
