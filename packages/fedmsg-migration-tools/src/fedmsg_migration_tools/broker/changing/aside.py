# SPDX-License-Identifier: MIT
"""What on a broker is not the file's business: what it says to leave, and what applications declare. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import names
from ..state import Key, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bus.shape import Bus
    from ..state import Properties, State

__all__ = ["Aside", "of_bus"]

#: RabbitMQ makes these itself: the exchanges of every virtual host, server-named queues, and federation's own.
_BUILT_IN = ("amq.", "federation: ")


_LEFT_BY_NAME = {
    Kind.USER: "users",
    Kind.PERMISSION: "users",
    Kind.TOPIC_PERMISSION: "users",
    Kind.POLICY: "policies",
    Kind.OPERATOR_POLICY: "policies",
}


@dataclass(frozen=True, slots=True)
class Aside:
    """What is left as it is.

    Arguments:
        leave: names, by what they are names of: vhosts, users, queues, exchanges, policies.
        managed: virtual host → the names that its users may manage.
    """

    leave: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    managed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def covers(self, key: Key, live: State) -> bool:
        """Whether an object of the broker is left as it is, although the file does not list it."""
        if self._left("vhosts", key.vhost):
            return True
        if key.kind in {Kind.QUEUE, Kind.EXCHANGE}:
            return self._of_applications(key, live[key])
        if key.kind is Kind.BINDING:
            to = Key(Kind(key.more[1]), key.vhost, key.name)
            if to.kind is Kind.EXCHANGE and names.is_own(to.name):
                return self._left("exchanges", to.name)
            return self._of_applications(to, live.get(to, {}))
        return key.kind in _LEFT_BY_NAME and self._left(_LEFT_BY_NAME[key.kind], key.name)

    def _of_applications(self, key: Key, properties: Properties) -> bool:
        return (
            key.name.startswith(_BUILT_IN)
            or bool(properties.get("auto_delete"))
            or names.matches(self.managed.get(key.vhost, ()), key.name)
            or self._left("queues" if key.kind is Kind.QUEUE else "exchanges", key.name)
        )

    def _left(self, what: str, name: str) -> bool:
        return names.matches(self.leave.get(what, ()), name)


def of_bus(bus: Bus) -> Aside:
    """What the file says."""
    managed = {
        name: tuple(glob for grants in vhost.users.values() for glob in grants.manage)
        for name, vhost in bus.vhosts.items()
    }
    return Aside({name: getattr(bus.leave, name) for name in bus.leave.__struct_fields__}, managed)
