# SPDX-License-Identifier: MIT
"""A message that cannot cross, as it lies in quarantine: the bytes that came, why they stay, and since when.

It is a JSON object in a durable queue, so that whatever reads AMQP can look at it.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedora_messaging import wire

from . import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedora_messaging.transports.base import Outgoing

__all__ = ["REASON", "SetAside"]

#: The AMQP header that repeats the reason.
REASON = "fedmsg_reason"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message in quarantine.

    Attributes:
        reason: one of :class:`~fedmsg_migration_tools.exceptions.Reason`.
        detail: one line.
        received_at: when it came, in seconds since the epoch.
        bridge: who set it aside, such as ``zmq_to_amqp@host``.
        direction: ``zmq_to_amqp`` or ``amqp_to_zmq``.
        frames: from ZeroMQ its frames; from AMQP its topic and its body.
        properties: from AMQP: ``message_id`` and ``headers``.
    """

    reason: str
    detail: str
    received_at: float
    bridge: str
    direction: str
    frames: tuple[bytes, ...]
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that stay the same for the same message, reason and time."""
        digest = hashlib.sha256(f"{self.reason} {self.received_at:.6f}".encode())
        for frame in self.frames:
            digest.update(len(frame).to_bytes(8) + frame)
        return digest.hexdigest()[:12]

    def encode(self, queue: str) -> Outgoing:
        """The message for the durable ``queue``, by the exchange of the same name, with the reason as its topic.

        By way of the exchange others see what is set aside without taking it away. It comes back where the queue is not
        bound.
        """
        body: dict[str, Any] = {
            "reason": self.reason,
            "detail": self.detail,
            "received_at": _text(self.received_at),
            "bridge": self.bridge,
            "direction": self.direction,
            "frames": [base64.b64encode(frame).decode("ascii") for frame in self.frames],
        }
        if self.properties:
            body["properties"] = dict(self.properties)
        return wire.raw(
            queue,
            str(self.reason),
            canonical.dumps(body),
            message_id=self.id,
            headers={REASON: str(self.reason)},
            mandatory=True,
        )

    @classmethod
    def decode(cls, body: bytes) -> SetAside:
        """The message from its ``body``. Raises ``ValueError`` when it is none that a bridge wrote."""
        try:
            found = canonical.loads(body)
            return cls(
                reason=str(found["reason"]),
                detail=str(found["detail"]),
                received_at=dt.datetime.fromisoformat(found["received_at"]).timestamp(),
                bridge=str(found["bridge"]),
                direction=str(found["direction"]),
                frames=tuple(base64.b64decode(frame, validate=True) for frame in found["frames"]),
                properties=found.get("properties", {}),
            )
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise ValueError(f"not a message that a bridge set aside: {error!r}") from error


def _text(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
