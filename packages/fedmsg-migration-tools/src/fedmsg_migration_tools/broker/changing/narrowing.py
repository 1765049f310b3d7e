# SPDX-License-Identifier: MIT
"""How a user's permissions become others so that at no moment more is allowed than before or afterwards. Pure.

RabbitMQ lets a topic through if the permission has the exchange, and the topic permission for that exchange has the
topic; without a topic permission, every topic. The two are changed by different requests. So the topic permissions
come first, with what both the old and the new let through; then the permission; then the topic permissions as they
shall be, and those that are not needed go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..expressions import NOTHING, longest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..state import Properties

__all__ = ["between", "both"]

#: What does not mean the same as a part of another expression: numbers of groups, recursion, verbs, comments.
_NOT_A_PART = re.compile(r"\\[1-9gkKQ]|\(\*|\(\?(?![:=!>]|<[=!]|[ims]+[:)])")


def between(before: Properties, after: Properties) -> dict[str, Mapping[str, str]]:
    """The topic permissions to have while the permission changes, for each exchange of the new ones.

    Arguments:
        before: ``configure``, ``write``, ``read`` as they are, if there are any, and ``topics``.
        after: as they shall be.
    """
    old, new = before.get("topics", {}), after.get("topics", {})
    return {
        exchange: {
            what: both(old[exchange][what], row[what])
            if exchange in old and before.get(what) != after.get(what)
            else row[what]
            for what in ("write", "read")
        }
        for exchange, row in new.items()
    }


def both(one: str, other: str) -> str:
    """An expression that matches what both match; in doubt one that matches nothing."""
    if one == other:
        return one
    if NOTHING in {one, other} or _NOT_A_PART.search(one) or _NOT_A_PART.search(other):
        return NOTHING
    # RabbitMQ takes an empty expression for ^$
    found = r"\A" + "".join(rf"(?=[\s\S]*?(?:{text or '^$'}))" for text in (one, other))
    return found if len(found) <= longest() else NOTHING
