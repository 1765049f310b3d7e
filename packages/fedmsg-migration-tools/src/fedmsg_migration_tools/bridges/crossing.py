# SPDX-License-Identifier: MIT
"""What is to become of one message from ZeroMQ: published, set aside, or dropped as a loop. No I/O.

Where signatures are validated, a bridge's mark counts only on what a bridge has validly signed: otherwise anyone
could have messages dropped by writing its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedora_messaging.exceptions import ValidationError

from ..exceptions import Expired, Reason, Unbridgeable
from ..fedmsg import setaside
from ..fedmsg.envelope import parse
from ..fedmsg.marks import bears_mark
from ..fedmsg.translation import to_amqp

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fedora_messaging.transports.base import Outgoing

    from ..fedmsg.envelope import Envelope
    from ..fedmsg.signing import Validator
    from ..spool import Entry

__all__ = ["Crossing", "Prepared", "application"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to do with a message. Neither ``outgoing`` nor ``hold``: it is a loop, and dropped.

    Attributes:
        outgoing: what to publish: the message, or its letter to quarantine if there is a ``fault``.
        topic: of the message, as far as it is known.
        timestamp: when it was sent, in seconds since the epoch, if it says.
        fault: why it is set aside.
        hold: why no verdict is possible yet: nothing is to be published until that is mended.
    """

    outgoing: Outgoing | None = None
    topic: str = ""
    timestamp: float | None = None
    fault: Unbridgeable | None = None
    hold: Expired | None = None


class Crossing:
    """The rules of one bridge.

    Arguments:
        exchange: where messages go.
        quarantine: the queue of those that cannot cross.
        bridge: this bridge's mark, ``zmq_to_amqp@name``.
        validator: checks signatures, if they are to be checked.
        signers: the names of bridges that sign, whose mark is believed.
        refuse_expired: set aside what comes while the CA or CRL is expired, instead of waiting.
    """

    def __init__(
        self,
        exchange: str,
        quarantine: str,
        bridge: str,
        validator: Validator | None = None,
        signers: Collection[str] = (),
        *,
        refuse_expired: bool = False,
    ) -> None:
        self._exchange = exchange
        self._quarantine = quarantine
        self._bridge = bridge
        self._validator = validator
        self._signers = frozenset(signers)
        self._refuse_expired = refuse_expired

    def prepare(self, entry: Entry) -> Prepared:
        """What is to become of it. Never raises; may be called in several threads."""
        try:
            envelope = parse(entry.frames)
            if self._loops(envelope):
                return Prepared(topic=envelope.topic)
            return Prepared(
                to_amqp(envelope, self._exchange, self._bridge), envelope.topic, _timestamp(envelope)
            )
        except Unbridgeable as fault:
            return self.set_aside(entry, fault)
        except Expired as expired:
            if self._refuse_expired:
                return self.set_aside(entry, Unbridgeable(Reason.EXPIRED, str(expired)))
            return Prepared(hold=expired)
        except ValidationError as error:
            return self.set_aside(entry, Unbridgeable(Reason.REFUSED, error.summary))

    def _loops(self, envelope: Envelope) -> bool:
        if self._validator is None:
            return bears_mark(envelope)
        return self._validator.check(envelope) in self._signers and bears_mark(envelope)

    def set_aside(self, entry: Entry, fault: Unbridgeable) -> Prepared:
        """It goes to quarantine, as it came."""
        letter = setaside.SetAside(
            reason=fault.reason,
            detail=fault.detail,
            received_at=entry.received,
            bridge=self._bridge,
            direction="zmq_to_amqp",
            frames=entry.frames,
        )
        return Prepared(letter.encode(self._quarantine), _topic(entry.frames), fault=fault)


def application(topic: str) -> str:
    """The application that a topic names: its fourth word (``org.fedoraproject.prod.bodhi.…``)."""
    words = topic.split(".", 4)
    return words[3] if len(words) > 3 else "unknown"


def _topic(frames: Sequence[bytes]) -> str:
    return frames[0][:255].decode(errors="replace") if frames else ""


def _timestamp(envelope: Envelope) -> float | None:
    try:
        return float(envelope.fields["timestamp"])
    except (KeyError, ValueError, OverflowError):
        return None
