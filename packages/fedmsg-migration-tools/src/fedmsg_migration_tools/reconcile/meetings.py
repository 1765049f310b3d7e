# SPDX-License-Identifier: MIT
"""What a sighting meets: nothing that was known, its other half, or several units with its key. Pure.

The common case, a message that is seen at one end and then at the other, costs least; what is out of the ordinary is
found by the chain of units with one key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .ledger import OPEN, Ledger
from .model import Kind, Leg
from .names import OTHERS
from .units import AWAITING, SETTLED, State

if TYPE_CHECKING:
    from .judge import Judge

__all__ = ["Meetings", "Sighting"]

_SENT, _AHEAD, _MATCHED = State.SENT << 1, State.AHEAD << 1, State.MATCHED << 1
_CHAIN = 32  # units with one key, at most: what has the same id for ever must not cost more and more
_AT_ORIGIN = frozenset(
    {State.SENT, State.MATCHED, State.CHANGED, State.LOST, State.UNVERIFIABLE, State.QUARANTINED}
)
_COPIED = frozenset({State.MATCHED, State.CHANGED, State.AHEAD, State.UNSEEN})


class Sighting(NamedTuple):
    """A message in sight at one end.

    Attributes:
        leg: which way it goes.
        key: 16 bytes that are the same at both ends.
        digest: 64 bits of its content in normal form.
        at: when, on the ledger's clock.
        application: whose message it is.
        source: the process that numbers its messages.
        number: that number, or -1.
        bit: the carrier's at the far end; 0 at the origin.
    """

    leg: int
    key: bytes
    digest: int
    at: float
    application: str
    source: str
    number: int
    bit: int


class Meetings:
    """Enters sightings into a ledger, each with the unit that it belongs to.

    Arguments:
        ledger: the units and their books.
        judge: who gives up what there is no room for.
        most: units in flight; beyond, the oldest is given up.
        settled: units that arrived and are remembered; beyond, the oldest is forgotten.
    """

    def __init__(self, ledger: Ledger, judge: Judge, most: int, settled: int) -> None:
        self._ledger = ledger
        self._units = ledger.units
        self._books = ledger.books
        self._measured = ledger.measured
        self._applications, self._sources = ledger.applications.numbers, ledger.sources.numbers
        self._judge = judge
        self._most = most
        self._settled = settled

    # The common ones, in single arguments because they come by the thousand.

    def first(
        self,
        leg: int,
        key: bytes,
        digest: int,
        now: float,
        application: str,
        source: str,
        number: int,
        bit: int,
    ) -> None:
        """A sighting that is a unit of its own; arguments as a :class:`Sighting`'s.

        Raises:
            ValueError: The key does not have 16 bytes.
        """
        if len(key) != 16:
            raise ValueError(f"a key has 16 bytes, and this one {len(key)}")
        books, sizes = self._books[leg], self._units.sizes
        self._units.add(
            key,
            (_AHEAD if bit else _SENT) + leg,
            digest,
            now,
            self._applications.get(application) or self._ledger.applications.number(application),
            self._sources.get(source) or self._ledger.sources.number(source),
            number,
            bit,
        )
        if bit:
            books.ahead += 1
        else:
            books.received += 1
            books.in_flight += 1
        if sizes[0] + sizes[1] + sizes[AWAITING] > self._most:
            self._make_room()

    def pair(self, slot: int, leg: int, now: float, bit: int) -> None:
        """The other half of the only unit with its key."""
        units, books = self._units, self._books[leg]
        self._measured[leg].add(now - units.at[slot], units.application[slot])
        units.state[slot] = _MATCHED + leg
        units.move(slot, leg, SETTLED, now)
        books.matched += 1
        if bit:
            units.carriers[slot] = bit
            books.in_flight -= 1
        else:
            books.received += 1
            books.ahead -= 1
        if units.sizes[SETTLED] > self._settled:
            self._ledger.forget(units.after[SETTLED])

    # Where units with the key are known.

    def sent(self, sighting: Sighting) -> bool:
        """At the origin; returns whether the same message was seen there before."""
        ledger, units = self._ledger, self._units
        kin, same = self._kin(sighting)
        known = any(state in _AT_ORIGIN for state, _ in same)
        if slot := _find(same, State.AHEAD):
            self._departed(slot, sighting.source)
        elif slot := _find(same, State.UNSEEN):
            ledger.late(slot, 0, origin="seen late")
        elif slot := _find(kin, State.SET_ASIDE):
            units.digest[slot] = sighting.digest
            units.application[slot] = ledger.applications.number(sighting.application)
            ledger.quarantine(slot, State.QUARANTINED, ledger.reasons.pop(slot, ""))
        elif slot := _find(kin, State.QUARANTINED_UNSEEN):
            units.digest[slot] = sighting.digest
            ledger.place(slot, State.QUARANTINED)
        else:
            self._another(sighting, bool(kin))
        return known

    def arrived(self, sighting: Sighting) -> bool:
        """At the far end; returns whether the same message was seen there before."""
        ledger, units, leg, bit = self._ledger, self._units, sighting.leg, sighting.bit
        kin, same = self._kin(sighting)
        known = any(units.carriers[slot] & bit for _, slot in same)
        if slot := _find(same, State.SENT):
            self._measured[leg].add(sighting.at - units.at[slot], units.application[slot])
            ledger.place(slot, State.MATCHED)
            units.carriers[slot] |= bit
        elif slot := next((slot for state, slot in same if state in _COPIED and self._is_new(slot, bit)), 0):
            units.carriers[slot] |= bit
            self._books[leg].copies += 1
        elif slot := _find(same, State.LOST, State.UNVERIFIABLE, State.QUARANTINED):
            ledger.late(slot, bit)
        elif slot := _find(kin, State.QUARANTINED_UNSEEN):
            units.digest[slot] = sighting.digest
            ledger.late(slot, bit)
        else:
            self._another(sighting, bool(kin))
        return known

    def set_aside(self, leg: int, key: bytes, reason: str, now: float) -> None:
        """A bridge set a message with this key aside, seen at the origin or not yet."""
        ledger, units = self._ledger, self._units
        chain = units.chain(key)
        kin = [slot for slot in chain if units.state[slot] & 1 == leg]
        for states in ({State.SENT}, {State.LOST, State.UNVERIFIABLE}):
            for slot in kin:
                if ledger.state(slot) in states:
                    ledger.quarantine(slot, State.QUARANTINED, reason)
                    return
        if len(chain) >= _CHAIN:
            self._shorten(chain)
        slot = units.add(key, State.SET_ASIDE << 1 | leg, 0, now, 0, 0, -1, 0)
        ledger.reasons[slot] = reason
        self._make_room()

    def _kin(self, sighting: Sighting) -> tuple[list[tuple[State, int]], list[tuple[State, int]]]:
        """The units with its key on its leg, the oldest first; and those of them with its content."""
        units, leg = self._units, sighting.leg
        chain = units.chain(sighting.key)
        kin = [(self._ledger.state(slot), slot) for slot in chain if units.state[slot] & 1 == leg]
        return kin, [(state, slot) for state, slot in kin if units.digest[slot] == sighting.digest]

    def _is_new(self, slot: int, bit: int) -> bool:
        """Whether this bridge has not carried it yet, as far as that can be told."""
        return bit == OTHERS or not self._units.carriers[slot] & bit

    def _departed(self, slot: int, source: str) -> None:
        """Seen at the far end, and now at the origin."""
        units = self._units
        leg = units.state[slot] & 1
        self._measured[leg].add(self._ledger.clock.now - units.at[slot], units.application[slot])
        units.source[slot] = self._ledger.sources.number(source)
        self._ledger.place(slot, State.MATCHED)

    def _another(self, sighting: Sighting, kin: bool) -> None:
        """One more unit with a key that is known."""
        chain = self._units.chain(sighting.key)
        if len(chain) >= _CHAIN:
            self._shorten(chain)
        others = [slot for slot in chain if self._units.state[slot]]
        self.first(*sighting)
        if others and not kin:
            self._looped(sighting, others[0])

    def _looped(self, sighting: Sighting, first: int) -> None:
        ledger, leg = self._ledger, Leg(sighting.leg)
        self._books[leg].looped += 1
        seen = ledger.clock.shown(self._units.at[first])
        evidence = {"first_leg": ledger.leg(first).name.lower(), "first_seen_at": seen}
        ledger.tell_of(Kind.LOOPED, leg, sighting.key, sighting.application, ledger.clock.now, evidence)

    # Room.

    def _shorten(self, chain: list[int]) -> None:
        """The oldest that is settled is forgotten; if none is, the oldest is given up first."""
        ledger = self._ledger
        for slot in chain:
            if ledger.state(slot) not in OPEN:
                ledger.forget(slot)
                return
        self._judge.give_up(chain[0], "too many messages have this id")
        if self._units.state[chain[0]]:
            ledger.forget(chain[0])

    def _make_room(self) -> None:
        """If too many are in flight, the oldest is given up."""
        units = self._units
        queues = (0, 1, AWAITING)
        if sum(units.sizes[queue] for queue in queues) > self._most:
            heads = [units.after[queue] for queue in queues if units.sizes[queue]]
            self._judge.give_up(min(heads, key=lambda slot: units.at[slot]), "too many messages in flight")


def _find(units: list[tuple[State, int]], *states: State) -> int:
    """The oldest unit in one of these states, or 0."""
    return next((slot for state, slot in units if state in states), 0)
