# SPDX-License-Identifier: MIT
"""A difference between the operator's file and a broker, and all of them: what travels between plan, report and
deed. Pure, and without a decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..state import Key, Properties, State
    from .facts import Facts

__all__ = ["Action", "Change", "Plan"]


class Action(StrEnum):
    """What is done about a difference."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    REPLACE = "replace"  # deleted and made again, for it cannot be changed in place
    IMPOSSIBLE = "impossible"  # not done at all; ``why`` says what to do


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, which is one line.

    Attributes:
        action: what is to be done.
        key: to what. A user's permission in a virtual host has its topic permissions in it.
        before: as it is; None when it is not there. A permission has ``configure``, ``write``, ``read`` if there is
            one, and ``topics``: exchange → ``write``, ``read``.
        after: as it shall be; None when it shall go. Both may hold secrets.
        why: what the operator has to know; empty mostly.
        held: why it is not done unless ``--allow-delete`` names it; empty when nothing holds it.
        parts: what goes with it: the bindings of a queue, all that is in a virtual host.
    """

    action: Action
    key: Key
    before: Properties | None = field(default=None, repr=False)
    after: Properties | None = field(default=None, repr=False)
    why: str = ""
    held: str = ""
    parts: tuple[Key, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        from .reporting import line  # noqa: PLC0415 - how it reads is not known here

        return line(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """All differences, and what it takes to see in which order they may go.

    Attributes:
        changes: in the order in which they are told: what gives, then what takes.
        desired: what the file asks for.
        live: what is there.
        facts: about it.
    """

    changes: tuple[Change, ...]
    desired: State = field(repr=False)
    live: State = field(repr=False)
    facts: Facts = field(repr=False)
