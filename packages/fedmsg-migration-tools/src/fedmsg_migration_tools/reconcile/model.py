# SPDX-License-Identifier: MIT
"""The words of the verification: who sees what, what a message's fate can be, and the books. Data, no decisions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAR", "ORIGIN", "Books", "Kind", "Leg", "Verdict", "Witness"]


class Witness(IntEnum):
    """A place where messages are seen; two on each leg, the first of them where messages come from."""

    PUBLISHERS = 0
    ZMQ_TOPIC = 1
    AMQ_TOPIC = 2
    BRIDGE_SOCKET = 3


class Leg(IntEnum):
    """The way that a message must go."""

    ZMQ_TO_AMQP = 0
    AMQP_TO_ZMQ = 1


#: Where the messages of a leg come from, and where they must arrive.
ORIGIN = (Witness.PUBLISHERS, Witness.AMQ_TOPIC)
FAR = (Witness.ZMQ_TOPIC, Witness.BRIDGE_SOCKET)


class Kind(StrEnum):
    """What became of a message, or what is to be said of it beside that."""

    MATCHED = "matched"
    LATE = "late"
    LOST = "lost"
    UNVERIFIABLE = "unverifiable"
    QUARANTINED = "quarantined"
    LOOP = "loop"
    DUPLICATED = "duplicated"
    CHANGED = "changed"
    LOOPED = "looped"
    UNWITNESSED = "unwitnessed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one message.

    Attributes:
        kind: the decision.
        leg: the way that the message had to go.
        key: what identifies the message (:func:`.sightings.key`); zeros where it is about no single message.
        application: as it was told with the sighting.
        seen_at: when the message was first seen, in seconds on the clock of the observations.
        judged_at: when this was decided, on the same clock.
        window: seconds that the message had.
        evidence: JSON-able. ``earlier`` is the verdict that this one takes back.
    """

    kind: Kind
    leg: Leg
    key: bytes
    application: str
    seen_at: float
    judged_at: float
    window: float
    evidence: Mapping[str, Any]


@dataclass(slots=True)
class Books:
    """The books of one leg. The first seven make the balance; they are exact at any moment.

    Attributes:
        received: messages seen at the origin, and those that must have been there though nobody saw them there.
        matched: arrived, also those that arrived late or changed.
        lost: did not arrive, although the far end was in sight the whole time.
        unverifiable: nobody can know.
        quarantined: set aside by a bridge.
        loops: not to be bridged, for they bear a bridge's mark.
        in_flight: seen at the origin, and not yet judged.
        late: arrived after having been called missing.
        duplicated: copies at the far end that nobody sent.
        changed: arrived, but not as they were sent.
        looped: came round by another way.
        unwitnessed: numbers that the publishers gave and nobody saw at either end.
        copies: the same message carried by another instance of the bridge as well.
        ahead: seen at the far end only, so far; they enter ``received`` once it is known what they are.
    """

    received: int = 0
    matched: int = 0
    lost: int = 0
    unverifiable: int = 0
    quarantined: int = 0
    loops: int = 0
    in_flight: int = 0
    late: int = 0
    duplicated: int = 0
    changed: int = 0
    looped: int = 0
    unwitnessed: int = 0
    copies: int = 0
    ahead: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each message received is in exactly one place. If not, the program is wrong."""
        return self.received == (
            self.matched + self.lost + self.unverifiable + self.quarantined + self.loops + self.in_flight
        )

    def as_dict(self) -> dict[str, int]:
        """The figures by name; ``received`` is called ``in``."""
        figures = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"in": figures.pop("received"), **figures}

    @classmethod
    def from_dict(cls, figures: Mapping[str, int]) -> Books:
        """The books that :meth:`as_dict` wrote. Raises ``TypeError`` for names that it does not know."""
        return cls(received=figures.get("in", 0), **{name: n for name, n in figures.items() if name != "in"})
