# SPDX-License-Identifier: MIT
"""Grants that RabbitMQ does not keep as they read. Pure; whether the file makes sense at all is in :mod:`.rules`.

RabbitMQ checks a topic where a client publishes to a topic exchange. What reaches that exchange by a binding from
another one, or as the dead letter of a queue, it lets through with any topic, although whoever makes such a binding or
queue must have the right to write to the exchange. Seen on 3.10 and 4.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import expressions
from .places import at
from .rules import has_topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .shape import Bus, Expressions, Grants, Vhost

__all__ = ["loopholes"]

_TOLD = (
    "who may declare a queue or an exchange can publish any topic to {}, by a binding or as a dead letter, which "
    "RabbitMQ does not check: declare its queues in this file, and let it consume them only"
)
_ALL_TOPICS = {expressions.ALL, "^.*$", expressions.of_topics(["#"])}
_NO_NAME = {"", "^$", expressions.NOTHING}


def loopholes(bus: Bus) -> Iterator[str]:
    """What the operator should know, one line each, with its place."""
    for name, vhost in bus.vhosts.items():
        for user, grants in vhost.users.items():
            exchanges = list(_restricted(grants, vhost))
            if exchanges:
                yield f"{at('vhosts', name, 'users', user)}: {_TOLD.format(', '.join(exchanges))}"


def _restricted(grants: Grants, vhost: Vhost) -> Iterator[str]:
    """Exchanges to which some topics are allowed, of one who may declare things."""
    if grants.expressions is not None:
        yield from _of_expressions(grants.expressions)
    elif grants.manage:
        for exchange, topics in grants.publish.items():
            if topics and "#" not in topics and has_topics(exchange, vhost):
                yield exchange


def _of_expressions(raw: Expressions) -> Iterator[str]:
    if raw.configure not in _NO_NAME and raw.write not in _NO_NAME:
        for exchange, topics in raw.topics.items():
            if topics.write not in _ALL_TOPICS | _NO_NAME:
                yield exchange
