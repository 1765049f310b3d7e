# SPDX-License-Identifier: MIT
"""A proposal as text: a part of ``bus.toml``, with the reasons as comments. Pure.

All that others wrote (names, topics, ids) is escaped: a value as TOML has it, in a comment as printable ASCII or text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...fedmsg.certificates import shown
from .proposing import only
from .wording import count, day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .oldbus import OldBus
    from .proposing import Account, Grant, Proposal, Refused
    from .traffic import Tally, Traffic, Way

__all__ = ["as_dict", "summary", "text", "toml"]

_MONTH = 30 * 86400  # seconds


def text(
    proposal: Proposal, old: OldBus, traffic: Traffic, *, vhost: str, notes: Sequence[str], now: float
) -> str:
    """The fragment.

    Arguments:
        proposal: what to write.
        old: what it was made of.
        traffic: what else it was made of.
        vhost: the virtual host that the users get their permissions in.
        notes: what could not be read, a line each.
        now: seconds since the epoch, for certificates that expire.
    """
    lines = [
        "# A part of bus.toml, proposed by: fedmsg-migration-tools broker policy. Read it before you use it.",
        *(f"# {line}" for line in summary(proposal, old, traffic)),
        *_section("Not allowed by what follows", map(_refused, proposal.refused)),
        *_section("What could not be learned", notes),
        *_section(
            "In routing_policy, allowed, and never seen", (_way(way) for way in sorted(proposal.unseen))
        ),
        *_section(
            "Topics that several users may publish",
            (f"{topic}: {', '.join(users)}" for (_, topic), users in proposal.shared.items()),
        ),
    ]
    for account in only(proposal.accounts, publish=True):
        lines += ["", *_user(account, old, now), *_grants(account, vhost)]
    idle = only(proposal.accounts, publish=False)
    if idle:
        lines += ["", "# These have a certificate, but no topic is known of them: they may do nothing."]
    for account in idle:
        lines += ["", *_user(account, old, now)]
    return "\n".join(lines) + "\n"


def summary(proposal: Proposal, old: OldBus, traffic: Traffic) -> Iterator[str]:
    """In a few lines, what it is made of, and how sure it is."""
    if old.nitpicky is not None:
        nitpicky = "on" if old.nitpicky else "off"
        yield f"routing_policy: {count(len(old.routing), 'topic')}, routing_nitpicky is {nitpicky}"
    if old.nitpicky is False and not traffic.messages:
        yield "so fedmsg let everyone publish the topics that are not listed; the broker will not: see --observe"
    if traffic.messages:
        yield f"traffic: {count(traffic.messages, 'message')}{_period(traffic.tallies.values())}"
    if traffic.left_out:
        yield f"{count(traffic.left_out, 'message')} left out, after {count(len(traffic.tallies), 'different way')}"
    users = only(proposal.accounts, publish=True)
    claims = sum(any(proof.is_claim for proof in account.proofs) for account in users)
    grants = sum(map(len, (grants for account in users for grants in account.publish.values())))
    yield f"{count(len(users), 'user')} may publish {count(grants, 'topic')}"
    if claims:
        yield f"of {count(claims, 'user')} only the messages' own word says who sent them"


def toml(value: str) -> str:
    """A text as TOML writes it, in quotes; also as a key."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _section(title: str, entries: Iterable[str]) -> Iterator[str]:
    listed = [f"#   {_line(entry)}" for entry in entries]
    if listed:
        yield from ("#", f"# {title} ({len(listed)}):", *listed)


def _refused(refused: Refused) -> str:
    why = f"{_way(refused.way)}: {refused.why}"
    return f"{why}; {_seen([refused.tally])}" if refused.tally else why


def _way(way: Way) -> str:
    return f"{shown(way.publisher)} → {shown(way.exchange)} {shown(way.topic) or '(no topic)'}"


def _user(account: Account, old: OldBus, now: float) -> Iterator[str]:
    if account.certificates - {account.name}:
        hosts = ", ".join(sorted(account.certificates))
        yield f"# One user for: {shown(hosts) if len(hosts) < 200 else f'{len(account.certificates)} hosts'}"
        yield f"# Each needs a new certificate, with the CN {shown(account.name)}."
    for name in sorted(account.certificates):
        if (problem := _expiry(old.expires.get(name), now)) is not None:
            yield f"# {shown(name)}: {problem}"
    if proofs := account.proofs:
        yield f"# {'; '.join(sorted(proofs))}"
    if not account.certificates:
        yield f"# It needs a certificate with the CN {shown(account.name)}."
    yield f"[users.{toml(account.name)}]"
    yield "certificate = true"


def _expiry(ends: float | None, now: float) -> str | None:
    if ends is None:
        return None
    if ends < now:
        return f"its certificate expired on {day(ends)}: it cannot log in before it has a new one"
    soon = ", renew it soon" if ends < now + _MONTH else ""
    return f"its certificate is valid until {day(ends)}{soon}"


def _grants(account: Account, vhost: str) -> Iterator[str]:
    yield ""
    yield f"[vhosts.{toml(vhost)}.users.{toml(account.name)}.publish]"
    for exchange, grants in sorted(account.publish.items()):
        if grants:
            yield f"{toml(exchange)} = ["
            yield from (f"    {toml(pattern)},  # {_reason(grants[pattern])}" for pattern in sorted(grants))
            yield "]"


def _reason(grant: Grant) -> str:
    reasons = []
    if len(grant.seen) > 1:
        reasons.append(f"{len(grant.seen)} topics seen")
    if grant.seen:
        reasons.append(_seen([tally for tallies in grant.seen.values() for tally in tallies]))
    if grant.listed:
        reasons.append("in routing_policy")
    return _line("; ".join(reasons))


def _seen(tallies: Sequence[Tally]) -> str:
    number = sum(tally.count for tally in tallies)
    example = next((tally.example for tally in tallies if tally.example), "")
    return f"{count(number, 'time')}{_period(tallies)}" + (f", such as {example}" if example else "")


def _period(tallies: Iterable[Tally]) -> str:
    known = [
        (tally.first, tally.last) for tally in tallies if tally.first is not None and tally.last is not None
    ]
    first, last = (
        day(min((one[0] for one in known), default=None)),
        day(max((one[1] for one in known), default=None)),
    )
    if not first or not last:
        return ""
    return f", on {first}" if first == last else f", {first} to {last}"


def _line(entry: str) -> str:
    """For a comment: one line of what can be seen."""
    return entry if entry.isprintable() else ascii(entry)


def as_dict(proposal: Proposal, notes: Sequence[str], numbers: Mapping[str, int]) -> dict[str, object]:
    """The proposal as JSON can hold it, for programs."""
    return {
        "messages": dict(numbers),
        "users": {
            account.name: {
                "certificates": sorted(account.certificates),
                "proofs": sorted(account.proofs),
                "publish": {exchange: sorted(grants) for exchange, grants in sorted(account.publish.items())},
            }
            for _, account in sorted(proposal.accounts.items())
        },
        "refused": [
            {
                **refused.way._asdict(),
                "why": refused.why,
                "count": refused.tally.count if refused.tally else 0,
            }
            for refused in proposal.refused
        ],
        "shared": [
            {"exchange": exchange, "topic": topic, "users": users}
            for (exchange, topic), users in proposal.shared.items()
        ],
        "unseen": [way._asdict() for way in proposal.unseen],
        "notes": list(notes),
    }
