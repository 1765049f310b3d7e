# SPDX-License-Identifier: MIT
"""The rights of the user that changes the broker: all of them in a virtual host while queues there change. Pure.

RabbitMQ lets an administrator set anybody's permissions, but declare and delete queues, exchanges and bindings only as
far as its own permissions go; and it gives all of them to who makes a virtual host. Afterwards they are what the file
says. If the file does not list this user, they stay: what they were is not known after a run that was cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..state import Key, Kind
from .requests import body, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .changes import Change, Plan

__all__ = ["ALL_RIGHTS", "OwnRights"]

ALL_RIGHTS = {"configure": ".*", "write": ".*", "read": ".*"}
_NEED_THEM = {Kind.EXCHANGE, Kind.QUEUE, Kind.BINDING}


class OwnRights:
    """What is done about them.

    Arguments:
        plan: all.
        does: the changes that are made.
    """

    def __init__(self, plan: Plan, does: Iterable[Change]) -> None:
        self._plan = plan
        self._user = plan.facts.user
        self._whole: dict[str, bool] = {}
        self._first: dict[str, Change] = {}  # virtual host → the change that first needs them there
        self._own: set[Key] = set()  # those that the plan changes anyway
        known = Key(Kind.USER, "", self._user) in plan.live  # one of LDAP, say, has what it has
        for one in does:
            if known and self._needs_them(one):
                self._first.setdefault(one.key.vhost, one)
            if one.key.kind is Kind.PERMISSION and one.key.name == self._user:
                self._own.add(one.key)

    def raised(self, vhost: str) -> bool:
        """Whether we have all rights in this virtual host when its queues change, and had not before."""
        return vhost in self._first

    def around(self, change: Change) -> Iterator[tuple[bool, Key, str, Any]]:
        """Whether before everything else, what, the method, its body; nothing for most changes."""
        vhost = change.key.vhost
        if self._first.get(vhost) is not change:
            return
        live, desired = self._plan.live, self._plan.desired
        key = Key(Kind.PERMISSION, vhost, self._user)
        new = change.key.kind is Kind.VHOST and change.before is None
        if not new:
            yield True, key, "PUT", ALL_RIGHTS
            for row in rows(live, vhost, self._user):
                yield True, row, "DELETE", None
        gone = change.key.kind is Kind.VHOST and change.after is None
        if key in self._own or gone or Key(Kind.USER, "", self._user) not in desired:
            return
        for row, properties in rows(desired, vhost, self._user).items():
            yield False, row, "PUT", body(row, properties, desired)
        yield False, key, "PUT" if key in desired else "DELETE", desired.get(key)

    def _needs_them(self, change: Change) -> bool:
        key = change.key
        if key.kind is Kind.VHOST:
            has_queues = any(part.kind is Kind.QUEUE for part in change.parts)
            return change.before is None or (
                change.after is None and has_queues and not self._has_all(key.name)
            )
        return key.kind in _NEED_THEM and not self._has_all(key.vhost)

    def _has_all(self, vhost: str) -> bool:
        if vhost not in self._whole:
            live = self._plan.live
            own = live.get(Key(Kind.PERMISSION, vhost, self._user), {})
            self._whole[vhost] = dict(own) == ALL_RIGHTS and not rows(live, vhost, self._user)
        return self._whole[vhost]
