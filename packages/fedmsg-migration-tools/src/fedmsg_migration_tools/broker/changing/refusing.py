# SPDX-License-Identifier: MIT
"""What is not done, whatever the file says: nobody saws off the branch on which all sit. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...exceptions import ToolsError
from ..state import Key, Kind
from .changes import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..state import Properties, State
    from .changes import Change
    from .facts import Facts

__all__ = ["bearable", "refused"]

_ADMINISTRATOR = "administrator"
#: The first RabbitMQ whose virtual hosts have a default type of queues.
_DEFAULT_TYPES = (3, 11)
#: The first that knows -1 as no limit of deliveries; older ones take it for 0 (seen on 3.10.8).
_UNLIMITED = (4,)


def bearable(desired: State, facts: Facts) -> None:
    """See that this RabbitMQ loses no message by what it is asked for. Raises ``ToolsError``."""
    for key, properties in desired.items():
        limit = (properties.get("arguments") or {}).get("x-delivery-limit")
        if isinstance(limit, int) and limit < 0 and facts.version and facts.version < _UNLIMITED:
            version = ".".join(map(str, facts.version))
            raise ToolsError(
                f"Queue {key.name} in {key.vhost}: RabbitMQ {version} takes delivery_limit {limit} for 0, and drops a "
                "message that comes back once: leave it out, there is no limit then. Nothing was changed"
            )


def refused(
    changes: Iterable[Change], kept: Mapping[Key, Properties], there: Mapping[Key, Properties], facts: Facts
) -> list[Change]:
    """The changes; those are impossible that would lock out who makes them, or that this RabbitMQ cannot do.

    Arguments:
        changes: all.
        kept: what will be there when all are done.
        there: what is there.
        facts: who asks, of which RabbitMQ.
    """
    alone = Key(Kind.USER, "", facts.user) not in there and not any(
        key.kind is Kind.USER and _administers(properties) for key, properties in kept.items()
    )
    return [_judged(one, facts, alone=alone) for one in changes]


def _judged(change: Change, facts: Facts, *, alone: bool) -> Change:
    why = ""
    if change.key.kind is Kind.USER and change.before is not None:
        why = _of_user(change, facts.user, alone=alone)
    elif change.key.kind is Kind.VHOST and change.after is not None:
        why = _of_vhost(change, facts)
        if why and not _only_type(change):
            return replace(change, why=why)
    return replace(change, action=Action.IMPOSSIBLE, why=why, held="") if why else change


def _of_user(change: Change, user: str, *, alone: bool) -> str:
    before, after = change.before or {}, change.after
    if change.key.name == user:
        another = "let another administrator apply the file"
        if after is None:
            return f"apply runs as it, so it is not deleted: {another}, or name it under [users] or [leave]"
        if _administers(before) and not _administers(after):
            return f"apply runs as it, so it stays administrator: {another}, or give it the tag in the file"
        if "password" not in after and not after.get("password_hash") and before.get("password_hash"):
            return f"apply runs as it, by password, and the file takes that from it: {another}"
    elif alone and _administers(before) and (after is None or not _administers(after)):
        return "it is the last administrator: give the tag to another user first"
    return ""


def _of_vhost(change: Change, facts: Facts) -> str:
    before, after = change.before or {}, change.after or {}
    kind = after.get("default_queue_type", "classic")
    if not facts.version or facts.version >= _DEFAULT_TYPES or kind == "classic":
        return ""
    if kind == before.get("default_queue_type", "classic"):
        return ""
    version = ".".join(map(str, facts.version))
    return (
        f"its default_queue_type {kind} needs RabbitMQ 3.11, this is {version}: leave it away, "
        "and name the type of each queue"
    )


def _only_type(change: Change) -> bool:
    """Whether nothing else would change."""
    before, after = dict(change.before or {}), dict(change.after or {})
    before.pop("default_queue_type", None), after.pop("default_queue_type", None)
    return before == after


def _administers(user: Properties) -> bool:
    return _ADMINISTRATOR in (user.get("tags") or ())
