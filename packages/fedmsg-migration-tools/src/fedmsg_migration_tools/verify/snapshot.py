# SPDX-License-Identifier: MIT
"""What goes on now, as the page, the report and ``status`` show it. Pure: whatever it needs, it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..reconcile.model import Leg, Witness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..reconcile.model import Books

__all__ = ["WITNESSES", "Rates", "leg"]

#: The witnesses by the names that the page knows.
WITNESSES: Mapping[str, Witness] = {
    "publishers": Witness.PUBLISHERS,
    "zmq_topic": Witness.ZMQ_TOPIC,
    "amq_topic": Witness.AMQ_TOPIC,
    "bridge_socket": Witness.BRIDGE_SOCKET,
}

_BALANCE = ("in", "matched", "lost", "unverifiable", "quarantined", "loops", "in_flight")
_BESIDE = ("late", "duplicated", "changed", "looped", "unwitnessed")
_SPAN = 5.0  # seconds that a rate is the mean of


class Rates:
    """Messages a second, from counters that only grow."""

    def __init__(self) -> None:
        self._before: list[tuple[float, Mapping[Witness, int]]] = []

    def note(self, now: float, heard: Mapping[Witness, int]) -> None:
        """The counters as they are now."""
        self._before.append((now, dict(heard)))
        while len(self._before) > 1 and self._before[1][0] <= now - _SPAN:
            self._before.pop(0)

    def of(self, witness: Witness) -> float:
        """Over the last seconds."""
        if len(self._before) < 2:
            return 0.0
        (began, first), (ended, last) = self._before[0], self._before[-1]
        return (last[witness] - first[witness]) / max(0.001, ended - began)


def leg(
    which: Leg, books: Books, delays: Any, rates: tuple[float, float], blind: list[str]
) -> dict[str, Any]:
    """One leg.

    Arguments:
        which: the leg.
        books: its books.
        delays: with ``p50`` and ``p99``, in seconds.
        rates: messages a second at the origin and at the far end.
        blind: the ends that cannot be seen now, by name.
    """
    figures = books.as_dict()
    health, why = _health(books, blind)
    return {
        "name": which.name.lower(),
        "books": {name: figures[name] for name in _BALANCE},
        **{name: figures[name] for name in _BESIDE},
        "rate_in": rates[0],
        "rate_out": rates[1],
        "delay": {"p50": delays.p50, "p99": delays.p99},
        "health": health,
        "why": why,
    }


def _health(books: Books, blind: list[str]) -> tuple[str, str]:
    if not books.balanced:
        return "bad", "The books do not balance: this program is wrong; please report it."
    if blind:
        return "blind", f"Cannot see {' and '.join(blind)} now: what passes meanwhile cannot be verified."
    if books.lost or books.changed or books.looped:
        return "bad", f"{books.lost} lost, {books.changed} changed, {books.looped} came round."
    if books.unverifiable or books.duplicated or books.unwitnessed:
        return "warn", (
            f"{books.unverifiable} unverifiable, {books.duplicated} doubled, {books.unwitnessed} that nobody saw."
        )
    return "good", "All that was seen has arrived."
