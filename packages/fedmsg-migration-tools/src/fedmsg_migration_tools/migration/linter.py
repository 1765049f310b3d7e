# SPDX-License-Identifier: MIT
"""Which bindings will hurt while a bus is moved, and which queues nobody reads. Pure.

The input is what RabbitMQ's management API says of one virtual host, as plain dictionaries, and, where the
verification service has run, what was seen of each application. Asking for it does not belong here.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fedora_messaging.topics import Bindings, matches

from . import patterns as of
from .bindings import EXCHANGES, reach
from .seen import DAY, UNKNOWN
from .wording import day, listed, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from .bindings import Reach
    from .seen import Seen

__all__ = ["Finding", "Kind", "lint"]


class Kind(StrEnum):
    """What is wrong."""

    ONE_EXCHANGE = "one exchange"  # silent on the day that the publisher moves, or until then
    ZEROMQ_STYLE = "ZeroMQ style"  # a prefix, as one subscribes in ZeroMQ
    WILDCARD_IN_WORD = "wildcard in a word"
    NEVER_MATCHES = "never matches"
    SHADOWED = "shadowed"  # another pattern of the queue does it already
    NO_CONSUMER = "no consumer"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend.

    Attributes:
        kind: what it is.
        queue: where.
        text: one sentence that says what to do.
        exchange, pattern: the binding; empty where it is not about one.
        applications: those it concerns, as far as they are known.
    """

    kind: Kind
    queue: str
    text: str
    exchange: str = ""
    pattern: str = ""
    applications: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": str(self.kind),
            "queue": self.queue,
            "text": self.text,
            "exchange": self.exchange,
            "pattern": self.pattern,
            "applications": list(self.applications),
        }


def lint(
    queues: Iterable[Mapping[str, Any]],
    bindings: Iterable[Mapping[str, Any]],
    *,
    exchanges: Iterable[Mapping[str, Any]] = (),
    consumers: Mapping[str, int] | None = None,
    seen: Seen | None = None,
    ours: Collection[str] = (),
    quiet_days: float = 7.0,
    pair: tuple[str, str] = EXCHANGES,
) -> list[Finding]:
    """What is wrong, the worst kind first, then by queue.

    Arguments:
        queues: with ``name``, and where known ``consumers``, ``messages`` and ``messages_details``.
        bindings: with ``source``, ``destination``, ``destination_type`` and ``routing_key``.
        exchanges: with ``name`` and ``type``.
        consumers: how many each queue has, where that is better known than ``queues`` says.
        seen: of the applications; None: nothing is known, and less is found.
        ours: queues of the bridges and of the verification service, which are as they are on purpose.
        quiet_days: an application that published nothing over ZeroMQ for so long, but over AMQP, has moved. So long,
            too, must have been watched before a pattern is said to match nothing.
        pair: the exchanges with what comes from ZeroMQ, and with what is published over AMQP.
    """
    reached = {
        queue: found
        for queue, found in reach(bindings, exchanges, pair).items()
        if queue and queue not in ours
    }
    look = _Look(seen, quiet_days, pair)
    findings = [*_bindings(reached, look)]
    for queue in queues:
        if queue["name"] not in ours:
            findings += _unread(queue, consumers)
    order = list(Kind)
    return sorted(findings, key=lambda one: (order.index(one.kind), one.queue, one.exchange, one.pattern))


def _bindings(reached: Reach, look: _Look) -> Iterator[Finding]:
    for queue, exchanges in reached.items():
        for exchange, patterns in exchanges.items():
            rest = []
            for pattern in patterns:
                mistaken = _mistaken(queue, exchange, pattern, look)
                if mistaken:
                    yield mistaken
                else:
                    rest.append(pattern)
            yield from _shadowed(queue, exchange, rest)
            yield from _unmatched(queue, exchange, rest, look)
            other = exchanges.get(look.other(exchange), [])
            for pattern in rest:
                yield from _one_sided(queue, exchange, pattern, other, look)


class _Look:
    """What was seen, as the rules ask for it."""

    def __init__(self, seen: Seen | None, quiet_days: float, pair: tuple[str, str]) -> None:
        self.zmq, self.amqp = pair
        self.seen = seen
        self.quiet_days = quiet_days
        self.moved: frozenset[str] = frozenset()
        self.applications: tuple[str, ...] = ()
        self._topics: tuple[str, ...] = ()
        self._of_pattern: dict[str, tuple[str, ...]] = {}
        if seen is not None:
            since = seen.now - quiet_days * DAY
            self.moved = frozenset(name for name, one in seen.applications.items() if one.moved(since))
            self.applications = tuple(sorted(seen.applications))
            self._topics = tuple(sorted(seen.topics or ()))

    def other(self, exchange: str) -> str:
        """The other one of the two."""
        return self.amqp if exchange == self.zmq else self.zmq

    @property
    def long_enough(self) -> bool:
        """Whether it was watched for long enough to say that something does not occur."""
        return self.seen is not None and self.seen.days >= self.quiet_days

    def of_pattern(self, pattern: str) -> tuple[str, ...]:
        """The known applications that a pattern may be about."""
        found = self._of_pattern.get(pattern)
        if found is None:
            named = (name for name in self.applications if name != UNKNOWN)
            found = tuple(name for name in named if of.intersect(pattern, of.of_application(name)))
            self._of_pattern[pattern] = found
        return found

    def same(self, pattern: str, name: str, other: Collection[str]) -> bool:
        """Whether the patterns ``other`` take all that ``pattern`` takes of an application, as far as is known."""
        part = of.within(pattern, name)
        if part is not None and of.covers(other, part):
            return True
        topics = [
            topic for topic in self._topics if of.application(topic) == name and matches(pattern, topic)
        ]
        return bool(topics) and all(any(matches(one, topic) for one in other) for topic in topics)

    def may_match(self, patterns: Collection[str]) -> set[str]:
        """Of the patterns, those that have matched something, or may have: only applications may be known."""
        if self.seen is None:
            return set(patterns)
        if self.seen.topics is None:
            short = UNKNOWN in self.applications
            return {one for one in patterns if self.of_pattern(one) or (short and _may_be_short(one))}
        tree: Bindings[str] = Bindings()
        for pattern in patterns:
            tree.add(pattern, pattern)
        return {found for topic in self._topics for found in tree.match(topic)}

    def is_prefix(self, pattern: str) -> bool:
        """Whether a topic that was seen begins with the text of the pattern, and none is the text."""
        at = bisect_left(self._topics, pattern)
        return at < len(self._topics) and self._topics[at].startswith(pattern) and self._topics[at] != pattern


def _may_be_short(pattern: str) -> bool:
    """Whether a topic of fewer than four words may match."""
    return any(of.intersect(pattern, ".".join([of.ONE] * count)) for count in range(of.APPLICATION + 1))


# the rules


def _mistaken(queue: str, exchange: str, pattern: str, look: _Look) -> Finding | None:
    """A pattern that does not mean what its writer meant."""
    parts = of.words(pattern)
    odd = next((word for word in parts if len(word) > 1 and re.search(r"[*#]", word)), None)
    if odd is not None:
        return Finding(
            Kind.WILDCARD_IN_WORD,
            queue,
            f"{queue} is bound to {exchange} with {quoted(pattern)}, where {quoted(odd)} means these very "
            "characters: give * or # as words of their own",
            exchange,
            pattern,
        )
    if of.ANY in parts:
        return None
    if not parts or not parts[-1] or len(parts) <= of.APPLICATION + 1 or look.is_prefix(pattern):
        meant = f"{pattern.rstrip('.')}.#" if pattern.strip(".") else of.ANY
        return Finding(
            Kind.ZEROMQ_STYLE,
            queue,
            f"{queue} is bound to {exchange} with {quoted(pattern)}, which matches that topic and nothing below it, "
            f"unlike a subscription in ZeroMQ: bind it with {quoted(meant)}",
            exchange,
            pattern,
            _applications(meant, look),
        )
    return None


def _shadowed(queue: str, exchange: str, patterns: list[str]) -> Iterator[Finding]:
    """Of patterns that mean the same, the first is kept."""
    tree: Bindings[str] = Bindings()
    for pattern in patterns:
        tree.add(pattern, pattern)
    left = dict.fromkeys(patterns)
    for pattern in reversed(patterns):
        # One topic of the pattern sorts out nearly all of many; what covers the pattern must match it too.
        if len(tree.match(of.topic(pattern))) == 1:
            continue
        others = [one for one in left if one != pattern]
        if of.covers(others, pattern):
            tree.remove(pattern, pattern)
            del left[pattern]
            which = next((one for one in others if of.covers([one], pattern)), None)
            by = "its other patterns together let" if which is None else f"{quoted(which)} lets"
            yield Finding(
                Kind.SHADOWED,
                queue,
                f"{queue} needs no binding to {exchange} with {quoted(pattern)}: {by} all of that through; unbind it",
                exchange,
                pattern,
            )


def _unmatched(queue: str, exchange: str, patterns: list[str], look: _Look) -> Iterator[Finding]:
    if look.seen is None or not look.long_enough:
        return
    matching = look.may_match(patterns)
    for pattern in patterns:
        if pattern not in matching:
            yield Finding(
                Kind.NEVER_MATCHES,
                queue,
                f"{queue} is bound to {exchange} with {quoted(pattern)}, which matched nothing in the "
                f"{look.seen.days:.0f} days that were watched: correct it, or unbind it",
                exchange,
                pattern,
                _applications(pattern, look),
            )


def _one_sided(
    queue: str, exchange: str, pattern: str, other: Collection[str], look: _Look
) -> Iterator[Finding]:
    """What a queue takes from one exchange, and not from the other."""
    if of.covers(other, pattern):
        return
    names = [name for name in look.of_pattern(pattern) if not look.same(pattern, name, other)]
    if not names and look.of_pattern(pattern):
        return  # of each known application it gets the same from both
    if exchange == look.amqp:
        names, moved = [name for name in names if name not in look.moved], names
        if moved and not names:
            return  # right: they have moved
    named = names or _applications(pattern, look)
    yield Finding(
        Kind.ONE_EXCHANGE,
        queue,
        f"{queue} takes {listed(named) or quoted(pattern)} from {exchange} only{_consequence(exchange, names, look)}: "
        f"bind it to {look.other(exchange)} with {quoted(pattern)} too",
        exchange,
        pattern,
        tuple(named),
    )


def _consequence(exchange: str, names: Collection[str], look: _Look) -> str:
    if exchange == look.amqp:
        return ", so what is published over ZeroMQ does not get there"
    if look.seen is not None:
        first = {name: look.seen.applications[name].amqp.first_seen for name in names}
        there = {name: moment for name, moment in first.items() if moment is not None}
        if there:
            since = day(min(there.values()))
            return f", but {listed(there)} publishes over AMQP since {since}, which does not get there"
    return " and goes silent on the day that its publisher moves"


def _unread(queue: Mapping[str, Any], consumers: Mapping[str, int] | None) -> Iterator[Finding]:
    name = queue["name"]
    count = queue.get("consumers") if consumers is None else consumers.get(name, 0)
    if count != 0:  # None: the broker keeps no statistics, or has not counted yet
        return
    messages = queue.get("messages") or 0
    rate = (queue.get("messages_details") or {}).get("rate") or 0
    if rate > 0:
        said = f"has no consumer and grows by {rate:.3g} messages a second ({messages} wait)"
        todo = "start its consumer, or delete the queue before it fills the broker"
    elif messages:
        said = f"has no consumer, and {messages} messages wait"
        todo = "start its consumer, or delete the queue"
    else:
        said, todo = "has no consumer", "start it, or delete the queue if nobody comes back for it"
    yield Finding(Kind.NO_CONSUMER, name, f"{name} {said}: {todo}")


# how it is said


def _applications(pattern: str, look: _Look) -> tuple[str, ...]:
    one = of.application(pattern)
    return (one,) if one else look.of_pattern(pattern)
