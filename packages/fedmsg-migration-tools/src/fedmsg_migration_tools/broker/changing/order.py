# SPDX-License-Identifier: MIT
"""In which order a broker is changed: the requests for each change, by phases. Pure.

What gives comes before what takes: new virtual hosts, users, policies, exchanges, queues, bindings, permissions; then
permissions, bindings, queues, exchanges, policies, users, virtual hosts that go. Each request may be made twice, and
after each the broker may be left as it is: the plan from there to the file finishes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from ..state import Key, Kind
from .changes import Action, Change, Plan
from .narrowing import between
from .own_rights import ALL_RIGHTS, OwnRights
from .requests import body, ends_of, login, path

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from ..state import Properties

__all__ = ["Phase", "Step", "steps"]

_LIMITS = "vhost-limits"


class Phase(IntEnum):
    """The order of the requests."""

    VHOST = 1
    OWN_RIGHTS = 2
    LESS_LIMITED = 3
    USER = 4
    PARAMETER = 5
    OPERATOR_POLICY = 6
    POLICY = 7
    TOPICS_OF_BOTH = 8  # before the exchange is there: without one, every topic is let through
    EXCHANGE = 9
    QUEUE = 10
    BINDING = 11
    LIMITED = 12  # a new virtual host, before anybody may use it
    PERMISSION = 13
    TOPICS = 14
    # from here on things go
    NO_PERMISSION = 20
    NO_BINDING = 21
    REPLACE = 22
    NO_QUEUE = 23
    NO_EXCHANGE = 24
    NO_POLICY = 25
    NO_PARAMETER = 26
    LESS_USER = 27
    NO_USER = 28
    NO_VHOST = 29
    MORE_LIMITED = 30
    OWN_RIGHTS_BACK = 31
    OWN_LOGIN = 32  # behind it we would have to log in in another way

    @property
    def takes(self) -> bool:
        """Whether something goes; that waits for what gives."""
        return Phase.NO_PERMISSION <= self < Phase.MORE_LIMITED


@dataclass(frozen=True, slots=True)
class Step:
    """One request; with those around it that make sure, where it deletes.

    Attributes:
        phase: when.
        change: for which line.
        key: what it is about.
        method: PUT, POST or DELETE.
        path: behind ``/api/``.
        body: may hold secrets.
        needs: what must not have failed before.
    """

    phase: Phase
    change: Change
    key: Key
    method: str
    path: tuple[str, ...]
    body: Any = field(default=None, repr=False)
    needs: tuple[Key, ...] = ()


def steps(plan: Plan, held: Container[Key] = ()) -> list[Step]:
    """All requests in their order; none for what is impossible, or ``held``."""
    does = [one for one in plan.changes if one.action is not Action.IMPOSSIBLE and one.key not in held]
    maker = _Maker(plan, does)
    return sorted((step for one in does for step in maker.of(one)), key=lambda step: step.phase)


class _Maker:
    """Makes the steps of each change, knowing all of them."""

    def __init__(self, plan: Plan, does: list[Change]) -> None:
        self._plan = plan
        self._rights = OwnRights(plan, does)
        self._new_vhosts = {one.key.name for one in does if one.key.kind is Kind.VHOST and one.before is None}
        gone = {part for one in does if one.after is None for part in (one.key, *one.parts)}
        self._bindings: dict[Key, list[Key]] = {}  # of each end, those that stay
        for key in {**plan.desired, **plan.live}:
            if key.kind is Kind.BINDING and key not in gone:
                for end in ends_of(key):
                    self._bindings.setdefault(end, []).append(key)
        self._topics: dict[Key, list[Key]] = {}  # exchange → the topic permissions for it
        for one in does:
            if one.key.kind is Kind.PERMISSION:
                for exchange in (one.after or {}).get("topics", {}):
                    end = Key(Kind.EXCHANGE, one.key.vhost, exchange)
                    self._topics.setdefault(end, []).append(_topic_key(one.key, exchange))

    def of(self, change: Change) -> Iterator[Step]:
        """Its requests."""
        for before, key, method, content in self._rights.around(change):
            phase = Phase.OWN_RIGHTS if before else Phase.OWN_RIGHTS_BACK
            yield Step(phase, change, key, method, _path(key, method), content)
        made: Iterator[Step] = getattr(self, "_" + change.key.kind.name.lower())(change)
        yield from made

    def _put(
        self, phase: Phase, change: Change, key: Key, *needs: Key, after: Properties | None = None
    ) -> Step:
        method = "POST" if key.kind is Kind.BINDING else "PUT"
        properties = after if after is not None else change.after or {}
        content = body(key, properties, self._plan.desired)
        return Step(phase, change, key, method, _path(key, method), content, needs)

    def _vhost(self, change: Change) -> Iterator[Step]:
        if change.after is not None:
            yield self._put(Phase.VHOST, change, change.key)
            return
        for part in change.parts:
            if part.kind is Kind.QUEUE:
                yield _delete(Phase.NO_QUEUE, change, part)
        yield _delete(Phase.NO_VHOST, change, change.key)

    def _user(self, change: Change) -> Iterator[Step]:
        before, after, own = change.before or {}, change.after, change.key.name == self._plan.facts.user
        if after is None:
            yield _delete(Phase.NO_USER, change, change.key)
            return
        made = login(before, after)
        kept = {name: before.get(name) for name in ("password_hash", "hashing_algorithm")}
        kept["tags"] = ",".join(before.get("tags", ()))
        if change.before is None or made != kept:
            fewer = set(before.get("tags", ())) - set(after.get("tags", ()))
            phase = Phase.OWN_LOGIN if own else Phase.LESS_USER if fewer else Phase.USER
            yield Step(phase, change, change.key, "PUT", path(change.key), made)
        old, new = before.get("limits", {}), after.get("limits", {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                where = ("user-limits", change.key.name, name)
                method, value = ("PUT", {"value": new[name]}) if name in new else ("DELETE", None)
                yield Step(Phase.USER, change, change.key, method, where, value)

    def _exchange(self, change: Change) -> Iterator[Step]:
        if change.action is Action.REPLACE:
            yield from self._replace(change)
        elif change.after is None:
            yield _delete(Phase.NO_EXCHANGE, change, change.key)
        else:
            yield self._put(Phase.EXCHANGE, change, change.key, *self._topics.get(change.key, ()))

    def _queue(self, change: Change) -> Iterator[Step]:
        if change.action is Action.REPLACE:
            yield from self._replace(change)
        elif change.after is None:
            yield _delete(Phase.NO_QUEUE, change, change.key)
        else:
            yield self._put(Phase.QUEUE, change, change.key)

    def _replace(self, change: Change) -> Iterator[Step]:
        yield _delete(Phase.REPLACE, change, change.key)
        yield self._put(Phase.REPLACE, change, change.key)
        for key in sorted(self._bindings.get(change.key, ())):
            yield self._put(Phase.REPLACE, change, key, after={})

    def _binding(self, change: Change) -> Iterator[Step]:
        if change.after is None:
            yield _delete(Phase.NO_BINDING, change, change.key)
        else:
            yield self._put(Phase.BINDING, change, change.key)

    def _policy(self, change: Change) -> Iterator[Step]:
        if change.after is None:
            yield _delete(Phase.NO_POLICY, change, change.key)
        else:
            yield self._put(Phase[change.key.kind.name], change, change.key)

    _operator_policy = _policy

    def _parameter(self, change: Change) -> Iterator[Step]:
        key = change.key
        if key.more[0] == _LIMITS:
            yield from self._limits(change)
        elif change.after is None:
            yield _delete(Phase.NO_PARAMETER, change, key)
        else:
            yield self._put(Phase.PARAMETER, change, key)

    def _limits(self, change: Change) -> Iterator[Step]:
        """What is allowed more at once; what is allowed less when the queues that go have gone."""
        key = change.key
        before, after = (dict((side or {}).get("value", {})) for side in (change.before, change.after))
        both = [name for name in sorted(before.keys() & after.keys()) if before[name] >= 0]  # -1: no limit
        less = {name: max(before[name], after[name]) for name in both}
        if less != before:
            yield self._limit(Phase.LESS_LIMITED, change, less)
        if after != less:
            new = key.vhost in self._new_vhosts
            yield self._limit(Phase.LIMITED if new else Phase.MORE_LIMITED, change, after)

    def _limit(self, phase: Phase, change: Change, value: dict[str, Any]) -> Step:
        if not value:
            return _delete(phase, change, change.key)
        return self._put(phase, change, change.key, after={"value": value})

    def _permission(self, change: Change) -> Iterator[Step]:
        key, before, after = change.key, change.before or {}, change.after or {}
        if key.name == self._plan.facts.user:
            phases = (Phase.OWN_RIGHTS_BACK,) * 4
            before = dict(ALL_RIGHTS) if self._rights.raised(key.vhost) else before
        else:
            phases = (Phase.TOPICS_OF_BOTH, Phase.PERMISSION, Phase.TOPICS, Phase.NO_PERMISSION)
        first, whole, then, gone = phases
        old, new, meanwhile = before.get("topics", {}), after.get("topics", {}), between(before, after)
        for exchange, row in meanwhile.items():
            if row != old.get(exchange):
                yield self._put(first, change, _topic_key(key, exchange), after=row)
        old_whole, new_whole = _whole(before), _whole(after)
        last = then if new_whole else gone
        if new_whole and new_whole != old_whole:
            yield self._put(whole, change, key, after=new_whole)
        elif old_whole and not new_whole:
            yield _delete(gone, change, key)
        for exchange, row in new.items():
            if row != meanwhile[exchange]:
                yield self._put(last, change, _topic_key(key, exchange), after=row)
        for exchange in sorted(old.keys() - new.keys()):
            yield _delete(last, change, _topic_key(key, exchange))


def _path(key: Key, method: str) -> tuple[str, ...]:
    whole = path(key)
    return (*whole, key.more[0]) if key.kind is Kind.TOPIC_PERMISSION and method == "DELETE" else whole


def _delete(phase: Phase, change: Change, key: Key) -> Step:
    return Step(phase, change, key, "DELETE", _path(key, "DELETE"))


def _topic_key(permission: Key, exchange: str) -> Key:
    return Key(Kind.TOPIC_PERMISSION, permission.vhost, permission.name, (exchange,))


def _whole(permission: Properties) -> dict[str, Any]:
    return {name: permission[name] for name in ("configure", "write", "read") if name in permission}
