# SPDX-License-Identifier: MIT
"""From the old bus's policy and from traffic to users and topics: the least that lets all go on. Pure.

The rules, which ``docs/how-to/least-privilege.md`` tells the operator:

* A user may publish the topics that the policy gives its certificate, and those that it was seen to publish.
* What the policy refuses is not proposed, whoever was seen doing it; nor what no pattern can say exactly.
* Above ``above`` topics of one application, seen of one user, they become ``PREFIX.APPLICATION.#``; only where no other
  service publishes any of that application's, nothing was refused there, and the policy is not nitpicky.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .. import expressions, names
from .publishers import LONGEST_NAME, Proof, service_of
from .traffic import Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .oldbus import OldBus
    from .traffic import Tally, Traffic

__all__ = [
    "Account",
    "Grant",
    "Proposal",
    "Refused",
    "Rules",
    "not_exact",
    "only",
    "propose",
]

_APPLICATION = 4  # words of org.fedoraproject.prod.bodhi
_SPECIAL = frozenset("*#")


@dataclass(slots=True)
class Grant:
    """A pattern that a user may publish, and why.

    Attributes:
        pattern: as in a binding.
        seen: what was seen of it, by topic.
        listed: topics that the policy gives the user, among these.
    """

    pattern: str
    seen: dict[str, list[Tally]] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Account:
    """A user: its certificates' CNs (its name, or those of the hosts that are one service), and exchange → grants."""

    name: str
    certificates: set[str] = field(default_factory=set)
    publish: dict[str, dict[str, Grant]] = field(default_factory=dict)

    @property
    def proofs(self) -> set[Proof]:
        """Why it is believed that these messages are this user's."""
        return {
            proof
            for grants in self.publish.values()
            for grant in grants.values()
            for tallies in grant.seen.values()
            for tally in tallies
            for proof in tally.proofs
        }

    def grant(self, exchange: str, pattern: str) -> Grant:
        """The one with this pattern; made if it is not there."""
        return self.publish.setdefault(exchange, {}).setdefault(pattern, Grant(pattern))


class Refused(NamedTuple):
    """Something that was seen, or is in the policy, and is not proposed."""

    way: Way
    why: str
    tally: Tally | None = None


@dataclass(slots=True)
class Proposal:
    """What is proposed.

    Attributes:
        accounts: by name.
        refused: what is not.
        shared: (exchange, topic) → the users that may publish it, where these are several.
        unseen: what is in the policy and was not seen, where something was.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    shared: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    unseen: list[Way] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rules:
    """How to propose.

    Attributes:
        exchange: to which the policy's topics are published.
        by_service: one user for all hosts of a service, instead of one for each certificate.
        above: how many topics of one application make a ``#``; 0: never.
        signed_only: propose nothing for what nobody signed.
    """

    exchange: str
    by_service: bool = False
    above: int = 20
    signed_only: bool = False


def propose(old: OldBus, traffic: Traffic, rules: Rules) -> Proposal:
    """Who is to be allowed what."""
    return _Proposer(old, traffic, rules).run()


class _Proposer:
    def __init__(self, old: OldBus, traffic: Traffic, rules: Rules) -> None:
        self._old = old
        self._traffic = traffic
        self._rules = rules
        self._proposal = Proposal()

    def run(self) -> Proposal:
        for cn in self._old.expires:
            self._account(cn).certificates.add(cn)
        self._take_policy()
        self._take_traffic()
        self._proposal.shared = _shared(self._proposal.accounts.values())
        if self._rules.above and not self._old.nitpicky and not self._traffic.left_out:
            self._generalise()
        for account in self._proposal.accounts.values():
            for exchange, grants in account.publish.items():
                self._bound(account, exchange, grants)
        return self._proposal

    def _user(self, name: str) -> str:
        return service_of(name, self._old.services) if self._rules.by_service else name

    def _account(self, name: str) -> Account:
        user = self._user(name)
        return self._proposal.accounts.setdefault(user, Account(user))

    def _take_policy(self) -> None:
        for topic, cns in self._old.routing.items():
            for name in cns:
                way = Way(name, self._rules.exchange, topic)
                if why := not_exact(topic):
                    self._proposal.refused.append(Refused(way, why))
                    continue
                account = self._account(name)
                account.certificates.add(name)
                account.grant(way.exchange, topic).listed.add(topic)
                if self._traffic.messages and way not in self._traffic.tallies:
                    self._proposal.unseen.append(way)

    def _take_traffic(self) -> None:
        policy = self._old.policy
        for way, tally in self._traffic.tallies.items():
            why = _no_exchange(way.exchange) or not_exact(way.topic)
            if self._rules.signed_only and tally.is_claim:
                why = "nobody signed it"
            elif tally.proofs != {Proof.BROKER} and not policy.allows(way.topic, way.publisher):
                why = _by_policy(self._old.routing.get(way.topic))
            if why:
                self._proposal.refused.append(Refused(way, why, tally))
                continue
            account = self._account(way.publisher)
            if tally.proofs & {Proof.SIGNED, Proof.VERIFIED}:
                account.certificates.add(way.publisher)
            account.grant(way.exchange, way.topic).seen.setdefault(way.topic, []).append(tally)

    # one pattern for many topics

    def _generalise(self) -> None:
        owners: dict[str, set[str]] = defaultdict(set)
        for way in self._ways():
            if prefix := _prefix(way.topic):
                owners[prefix].add(service_of(way.publisher, self._old.services))
        barred = {_prefix(refused.way.topic) for refused in self._proposal.refused}
        for account in self._proposal.accounts.values():
            for exchange, grants in account.publish.items():
                for prefix, members in _by_prefix(grants.values()).items():
                    seen = sum(bool(grant.seen) for grant in members)
                    if seen > self._rules.above and len(owners[prefix]) == 1 and prefix not in barred:
                        _join(account, exchange, prefix, members)

    def _ways(self) -> Iterator[Way]:
        """All who publish, or may."""
        yield from self._traffic.tallies
        for topic, cns in self._old.routing.items():
            yield from (Way(cn, self._rules.exchange, topic) for cn in cns)

    def _bound(self, account: Account, exchange: str, grants: dict[str, Grant]) -> None:
        """The first topics that fit into one expression; RabbitMQ compiles no longer one."""
        if _size(grants) <= expressions.longest():
            return
        ends = _size(["x"]) - len("x|")
        size = ends
        for grant in sorted(grants.values(), key=_often, reverse=True):
            size += _size([grant.pattern]) - ends
            if size > expressions.longest():
                del grants[grant.pattern]
                tally = next((tallies[0] for tallies in grant.seen.values()), None)
                way = Way(account.name, exchange, grant.pattern)
                why = "its user has more topics than RabbitMQ takes in one permission"
                self._proposal.refused.append(Refused(way, why, tally))


def _size(patterns: Iterable[str]) -> int:
    return len(expressions.of_topics(patterns).encode())


def not_exact(topic: str) -> str:
    """Why no pattern allows this topic and nothing else; empty: its own text does."""
    if not topic:
        return "the topic is empty"
    if _SPECIAL & set(topic):
        return "the topic has * or # in it, which would allow others"
    return "" if topic.isprintable() else "the topic has characters in it that cannot be seen"


def _no_exchange(name: str) -> str:
    """Why no topics can be allowed there; empty: they can."""
    if not name or names.OWN_EXCHANGES.get(name, "topic") != "topic":
        return "RabbitMQ checks no topics there"
    return "" if name.isprintable() and len(name.encode()) <= LONGEST_NAME else "no exchange is called so"


def _by_policy(cns: Sequence[str] | None) -> str:
    if cns is None:
        return "routing_policy does not have it, and routing_nitpicky is on"
    return f"routing_policy lets only {', '.join(cns[:5]) or 'nobody'} publish it"


def _prefix(topic: str) -> str:
    """Up to the application; empty where there is none."""
    words = topic.split(".", _APPLICATION)[:_APPLICATION]
    return ".".join(words) if len(words) == _APPLICATION and all(words) else ""


def _by_prefix(grants: Iterable[Grant]) -> dict[str, list[Grant]]:
    """By application."""
    found: dict[str, list[Grant]] = defaultdict(list)
    for grant in grants:
        if prefix := _prefix(grant.pattern):
            found[prefix].append(grant)
    return found


def _join(account: Account, exchange: str, prefix: str, members: Iterable[Grant]) -> None:
    """One pattern for all of an application's topics, the policy's among them."""
    grants = account.publish[exchange]
    whole = Grant(f"{prefix}.#")
    for part in members:
        del grants[part.pattern]
        whole.listed |= part.listed
        whole.seen.update(part.seen)
    grants[whole.pattern] = whole


def _shared(accounts: Iterable[Account]) -> dict[tuple[str, str], list[str]]:
    users: dict[tuple[str, str], list[str]] = defaultdict(list)
    for account in accounts:
        for exchange, grants in account.publish.items():
            for pattern in grants:
                users[exchange, pattern].append(account.name)
    return {key: sorted(names) for key, names in sorted(users.items()) if len(names) > 1}


def _often(grant: Grant) -> tuple[bool, int]:
    """What the policy lists comes first, then what was seen most often."""
    return bool(grant.listed), sum(tally.count for tallies in grant.seen.values() for tally in tallies)


def only(accounts: Mapping[str, Account], publish: bool) -> list[Account]:
    """In order of their names, those that may, or may not, publish anything."""
    return [one for _, one in sorted(accounts.items()) if bool(any(one.publish.values())) is publish]
