# SPDX-License-Identifier: MIT
"""What on a broker is not the file's business: what it says to leave, and what applications declare. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import names
from .state import Key, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .shape import Bus
    from .state import Properties, State

__all__ = ["Aside", "of_bus"]

#: RabbitMQ makes these itself: the exchanges of every virtual host, server-named queues, and federation's own.
_BUILT_IN = ("amq.", "federation: ")


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
        match key.kind:
            case Kind.USER | Kind.PERMISSION | Kind.TOPIC_PERMISSION:
                return self._left("users", key.name)
            case Kind.POLICY | Kind.OPERATOR_POLICY:
                return self._left("policies", key.name)
            case Kind.QUEUE | Kind.EXCHANGE:
                return self._of_applications(key, live[key])
            case Kind.BINDING:
                to = Key(Kind(key.more[1]), key.vhost, key.name)
                if to.kind is Kind.EXCHANGE and names.is_own(to.name):
                    return self._left("exchanges", to.name)
                return self._of_applications(to, live.get(to, {}))
            case _:
                return False

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
