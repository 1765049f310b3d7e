# SPDX-License-Identifier: MIT
"""Observations with times in, verdicts out: the verification, but for its sockets and its memory on disk. Pure.

Here is what comes and the time that goes by. What a sighting meets is :mod:`.meetings`', and what follows when a unit's
time is over is :mod:`.judge`'s.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .blindness import Blindness
from .clock import Clock
from .counters import Counters
from .judge import Judge
from .ledger import Ledger, Review
from .meetings import Meetings, Sighting
from .model import Books, Kind, Leg, Verdict, Witness
from .units import AWAITING, CALLED, GIVEN_UP, SETTLED, State
from .window import BOUNDS, Delays, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Reconciler"]

_SENT, _AHEAD = State.SENT << 1, State.AHEAD << 1
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
        self._blindness = tuple(Blindness() for _ in Witness)
        self._counters = (Counters(keep=True), None, None, Counters(keep=False))
        self._judge = Judge(self._ledger, self._blindness, self._counters[0], slack)
        self._slack = slack
        self._remember = 2 * rule.upper if remember is None else remember
        self._bounds = {SETTLED: max(most // 2, 1), CALLED: max(most // 8, 1), GIVEN_UP: max(most // 8, 1)}
        self._kept = {
            SETTLED: self._remember,
            CALLED: max(self._remember, 3600.0),
            GIVEN_UP: max(self._remember, 3600.0),
        }
        self._meetings = Meetings(self._ledger, self._judge, most, self._bounds[SETTLED])
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
            self._meetings.first(leg, key, digest & _DIGEST, now, application, source, number, bit)
        elif (
            units.state[slot] == (_SENT if bit else _AHEAD) + leg
            and units.digest[slot] == digest
            and not units.more[slot]
        ):
            self._meetings.pair(slot, leg, now, bit)
            if not bit:
                units.source[slot] = self._ledger.sources.number(source)
        else:
            sighting = Sighting(leg, key, digest & _DIGEST, now, application, source, number, bit)
            known = self._meetings.arrived(sighting) if bit else self._meetings.sent(sighting)
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
        self._meetings.set_aside(leg, key, reason, now)

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
