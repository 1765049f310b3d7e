# SPDX-License-Identifier: MIT
"""What to ask the broker as each user, and which answer is right by the file. Pure.

The right answer follows from the words of the file alone (topics as a topic exchange matches them, names with ``*``),
never from RabbitMQ's regular expressions, which are what is to be proved. Only for a user who is given by
``expressions`` there are no other words.

Beside what is granted, near misses are asked: what a mistake in an expression would let through. See :mod:`.misses`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from fedora_messaging.topics import matches

from . import misses
from .rights import Rights, TopicRight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..bus.shape import Bus, Grants, Vhost

__all__ = ["Action", "Question", "decide", "names_match", "questions", "types"]

MOST = 12  # patterns of one list that are asked about, spread over it, and names of one kind

#: Exchanges that each virtual host has. Clients know the default exchange by the empty name.
PREDECLARED = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.topic": "topic",
}
SERVER_NAMED = "amq.gen"  # how names begin that RabbitMQ gives to queues
DEFAULT = "amq.default"  # what permissions call it


class Action(StrEnum):
    """What a user may want to do, as the findings name it."""

    LOGIN = "log in"
    DECLARE = "declare"
    CONSUME = "consume"
    BIND = "bind"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class Question:
    """May this user do that?

    Attributes:
        action: what.
        name: the queue (declare, consume) or exchange (bind, publish); empty for a login.
        topic: for publish, what is published; for bind, the pattern.
        queue: for bind, what would be bound.
        allowed: the right answer.
    """

    user: str
    vhost: str
    action: Action
    name: str = ""
    topic: str = ""
    queue: str = ""
    allowed: bool = False

    def __str__(self) -> str:
        match self.action:
            case Action.LOGIN:
                return "use the virtual host"
            case Action.PUBLISH:
                return f"publish {self.topic!r} to {self.name}"
            case Action.BIND:
                return f"bind {self.queue} to {self.name} for {self.topic!r}"
            case _:
                return f"{self.action} {self.name}"


def questions(bus: Bus) -> Iterator[Question]:
    """All that is to be asked, user by user, virtual host by virtual host."""
    for user in bus.users:
        for name, vhost in bus.vhosts.items():
            grants = vhost.users.get(user)
            if grants is None:
                yield Question(user, name, Action.LOGIN)
                continue
            yield Question(user, name, Action.LOGIN, allowed=True)
            yield from _distinct(_of_grants(Question(user, name, Action.LOGIN), vhost, grants))


def _distinct(asked: Iterable[Question]) -> Iterator[Question]:
    return iter(dict.fromkeys(asked))


def _of_grants(base: Question, vhost: Vhost, grants: Grants) -> Iterator[Question]:
    queues = _candidates(_listed(grants, "consume", "manage"), vhost.queues)
    managed = _candidates(_listed(grants, "manage"), (*vhost.queues, *vhost.exchanges))
    asked = [replace(base, action=Action.DECLARE, name=name) for name in managed if _declarable(name)]
    asked += [replace(base, action=Action.CONSUME, name=name) for name in queues]
    asked += [
        replace(base, action=Action.PUBLISH, name=at, topic=topic) for at, topic in _sent(vhost, grants)
    ]
    if grants.manage:
        queue = misses.instance(grants.manage[0])
        asked += [
            replace(base, action=Action.BIND, name=at, topic=topic, queue=queue)
            for at, topic in _bound(vhost, grants)
        ]
    for one in asked:
        answer = decide(one, vhost, grants)
        if answer is not None:
            yield replace(one, allowed=answer)


def _declarable(name: str) -> bool:
    """RabbitMQ keeps ``amq.`` to itself, whatever is permitted; it may be asked to name a queue, though."""
    return not name.startswith("amq.") or name.startswith(SERVER_NAMED)


def _listed(grants: Grants, *keys: str) -> tuple[str, ...]:
    return tuple(name for key in keys for name in getattr(grants, key))


def _candidates(globs: Sequence[str], there: Iterable[str]) -> list[str]:
    """Names that the globs mean, names that they just do not mean, and names of what there is."""
    names = [
        name for glob in misses.spread(globs, MOST) for name in (misses.instance(glob), *misses.names(glob))
    ]
    return [*names, *misses.spread(list(there), MOST)]


def _sent(vhost: Vhost, grants: Grants) -> Iterator[tuple[str, str]]:
    """(exchange, topic) worth asking for publishing."""
    others = misses.spread([topic for one in vhost.users.values() for topic in _first(one)], MOST)
    for exchange, listed in _exchanges(vhost, grants.publish).items():
        if _internal(vhost, exchange):
            continue
        if exchange not in grants.publish:
            yield exchange, others[0] if others else "check"
            continue
        for pattern in misses.spread(listed, MOST):
            for topic in (*misses.topics(pattern), *misses.near(pattern)):
                yield exchange, topic
        for topic in ("", *others):
            yield exchange, topic
    yield DEFAULT, "check"


def _bound(vhost: Vhost, grants: Grants) -> Iterator[tuple[str, str]]:
    """(exchange, pattern) worth asking for binding."""
    for exchange, listed in _exchanges(vhost, grants.bind).items():
        if exchange not in grants.bind:
            yield exchange, "check"
            continue
        for pattern in misses.spread(listed, MOST):
            for asked in (pattern, *misses.topics(pattern)[:1], *misses.wider(pattern)):
                yield exchange, asked
        yield exchange, "#"


def _first(grants: Grants) -> list[str]:
    """What this user may publish, an example each: no other should."""
    listed = [pattern for patterns in grants.publish.values() for pattern in patterns]
    return [topic for pattern in listed for topic in misses.topics(pattern)[:1]]


def _exchanges(vhost: Vhost, granted: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    there = dict.fromkeys((*vhost.exchanges, "amq.topic"), ())
    return {**there, **granted}


def _internal(vhost: Vhost, exchange: str) -> bool:
    return exchange in vhost.exchanges and vhost.exchanges[exchange].internal


# the right answers


def types(vhost: Vhost) -> dict[str, str]:
    """Exchange → its type."""
    return {**PREDECLARED, **{name: one.type for name, one in vhost.exchanges.items()}}


def decide(asked: Question, vhost: Vhost, grants: Grants) -> bool | None:
    """Whether the file allows it; None where its words leave that to whoever compiles them.

    Source: RabbitMQ's access control guide: declare needs configure; publish, and the queue of a binding, write;
    consume, and the exchange of a binding, read; topics are looked at in topic exchanges that have a topic permission.
    """
    if grants.expressions is not None:
        return _by_expressions(grants).allows(asked, types(vhost))
    manages = names_match(grants.manage, asked.name)
    if asked.action is Action.PUBLISH:
        return (manages or asked.name in grants.publish) and _topic(asked, vhost, grants)
    if asked.action is Action.BIND:
        both = names_match(grants.manage, asked.queue) and (manages or asked.name in grants.bind)
        return both and _pattern(asked, vhost, grants)
    if asked.action is Action.CONSUME:
        return manages or names_match(grants.consume, asked.name)
    return manages or asked.action is Action.LOGIN


def names_match(globs: Iterable[str], name: str) -> bool:
    """Whether one of the globs means the name; ``*`` stands for any characters, also none, ``{uuid}`` for a UUID."""
    return any(re.fullmatch("".join(map(_part, re.split(r"(\*|\{uuid\})", glob))), name) for glob in globs)


def _part(text: str) -> str:
    return {"*": "(?s:.*)", misses.UUID: r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"}.get(
        text, re.escape(text)
    )


def _limited(asked: Question, vhost: Vhost, grants: Grants) -> bool:
    """Whether topics matter in this exchange: it has a topic permission as soon as the file lists it."""
    named = asked.name in grants.publish or asked.name in grants.bind
    return named and types(vhost).get(asked.name, "topic") == "topic"


def _topic(asked: Question, vhost: Vhost, grants: Grants) -> bool:
    if not _limited(asked, vhost, grants):
        return True
    return any(matches(pattern, asked.topic) for pattern in grants.publish.get(asked.name, ()))


def _pattern(asked: Question, vhost: Vhost, grants: Grants) -> bool | None:
    """A pattern that is listed is allowed, one that lets something else through is not; between them, who knows."""
    if not _limited(asked, vhost, grants):
        return True
    listed = grants.bind.get(asked.name, ())
    if asked.topic in listed:
        return True
    through = misses.topics(asked.topic)
    if any(not any(matches(pattern, topic) for pattern in listed) for topic in through):
        return False
    return True if through == [asked.topic] else None


def _by_expressions(grants: Grants) -> Rights:
    told = grants.expressions
    if told is None:
        raise ValueError("this user has words")
    topics = {name: TopicRight(one.write, one.read) for name, one in told.topics.items()}
    return Rights(told.configure, told.write, told.read, topics)
