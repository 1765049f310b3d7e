# SPDX-License-Identifier: MIT
"""What the operator's file asks for, as a :data:`~.state.State`. Pure, but for the secrets it is given.

Whether the file makes sense has been looked at in :mod:`.file`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import expressions, names
from ..state import Key, Kind, Properties
from . import arguments
from .passwords import Secret, Secrets, same_password

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..state import State
    from .shape import Binding, Bus, Exchange, Grants, Policy, Queue, Upstream, User, Vhost

__all__ = [
    "LIMITS",
    "UPSTREAMS",
    "Secret",
    "Secrets",
    "binding_key",
    "desired",
    "permissions",
    "queue_properties",
    "same_password",
]

#: RabbitMQ's component and name for the limits of a virtual host.
LIMITS = ("vhost-limits", "limits")
#: RabbitMQ's component for the upstreams of a federation.
UPSTREAMS = "federation-upstream"

_Object = tuple[Key, Properties]


def desired(bus: Bus, secrets: Secrets) -> State:
    """The objects that the file asks for.

    A user whose password is given in clear has the property ``password``, a :class:`Secret`, and no hash.

    Raises:
        ToolsError: a secret is missing.
    """
    found: dict[Key, Properties] = {}
    for name, user in bus.users.items():
        found[Key(Kind.USER, "", name)] = _user(name, user, secrets)
    for name, vhost in bus.vhosts.items():
        found.update(_vhost(name, vhost, secrets))
    return found


def _user(name: str, user: User, secrets: Secrets) -> Properties:
    limits = {"max-connections": user.max_connections, "max-channels": user.max_channels}
    properties: dict[str, Any] = {
        "tags": sorted(user.tags),
        "limits": {key: value for key, value in limits.items() if value is not None},
        "hashing_algorithm": user.hashing_algorithm,
    }
    if user.certificate:
        properties["password_hash"] = ""  # no password logs in
    elif user.password_hash is not None:
        properties["password_hash"] = user.password_hash
    else:
        properties["password"] = secrets.read(user.password_file, user.password_env, f"user {name}")
    return properties


def _vhost(name: str, vhost: Vhost, secrets: Secrets) -> Iterator[_Object]:
    yield (
        Key(Kind.VHOST, name, name),
        {
            "description": vhost.description,
            "tags": sorted(vhost.tags),
            "default_queue_type": vhost.default_queue_type or "classic",
        },
    )
    yield from _exchanges(name, vhost)
    yield from _queues(name, vhost)
    for user, grants in vhost.users.items():
        yield from permissions(name, user, grants, _topic_exchanges(vhost, grants))
    yield from _policies(Kind.POLICY, name, vhost.policies)
    yield from _policies(Kind.OPERATOR_POLICY, name, vhost.operator_policies)
    yield from _parameters(name, vhost, secrets)


def _exchanges(vhost: str, table: Vhost) -> Iterator[_Object]:
    for name, exchange in table.exchanges.items():
        if not names.is_own(name):
            yield Key(Kind.EXCHANGE, vhost, name), _exchange(exchange)
        for binding in exchange.bindings:
            yield from _bindings(vhost, name, "exchange", binding)


def _exchange(exchange: Exchange) -> Properties:
    given = dict(exchange.arguments)
    if exchange.alternate_exchange is not None:
        given["alternate-exchange"] = exchange.alternate_exchange
    return {
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": given,
    }


def _queues(vhost: str, table: Vhost) -> Iterator[_Object]:
    for name, queue in table.queues.items():
        yield Key(Kind.QUEUE, vhost, name), queue_properties(queue)
        for binding in queue.bindings:
            yield from _bindings(vhost, name, "queue", binding)


def queue_properties(queue: Queue) -> Properties:
    """A queue with RabbitMQ's names for what is said of it."""
    return {
        "type": queue.type,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "arguments": arguments.from_keys(queue, arguments.QUEUE),
    }


def _bindings(vhost: str, name: str, kind: str, binding: Binding) -> Iterator[_Object]:
    for topic in binding.topics:
        yield binding_key(vhost, binding.exchange, kind, name, topic, binding.arguments), {}


def binding_key(
    vhost: str, source: str, kind: str, destination: str, topic: str, given: Mapping[str, Any]
) -> Key:
    """The key of a binding; ``kind`` of its destination is ``queue`` or ``exchange``."""
    return Key(Kind.BINDING, vhost, destination, (source, kind, topic, json.dumps(given, sort_keys=True)))


# grants


def _topic_exchanges(vhost: Vhost, grants: Grants) -> list[str]:
    """Of the exchanges that the grants name, those whose messages have topics that RabbitMQ can check."""
    named = dict.fromkeys([*grants.publish, *grants.bind])
    types = {**names.OWN_EXCHANGES, names.DEFAULT_EXCHANGE: "direct"}
    types |= {name: exchange.type for name, exchange in vhost.exchanges.items() if name not in types}
    return [name for name in named if types.get(name, "topic") == "topic"]


def permissions(vhost: str, user: str, grants: Grants, topic_exchanges: list[str]) -> Iterator[_Object]:
    """A user's permissions in one virtual host; ``topic_exchanges`` are those whose topics are checked."""
    raw = grants.expressions
    if raw is not None:
        whole: Properties = {"configure": raw.configure, "write": raw.write, "read": raw.read}
        topics: dict[str, Properties] = {
            name: {"write": one.write, "read": one.read} for name, one in raw.topics.items()
        }
    else:
        whole = {
            "configure": expressions.of_names(grants.manage),
            "write": expressions.of_names([*grants.manage, *grants.publish]),
            "read": expressions.of_names([*grants.manage, *grants.consume, *grants.bind]),
        }
        topics = {
            name: {
                "write": expressions.of_topics(grants.publish.get(name, ())),
                "read": expressions.of_bindings(grants.bind.get(name, ())),
            }
            for name in topic_exchanges
        }
    yield Key(Kind.PERMISSION, vhost, user), whole
    for exchange, properties in topics.items():
        yield Key(Kind.TOPIC_PERMISSION, vhost, user, (exchange,)), properties


# policies and parameters


def _policies(kind: Kind, vhost: str, table: Mapping[str, Policy]) -> Iterator[_Object]:
    for name, policy in table.items():
        yield (
            Key(kind, vhost, name),
            {
                "pattern": policy.pattern,
                "apply-to": policy.apply_to,
                "definition": policy.definition,
                "priority": policy.priority,
            },
        )


def _parameters(vhost: str, table: Vhost, secrets: Secrets) -> Iterator[_Object]:
    component, name = LIMITS
    limits = {"max-connections": table.max_connections, "max-queues": table.max_queues}
    if set(limits.values()) != {None}:
        value = {key: limit for key, limit in limits.items() if limit is not None}
        yield Key(Kind.PARAMETER, vhost, name, (component,)), {"value": value}
    for name, upstream in table.upstreams.items():
        value = {**arguments.from_keys(upstream, arguments.UPSTREAM), "uri": _uri(name, upstream, secrets)}
        yield Key(Kind.PARAMETER, vhost, name, (UPSTREAMS,)), {"value": value}
    for component, entries in table.parameters.items():
        for name, given in entries.items():
            yield Key(Kind.PARAMETER, vhost, name, (component,)), {"value": _resolved(name, given, secrets)}


def _uri(name: str, upstream: Upstream, secrets: Secrets) -> Any:
    if upstream.uri is not None:
        return upstream.uri
    return _several(secrets.read(upstream.uri_file, upstream.uri_env, f"upstream {name}"))


def _resolved(name: str, value: Any, secrets: Secrets) -> Any:
    """A parameter's value, with what ``…uri_env`` and ``…uri_file`` point to."""
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, one in value.items():
        if (found := arguments.pointer(key)) is None:
            result[key] = one
        else:
            file, variable = (Path(one), None) if found[1] == "file" else (None, one)
            result[found[0]] = _several(secrets.read(file, variable, f"parameter {name}"))
    return result


def _several(secret: Secret) -> Any:
    """One URI, or a list of those on several lines: RabbitMQ takes the first that answers."""
    found = [Secret(line) for line in secret.split()]
    return found[0] if len(found) == 1 else found
