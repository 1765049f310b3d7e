# SPDX-License-Identifier: MIT
"""What a broker that is as the file says would answer to a publish. Pure; the tests ask a real broker the same.

It is decided by the very permissions that ``apply`` would set, in RabbitMQ's order: may the user log in, has it any
permission in the virtual host, may it write to the exchange, is there such an exchange, may it publish the topic.
"""

from __future__ import annotations

import re
import warnings
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from ...exceptions import ToolsError
from ..bus.desired import desired
from ..bus.passwords import Secrets
from ..names import DEFAULT_EXCHANGE, OWN_EXCHANGES, matches
from ..state import Key, Kind
from .publishers import prefixes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bus.shape import Bus, Vhost
    from ..state import Properties

__all__ = ["Judge", "Verdict", "the_vhost"]

#: What RabbitMQ takes an empty expression for (rabbit_auth_backend_internal).
_EMPTY = "^$"
# PCRE's end of the text is \z, and Python's \Z; PCRE's \Z is the end, or the place before a last newline.
_ENDS = {r"\z": r"\Z", r"\Z": r"(?=\n?\Z)"}
_VARIABLES = re.compile(r"\{(?:username|vhost)\}")


class Verdict(StrEnum):
    """What becomes of a publish; the text says why not, to stand behind the message's topic and user."""

    ALLOWED = "allowed"
    LEFT_ALONE = "the file leaves this user alone"
    NO_USER = "the file has no such user"
    NO_PERMISSIONS = "the user has no permissions in this virtual host"
    NO_WRITE = "the user may not publish to this exchange"
    NO_EXCHANGE = "there is no such exchange"
    INTERNAL = "the exchange is internal: nobody may publish to it"
    NO_TOPIC = "the user may not publish this topic"


def the_vhost(bus: Bus, name: str | None) -> str:
    """The virtual host of this name; where none is given, the only one there is.

    Raises ``ToolsError``.
    """
    if name is None and len(bus.vhosts) == 1:
        return next(iter(bus.vhosts))
    if name is not None and name in bus.vhosts:
        return name
    known = ", ".join(map(repr, bus.vhosts)) or "none"
    if name is None:
        raise ToolsError(f"the file has several virtual hosts, or none: say by --vhost which one ({known})")
    raise ToolsError(f"the file has no virtual host {name!r}; it has {known}")


class Judge:
    """Decides for one virtual host.

    Arguments:
        bus: the file, which was found to make sense.
        vhost: in it.

    Raises:
        ToolsError: an expression that is RabbitMQ's own cannot be tried without RabbitMQ.
    """

    def __init__(self, bus: Bus, vhost: str) -> None:
        self._users = bus.users
        self._leave = bus.leave
        self.vhost = vhost
        self._table = bus.vhosts[vhost]
        self._rows = _permissions(bus, vhost)

    def user(self, publisher: str) -> str:
        """The user that this publisher is: of its own name, or of the service that its certificate is for."""
        if publisher not in self._users:
            return next((name for name in prefixes(publisher) if name in self._users), publisher)
        return publisher

    def verdict(self, user: str, exchange: str, topic: str) -> Verdict:
        """What becomes of a message with this topic, published by this user to this exchange."""
        whole = self._rows.get(Key(Kind.PERMISSION, self.vhost, user))
        if whole is None:
            return self._without(user)
        if not _matches(whole["write"], exchange or DEFAULT_EXCHANGE):
            return Verdict.NO_WRITE
        kind, internal = self.exchange(exchange)
        if kind is None:
            return Verdict.NO_EXCHANGE
        if internal:
            return Verdict.INTERNAL
        row = self._rows.get(Key(Kind.TOPIC_PERMISSION, self.vhost, user, (exchange,)))
        if kind == "topic" and row is not None:
            expression = self._with_values(row["write"], user)
            return Verdict.ALLOWED if _matches(expression, topic) else Verdict.NO_TOPIC
        return Verdict.ALLOWED

    def _without(self, user: str) -> Verdict:
        """Of one who has no permissions in the file."""
        if user in self._users:
            return Verdict.NO_PERMISSIONS
        return Verdict.LEFT_ALONE if matches(self._leave.users, user) else Verdict.NO_USER

    def has_expressions(self, user: str) -> bool:
        """Whether the user's permissions are written as RabbitMQ has them."""
        grants = self._table.users.get(user)
        return grants is not None and grants.expressions is not None

    def exchange(self, name: str) -> tuple[str | None, bool]:
        """Its type, None where it is not there; whether it is internal. Where others declare it, topic is assumed."""
        if not name:
            return "direct", False
        if name in OWN_EXCHANGES:
            return OWN_EXCHANGES[name], name == "amq.rabbitmq.trace"
        exchange = self._table.exchanges.get(name)
        if exchange is not None:
            return exchange.type, exchange.internal
        managed = [one for grants in self._table.users.values() for one in grants.manage]
        return ("topic" if matches([*managed, *self._leave.exchanges], name) else None), False

    def _with_values(self, expression: str, user: str) -> str:
        """RabbitMQ puts the values in as they are, so that a dot in a name stands for any character."""
        values = {"{username}": user, "{vhost}": self.vhost}
        return _VARIABLES.sub(lambda found: values[found[0]], expression)


def _permissions(bus: Bus, vhost: str) -> Mapping[Key, Properties]:
    """The rows that the file asks for; what needs secrets is left out."""
    table: Vhost = msgspec.structs.replace(bus.vhosts[vhost], upstreams={}, parameters={})
    state = desired(msgspec.structs.replace(bus, users={}, vhosts={vhost: table}), Secrets())
    kinds = {Kind.PERMISSION, Kind.TOPIC_PERMISSION}
    return {key: properties for key, properties in state.items() if key.kind in kinds}


def _matches(expression: str, text: str) -> bool:
    return _compiled(expression).search(text.encode()) is not None


@lru_cache(maxsize=10_000)
def _compiled(expression: str) -> re.Pattern[bytes]:
    """PCRE's expression as Python has it, on bytes."""
    translated = re.sub(
        r"\\(.)", lambda found: _ENDS.get(found[0], found[0]), expression or _EMPTY, flags=re.DOTALL
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what means something else to PCRE, such as [[:alpha:]]
            return re.compile(translated.encode())
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        raise ToolsError(
            f"the expression {expression[:200]!r} cannot be tried without RabbitMQ ({error}): write topics instead"
        ) from error
