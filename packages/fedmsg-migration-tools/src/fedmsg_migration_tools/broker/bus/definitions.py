# SPDX-License-Identifier: MIT
"""RabbitMQ's own definitions (``/api/definitions``, ``load_definitions``) as a :data:`~.state.State`, and back. Pure.

Two brokers that behave the same have the same State: what 3.10 and 4.0 write differently, or leave out where it is
the default, is made one here.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..state import Key, Kind
from .arguments import TYPE
from .desired import binding_key
from .passwords import hashed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..state import Properties, State

__all__ = ["of_state", "to_state", "vhost_properties"]

_OPERATOR_POLICY = "operator_policy"
_Item = dict[str, Any]


def to_state(definitions: Mapping[str, Any]) -> State:
    """What definitions ask for.

    Arguments:
        definitions: of a whole broker, as RabbitMQ 3.10 to 4 write them. What 3.10 does not tell there, a virtual
            host's description, tags and default queue type, has its default; :func:`vhost_properties` reads them
            from ``/api/vhosts``.
    """
    return {
        key: properties
        for section, read in _READERS.items()
        for one in definitions.get(section, ())
        for key, properties in read(one)
    }


_Object = tuple[Key, "Properties"]


def _vhost(item: _Item) -> Iterator[_Object]:
    yield Key(Kind.VHOST, item["name"], item["name"]), vhost_properties(item)


def _binding(item: _Item) -> Iterator[_Object]:
    if item["source"]:  # the default exchange's are the queues' own
        key = binding_key(
            item["vhost"],
            item["source"],
            item["destination_type"],
            item["destination"],
            item.get("routing_key", ""),
            item.get("arguments") or {},
        )
        yield key, {}


def _permission(item: _Item) -> Iterator[_Object]:
    yield Key(Kind.PERMISSION, item["vhost"], item["user"]), _of(item, "configure", "write", "read")


def _topic_permission(item: _Item) -> Iterator[_Object]:
    key = Key(Kind.TOPIC_PERMISSION, item["vhost"], item["user"], (item["exchange"],))
    yield key, _of(item, "write", "read")


def _parameter(item: _Item) -> Iterator[_Object]:
    if item["component"] == _OPERATOR_POLICY:
        yield Key(Kind.OPERATOR_POLICY, item["vhost"], item["name"]), _policy_properties(item["value"])
    else:
        key = Key(Kind.PARAMETER, item["vhost"], item["name"], (item["component"],))
        yield key, {"value": item["value"]}


def _of(item: _Item, *keys: str) -> Properties:
    return {key: item.get(key, "") for key in keys}


def vhost_properties(item: Mapping[str, Any]) -> Properties:
    """Of one virtual host in definitions, or in ``/api/vhosts``."""
    found = {**(item.get("metadata") or {}), **item}
    kind = found.get("default_queue_type")
    return {
        "description": found.get("description") or "",
        "tags": _tags(found.get("tags")),
        "default_queue_type": kind if kind in {"quorum", "stream"} else "classic",
    }


def _tags(given: Any) -> list[str]:
    """A list, sorted; a text with commas before 3.9."""
    return (
        sorted(part for part in given.split(",") if part) if isinstance(given, str) else sorted(given or ())
    )


def _user(item: _Item) -> Iterator[_Object]:
    yield (
        Key(Kind.USER, "", item["name"]),
        {
            "password_hash": item.get("password_hash", ""),
            "hashing_algorithm": item.get("hashing_algorithm") or "rabbit_password_hashing_sha256",
            "tags": _tags(item.get("tags")),
            "limits": dict(item.get("limits") or {}),
        },
    )


def _exchange(item: _Item) -> Iterator[_Object]:
    yield (
        Key(Kind.EXCHANGE, item["vhost"], item["name"]),
        {
            "type": item["type"],
            "durable": item.get("durable", True),
            "auto_delete": item.get("auto_delete", False),
            "internal": item.get("internal", False),
            "arguments": dict(item.get("arguments") or {}),
        },
    )


def _queue(item: _Item) -> Iterator[_Object]:
    arguments = dict(item.get("arguments") or {})
    kind = arguments.pop(TYPE, None) or item.get("type") or "classic"
    yield (
        Key(Kind.QUEUE, item["vhost"], item["name"]),
        {
            "type": kind,
            "durable": item.get("durable", True),
            "auto_delete": item.get("auto_delete", False),
            "arguments": arguments,
        },
    )


def _policy(item: _Item) -> Iterator[_Object]:
    yield Key(Kind.POLICY, item["vhost"], item["name"]), _policy_properties(item)


def _policy_properties(item: _Item) -> Properties:
    return {
        "pattern": item["pattern"],
        "apply-to": item.get("apply-to") or "all",
        "definition": dict(item["definition"]),
        "priority": item.get("priority", 0),
    }


_READERS: dict[str, Callable[[_Item], Iterator[_Object]]] = {
    "vhosts": _vhost,
    "users": _user,
    "exchanges": _exchange,
    "queues": _queue,
    "bindings": _binding,
    "permissions": _permission,
    "topic_permissions": _topic_permission,
    "policies": _policy,
    "parameters": _parameter,
}


# the way back


def of_state(state: State, salt: Callable[[], bytes] = lambda: os.urandom(4)) -> dict[str, Any]:
    """Definitions that RabbitMQ 3.10 to 4 load, at boot or over the API.

    Arguments:
        state: what is wanted. A password in clear is hashed.
        salt: makes four random bytes, for such a hash.
    """
    found: dict[str, list[_Item]] = {section: [] for section, _ in _WRITERS.values()}
    defaults = {key.name: one["default_queue_type"] for key, one in state.items() if key.kind is Kind.VHOST}
    for key in sorted(state):
        made = dict(state[key])
        if key.kind is Kind.USER and "password" in made:
            made["password_hash"] = hashed(made.pop("password"), salt(), made["hashing_algorithm"])
        if key.kind is Kind.QUEUE:
            made = _with_type(made, defaults.get(key.vhost, "classic"))
        section, write = _WRITERS[key.kind]
        found[section].append(write(key, made))
    return found


def _with_type(made: _Item, default: str) -> _Item:
    """A queue with its type as the argument that both versions know; left out where it is the default anyway."""
    kind = made.pop("type")
    if kind != "classic" or default != "classic":
        made["arguments"] = {**made["arguments"], TYPE: kind}
    return made


def _of_binding(key: Key, _: _Item) -> _Item:
    source, kind, topic, given = key.more
    return {
        "vhost": key.vhost,
        "source": source,
        "destination": key.name,
        "destination_type": kind,
        "routing_key": topic,
        "arguments": json.loads(given),
    }


def _named(key: Key, made: _Item) -> _Item:
    return {"name": key.name, "vhost": key.vhost, **made}


#: Kind → where it stands in definitions, and what stands there.
_WRITERS: dict[Kind, tuple[str, Callable[[Key, _Item], _Item]]] = {
    Kind.USER: ("users", lambda key, made: {"name": key.name, **made}),
    Kind.VHOST: ("vhosts", lambda key, made: {"name": key.name, **made, "metadata": made}),
    Kind.PERMISSION: ("permissions", lambda key, made: {"user": key.name, "vhost": key.vhost, **made}),
    Kind.TOPIC_PERMISSION: (
        "topic_permissions",
        lambda key, made: {"user": key.name, "vhost": key.vhost, "exchange": key.more[0], **made},
    ),
    Kind.PARAMETER: ("parameters", lambda key, made: _named(key, {"component": key.more[0], **made})),
    Kind.OPERATOR_POLICY: (
        "parameters",
        lambda key, made: _named(key, {"component": _OPERATOR_POLICY, "value": made}),
    ),
    Kind.POLICY: ("policies", _named),
    Kind.QUEUE: ("queues", _named),
    Kind.EXCHANGE: ("exchanges", _named),
    Kind.BINDING: ("bindings", _of_binding),
}
