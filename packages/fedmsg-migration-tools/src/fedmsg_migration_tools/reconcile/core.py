# SPDX-License-Identifier: MIT
"""Observations with times in, verdicts out: the verification, but for its sockets and its memory on disk. Pure.

The common case, a message that is seen at one end and then at the other, is decided here; what is out of the ordinary
is found by the chain of units with one key, and what is due is :mod:`.judge`'s.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .blindness import Blindness
from .clock import Clock
from .counters import Counters
from .judge import Judge
from .ledger import OPEN, Ledger, Review
from .model import Books, Kind, Leg, Verdict, Witness
from .names import OTHERS
from .units import AWAITING, CALLED, GIVEN_UP, SETTLED, State
from .window import BOUNDS, Delays, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Reconciler"]

_SENT, _AHEAD, _MATCHED = State.SENT << 1, State.AHEAD << 1, State.MATCHED << 1
_CHAIN = 32  # units with one key, at most: what has the same id for ever must not cost more and more
_DIGEST, _NUMBER = 2**64 - 1, 2**62
_VERDICT = 4  # steps that a judgement counts for


class Reconciler:
    """Says of each message whether it crossed its leg, or why nobody can know.

    All times are seconds on one clock, that of the calls. It should go on steadily (a wall clock read once, plus a
    monotonic one); where it is set all the same, nothing is concluded from that.

    Arguments:
        window: how long a message is waited for.
        most: messages in flight; beyond, the oldest become unverifiable.
        remember: seconds that a message is remembered after it arrived, so that copies are known for what they are;
            twice the window's upper bound if None. Missing ones are remembered for an hour at least.
        slack: seconds before a sighting from which on the far end must have been in sight.
        leap: seconds by which the time may go forward from one call to the next; what is more is a step of the clock
            or a sleep of the machine, and is not counted as time that messages had.
        books: what was counted before a restart.
    """

    def __init__(
        self,
        *,
        window: Window | None = None,
        most: int = 1_000_000,
        remember: float | None = None,
        slack: float = 1.0,
        leap: float = 300.0,
        books: Mapping[Leg, Books] | None = None,
    ) -> None:
        rule = window or Window()
        self._clock = Clock(leap)
        self._ledger = Ledger(self._clock, rule, books or {})
        self._units = self._ledger.units
        self._measured = self._ledger.measured
        self._books = self._ledger.books
        self._carriers = self._ledger.carriers
        self._applications, self._sources = self._ledger.applications.numbers, self._ledger.sources.numbers
        self._blindness = tuple(Blindness() for _ in Witness)
        self._counters = (Counters(keep=True), None, None, Counters(keep=False))
        self._judge = Judge(self._ledger, self._blindness, self._counters[0], slack)
        self._slack = slack
        self._most = most
        self._remember = 2 * rule.upper if remember is None else remember
        self._bounds = {SETTLED: max(most // 2, 1), CALLED: max(most // 8, 1), GIVEN_UP: max(most // 8, 1)}
        self._kept = {
            SETTLED: self._remember,
            CALLED: max(self._remember, 3600.0),
            GIVEN_UP: max(self._remember, 3600.0),
        }
        self._adapted = self._swept = -inf

    @property
    def books(self) -> Mapping[Leg, Books]:
        """The books of each leg; they change as messages come."""
        return dict(zip(Leg, self._books, strict=True))

    @property
    def window(self) -> float:
        """The longer of the two legs' windows now, in seconds."""
        return max(measured.seconds for measured in self._measured)

    def window_of(self, leg: Leg) -> float:
        """The leg's window now, in seconds."""
        return self._measured[leg].seconds

    def delays(self, leg: Leg) -> Delays:
        """How far apart the two sightings of the leg's messages were in the last minutes."""
        return self._measured[leg].quantiles()

    def histogram(self, leg: Leg) -> list[int]:
        """All delays since the beginning, by the buckets of :data:`.window.BOUNDS` and one beyond."""
        return self._measured[leg].counts.copy()

    def take_delays(self, leg: Leg) -> dict[str, list[int]]:
        """The delays since the last call: application → how many by the buckets of :data:`.window.BOUNDS`."""
        measured = self._measured[leg]
        fresh, measured.fresh = measured.fresh, {}
        found: dict[str, list[int]] = {}
        for (application, bucket), count in fresh.items():
            name = self._ledger.applications.name(application)
            found.setdefault(name, [0] * (len(BOUNDS) + 1))[bucket] += count
        return found

    def blind_seconds(self, witness: Witness) -> float:
        """For how long the witness was blind, for one source at least, since the beginning."""
        return self._blindness[witness].seconds(self._clock.now)

    def seeing(self, witness: Witness) -> bool:
        """Whether no source of the witness is blind now."""
        return not self._blindness[witness].open

    @property
    def behind(self) -> bool:
        """Whether :meth:`advance` has left something to do: call it again soon."""
        return self._due() is not None or bool(self._ledger.reviews)

    def seen(
        self,
        witness: Witness,
        key: bytes,
        digest: int,
        at: float,
        application: str = "",
        *,
        carrier: str = "",
        source: str = "",
        i: int | None = None,
        seq_id: int | None = None,
    ) -> None:
        """A witness saw a message.

        Arguments:
            witness: who.
            key: 16 bytes that are the same at both ends.
            digest: of the message's content in normal form, of which 64 bits count.
            at: when.
            application: whose message it is.
            carrier: at a far end, the bridge that carried it.
            source: the process that numbers its messages with ``i``: publisher or bridge.
            i: that number; at ``ZMQ_TOPIC`` the publisher's.
            seq_id: counts where there is no ``i``.
        """
        clock, units = self._clock, self._units
        now = at + clock.offset
        if 0 <= now - clock.now < clock.leap:
            clock.now = now
        else:
            now = clock.tell(at)
        leg, number = witness >> 1, i if i is not None else seq_id
        if number is None or not 0 <= number < _NUMBER:
            number = -1
        bit = 0
        if witness & 1:
            carriers = self._carriers
            bit = carriers.bits.get(carrier) or carriers.bit(carrier)
            carriers.used |= bit
        slot = units.shards[hash(key) >> 40 & 255].get(key)
        known = False
        if slot is None:
            self._first(leg, key, digest & _DIGEST, now, application, source, number, bit)
        elif (
            units.state[slot] == (_SENT if bit else _AHEAD) + leg
            and units.digest[slot] == digest
            and not units.more[slot]
        ):
            self._pair(slot, leg, now, bit)
            if not bit:
                units.source[slot] = self._ledger.sources.number(source)
        else:
            again = self._arrived if bit else self._sent
            known = again(leg, key, digest & _DIGEST, now, application, source, number, bit)
        if number >= 0 and (counters := self._counters[witness]) is not None:
            name = source or carrier
            count = counters.counts.get(name)
            if count is not None and count.highest + 1 == number:
                count.highest = number
                count.at = now
            else:
                self._count(witness, name, number, now, application, known)

    def loop(
        self,
        key: bytes,  # noqa: ARG002 - nothing is expected, so nothing is remembered
        at: float,
        application: str = "",
        leg: Leg = Leg.ZMQ_TO_AMQP,
        *,
        source: str = "",
        i: int | None = None,
        seq_id: int | None = None,
    ) -> None:
        """A message at the origin that bears a bridge's mark, so that it is not to be bridged: it is only counted.

        Arguments as those of :meth:`seen`; its number is one of its publisher's all the same.
        """
        now, books = self._clock.tell(at), self._books[leg]
        books.received += 1
        books.loops += 1
        number = i if i is not None else seq_id
        if number is not None and leg == Leg.ZMQ_TO_AMQP:
            self._count(Witness.PUBLISHERS, source, number, now, application, known=False)

    def quarantined(self, leg: Leg, key: bytes, reason: str, at: float) -> None:
        """A bridge set the message aside. Each message in the queue is to be told once."""
        now = self._clock.tell(at) if at >= self._clock.shown(self._clock.now) else self._clock.now
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

    def blind(
        self, witness: Witness, begin: float, end: float | None, source: str = "", why: str = ""
    ) -> None:
        """The witness could not see, altogether or what comes from ``source``.

        Arguments:
            witness: who.
            begin: since when.
            end: until when; None: it still cannot, until this is called again with the end.
            source: an endpoint, or a process.
            why: for the evidence.
        """
        if self._clock.now == -inf:
            self._clock.tell(begin if end is None else end)
        inside = self._clock.inside
        begin, end = inside(begin), None if end is None else inside(end)
        self._blinded(witness, begin, end, source, why)

    def advance(self, now: float, limit: int = 2000) -> list[Verdict]:
        """Judge what is due, and forget what is old.

        Arguments:
            now: the time.
            limit: steps, so that no call is long; what is left is for the next call (:attr:`behind`).

        Returns:
            The verdicts since the last call, but for ``MATCHED`` and ``LOOP``, which are only counted.
        """
        time = self._clock.tell(now)
        if time - self._adapted >= 1.0:
            self._adapt(time)
        while limit > 0:
            step = self._due()
            if step is None:
                break
            slot, final = step
            self._judge.judge(slot, final)
            limit -= _VERDICT
        limit = self._review(limit)
        self._forget(time, limit)
        return self.take()

    def take(self) -> list[Verdict]:
        """The verdicts since the last call of this or :meth:`advance`."""
        verdicts, self._ledger.verdicts = self._ledger.verdicts, []
        return verdicts

    def give_up(self, why: str, limit: int = 2000) -> list[Verdict]:
        """Judge what is in flight as unverifiable, for this is the end; until nothing is left in flight."""
        for queue in (AWAITING, 0, 1):
            while limit > 0 and (slot := self._units.after[queue]) != queue:
                self._judge.give_up(slot, why)
                limit -= _VERDICT
        return self.take()

    # The first of its key, and the common second.

    def _first(
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

    def _pair(self, slot: int, leg: int, now: float, bit: int) -> None:
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
        if units.sizes[SETTLED] > self._bounds[SETTLED]:
            self._ledger.forget(units.after[SETTLED])

    # Where units with the key are known.

    def _sent(
        self,
        leg: int,
        key: bytes,
        digest: int,
        now: float,
        application: str,
        source: str,
        number: int,
        _: int,
    ) -> bool:
        """At the origin; returns whether the same message was seen there before."""
        ledger, units = self._ledger, self._units
        chain = units.chain(key)
        kin = [(ledger.state(slot), slot) for slot in chain if units.state[slot] & 1 == leg]
        same = [(state, slot) for state, slot in kin if units.digest[slot] == digest]
        known = any(state in _AT_ORIGIN for state, _ in same)
        if slot := _find(same, State.AHEAD):
            self._departed(slot, source)
        elif slot := _find(same, State.UNSEEN):
            ledger.late(slot, 0, origin="seen late")
        elif slot := _find(kin, State.SET_ASIDE):
            units.digest[slot] = digest
            units.application[slot] = ledger.applications.number(application)
            ledger.quarantine(slot, State.QUARANTINED, ledger.reasons.pop(slot, ""))
        elif slot := _find(kin, State.QUARANTINED_UNSEEN):
            units.digest[slot] = digest
            ledger.place(slot, State.QUARANTINED)
        else:
            self._another(chain, bool(kin), leg, key, digest, now, application, source, number, 0)
        return known

    def _arrived(
        self,
        leg: int,
        key: bytes,
        digest: int,
        now: float,
        application: str,
        source: str,
        number: int,
        bit: int,
    ) -> bool:
        """At the far end; returns whether the same message was seen there before."""
        ledger, units = self._ledger, self._units
        chain = units.chain(key)
        kin = [(ledger.state(slot), slot) for slot in chain if units.state[slot] & 1 == leg]
        same = [(state, slot) for state, slot in kin if units.digest[slot] == digest]
        known = any(units.carriers[slot] & bit for _, slot in same)
        if slot := _find(same, State.SENT):
            self._measured[leg].add(now - units.at[slot], units.application[slot])
            ledger.place(slot, State.MATCHED)
            units.carriers[slot] |= bit
        elif slot := next((slot for state, slot in same if state in _COPIED and self._is_new(slot, bit)), 0):
            units.carriers[slot] |= bit
            self._books[leg].copies += 1
        elif slot := _find(same, State.LOST, State.UNVERIFIABLE, State.QUARANTINED):
            ledger.late(slot, bit)
        elif slot := _find(kin, State.QUARANTINED_UNSEEN):
            units.digest[slot] = digest
            ledger.late(slot, bit)
        else:
            self._another(chain, bool(kin), leg, key, digest, now, application, source, number, bit)
        return known

    def _is_new(self, slot: int, bit: int) -> bool:
        """Whether this bridge has not carried it yet, as far as that can be told."""
        return bit == OTHERS or not self._units.carriers[slot] & bit

    def _departed(self, slot: int, source: str) -> None:
        """Seen at the far end, and now at the origin."""
        units = self._units
        leg = units.state[slot] & 1
        self._measured[leg].add(self._clock.now - units.at[slot], units.application[slot])
        units.source[slot] = self._ledger.sources.number(source)
        self._ledger.place(slot, State.MATCHED)

    def _another(
        self,
        chain: list[int],
        kin: bool,
        leg: int,
        key: bytes,
        digest: int,
        now: float,
        application: str,
        source: str,
        number: int,
        bit: int,
    ) -> None:
        """One more unit with a key that is known."""
        if len(chain) >= _CHAIN:
            self._shorten(chain)
        others = [slot for slot in chain if self._units.state[slot]]
        self._first(leg, key, digest, now, application, source, number, bit)
        if others and not kin:
            self._looped(key, Leg(leg), application, others[0])

    def _looped(self, key: bytes, leg: Leg, application: str, first: int) -> None:
        self._books[leg].looped += 1
        seen = self._clock.shown(self._units.at[first])
        other = self._ledger.leg(first).name.lower()
        evidence = {"first_leg": other, "first_seen_at": seen}
        self._ledger.tell_of(Kind.LOOPED, leg, key, application, self._clock.now, evidence)

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

    # Time.

    def _due(self) -> tuple[int, bool] | None:
        """A unit whose time is over, and whether it has waited for others."""
        units, now = self._units, self._clock.now
        slot = units.after[AWAITING]
        if slot != AWAITING and units.changed_at[slot] + self.window <= now:
            return slot, True
        for leg in (0, 1):
            slot = units.after[leg]
            if slot != leg and units.at[slot] + self._measured[leg].seconds <= now:
                return slot, False
        return None

    def _review(self, limit: int) -> int:
        """Look again at verdicts that a blind time told since may take back."""
        units, reviews = self._units, self._ledger.reviews
        while limit > 0 and reviews:
            review = reviews[-1]
            slot = review.slot
            if slot == CALLED or units.changed_at[slot] < review.begin:
                reviews.pop()
                continue
            review.slot = units.before[slot]
            self._judge.review(slot, review.witness, review.begin, review.end)
            limit -= _VERDICT
        return limit

    def _forget(self, now: float, limit: int) -> None:
        units = self._units
        for queue, seconds in self._kept.items():
            bound = self._bounds[queue]
            while limit > 0 and (slot := units.after[queue]) != queue:
                if units.changed_at[slot] + seconds > now and units.sizes[queue] <= bound:
                    break
                self._ledger.forget(slot)
                limit -= 1

    def _adapt(self, now: float) -> None:
        self._adapted = now
        for measured in self._measured:
            measured.adapt(now)
        horizon = now - self._kept[CALLED] - 2 * self._measured[0].rule.upper - self._slack
        for blindness in self._blindness:
            blindness.forget(horizon)
        if now - self._swept >= self._remember:
            self._swept = now
            self._carriers.sweep()
        self._count_unwitnessed(now)

    # What nobody saw.

    def _count(
        self, witness: int, source: str, number: int, now: float, application: str, known: bool
    ) -> None:
        counters = self._counters[witness]
        gap = counters and counters.saw(source, number, now, application, known)
        if gap:
            why = f"{gap.missed} numbers missing"
            self._blinded(witness, gap.begin, gap.end, gap.source, why, closes=False)

    def _count_unwitnessed(self, now: float) -> None:
        leg = Leg.ZMQ_TO_AMQP
        before = now - 2 * self._measured[leg].rule.upper - self._slack
        while (gap := self._counters[0].due(before)) is not None:
            self._books[leg].unwitnessed += gap.missed
            evidence = {"count": gap.missed, "first": gap.first, "last": gap.last, "source": gap.source}
            self._ledger.tell_of(Kind.UNWITNESSED, leg, b"", gap.application, gap.begin, evidence)

    def _blinded(
        self, witness: int, begin: float, end: float | None, source: str, why: str, *, closes: bool = True
    ) -> None:
        interval = self._blindness[witness].add(begin, end, source, why, closes)
        if self._units.sizes[CALLED]:
            last = self._units.before[CALLED]
            self._ledger.reviews.append(Review(last, witness, interval.begin, interval.end))


_AT_ORIGIN = frozenset(
    {State.SENT, State.MATCHED, State.CHANGED, State.LOST, State.UNVERIFIABLE, State.QUARANTINED}
)
_COPIED = frozenset({State.MATCHED, State.CHANGED, State.AHEAD, State.UNSEEN})


def _find(units: list[tuple[State, int]], *states: State) -> int:
    """The oldest unit in one of these states, or 0."""
    return next((slot for state, slot in units if state in states), 0)
