# SPDX-License-Identifier: MIT
"""May a bridge be turned off? If not, each thing that stands in the way, in a sentence that says what to do. Pure.

What is not known stands in the way too. Where the facts come from does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .seen import DAY
from .wording import count, duration, listed, minute, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from .audit import Audit
    from .seen import Seen

__all__ = ["BRIDGES", "Facts", "Gate", "amqp_to_zmq", "judge", "listens", "zmq_to_amqp"]

ZMQ_TO_AMQP = "zmq_to_amqp"
AMQP_TO_ZMQ = "amqp_to_zmq"
BRIDGES = (ZMQ_TO_AMQP, AMQP_TO_ZMQ)

#: The witnesses of the verification service that see both ends of the bridge from ZeroMQ.
_ENDS = ("publishers", "zmq_topic")
_STALE = 300.0  # seconds: a service that has said nothing for so long does not run
_MINUTE = 60.0  # seconds; the records begin with the minute of the first message: that is said elsewhere
_WHOLE = 0.99  # of the time: an endpoint that was away for so much of it is nobody's any more
_MOST = 20  # sentences of one kind
_UNKNOWN_LISTENERS = (
    "Who listens to the bridge is not known: give it a port in [amqp_to_zmq.monitoring], and name its page by "
    "--bridge-url"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known; None for what is not.

    Attributes:
        now: seconds since the epoch.
        seen: what originated where.
        audit: of the verification service.
        subscribers: sockets that are connected to the bridge to ZeroMQ, without the verification service's.
        subscriptions: prefix → how many, likewise.
        quarantined: messages that wait in quarantine.
        topics: the prefixes of the topics that the verification service listens to.
    """

    now: float
    seen: Seen | None = None
    audit: Audit | None = None
    subscribers: int | None = None
    subscriptions: Mapping[str, int] | None = None
    quarantined: int | None = None
    topics: Collection[str] = ("",)


@dataclass(frozen=True, slots=True)
class Gate:
    """``because``: what stands in the way; the gate is open when nothing does."""

    because: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the bridge may be turned off."""
        return not self.because

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"open": self.open, "because": list(self.because)}


def judge(bridge: str, facts: Facts, *, quiet_days: float = 7.0, max_blind: float = 600.0) -> Gate:
    """The gate of one of ``BRIDGES``; the arguments are those of :func:`zmq_to_amqp`."""
    if bridge == ZMQ_TO_AMQP:
        return zmq_to_amqp(facts, quiet_days=quiet_days, max_blind=max_blind)
    if bridge == AMQP_TO_ZMQ:
        return amqp_to_zmq(facts)
    raise ValueError(f"there is no bridge {bridge}")


def zmq_to_amqp(facts: Facts, *, quiet_days: float = 7.0, max_blind: float = 600.0) -> Gate:
    """Open when nothing originated on ZeroMQ for some days, and the audit was clean all that time.

    Arguments:
        facts: what is known.
        quiet_days: how many days.
        max_blind: seconds of them in which the verification service may have been blind, or away.
    """
    return Gate(
        (
            *_quiet(facts, quiet_days),
            *_clean(facts, quiet_days),
            *_watched(facts, quiet_days, max_blind),
            *_quarantine(facts),
        )
    )


def amqp_to_zmq(facts: Facts) -> Gate:
    """Open when nobody but the verification service listens to the bridge."""
    if facts.subscribers is None:
        return Gate((_UNKNOWN_LISTENERS,))
    if not facts.subscribers:
        return Gate()
    prefixes = sorted(facts.subscriptions or {})
    to = f" to {listed([quoted(one) for one in prefixes])}" if prefixes else ""
    verb, them = ("listens", "it") if facts.subscribers == 1 else ("listen", "them")
    told = count(facts.subscribers, "subscriber")
    return Gate((f"{told} {verb} to the bridge{to}: move {them} to AMQP",))


def listens(audit: Audit | None, now: float) -> bool:
    """Whether the verification service is a subscriber of the bridge."""
    return audit is not None and now - audit.at <= _STALE and audit.seeing.get("bridge_socket", False)


def _quiet(facts: Facts, days: float) -> Iterator[str]:
    """Has nothing originated on ZeroMQ?"""
    seen = facts.seen
    if seen is None:
        yield (
            "What originates on ZeroMQ is not known: let the verification service (verify_missing) run for "
            f"{count(days, 'day')}"
        )
        return
    watched = max(0.0, facts.now - seen.since)
    if watched < days * DAY:
        yield (
            f"It has been watched for {duration(watched)} only: wait until it is {count(days, 'day')}, on "
            f"{minute(seen.since + days * DAY)} UTC"
        )
    if "" not in facts.topics:
        yield (
            "The verification service listens only to topics that begin with "
            f"{listed([quoted(one) for one in facts.topics])}: let it listen to all ([verify_missing] topics)"
        )
    since = facts.now - days * DAY
    active = sorted(one for one, it in seen.applications.items() if it.zmq.since(since))
    for name in active[:_MOST]:
        traffic = seen.applications[name].zmq
        ago = duration(facts.now - (traffic.last_seen or 0.0))
        how = f"{count(traffic.week, 'message')} in a week" if traffic.week else "not in the last week"
        moved = seen.applications[name].amqp.since(since)
        todo = "find what of it still publishes there" if moved else "move it to AMQP"
        yield f"{name} published over ZeroMQ {ago} ago ({how}): {todo}"
    if len(active) > _MOST:
        yield f"{count(len(active) - _MOST, 'more application')} published over ZeroMQ: move them to AMQP"


def _clean(facts: Facts, days: float) -> Iterator[str]:
    """Has the bridge lost nothing?"""
    if facts.audit is None:
        yield (
            "Whether the bridge loses messages is not known: the verification service (verify_missing) does not tell; "
            "start it, or name its page by --verifier-url"
        )
        return
    clean = facts.audit.clean.get(ZMQ_TO_AMQP)
    if clean is None:
        yield "Whether the bridge loses messages is not known: the verification service does not tell"
    elif clean.since > facts.now - days * DAY and clean.since > facts.audit.since + _MINUTE:
        why = f", {clean.why}" if clean.why else ""
        yield (
            f"The audit is clean for {duration(facts.now - clean.since)} only ({minute(clean.since)} UTC{why}): look "
            f"at the verdicts, and wait until nothing was lost, changed or unverifiable for {count(days, 'day')}"
        )


def _watched(facts: Facts, days: float, max_blind: float) -> Iterator[str]:
    """Was the verification service there to see?"""
    audit = facts.audit
    if audit is None:
        return
    if facts.now - audit.at > _STALE:
        yield f"The verification service has not run since {minute(audit.at)} UTC: start it"
    if audit.days < days and facts.now - audit.since > audit.days * DAY:
        yield (
            f"The verification service tells its blind time of {count(audit.days, 'day')} only: let it be configured "
            "with the same [migration] quiet_days, and start it again"
        )
    period = min(audit.days, days) * DAY
    for witness in _ENDS:
        for source, seconds in sorted(audit.blind.get(witness, {}).items()):
            if seconds <= max_blind or (source and seconds >= _WHOLE * period):
                continue
            where = f" at {source}" if source else ""
            yield (
                f"The verification service was blind to {_called(witness)}{where} for {duration(seconds)} of the last "
                f"{count(days, 'day')} ({duration(max_blind)} are allowed): see to its connection, and wait"
            )


def _called(witness: str) -> str:
    return {"publishers": "the fedmsg publishers", "zmq_topic": "zmq.topic"}[witness]


def _quarantine(facts: Facts) -> Iterator[str]:
    if facts.quarantined is None:
        yield "How many messages wait in quarantine is not known: the broker's management API does not tell"
    elif facts.quarantined:
        told = count(facts.quarantined, "message")
        yield f"{told} in quarantine: replay or drop (see fedmsg-migration-tools quarantine list)"
