# SPDX-License-Identifier: MIT
"""The ledger: every unit is in exactly one place of the books, whatever becomes of it. Pure.

Here is how a unit gets from one place to another, and what is told of it; what decides it is in :mod:`.judge`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .model import Books, Kind, Leg, Verdict
from .names import Carriers, Names
from .units import AWAITING, CALLED, GIVEN_UP, SETTLED, State, Units
from .window import Measured, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .clock import Clock

__all__ = ["EARLIER", "OPEN", "WAITS", "Ledger", "Review"]

#: Added to a unit's state while it waits for what may explain it (the queue AWAITING).
WAITS = 64
#: The states that are not final.
OPEN = frozenset({State.SENT, State.AHEAD, State.SET_ASIDE})

# The place in the books that a unit of this state has; those without one are not in the balance.
_PLACE = {
    State.SENT: "in_flight",
    State.AHEAD: "ahead",
    State.MATCHED: "matched",
    State.CHANGED: "matched",
    State.LOST: "lost",
    State.UNVERIFIABLE: "unverifiable",
    State.UNSEEN: "unverifiable",
    State.QUARANTINED: "quarantined",
    State.QUARANTINED_UNSEEN: "quarantined",
}
_NOT_RECEIVED = frozenset({State.AHEAD, State.SET_ASIDE, State.SURPLUS})
_QUEUE = {
    State.MATCHED: SETTLED,
    State.SURPLUS: CALLED,
    State.CHANGED: CALLED,
    State.LOST: CALLED,
    State.UNVERIFIABLE: GIVEN_UP,
    State.UNSEEN: GIVEN_UP,
    State.QUARANTINED: GIVEN_UP,
    State.QUARANTINED_UNSEEN: GIVEN_UP,
}
_NOBODY = bytes(16)


@dataclass(slots=True, eq=False)
class Review:
    """A blind time that was told, and the place in the queue CALLED up to which its verdicts are looked at again."""

    slot: int
    witness: int
    begin: float
    end: float


class Ledger:
    """Units, their books, and what is to be told.

    Arguments:
        clock: the time.
        window: how the windows follow the delays.
        books: what was counted before.
    """

    def __init__(self, clock: Clock, window: Window, books: Mapping[Leg, Books]) -> None:
        self.clock = clock
        self.units = Units()
        self.books = tuple(books.get(leg, Books()) for leg in Leg)
        self.measured = (Measured(window), Measured(window))
        self.applications, self.sources = Names(), Names()
        self.carriers = Carriers()
        self.verdicts: list[Verdict] = []
        self.reasons: dict[int, str] = {}  # of units in quarantine that are not at the origin yet
        self.reviews: list[Review] = []

    def state(self, slot: int) -> State:
        """Its state, whether it waits or not."""
        return State((self.units.state[slot] & ~WAITS) >> 1)

    def leg(self, slot: int) -> Leg:
        """Its leg."""
        return Leg(self.units.state[slot] & 1)

    def kin(self, slot: int) -> list[int]:
        """The other units with its key on its leg, the oldest first."""
        leg = self.units.state[slot] & 1
        chain = self.units.chain(self.units.key(slot))
        return [other for other in chain if other != slot and self.units.state[other] & 1 == leg]

    def queue(self, slot: int) -> int:
        """The queue that it is in."""
        state = self.units.state[slot]
        if state & WAITS:
            return AWAITING
        return _QUEUE.get(State(state >> 1), state & 1)

    def place(self, slot: int, state: State) -> None:
        """Let the unit be in another place of the books."""
        units, before = self.units, self.state(slot)
        books = self.books[units.state[slot] & 1]
        _count(books, _PLACE.get(before), -1)
        _count(books, _PLACE.get(state), 1)
        if before in _NOT_RECEIVED and state not in _NOT_RECEIVED:
            books.received += 1
        if before == State.SURPLUS:
            books.duplicated -= 1
        elif before == State.CHANGED:
            books.changed -= 1
        queue = self.queue(slot)
        if queue == CALLED:
            self._pass_on(slot)
        units.state[slot] = state << 1 | units.state[slot] & 1
        units.move(slot, queue, _QUEUE.get(state, queue), self.clock.now)

    def wait(self, slot: int) -> None:
        """Let it wait for what may explain it."""
        units = self.units
        units.move(slot, self.queue(slot), AWAITING, self.clock.now)
        units.state[slot] |= WAITS

    def forget(self, slot: int) -> None:
        """Let it go. Its place in the books stays."""
        queue = self.queue(slot)
        if queue == CALLED:
            self._pass_on(slot)
        self.reasons.pop(slot, None)
        self.units.remove(slot, queue)

    def absorb(self, slot: int) -> None:
        """Let a unit at the far end go, for it is part of another."""
        self.books[self.units.state[slot] & 1].ahead -= 1
        self.forget(slot)

    def late(self, slot: int, bit: int, **more: Any) -> None:
        """A unit that was judged has arrived after all; ``bit`` is its carrier's."""
        units, earlier, now = self.units, self.state(slot), self.clock.now
        leg = units.state[slot] & 1
        delay = now - units.at[slot]
        self.place(slot, State.MATCHED)
        units.carriers[slot] |= bit
        self.books[leg].late += 1
        self.measured[leg].add(delay, units.application[slot])
        if earlier in {State.LOST, State.UNVERIFIABLE, State.UNSEEN}:
            self.measured[leg].exceeded(delay, now)
        self.tell(Kind.LATE, slot, {"earlier": EARLIER[earlier], "delay": round(delay, 6), **more})

    def quarantine(self, slot: int, state: State, reason: str) -> None:
        """A bridge has set it aside."""
        earlier = self.state(slot)
        self.place(slot, state)
        evidence: dict[str, Any] = {"reason": reason}
        if earlier not in OPEN:
            evidence["earlier"] = EARLIER[earlier]
        if state == State.QUARANTINED_UNSEEN:
            evidence["origin"] = "unseen"
        self.tell(Kind.QUARANTINED, slot, evidence)

    def tell(self, kind: Kind, slot: int, evidence: dict[str, Any]) -> None:
        """A verdict about the unit, with what is known of it."""
        units = self.units
        if units.number[slot] >= 0:
            evidence["i"] = units.number[slot]
        if source := units.source[slot]:
            evidence["source"] = self.sources.name(source)
        if bits := units.carriers[slot]:
            evidence["carriers"] = self.carriers.named(bits)
        self.tell_of(
            kind,
            self.leg(slot),
            units.key(slot),
            self.applications.name(units.application[slot]),
            units.at[slot],
            evidence,
        )

    def tell_of(
        self, kind: Kind, leg: Leg, key: bytes, application: str, seen_at: float, evidence: dict[str, Any]
    ) -> None:
        """A verdict. Times are told as those outside tell them."""
        clock, window = self.clock, self.measured[leg].seconds
        seen, judged = clock.shown(seen_at), clock.shown(clock.now)
        self.verdicts.append(Verdict(kind, leg, key or _NOBODY, application, seen, judged, window, evidence))

    def walk(self, queue: int) -> Iterator[int]:
        """The units of a queue, the oldest first. For tests and for few."""
        slot = self.units.after[queue]
        while slot != queue:
            yield slot
            slot = self.units.after[slot]

    def _pass_on(self, slot: int) -> None:
        """Reviews that have arrived at this slot go on with the one before."""
        for review in self.reviews:
            if review.slot == slot:
                review.slot = self.units.before[slot]


#: What a verdict was that another takes back.
EARLIER = {
    State.LOST: "lost",
    State.UNVERIFIABLE: "unverifiable",
    State.UNSEEN: "unverifiable",
    State.QUARANTINED: "quarantined",
    State.QUARANTINED_UNSEEN: "quarantined",
    State.SURPLUS: "duplicated",
    State.CHANGED: "changed",
}


def _count(books: Books, place: str | None, change: int) -> None:
    if place is not None:
        setattr(books, place, getattr(books, place) + change)
