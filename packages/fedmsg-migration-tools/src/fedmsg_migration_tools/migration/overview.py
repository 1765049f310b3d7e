# SPDX-License-Identifier: MIT
"""Map, findings and gates from all that is known, for `status` and for the page alike. Pure.

Each source may be missing: then less is found, and the gates say what could not be known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import gate, linter
from . import map as migration_map
from .bindings import EXCHANGES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..management.client import Snapshot
    from .audit import Audit
    from .gate import Gate
    from .linter import Finding
    from .seen import Seen

__all__ = ["Overview", "draw", "our_queues"]

#: How the connections of the bridges and of the verification service begin to name themselves.
_OUR_APPS = ("zmq_to_amqp", "amqp_to_zmq", "verify_missing")


@dataclass(frozen=True, slots=True)
class Overview:
    """What is shown.

    Attributes:
        map: rows, as :func:`.map.build` makes them.
        findings: of the linter.
        gates: bridge → whether it may be turned off.
    """

    map: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Finding] = ()
    gates: Mapping[str, Gate] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``map``, ``findings`` and ``gate``."""
        return {
            "map": list(self.map),
            "findings": [one.as_dict() for one in self.findings],
            "gate": {name: one.as_dict() for name, one in self.gates.items()},
        }


def draw(
    now: float,
    *,
    seen: Seen | None = None,
    audit: Audit | None = None,
    broker: Snapshot | None = None,
    bridge: tuple[int, Mapping[str, int]] | None = None,
    ours: Collection[str] = (),
    quarantine: str = "zmq.quarantine",
    quiet_days: float = 7.0,
    max_blind: float = 600.0,
    exchanges: tuple[str, str] = EXCHANGES,
    topics: Collection[str] = ("",),
) -> Overview:
    """The whole picture.

    Arguments:
        now: seconds since the epoch.
        seen: what originated where, as the verification service knows it.
        audit: what that says of itself and of the bridges.
        broker: as the management API tells it.
        bridge: sockets that are connected to the bridge to ZeroMQ, and prefix → subscriptions.
        ours: queues that are ours by their names.
        quarantine: the name of that queue.
        quiet_days: the setting of ``[migration]``.
        max_blind: likewise.
        exchanges: what the bridge from ZeroMQ writes to, and what the other one reads.
        topics: the prefixes that the verification service itself subscribes to.
    """
    own = {*ours, quarantine, *(our_queues(broker) if broker is not None else ())}
    findings = [] if broker is None else _lint(broker, seen, own, quiet_days, exchanges)
    subscribers, subscriptions = bridge if bridge is not None else (None, None)
    if bridge is not None and gate.listens(audit, now):
        subscribers, subscriptions = _without_ours(*bridge, topics)
    facts = gate.Facts(now, seen, audit, subscribers, subscriptions, _waiting(broker, quarantine), topics)
    return Overview(
        migration_map.build(
            seen,
            broker,
            findings,
            subscriptions=subscriptions,
            ours=own,
            quiet_days=quiet_days,
            pair=exchanges,
        ),
        findings,
        {name: gate.judge(name, facts, quiet_days=quiet_days, max_blind=max_blind) for name in gate.BRIDGES},
    )


def _without_ours(
    subscribers: int, subscriptions: Mapping[str, int], topics: Collection[str]
) -> tuple[int, Mapping[str, int]]:
    """Without the verification service, if it is there: it may listen to another bridge than the one that was asked."""
    if not all(subscriptions.get(topic) for topic in topics):
        return subscribers, subscriptions
    left = {prefix: count - (prefix in topics) for prefix, count in subscriptions.items()}
    return max(0, subscribers - 1), {prefix: count for prefix, count in left.items() if count > 0}


def our_queues(broker: Snapshot) -> set[str]:
    """Exclusive queues of the bridges and of the verification service, by their consumers' names."""
    return {name for name, app in broker.exclusive().items() if app.startswith(_OUR_APPS)}


def _lint(
    broker: Snapshot, seen: Seen | None, own: Collection[str], quiet_days: float, pair: tuple[str, str]
) -> list[Finding]:
    counts = {name: len(them) for name, them in broker.consumers_of().items()}
    return linter.lint(
        broker.queues,
        broker.bindings,
        exchanges=broker.exchanges,
        consumers=counts,
        seen=seen,
        ours=own,
        quiet_days=quiet_days,
        pair=pair,
    )


def _waiting(broker: Snapshot | None, quarantine: str) -> int | None:
    """Messages in quarantine; a queue that is not there has none."""
    if broker is None:
        return None
    for queue in broker.queues:
        if queue["name"] == quarantine:
            count = queue.get("messages")
            return None if count is None else int(count)
    return 0
