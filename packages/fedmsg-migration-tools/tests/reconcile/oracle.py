# SPDX-License-Identifier: MIT
"""A bus that knows what it did: messages with faults injected, and what must be said of each of them.

What the reconciler makes of it is asserted in the tests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedmsg_migration_tools.reconcile import Kind, Leg, Reconciler, Verdict, Window, Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WINDOW = 10.0  # seconds, all the time
TURN = 0.5  # seconds between two calls of advance()
SLACK = 1.0
REMEMBER = 100.0
#: Seconds around a blind time in which it depends on the turn whether it counts.
BLURRED = TURN + SLACK + 0.1

ALARMS = (Kind.LOST, Kind.DUPLICATED, Kind.CHANGED, Kind.LATE, Kind.LOOPED)
JUDGED = (*ALARMS, Kind.UNVERIFIABLE, Kind.QUARANTINED)

_ORIGIN = (Witness.PUBLISHERS, Witness.AMQ_TOPIC)
_FAR = (Witness.ZMQ_TOPIC, Witness.BRIDGE_SOCKET)


@dataclass(frozen=True)
class Plan:
    """One message and what is done to it; ``delay`` may be negative, ``share`` (0 to 1) places what else happens."""

    fault: str
    at: float
    leg: Leg
    delay: float = 0.1
    share: float = 0.5


@dataclass
class Blind:
    """A time in which the verifier sees nothing at this witness, and when it says so."""

    witness: Witness
    begin: float
    end: float
    told: float


@dataclass
class _Event:
    at: float
    what: str  # origin, far, quarantine, loop, unborn
    key: bytes
    leg: Leg
    digest: int = 1
    carrier: str = "bridge"
    unheard: bool = False
    number: int | None = None


@dataclass
class Bus:
    """What happens, in order of time, and what must be said of it."""

    events: list[_Event] = field(default_factory=list)
    truth: dict[tuple[Leg, bytes], Counter[Kind]] = field(default_factory=lambda: defaultdict(Counter))
    touched: dict[tuple[Leg, bytes], list[float]] = field(default_factory=lambda: defaultdict(list))
    blind: list[Blind] = field(default_factory=list)
    gaps: list[tuple[Witness, float, float]] = field(default_factory=list)
    unborn: int = 0
    messages: int = 0

    def add(self, plan: Plan) -> None:
        """One more message."""
        self.messages += 1
        key = self.messages.to_bytes(16)
        FAULTS[plan.fault](self, plan, key)

    def put(self, plan: Plan, key: bytes, what: str, after: float = 0.0, **more: Any) -> None:
        leg = more.pop("leg", plan.leg)
        event = _Event(plan.at + after, what, key, leg, **more)
        self.events.append(event)
        self.touched[leg, key].append(event.at)

    def expect(self, plan: Plan, key: bytes, *kinds: Kind, leg: Leg | None = None) -> None:
        self.truth[plan.leg if leg is None else leg, key].update(kinds)

    def finish(self) -> float:
        """Let each source send before and after, number what was sent, and take out what the verifier does not see."""
        # After blind times too: who never hears anything again cannot know that it missed something.
        end = max([event.at for event in self.events] + [one.end for one in self.blind], default=0.0)
        for leg in Leg:
            for carrier in ("bridge", "other"):
                for at in (-4 * WINDOW, end + 2 * WINDOW):
                    self.messages += 1
                    plan, key = Plan("plain", at, leg), self.messages.to_bytes(16)
                    self.put(plan, key, "origin")
                    self.put(plan, key, "far", 0.1, carrier=carrier)
        self.events.sort(key=lambda event: event.at)
        self._number()
        self.events = [event for event in self.events if not self._hidden(event)]
        return end + 2 * WINDOW + 1

    def _number(self) -> None:
        born = dict[bytes, int]()
        sent: Counter[tuple[Witness, str]] = Counter()
        before: dict[tuple[Witness, str], float] = {}
        missed: dict[tuple[Witness, str], float] = {}
        for event in self.events:
            if event.what == "quarantine":
                continue
            if event.what == "far" and event.leg == Leg.ZMQ_TO_AMQP:
                event.number = born.get(event.key)
                continue
            if event.what != "far" and event.leg == Leg.AMQP_TO_ZMQ:
                continue
            who = (Witness.BRIDGE_SOCKET, event.carrier) if event.what == "far" else (Witness.PUBLISHERS, "")
            sent[who] += 1
            event.number = born[event.key] = sent[who]
            if self._hidden(event):
                missed.setdefault(who, before.get(who, event.at))
                continue
            if who in missed:
                self.gaps.append((who[0], missed.pop(who), event.at))
            before[who] = event.at

    def _hidden(self, event: _Event) -> bool:
        if event.unheard or event.what == "unborn":
            return True
        if event.what not in {"origin", "far", "loop"}:
            return False
        witness = (_FAR if event.what == "far" else _ORIGIN)[event.leg]
        return any(one.witness == witness and one.begin <= event.at <= one.end for one in self.blind)

    def in_sight(self, key: bytes) -> bool:
        """Whether neither end was blind at a time that could matter for the message."""
        legs = [one for one in Leg if (one, key) in self.touched]
        times = [at for one in legs for at in self.touched[one, key]]
        first, last = min(times) - WINDOW - BLURRED, max(times) + 2 * WINDOW + BLURRED
        ends = [ends[one] for one in legs for ends in (_ORIGIN, _FAR)]
        blind = [(one.witness, one.begin, one.end) for one in self.blind] + self.gaps
        return not any(witness in ends and begin <= last and end >= first for witness, begin, end in blind)


def _plain(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "far", plan.delay)


def _drop(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.expect(plan, key, Kind.LOST)


def _late(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "far", WINDOW + 1 + plan.share * 3 * WINDOW)
    bus.expect(plan, key, Kind.LATE)


def _late_origin(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "far")
    bus.put(plan, key, "origin", WINDOW + 1 + plan.share * 3 * WINDOW)
    bus.expect(plan, key, Kind.LATE)


def _double(bus: Bus, plan: Plan, key: bytes) -> None:
    _plain(bus, plan, key)
    bus.put(plan, key, "far", plan.delay + plan.share * 4 * WINDOW)
    bus.expect(plan, key, Kind.DUPLICATED)


def _triple(bus: Bus, plan: Plan, key: bytes) -> None:
    _double(bus, plan, key)
    bus.put(plan, key, "far", plan.delay + plan.share * 2 * WINDOW)
    bus.expect(plan, key, Kind.DUPLICATED)


def _alter(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "far", plan.delay, digest=2)
    bus.expect(plan, key, Kind.CHANGED)


def _alter_and_double(bus: Bus, plan: Plan, key: bytes) -> None:
    _plain(bus, plan, key)
    bus.put(plan, key, "far", plan.delay + plan.share * WINDOW, digest=2)
    bus.expect(plan, key, Kind.DUPLICATED)


def _late_and_altered(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "far", WINDOW + 1 + plan.share * 3 * WINDOW, digest=2)
    bus.expect(plan, key, Kind.LATE, Kind.CHANGED)


def _resend(bus: Bus, plan: Plan, key: bytes) -> None:
    """The publisher says the same twice."""
    _plain(bus, plan, key)
    again = plan.share * 3 * WINDOW
    bus.put(plan, key, "origin", again)
    bus.put(plan, key, "far", again + plan.delay)


def _resend_drop(bus: Bus, plan: Plan, key: bytes) -> None:
    _plain(bus, plan, key)
    bus.put(plan, key, "origin", abs(plan.delay) + 0.01 + plan.share * 3 * WINDOW)
    bus.expect(plan, key, Kind.LOST)


def _two_bodies(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "origin", plan.share, digest=2)
    bus.put(plan, key, "far", plan.share + plan.delay, digest=2)
    bus.put(plan, key, "far", plan.delay)


def _two_bodies_drop(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "origin", plan.share * WINDOW, digest=2)
    bus.put(plan, key, "far", plan.share * WINDOW + plan.delay, digest=2)
    bus.expect(plan, key, Kind.LOST)


def _two_bodies_alter(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "origin", plan.share, digest=2)
    bus.put(plan, key, "far", plan.delay)
    bus.put(plan, key, "far", plan.share + plan.delay, digest=3)
    bus.expect(plan, key, Kind.CHANGED)


def _two_bodies_drop_and_double(bus: Bus, plan: Plan, key: bytes) -> None:
    _two_bodies_drop(bus, plan, key)
    bus.put(plan, key, "far", plan.share * WINDOW * 2 + plan.delay, digest=2)
    bus.expect(plan, key, Kind.DUPLICATED)


def _two_bridges(bus: Bus, plan: Plan, key: bytes) -> None:
    _plain(bus, plan, key)
    bus.put(plan, key, "far", plan.share * WINDOW, carrier="other")


def _one_of_two_bridges(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "far", plan.delay, carrier="other")


def _one_of_two_bridges_alters(bus: Bus, plan: Plan, key: bytes) -> None:
    _plain(bus, plan, key)
    bus.put(plan, key, "far", plan.share * WINDOW, carrier="other", digest=2)
    bus.expect(plan, key, Kind.CHANGED)


def _one_of_two_bridges_doubles(bus: Bus, plan: Plan, key: bytes) -> None:
    _two_bridges(bus, plan, key)
    bus.put(plan, key, "far", plan.share * WINDOW * 2, carrier="other")
    bus.expect(plan, key, Kind.DUPLICATED)


def _set_aside(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "quarantine", plan.delay)
    bus.expect(plan, key, Kind.QUARANTINED)


def _set_aside_late(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "quarantine", WINDOW * (1 + plan.share * 3))
    bus.expect(plan, key, Kind.QUARANTINED)


def _set_aside_unseen(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "quarantine")
    bus.expect(plan, key, Kind.QUARANTINED)


def _set_aside_by_one_of_two(bus: Bus, plan: Plan, key: bytes) -> None:
    _one_of_two_bridges(bus, plan, key)
    bus.put(plan, key, "quarantine", max(plan.delay, 0.0) + 0.01 + plan.share * WINDOW)


def _replayed(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin")
    bus.put(plan, key, "quarantine", 0.1)
    bus.put(plan, key, "far", 0.2 + plan.share * 3 * WINDOW)
    bus.expect(plan, key, Kind.LATE)


def _loop(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "loop")


def _looped(bus: Bus, plan: Plan, key: bytes) -> None:
    _plain(bus, plan, key)
    other = Leg(1 - plan.leg)
    after = abs(plan.delay) + 0.01 + plan.share * 2 * WINDOW
    bus.put(plan, key, "origin", after, leg=other)
    bus.put(plan, key, "far", after + abs(plan.delay), leg=other)
    bus.expect(plan, key, Kind.LOOPED, leg=other)


def _unseen(bus: Bus, plan: Plan, key: bytes) -> None:
    """Nobody published it, or by a way that the verifier does not know."""
    bus.put(plan, key, "far")
    bus.expect(plan, key, Kind.UNVERIFIABLE)


def _unborn(bus: Bus, plan: Plan, key: bytes) -> None:
    """Numbered by its publisher, and seen by nobody."""
    if plan.leg == Leg.ZMQ_TO_AMQP:
        bus.put(plan, key, "unborn")
        bus.unborn += 1


def _unheard_at_origin(bus: Bus, plan: Plan, key: bytes) -> None:
    bus.put(plan, key, "origin", unheard=True)
    bus.put(plan, key, "far", abs(plan.delay))
    bus.expect(plan, key, Kind.UNVERIFIABLE)


def _unheard(bus: Bus, plan: Plan, key: bytes) -> None:
    """Lost on the way to the verifier alone."""
    if plan.leg == Leg.AMQP_TO_ZMQ:
        bus.put(plan, key, "origin")
        bus.put(plan, key, "far", plan.delay, unheard=True)
        bus.expect(plan, key, Kind.UNVERIFIABLE)
    else:
        _plain(bus, plan, key)


FAULTS: dict[str, Any] = {
    name[1:]: function
    for name, function in list(globals().items())
    if name.startswith("_") and getattr(function, "__annotations__", {}).get("plan") == "Plan"
}
#: Those after which the verifier's own blindness makes others uncertain.
HEARING = ("unborn", "unheard", "unheard_at_origin")


@dataclass
class Outcome:
    """What the reconciler said: by leg and key how often each verdict stands in the end."""

    reconciler: Reconciler
    said: dict[tuple[Leg, bytes], Counter[Kind]]
    verdicts: list[Verdict]


def play(
    bus: Bus, check: Callable[[Reconciler], None] = lambda _: None, clock: Callable[[float], float] = float
) -> Outcome:
    """Show the bus to a reconciler, turn by turn; ``check`` is called after each; ``clock`` tells its time."""
    end = bus.finish()
    reconciler = Reconciler(window=Window(lower=WINDOW, upper=WINDOW), remember=REMEMBER, slack=SLACK)
    verdicts: list[Verdict] = []
    told = sorted(bus.blind, key=lambda one: one.told)
    turn = -4 * WINDOW
    for event in bus.events:
        while event.at > turn:
            _turn(reconciler, turn, told, verdicts, clock)
            check(reconciler)
            turn += TURN
        _show(reconciler, event, clock)
    while turn < end + 5 * WINDOW or told:  # a blind time counts only once it was told
        _turn(reconciler, turn, told, verdicts, clock)
        check(reconciler)
        turn += TURN
    return Outcome(reconciler, _standing(verdicts), verdicts)


def _turn(
    reconciler: Reconciler,
    now: float,
    told: list[Blind],
    verdicts: list[Verdict],
    clock: Callable[[float], float],
) -> None:
    while told and told[0].told <= now:
        one = told.pop(0)
        reconciler.blind(one.witness, clock(one.begin), clock(one.end))
    verdicts += reconciler.advance(clock(now))
    while reconciler.behind:
        verdicts += reconciler.advance(clock(now))


def _show(reconciler: Reconciler, event: _Event, clock: Callable[[float], float]) -> None:
    at, leg = clock(event.at), event.leg
    if event.what == "origin":
        source = "publisher" if leg == Leg.ZMQ_TO_AMQP else ""
        reconciler.seen(_ORIGIN[leg], event.key, event.digest, at, "shop", source=source, i=event.number)
    elif event.what == "far":
        source = "publisher" if leg == Leg.ZMQ_TO_AMQP else ""
        reconciler.seen(
            _FAR[leg],
            event.key,
            event.digest,
            at,
            "shop",
            source=source,
            i=event.number,
            carrier=event.carrier,
        )
    elif event.what == "loop":
        source = "publisher" if leg == Leg.ZMQ_TO_AMQP else ""
        reconciler.loop(event.key, at, "shop", leg, source=source, i=event.number)
    else:
        reconciler.quarantined(leg, event.key, "signature", at)


def _standing(verdicts: Iterable[Verdict]) -> dict[tuple[Leg, bytes], Counter[Kind]]:
    said: dict[tuple[Leg, bytes], Counter[Kind]] = defaultdict(Counter)
    for verdict in verdicts:
        counts = said[verdict.leg, verdict.key]
        counts[verdict.kind] += 1
        if earlier := verdict.evidence.get("earlier"):
            counts[Kind(earlier)] -= 1
    return said


def disagreements(bus: Bus, outcome: Outcome) -> list[str]:
    """Where what was said is not what was done; nothing, if all is well.

    Outside blind time each verdict must be exactly what was injected; inside, no alarm may be raised that was not.
    """
    found = []
    for leg, key in sorted(set(bus.touched) | set(outcome.said)):
        if not any(key):
            continue
        truth, said = bus.truth[leg, key], +outcome.said[leg, key]
        if bus.in_sight(key):
            wrong = {kind for kind in JUDGED if truth[kind] != said[kind]}
        else:
            # What was late and then not heard was lost, as far as anyone can know; and what was heard late is late.
            may = truth + Counter({Kind.LOST: truth[Kind.LATE], Kind.LATE: said[Kind.LATE]})
            wrong = {kind for kind in ALARMS if said[kind] > may[kind]}
        if wrong:
            found.append(f"{leg.name} {key.hex()}: did {dict(truth)}, said {dict(said)}")
    return found
