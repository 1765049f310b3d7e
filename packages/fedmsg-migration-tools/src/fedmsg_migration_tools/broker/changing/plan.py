# SPDX-License-Identifier: MIT
"""What differs between what the operator's file asks for and what is there. Pure; in which order it is changed is
in :mod:`.order`, how a change reads in :mod:`.reporting`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..bus.passwords import same_password
from ..state import Key, Kind
from .aside import Aside
from .changes import Action, Change, Plan
from .facts import Facts
from .refusing import bearable, refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..state import Properties, State

__all__ = ["Action", "Change", "Plan", "normal", "plan"]


#: In which order changes are told; deletions in the opposite one.
_ORDER = (
    Kind.VHOST,
    Kind.USER,
    Kind.PARAMETER,
    Kind.OPERATOR_POLICY,
    Kind.POLICY,
    Kind.EXCHANGE,
    Kind.QUEUE,
    Kind.BINDING,
    Kind.PERMISSION,
)
_FIXED = {Kind.QUEUE, Kind.EXCHANGE}


def plan(desired: State, live: State, leave: Aside | None = None, facts: Facts | None = None) -> Plan:
    """What has to change so that ``live`` becomes ``desired``.

    Arguments:
        desired: what the file asks for.
        live: what is there.
        leave: what of it is not the file's business.
        facts: who asks, and what is in the queues.

    Raises ``ToolsError`` for what would lose messages on this RabbitMQ.
    """
    aside, facts = leave or Aside(), facts or Facts()
    bearable(desired, facts)
    wanted, there = _merged(desired), _merged(live)
    ours = {key: there[key] for key in there if key in wanted or not aside.covers(key, live)}
    found = [_compared(key, ours.get(key), wanted.get(key)) for key in {**wanted, **ours}]
    changes = _folded([one for one in found if one is not None], there)
    gone = {part for one in changes if one.after is None for part in (one.key, *one.parts)}
    stays = there.keys() - gone
    changes = [_held(one, stays, facts) for one in changes]
    left = {key: there[key] for key in there if key not in ours}
    changes = refused(changes, {**left, **wanted}, there, facts)
    return Plan(tuple(sorted(changes, key=_place)), desired, live, facts)


def _place(change: Change) -> tuple[Any, ...]:
    order = _ORDER.index(change.key.kind)
    takes = change.action is Action.DELETE or change.after is None
    return (takes, -order if takes else order, change.key)


def _merged(state: State) -> dict[Key, Properties]:
    """With each user's topic permissions in its permission; without the exchanges that every virtual host has."""
    found: dict[Key, dict[str, Any]] = {}
    for key, properties in state.items():
        if key.kind is Kind.TOPIC_PERMISSION:
            whole = found.setdefault(Key(Kind.PERMISSION, key.vhost, key.name), {})
            whole.setdefault("topics", {})[key.more[0]] = dict(properties)
        elif not (key.kind is Kind.EXCHANGE and key.name.startswith("amq.")):
            found.setdefault(key, {}).update(properties)
    return dict(found)


def _compared(key: Key, before: Properties | None, after: Properties | None) -> Change | None:
    if before is None:
        return Change(Action.CREATE, key, None, after)
    if after is None:
        return Change(Action.DELETE, key, before, None)
    if _same(key, before, after):
        return None
    return Change(Action.REPLACE if key.kind in _FIXED else Action.CHANGE, key, before, after)


def _same(key: Key, before: Properties, after: Properties) -> bool:
    if key.kind is not Kind.USER:
        return bool(normal(before) == normal(after))
    return _same_login(before, after) and all(
        normal(before.get(name) or None) == normal(after.get(name) or None) for name in ("tags", "limits")
    )


def _same_login(before: Properties, after: Properties) -> bool:
    live, algorithm = before.get("password_hash", ""), before.get("hashing_algorithm", "")
    if "password" in after:
        return same_password(after["password"], live, algorithm)
    if live != after.get("password_hash", ""):
        return False
    return not live or algorithm == after.get("hashing_algorithm", algorithm)


def normal(value: Any) -> Any:
    """The same for values that RabbitMQ does not tell apart."""
    if isinstance(value, (list, tuple)):
        return [normal(one) for one in value]
    if hasattr(value, "items"):
        return {str(name): normal(one) for name, one in value.items()}
    return value


# what goes with something else


def _folded(changes: Iterable[Change], there: Mapping[Key, Properties]) -> list[Change]:
    """Without the deletions that go with another: a binding with its queue, everything with its virtual host."""
    gone = {one.key for one in changes if one.action is Action.DELETE}
    parts: dict[Key, list[Key]] = {}
    for key in there:
        owner = _owner(key, gone)
        if owner is not None:
            parts.setdefault(owner, []).append(key)
    folded = {part for those in parts.values() for part in those}
    return [
        replace(one, parts=tuple(sorted(parts.get(one.key, ()))))
        for one in changes
        if not (one.action is Action.DELETE and one.key in folded)
    ]


def _owner(key: Key, gone: set[Key]) -> Key | None:
    """What takes this with it when it goes."""
    owners = [Key(Kind.VHOST, key.vhost, key.vhost)]
    if key.kind is Kind.PERMISSION:
        owners.append(Key(Kind.USER, "", key.name))
    if key.kind is Kind.BINDING:
        owners.append(Key(Kind(key.more[1]), key.vhost, key.name))
    return next((one for one in owners if one in gone and one != key), None)


# what holds a deletion


def _held(change: Change, stays: Collection[Key], facts: Facts) -> Change:
    if change.action not in {Action.DELETE, Action.REPLACE}:
        return change
    held = {Kind.QUEUE: _held_queue, Kind.EXCHANGE: _held_exchange, Kind.VHOST: _held_vhost}.get(
        change.key.kind
    )
    return change if held is None else replace(change, held=held(change.key, stays, facts))


def _held_queue(key: Key, _stays: Collection[Key], facts: Facts) -> str:
    known = facts.queues.get((key.vhost, key.name))
    return known.used if known is not None else ""


def _held_exchange(key: Key, stays: Collection[Key], _facts: Facts) -> str:
    used = sum(
        one.kind is Kind.BINDING and one.vhost == key.vhost and one.more[0] == key.name for one in stays
    )
    return "" if not used else "1 binding leads from it" if used == 1 else f"{used} bindings lead from it"


def _held_vhost(key: Key, _stays: Collection[Key], facts: Facts) -> str:
    return next(
        (
            f"its queue {name} {queue.used}"
            for (vhost, name), queue in sorted(facts.queues.items())
            if vhost == key.name and queue.used
        ),
        "",
    )
