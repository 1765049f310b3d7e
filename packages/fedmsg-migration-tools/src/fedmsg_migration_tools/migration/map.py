# SPDX-License-Identifier: MIT
"""The map of the migration: each application, how much of it originates where, and who listens to it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import patterns as of
from .bindings import EXCHANGES, reach
from .seen import DAY, UNKNOWN, Application

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ..management.client import Snapshot
    from .linter import Finding
    from .seen import Seen, Traffic

__all__ = ["build", "listens"]

_TRAFFIC = ("hour", "day", "week", "first_seen", "last_seen")


def build(
    seen: Seen | None,
    broker: Snapshot | None = None,
    findings: Iterable[Finding] = (),
    *,
    subscriptions: Mapping[str, int] | None = None,
    ours: Collection[str] = (),
    quiet_days: float = 7.0,
    pair: tuple[str, str] = EXCHANGES,
) -> list[dict[str, Any]]:
    """One dictionary for each application that was seen, or that a binding names, by name.

    ``application``; ``state``, one of ``zmq``, ``both``, ``amqp`` (has moved, or was never on ZeroMQ), ``quiet``
    (nothing of late) and ``unknown`` (not seen); ``zmq`` with ``hour``, ``day``, ``week`` and ``last_seen``, ``amqp``
    with the same and ``first_seen``, None for what is not known; ``consumers``, its queues, each with the number of
    its consumers where that is known (``hotness (2)``); ``subscribers``, how many listen at the bridge over ZeroMQ, or
    None; ``warnings``, sentences.

    Arguments:
        seen: what was seen of the applications; None: nothing is known.
        broker: what is on it; None: not known.
        findings: of the linter.
        subscriptions: prefix → how many sockets subscribed to it at the bridge.
        ours: queues of the bridges and the verification service, which do not count.
        quiet_days: what was last seen on a side longer ago is not there any more.
        pair: the exchanges with what comes from ZeroMQ, and with what is published over AMQP.
    """
    queues = _queues(broker, ours, pair)
    warnings: dict[str, list[str]] = {}
    for finding in findings:
        for name in finding.applications:
            warnings.setdefault(name, []).append(finding.text)
    known = dict(seen.applications) if seen is not None else {}
    named = {of.application(one) for patterns in queues.values() for one in patterns}
    rows = []
    for name in sorted({*known, *filter(None, named)}):
        one = known.get(name, Application(name))
        rows.append(
            {
                "application": name,
                "state": _state(one, seen, quiet_days) if name in known else "unknown",
                "zmq": _traffic(one.zmq, seen),
                "amqp": _traffic(one.amqp, seen),
                "consumers": _consumers(name, queues),
                "subscribers": _subscribers(name, subscriptions),
                "warnings": warnings.get(name, []),
            }
        )
    return rows


def _queues(broker: Snapshot | None, ours: Collection[str], pair: tuple[str, str]) -> dict[str, list[str]]:
    """What a queue is called on the map → its patterns on both exchanges."""
    if broker is None:
        return {}
    consumers, exclusive = broker.consumers_of(), broker.exclusive()
    called = {}
    for queue in broker.queues:
        name = queue["name"]
        called[name] = f"{exclusive.get(name, name)} ({len(consumers.get(name, ()))})"
    found: dict[str, list[str]] = {}
    for name, exchanges in reach(broker.bindings, broker.exchanges, pair).items():
        if name not in ours:
            for patterns in exchanges.values():
                found.setdefault(called.get(name, name), []).extend(patterns)
    return found


def _consumers(name: str, queues: Mapping[str, Sequence[str]]) -> list[str]:
    if name == UNKNOWN:
        return []
    wanted = of.of_application(name)
    return sorted(
        queue for queue, patterns in queues.items() if any(of.intersect(one, wanted) for one in patterns)
    )


def _subscribers(name: str, subscriptions: Mapping[str, int] | None) -> int | None:
    if subscriptions is None:
        return None
    return sum(count for prefix, count in subscriptions.items() if listens(prefix, name))


def listens(prefix: str, name: str) -> bool:
    """Whether a subscription by this prefix, compared byte by byte, can get topics of the application."""
    parts = prefix.split(".")
    if len(parts) <= of.APPLICATION:
        return True
    if len(parts) == of.APPLICATION + 1:
        return name.startswith(parts[of.APPLICATION])
    return parts[of.APPLICATION] == name


def _state(one: Application, seen: Seen | None, quiet_days: float) -> str:
    if seen is None:
        return "unknown"
    since = seen.now - quiet_days * DAY
    zmq, amqp = one.zmq.since(since), one.amqp.since(since)
    if zmq:
        return "both" if amqp else "zmq"
    return "amqp" if amqp else "quiet"


def _traffic(traffic: Traffic, seen: Seen | None) -> dict[str, Any]:
    return dict.fromkeys(_TRAFFIC) if seen is None else {name: getattr(traffic, name) for name in _TRAFFIC}
