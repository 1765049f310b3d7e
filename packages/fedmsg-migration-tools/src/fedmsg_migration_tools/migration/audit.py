# SPDX-License-Identifier: MIT
"""What the verification service knows that the map and the gate need: told as JSON can hold it, and understood again.

The service tells it with its snapshot, and `status` understands it there; where the service does not run, `status`
tells it to itself from the store. Pure but for what the store reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..exceptions import ToolsError
from .seen import DAY, Application, Seen, Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Audit", "Clean", "Store", "tell", "understand"]

#: The names of the legs and of the witnesses, by their numbers.
LEGS = ("zmq_to_amqp", "amqp_to_zmq")
WITNESSES = ("publishers", "zmq_topic", "amq_topic", "bridge_socket")
_COUNTS = ("hour", "day", "week")
_TIMES = ("first_seen", "last_seen")


class Clean(NamedTuple):
    """Since when nothing was wrong on a leg, in seconds since the epoch, and what was then."""

    since: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the verification service says of itself and of the bridges.

    Attributes:
        at: when it said so, in seconds since the epoch; long ago: it does not run.
        since: when its records begin.
        days: the time before ``at`` that ``blind`` is about.
        clean: leg → since when no message was lost, changed, unverifiable, looped or unwitnessed.
        blind: witness → source (an endpoint; ``""`` for all of it) → seconds in which it could not see, those in which
            the service did not run among them.
        seeing: witness → whether it sees now; empty where the service does not run.
    """

    at: float
    since: float
    days: float
    clean: Mapping[str, Clean] = field(default_factory=dict)
    blind: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seeing: Mapping[str, bool] = field(default_factory=dict)


class _Clean(Protocol):
    @property
    def since(self) -> float: ...
    @property
    def why(self) -> str: ...


class _Blind(Protocol):
    @property
    def witness(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def begin(self) -> float: ...
    @property
    def end(self) -> float | None: ...


class Store(Protocol):
    """What is needed of the verification service's store."""

    def applications(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Application → ``zmq`` and ``amqp`` → ``hour``, ``day``, ``week``, ``first_seen``, ``last_seen``."""

    def clean(self, leg: int, now: float) -> _Clean:
        """Since when nothing was wrong on a leg."""

    def blind_times(self, since: float) -> Sequence[_Blind]:
        """When witnesses could not see."""


def tell(store: Store, at: float, days: float, seeing: Mapping[str, bool] | None = None) -> dict[str, Any]:
    """The facts, for the snapshot's key ``audit``. The store reads its file: call it in a thread.

    Arguments:
        store: of the service.
        at: now; where the service does not run, when it last did. Seconds since the epoch.
        days: the time before that of which blind time is told: the setting ``migration.quiet_days``.
        seeing: witness → whether it sees now.
    """
    return {
        "at": at,
        "days": days,
        "applications": store.applications(),
        "clean": {name: {"since": it.since, "why": it.why} for name, it in _clean(store, at)},
        "blind": _seconds(store.blind_times(at - days * DAY), at - days * DAY, at),
        "seeing": dict(seeing or {}),
    }


def _clean(store: Store, now: float) -> Iterable[tuple[str, _Clean]]:
    return ((name, store.clean(number, now)) for number, name in enumerate(LEGS))


def _seconds(times: Iterable[_Blind], since: float, until: float) -> dict[str, dict[str, float]]:
    """Witness → source → for how long; what overlaps counts once."""
    found: dict[str, dict[str, float]] = {}
    reached: dict[tuple[int, str], float] = {}
    for one in sorted(times, key=lambda one: one.begin):
        where = one.witness, one.source
        begin = max(one.begin, reached.get(where, since))
        end = until if one.end is None else min(one.end, until)
        if end > begin:
            sources = found.setdefault(WITNESSES[one.witness], {})
            sources[one.source] = sources.get(one.source, 0.0) + end - begin
            reached[where] = end
    return found


def understand(told: Mapping[str, Any], now: float | None = None) -> tuple[Seen, Audit]:
    """The facts, from what :func:`tell` made.

    Arguments:
        told: it, perhaps from another version of the service.
        now: seconds since the epoch; when it was told if omitted.

    Raises ``ToolsError`` for what cannot be understood.
    """
    try:
        applications = [_application(name, sides) for name, sides in told["applications"].items()]
        clean = {name: Clean(float(it["since"]), str(it["why"])) for name, it in told["clean"].items()}
        at = float(told["at"])
        firsts = [
            one.first_seen for it in applications for one in (it.zmq, it.amqp) if one.first_seen is not None
        ]
        # What the records begin with: of two legs that had trouble, the first message of all tells.
        since = min([*firsts, *(one.since for one in clean.values())], default=at)
        blind = {
            witness: {source: float(seconds) for source, seconds in sources.items()}
            for witness, sources in told["blind"].items()
        }
        seeing = {witness: bool(sees) for witness, sees in told["seeing"].items()}
        audit = Audit(at, since, float(told["days"]), clean, blind, seeing)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ToolsError(
            f"The verification service tells its audit in a way that is not understood ({type(error).__name__}: "
            f"{error}): give it and this command the same version"
        ) from error
    return Seen.of(applications, since, at if now is None else now), audit


def _application(name: str, sides: Mapping[str, Mapping[str, Any]]) -> Application:
    return Application(name, _traffic(sides.get("zmq") or {}), _traffic(sides.get("amqp") or {}))


def _traffic(side: Mapping[str, Any]) -> Traffic:
    counts = {name: int(side.get(name) or 0) for name in _COUNTS}
    times = {name: None if side.get(name) is None else float(side[name]) for name in _TIMES}
    return Traffic(counts["hour"], counts["day"], counts["week"], times["first_seen"], times["last_seen"])
