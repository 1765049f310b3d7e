# SPDX-License-Identifier: MIT
"""What the verifier shows of itself to Prometheus: its verdicts, books, delays and blind time. Pure.

The books can fall, for a late match takes a verdict back; a counter must not. So verdicts are counted as they fall,
and what was taken back is counted as ``late``; the books themselves are gauges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..figures import LATENCIES, Counter, Gauge, Histogram
from ..reconcile.model import Leg, Witness
from ..reconcile.window import BOUNDS
from .counted import coarser
from .kept import LEGS, WITNESSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..figures import Metric
    from ..reconcile.core import Reconciler
    from ..reconcile.model import Books, Verdict
    from .store import Store

__all__ = ["Seeing", "Standing", "VerifierFigures"]

#: Kinds that are counted as their verdicts fall; the others never fall in the books.
_FALLING = ("lost", "unverifiable")
_RISING = {
    "received": "received",
    "matched": "matched",
    "quarantined": "quarantined",
    "loops": "loop",
    "late": "late",
    "duplicated": "duplicated",
    "changed": "changed",
    "looped": "looped",
    "unwitnessed": "unwitnessed",
}
_ENTRIES = ("in", "matched", "lost", "unverifiable", "quarantined", "loops", "in_flight")


@dataclass(frozen=True, slots=True)
class Seeing:
    """How it stands with a witness."""

    seeing: bool
    blind_seconds: float  # since the start


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand.

    Arguments:
        books: by leg.
        window: how long a message is waited for, in seconds.
        witnesses: by their numbers.
        delays: by leg, how many there were since the start, by interval of ``reconcile.window.BOUNDS``.
        clean_days: by leg, as :meth:`.store.Store.clean_days` says; empty until that was asked.
        kept: verdicts that wait for the disk, and verdicts and counts that were given up; None without a store.
        failing: whether the store cannot be written.
    """

    books: Mapping[int, Books]
    window: float
    witnesses: Mapping[int, Seeing]
    delays: Mapping[int, Sequence[int]] = field(default_factory=dict)
    clean_days: Mapping[int, float] = field(default_factory=dict)
    kept: tuple[int, int] | None = None
    failing: bool = False

    @classmethod
    def of(cls, reconciler: Reconciler, store: Store | None, clean_days: Mapping[int, float]) -> Standing:
        """As the two of them say now."""
        return cls(
            books={int(leg): books for leg, books in reconciler.books.items()},
            window=reconciler.window,
            witnesses={
                witness: Seeing(reconciler.seeing(witness), reconciler.blind_seconds(witness))
                for witness in Witness
            },
            delays={leg: reconciler.histogram(leg) for leg in Leg},
            clean_days=clean_days,
            kept=None if store is None else (store.waiting, store.failed),
            failing=store is not None and store.failing is not None,
        )


class VerifierFigures:
    """Counters, gauges and histograms. To be told on one thread; asked from any.

    Arguments:
        beside: tells what else is to be shown, such as the outcomes of repair.
    """

    def __init__(self, beside: Callable[[], Iterable[Metric]] = tuple) -> None:
        self.reason: str | None = "it has not begun"  # why it is not ready
        self._beside = beside
        self._standing: Standing | None = None
        self._books: dict[tuple[int, str], int] = {}
        self._messages = Counter(
            "verify_messages", "Messages by what became of them; a verdict that is taken back stays counted.",
            ("leg", "kind"),
        )  # fmt: skip
        for leg in LEGS:  # else an increase from nothing to one is none for Prometheus
            for kind in (*_FALLING, *_RISING.values()):
                self._messages.add(0, leg, kind)
        self._blind = Counter("verify_blind_seconds", "For how long a witness could not see.", ("witness",))
        self._delays = [
            Histogram(
                f"verify_{leg}_delay_seconds", "From a message's first sighting to that at the far end."
            )
            for leg in LEGS
        ]

    def judged(self, verdicts: Iterable[Verdict]) -> None:
        """Verdicts have fallen."""
        for verdict in verdicts:
            if verdict.kind in _FALLING:
                self._messages.add(1, LEGS[verdict.leg], str(verdict.kind))

    def stands(self, standing: Standing) -> None:
        """How things stand now; to be told about once a second."""
        self.reason = None
        self._standing = standing
        for leg, books in standing.books.items():
            for name, kind in _RISING.items():
                self._rise(leg, kind, getattr(books, name))
        for witness, state in standing.witnesses.items():
            self._blind.values[(WITNESSES[witness],)] = state.blind_seconds
        for leg, counts in standing.delays.items():
            self._delays[leg].counts = coarser(counts, BOUNDS)
            self._delays[leg].sum = _sum(counts)

    def _rise(self, leg: int, kind: str, now: int) -> None:
        before = self._books.get((leg, kind), 0)
        if now > before:
            self._messages.add(now - before, LEGS[leg], kind)
        self._books[leg, kind] = now

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether it verifies; what cannot be seen at the moment is told beside it."""
        standing = self._standing
        blind = (
            []
            if standing is None
            else [WITNESSES[number] for number, state in standing.witnesses.items() if not state.seeing]
        )
        said: dict[str, Any] = {"blind": blind}
        return (self.reason is None, said if self.reason is None else {**said, "reason": self.reason})

    def metrics(self) -> Iterable[Metric]:
        """All of them, once it stands: zeros before the books of a restart would look like an increase afterwards."""
        if self._standing is None:
            return list(self._beside())
        return [self._messages, self._blind, *self._delays, *self._gauges(), *self._beside()]

    def _gauges(self) -> Iterator[Metric]:
        standing = self._standing
        if standing is None:
            return
        books = {LEGS[leg]: one for leg, one in standing.books.items()}
        figures = {leg: one.as_dict() for leg, one in books.items()}
        yield Gauge(
            "verify_books",
            "The books: in = matched + lost + unverifiable + quarantined + loops + in_flight.",
            ("leg", "entry"),
            {(leg, entry): float(one[entry]) for leg, one in figures.items() for entry in _ENTRIES},
        )
        yield _by_leg("verify_books_balanced", "0 when the books do not balance, which is an error of the program.",
                      {leg: float(one.balanced) for leg, one in books.items()})  # fmt: skip
        yield _by_leg("verify_in_flight", "Messages seen at the origin and not judged yet.",
                      {leg: float(one.in_flight) for leg, one in books.items()})  # fmt: skip
        yield Gauge.of("verify_window_seconds", "How long a message is waited for.", standing.window)
        yield Gauge(
            "verify_witness_seeing",
            "1 while the witness sees all that it should.",
            ("witness",),
            {(WITNESSES[number],): float(state.seeing) for number, state in standing.witnesses.items()},
        )
        if standing.clean_days:
            yield _by_leg("verify_clean_seconds", "For how long no message was lost, changed, unverifiable or looped.",
                          {LEGS[leg]: days * 86_400 for leg, days in standing.clean_days.items()})  # fmt: skip
        if standing.kept is not None:
            waiting, given_up = standing.kept
            yield Gauge.of(
                "verify_store_failing", "1 while verdicts cannot be written.", float(standing.failing)
            )
            yield Gauge.of(
                "verify_store_waiting", "Verdicts in memory that wait for the disk.", float(waiting)
            )
            yield Counter(
                "verify_store_given_up",
                "Verdicts and counts that the disk never took.",
                (),
                {(): float(given_up)},
            )


def _by_leg(name: str, about: str, values: Mapping[str, float]) -> Gauge:
    return Gauge(name, about, ("leg",), {(leg,): value for leg, value in values.items()})


def _sum(counts: Sequence[int]) -> float:
    """Of the delays, each taken for the upper bound of its interval."""
    return sum(count * bound for count, bound in zip(counts, (*BOUNDS, LATENCIES[-1]), strict=True))
