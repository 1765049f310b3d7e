# SPDX-License-Identifier: MIT
"""What follows when a unit's time is over. Pure.

A unit that found nothing with its digest may be explained by another with its key on the same leg: its other half,
changed; the message of which it is a copy. Such a one is waited for, at most one window longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .ledger import EARLIER, WAITS, Ledger
from .model import FAR, ORIGIN, Kind
from .names import OTHERS
from .units import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .blindness import Blindness, Interval
    from .clock import Clock
    from .counters import Counters

__all__ = ["Judge"]

_SEEN_AT_ORIGIN = frozenset(
    {State.SENT, State.MATCHED, State.CHANGED, State.LOST, State.UNVERIFIABLE, State.QUARANTINED}
)
_ARRIVED = frozenset({State.MATCHED, State.CHANGED})


class Judge:
    """Decides about the units of a ledger.

    Arguments:
        ledger: where the decisions are entered.
        blindness: of each witness.
        numbers: the counters of the publishers.
        slack: seconds before a sighting from which on the other end must have been in sight.
    """

    def __init__(
        self, ledger: Ledger, blindness: Sequence[Blindness], numbers: Counters, slack: float
    ) -> None:
        self._ledger = ledger
        self._units = ledger.units
        self._blindness = blindness
        self._numbers = numbers
        self._slack = slack

    def judge(self, slot: int, final: bool) -> None:
        """Its time is over; with ``final`` also the time that it waited for others."""
        state = self._ledger.state(slot)
        if state == State.SENT:
            self._sent(slot, final)
        elif state == State.AHEAD:
            self._ahead(slot, final)
        else:
            self._set_aside(slot)

    def give_up(self, slot: int, why: str) -> None:
        """It cannot be waited for."""
        ledger, state = self._ledger, self._ledger.state(slot)
        if state == State.SENT:
            ledger.place(slot, State.UNVERIFIABLE)
            ledger.tell(Kind.UNVERIFIABLE, slot, {"why": why})
        elif state == State.AHEAD:
            self._unseen(slot, {"why": why})
        else:
            self._set_aside(slot)

    def review(self, slot: int, witness: int, begin: float, end: float) -> None:
        """A verdict that stands on what a witness did not see, and a blind time of it that was not known then."""
        units, ledger, state = self._units, self._ledger, self._ledger.state(slot)
        leg, last = units.state[slot] & 1, units.changed_at[slot]
        first = self._since(slot, ledger.kin(slot)) - self._slack
        if state != State.LOST:
            first -= ledger.measured[leg].seconds
        if begin > last or end < first:
            return
        if state == State.LOST:
            evidence = self._evidence(FAR[leg], first, last) if witness == FAR[leg] else {}
        elif state == State.SURPLUS:
            evidence = self._doubt_of_origin(leg, units.source[slot], first, last)
        else:
            evidence = self._doubt(leg, units.source[slot], first, last)
        if evidence:
            ledger.place(slot, State.UNSEEN if state == State.SURPLUS else State.UNVERIFIABLE)
            ledger.tell(Kind.UNVERIFIABLE, slot, {"earlier": EARLIER[state], **evidence})

    def _sent(self, slot: int, final: bool) -> None:
        units = self._units
        first = units.at[slot]
        if units.more[slot] or not self._alone(slot):
            kin = self._ledger.kin(slot)
            if self._explained(slot, kin, final):
                return
            first = self._since(slot, kin)
        self._missing(slot, first)

    def _alone(self, slot: int) -> bool:
        key = self._units.key(slot)
        return self._units.shard(key)[key] == slot

    def _since(self, slot: int, kin: list[int]) -> float:
        """When the first like it was seen: of messages that are alike, nobody knows which one arrived."""
        units = self._units
        alike = (units.at[one] for one in kin if units.digest[one] == units.digest[slot])
        return min(units.at[slot], *alike, units.at[slot])

    def _explained(self, slot: int, kin: list[int], final: bool) -> bool:
        """Whether another unit says what became of this one, or may do so soon."""
        ledger, units = self._ledger, self._units
        known = {units.digest[one] for one in kin if ledger.state(one) in _SEEN_AT_ORIGIN}
        known.add(units.digest[slot])
        partners = [one for one in kin if ledger.state(one) == State.AHEAD and units.digest[one] not in known]
        due = [one for one in partners if units.state[one] & WAITS]
        if due:
            self._changed(slot, due[0])
            return True
        if partners and not final:
            ledger.wait(slot)
            return True
        for one in kin:
            if ledger.state(one) == State.SURPLUS and units.digest[one] == units.digest[slot]:
                self._was_no_copy(slot, one)
                return True
        return False

    def _was_no_copy(self, slot: int, surplus: int) -> None:
        """What was called a copy that nobody sent is this one, seen late at its origin."""
        ledger, units = self._ledger, self._units
        bits = units.carriers[surplus]
        leg = units.state[slot] & 1
        ledger.books[leg].duplicated -= 1
        ledger.forget(surplus)
        ledger.place(slot, State.MATCHED)
        units.carriers[slot] |= bits
        ledger.books[leg].late += 1
        ledger.tell(Kind.LATE, slot, {"earlier": "duplicated"})

    def _missing(self, slot: int, since: float) -> None:
        ledger = self._ledger
        leg = self._units.state[slot] & 1
        first, last = since - self._slack, ledger.clock.now
        if self._blindness[FAR[leg]].overlaps(first, last):
            ledger.place(slot, State.UNVERIFIABLE)
            ledger.tell(Kind.UNVERIFIABLE, slot, self._evidence(FAR[leg], first, last))
        else:
            ledger.place(slot, State.LOST)
            ledger.tell(Kind.LOST, slot, {})

    def _changed(self, slot: int, partner: int) -> None:
        """A unit at the origin and one at the far end, which are the same message with other content."""
        ledger, units = self._ledger, self._units
        leg = units.state[slot] & 1
        evidence: dict[str, Any] = {
            "from": f"{units.digest[slot]:016x}",
            "to": f"{units.digest[partner]:016x}",
        }
        bits, last = units.carriers[partner], ledger.clock.now
        first = min(units.at[slot], units.at[partner]) - ledger.measured[leg].seconds - self._slack
        missed = self._doubt(leg, units.source[slot], first, last)
        ledger.absorb(partner)
        units.carriers[slot] |= bits
        if missed:
            # Two messages under one id, of each of which one end was missed, would look the same.
            if ledger.state(slot) != State.SENT:
                evidence["earlier"] = EARLIER[ledger.state(slot)]
            ledger.place(slot, State.UNVERIFIABLE)
            ledger.tell(Kind.UNVERIFIABLE, slot, {**evidence, **missed})
            return
        if ledger.state(slot) != State.SENT:
            ledger.late(slot, bits)
        ledger.place(slot, State.CHANGED)
        ledger.books[leg].changed += 1
        ledger.tell(Kind.CHANGED, slot, evidence)

    def _doubt(self, leg: int, source: int, first: float, last: float) -> dict[str, Any]:
        """The blind times of either end, where there are some."""
        if self._blindness[FAR[leg]].overlaps(first, last):
            return self._evidence(FAR[leg], first, last)
        return self._doubt_of_origin(leg, source, first, last)

    def _doubt_of_origin(self, leg: int, source: int, first: float, last: float) -> dict[str, Any]:
        if self._blindness[ORIGIN[leg]].blinded(self._ledger.sources.name(source), first, last):
            return self._evidence(ORIGIN[leg], first, last)
        return {}

    def _ahead(self, slot: int, final: bool) -> None:
        ledger, units = self._ledger, self._units
        kin = ledger.kin(slot)
        if not kin:
            self._unseen(slot, {})
            return
        origins = [one for one in kin if ledger.state(one) in _SEEN_AT_ORIGIN]
        twins = [one for one in origins if units.digest[one] == units.digest[slot]]
        if twins:
            self._copy(slot, twins[0], changed=False)
            return
        sent = [one for one in origins if ledger.state(one) == State.SENT]
        due = [one for one in sent if units.state[one] & WAITS]
        if due:
            self._changed(due[0], slot)
        elif sent and not final:
            ledger.wait(slot)
        else:
            self._differing(slot, kin, [one for one in origins if one not in sent])

    def _differing(self, slot: int, kin: list[int], origins: list[int]) -> None:
        """At the far end, with content that the origin never had under this key."""
        ledger, units = self._ledger, self._units
        for one in origins:
            if ledger.state(one) in {State.LOST, State.UNVERIFIABLE}:
                self._changed(one, slot)
                return
        matched = [one for one in origins if ledger.state(one) in _ARRIVED]
        if matched:
            self._copy(slot, matched[0], changed=True)
            return
        for one in kin:
            if ledger.state(one) in {State.SET_ASIDE, State.QUARANTINED_UNSEEN}:
                bits = units.carriers[slot]
                units.digest[one] = units.digest[slot]
                ledger.absorb(slot)
                self._replayed(one, bits)
                return
        self._unseen(slot, {})

    def _replayed(self, slot: int, bits: int) -> None:
        """It was in quarantine, and has arrived; nobody saw it at the origin."""
        if self._ledger.state(slot) == State.SET_ASIDE:
            self._ledger.quarantine(slot, State.QUARANTINED_UNSEEN, self._ledger.reasons.pop(slot, ""))
        self._ledger.late(slot, bits)

    def _copy(self, slot: int, message: int, changed: bool) -> None:
        """One more at the far end than at the origin, of a message that has arrived."""
        ledger, units = self._ledger, self._units
        leg, window = units.state[slot] & 1, ledger.measured[units.state[slot] & 1].seconds
        bits = units.carriers[slot]
        first = min(units.at[slot], units.at[message]) - window - self._slack
        if self._blindness[ORIGIN[leg]].blinded(
            ledger.sources.name(units.source[message]), first, ledger.clock.now
        ):
            self._unseen(slot, {})
            return
        evidence: dict[str, Any] = {"first_seen_at": ledger.clock.shown(units.at[message])}
        if changed:
            evidence |= {"from": f"{units.digest[message]:016x}", "to": f"{units.digest[slot]:016x}"}
        if changed and not units.carriers[message] & bits:
            # Another instance of the bridge carried the message too, and changed it.
            units.carriers[message] |= bits
            ledger.books[leg].changed += 1
            ledger.tell(Kind.CHANGED, slot, evidence)
            ledger.absorb(slot)
            return
        if bits == OTHERS:
            ledger.books[leg].copies += 1
            ledger.absorb(slot)
            return
        ledger.place(slot, State.SURPLUS)
        units.source[slot] = units.source[message]
        ledger.books[leg].duplicated += 1
        ledger.tell(Kind.DUPLICATED, slot, evidence)

    def _unseen(self, slot: int, evidence: dict[str, Any]) -> None:
        """At the far end only."""
        ledger, units = self._ledger, self._units
        leg, window = units.state[slot] & 1, ledger.measured[units.state[slot] & 1].seconds
        first, last = units.at[slot] - window - self._slack, ledger.clock.now
        if units.number[slot] >= 0 and leg == 0:
            self._numbers.elsewhere(
                ledger.sources.name(units.source[slot]),
                units.number[slot],
                ledger.applications.name(units.application[slot]),
            )
        ledger.place(slot, State.UNSEEN)
        seen = self._evidence(ORIGIN[leg], first, last)
        ledger.tell(Kind.UNVERIFIABLE, slot, {"origin": "unseen", **seen, **evidence})

    def _set_aside(self, slot: int) -> None:
        """In quarantine, and never seen at the origin."""
        ledger = self._ledger
        settled = {*_ARRIVED, State.QUARANTINED, State.QUARANTINED_UNSEEN}
        if any(ledger.state(one) in settled for one in ledger.kin(slot)):
            # Another instance carried it, or it was told twice.
            ledger.forget(slot)
            return
        ledger.quarantine(slot, State.QUARANTINED_UNSEEN, ledger.reasons.pop(slot, ""))

    def _evidence(self, witness: int, first: float, last: float) -> dict[str, Any]:
        found = self._blindness[witness].evidence(first, last)
        clock = self._ledger.clock
        return (
            {"blind": [_shown(one, clock) for one in found], "witness": witness_name(witness)}
            if found
            else {}
        )


def witness_name(witness: int) -> str:
    """As it is written in evidence."""
    return ("publishers", "zmq_topic", "amq_topic", "bridge_socket")[witness]


def _shown(interval: Interval, clock: Clock) -> dict[str, Any]:
    return {
        "begin": clock.shown(interval.begin),
        "end": None if interval.end == float("inf") else clock.shown(interval.end),
        "source": interval.source,
        "why": interval.why,
    }
