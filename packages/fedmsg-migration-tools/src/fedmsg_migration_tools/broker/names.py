# SPDX-License-Identifier: MIT
"""Names: the exchanges that every virtual host has, and lists in which ``*`` stands for any characters. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from . import expressions

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DEFAULT_EXCHANGE", "OWN_EXCHANGES", "is_own", "is_pattern", "matches", "words_misused"]

#: Exchange → its type, in each virtual host from its beginning.
OWN_EXCHANGES = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
    "amq.topic": "topic",
}
#: What permissions call the exchange without a name, which brings a message to the queue that its topic names.
DEFAULT_EXCHANGE = "amq.default"


def is_own(exchange: str) -> bool:
    """Whether it is RabbitMQ's: never declared, never deleted."""
    return exchange in OWN_EXCHANGES


def is_pattern(name: str) -> bool:
    """Whether it stands for more than one name."""
    return "*" in name or expressions.UUID in name


def matches(globs: Iterable[str], name: str) -> bool:
    """Whether one of these means the name."""
    return _compiled(tuple(globs)).match(name) is not None


@lru_cache(maxsize=1024)
def _compiled(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(expressions.for_python(expressions.of_names(globs)))


def words_misused(pattern: str) -> str | None:
    """A word in which ``*`` or ``#`` is only a part: there it stands for itself, which nobody means."""
    return next((word for word in pattern.split(".") if len(word) > 1 and re.search(r"[*#]", word)), None)
