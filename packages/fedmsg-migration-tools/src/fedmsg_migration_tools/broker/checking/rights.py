# SPDX-License-Identifier: MIT
"""What RabbitMQ would answer, by its own tables of permissions. Pure.

For users as whom nobody can log in here. The expressions are PCRE, tried here by Python's ``re`` on bytes, which agrees
on what bus.toml is compiled to; an expression that only PCRE understands has no answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .questions import Question

__all__ = ["Rights", "TopicRight"]


@dataclass(frozen=True, slots=True)
class TopicRight:
    """Expressions for the topics of one exchange."""

    write: str = ""
    read: str = ""


@dataclass(frozen=True, slots=True)
class Rights:
    """A row of RabbitMQ's permissions, with the user's rows of topic permissions by exchange."""

    configure: str = ""
    write: str = ""
    read: str = ""
    topics: Mapping[str, TopicRight] = field(default_factory=dict)

    def allows(self, asked: Question, types: Mapping[str, str]) -> bool | None:
        """Whether the broker would let the user; None when an expression cannot be tried.

        ``types``: exchange → its type.
        """
        topical = types.get(asked.name, "topic") == "topic"
        right = self.topics.get(asked.name) if topical else None
        match str(asked.action):
            case "declare":
                return _found(self.configure, asked.name)
            case "consume":
                return _found(self.read, asked.name)
            case "publish":
                return _all(_found(self.write, asked.name), _topic(right.write if right else None, asked))
            case "bind":
                readable = _all(_found(self.read, asked.name), _topic(right.read if right else None, asked))
                return _all(_found(self.write, asked.queue), readable)
            case _:
                return True


def _all(*answers: bool | None) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def _topic(expression: str | None, asked: Question) -> bool | None:
    """No topic permission for an exchange: all topics are allowed there."""
    if expression is None:
        return True
    for name, value in (("username", asked.user), ("vhost", asked.vhost)):
        expression = expression.replace(f"{{{name}}}", value)
    return _found(expression, asked.topic)


def _found(expression: str, text: str) -> bool | None:
    """RabbitMQ takes the empty expression for ``^$``."""
    try:
        found = re.search(_python(expression or "^$").encode(), text.encode())
    except (re.error, RecursionError, OverflowError):
        return None
    return found is not None


def _python(expression: str) -> str:
    r"""``\z`` of PCRE is ``\Z`` here, and its ``\Z`` may have a newline behind it, as ``$`` may."""
    words = {r"\z": r"\Z", r"\Z": r"(?=\n?\Z)"}
    return re.sub(r"\\.", lambda found: words.get(found[0], found[0]), expression, flags=re.DOTALL)
