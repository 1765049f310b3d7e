# SPDX-License-Identifier: MIT
"""From what was heard to what the reconciler has to know. No socket, no broker.

A message that cannot be read is followed by its bytes: the bridge sets it aside, and quarantine says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import Unbridgeable
from ..reconcile import sightings
from ..reconcile.model import ORIGIN, Leg, Witness
from .contents import Content, Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fedora_messaging.transports.base import Incoming

    from ..reconcile.core import Reconciler
    from ..reconcile.sightings import Sighting

__all__ = ["Observer"]

_LEAVES = dict(zip(ORIGIN, Leg, strict=True))
_UNREADABLE = "unreadable"  # the application of what names none


class Observer:
    """Tells the reconciler what was heard.

    Arguments:
        reconciler: told.
        contents: what messages were.
        exchanges: the name of an exchange → which witness hears there.
        quarantine: the exchange of what was set aside.
        arrived: called with leg, application and time of each message at its origin.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        contents: Contents,
        exchanges: Mapping[str, Witness],
        quarantine: str,
        arrived: Callable[[Leg, str, float], None] = lambda *_: None,
    ) -> None:
        self._reconciler = reconciler
        self._contents = contents
        self._exchanges = dict(exchanges)
        self._quarantine = quarantine
        self._arrived = arrived
        self.heard = dict.fromkeys(Witness, 0)

    def over_zmq(self, witness: Witness, endpoint: str, frames: list[bytes], at: float) -> None:
        """A message from a publisher, or from the bridge's socket."""
        self.heard[witness] += 1
        parts = tuple(frames)
        try:
            sighting = sightings.of_frames(parts)
        except Unbridgeable:
            if witness is Witness.PUBLISHERS:
                self._unreadable(witness, parts, at, endpoint)
            return
        if witness is Witness.PUBLISHERS and sighting.marked:
            self._reconciler.loop(sighting.key, at, sighting.application)
            return
        content = Content(sighting.message_id, sighting.topic, frames=parts)
        self._tell(witness, sighting, content, at, endpoint)

    def _unreadable(self, witness: Witness, frames: tuple[bytes, ...], at: float, endpoint: str) -> None:
        key = sightings.raw_key(frames)
        topic = frames[0][:255].decode(errors="replace") if frames else ""
        self._contents.keep(witness, key, Content(None, topic, frames=frames))
        self._arrived(Leg.ZMQ_TO_AMQP, _UNREADABLE, at)
        self._reconciler.seen(witness, key, 0, at, _UNREADABLE, source=endpoint)

    def over_amqp(self, incoming: Incoming, at: float) -> None:
        """A message from one of the exchanges."""
        if incoming.exchange == self._quarantine:
            self._set_aside(incoming.body, at)
            return
        witness = self._exchanges.get(incoming.exchange)
        if witness is None:
            return
        self.heard[witness] += 1
        headers = incoming.properties.headers or {}
        delivery = (incoming.topic, incoming.properties.message_id, headers, incoming.body)
        sighting = sightings.of_delivery(*delivery)
        if witness is Witness.AMQ_TOPIC and sighting.marked:
            self._reconciler.loop(sighting.key, at, sighting.application, Leg.AMQP_TO_ZMQ)
            return
        content = Content(incoming.properties.message_id, incoming.topic, delivery=delivery)
        self._tell(witness, sighting, content, at, "")

    def _tell(self, witness: Witness, sighting: Sighting, content: Content, at: float, source: str) -> None:
        self._contents.keep(witness, sighting.key, content)
        leg = _LEAVES.get(witness)
        if leg is not None:
            self._arrived(leg, sighting.application, at)
        self._reconciler.seen(
            witness,
            sighting.key,
            sighting.digest,
            at,
            sighting.application,
            carrier=sighting.carrier,
            source=source,
            i=sighting.i,
            seq_id=sighting.seq_id,
        )

    def _set_aside(self, body: bytes, at: float) -> None:
        try:
            letter = sightings.of_quarantine(body)
        except ValueError:
            return  # somebody else's
        self._reconciler.quarantined(letter.leg, letter.key, letter.reason, at)
