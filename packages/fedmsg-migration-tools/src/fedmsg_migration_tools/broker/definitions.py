# SPDX-License-Identifier: MIT
"""RabbitMQ's own definitions (``/api/definitions``, ``load_definitions``) as a :data:`~.state.State`, and back. Pure.

Two brokers that behave the same have the same State: what 3.10 and 4.0 write differently, or leave out where it is
the default, is made one here.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from . import names
from .arguments import TYPE
from .desired import binding_key
from .passwords import Secret, hashed
from .state import Key, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .state import Properties, State

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
    return dict(_objects(definitions))


def _objects(given: Mapping[str, Any]) -> Iterator[tuple[Key, Properties]]:
    for one in given.get("vhosts", ()):
        yield Key(Kind.VHOST, one["name"], one["name"]), vhost_properties(one)
    for one in given.get("users", ()):
        yield Key(Kind.USER, "", one["name"]), _user(one)
    for one in given.get("exchanges", ()):
        yield Key(Kind.EXCHANGE, one["vhost"], one["name"]), _exchange(one)
    for one in given.get("queues", ()):
        yield Key(Kind.QUEUE, one["vhost"], one["name"]), _queue(one)
    for one in given.get("bindings", ()):
        if one["source"]:  # the default exchange's are the queues' own
            yield (
                binding_key(
                    one["vhost"],
                    one["source"],
                    one["destination_type"],
                    one["destination"],
                    one.get("routing_key", ""),
                    one.get("arguments") or {},
                ),
                {},
            )
    for one in given.get("permissions", ()):
        yield Key(Kind.PERMISSION, one["vhost"], one["user"]), _of(one, "configure", "write", "read")
    for one in given.get("topic_permissions", ()):
        key = Key(Kind.TOPIC_PERMISSION, one["vhost"], one["user"], (one["exchange"],))
        yield key, _of(one, "write", "read")
    for one in given.get("policies", ()):
        yield Key(Kind.POLICY, one["vhost"], one["name"]), _policy(one)
    for one in given.get("parameters", ()):
        if one["component"] == _OPERATOR_POLICY:
            yield Key(Kind.OPERATOR_POLICY, one["vhost"], one["name"]), _policy(one["value"])
        else:
            key = Key(Kind.PARAMETER, one["vhost"], one["name"], (one["component"],))
            yield key, {"value": one["value"]}


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


def _user(item: _Item) -> Properties:
    return {
        "password_hash": item.get("password_hash", ""),
        "hashing_algorithm": item.get("hashing_algorithm") or "rabbit_password_hashing_sha256",
        "tags": _tags(item.get("tags")),
        "limits": dict(item.get("limits") or {}),
    }


def _exchange(item: _Item) -> Properties:
    return {
        "type": item["type"],
        "durable": item.get("durable", True),
        "auto_delete": item.get("auto_delete", False),
        "internal": item.get("internal", False),
        "arguments": dict(item.get("arguments") or {}),
    }


def _queue(item: _Item) -> Properties:
    arguments = dict(item.get("arguments") or {})
    kind = arguments.pop(TYPE, None) or item.get("type") or "classic"
    return {
        "type": kind,
        "durable": item.get("durable", True),
        "auto_delete": item.get("auto_delete", False),
        "arguments": arguments,
    }


def _policy(item: _Item) -> Properties:
    return {
        "pattern": item["pattern"],
        "apply-to": item.get("apply-to") or "all",
        "definition": dict(item["definition"]),
        "priority": item.get("priority", 0),
    }


# the way back


def of_state(state: State, salt: Callable[[], bytes] = lambda: os.urandom(4)) -> dict[str, Any]:
    """Definitions that RabbitMQ 3.10 to 4 load, at boot or over the API.

    Arguments:
        state: what is wanted. A password in clear is hashed.
        salt: makes four random bytes, for such a hash.
    """
    found: dict[str, list[_Item]] = {name: [] for name in _SECTIONS.values()}
    defaults = {
        key.name: one.get("default_queue_type") for key, one in state.items() if key.kind is Kind.VHOST
    }
    for key in sorted(state):
        item = _item(key, state[key], defaults, salt)
        found[_SECTIONS[key.kind]].append(item)
    return found


_SECTIONS = {
    Kind.USER: "users",
    Kind.VHOST: "vhosts",
    Kind.PERMISSION: "permissions",
    Kind.TOPIC_PERMISSION: "topic_permissions",
    Kind.PARAMETER: "parameters",
    Kind.OPERATOR_POLICY: "parameters",
    Kind.POLICY: "policies",
    Kind.QUEUE: "queues",
    Kind.EXCHANGE: "exchanges",
    Kind.BINDING: "bindings",
}


def _item(key: Key, properties: Properties, defaults: Mapping[str, Any], salt: Callable[[], bytes]) -> _Item:
    made = dict(properties)
    if key.kind is Kind.USER:
        return {"name": key.name, **_credentials(made, salt)}
    if key.kind is Kind.VHOST:
        return {"name": key.name, **made, "metadata": made}
    if key.kind is Kind.QUEUE:
        return _place(key) | _queue_item(made, defaults.get(key.vhost))
    if key.kind is Kind.BINDING:
        source, kind, topic, given = key.more
        return {
            "vhost": key.vhost,
            "source": source,
            "destination": key.name,
            "destination_type": kind,
            "routing_key": topic,
            "arguments": json.loads(given),
        }
    if key.kind is Kind.PERMISSION:
        return {"user": key.name, "vhost": key.vhost, **made}
    if key.kind is Kind.TOPIC_PERMISSION:
        return {"user": key.name, "vhost": key.vhost, "exchange": key.more[0], **made}
    if key.kind is Kind.OPERATOR_POLICY:
        return {**_place(key), "component": _OPERATOR_POLICY, "value": made}
    if key.kind is Kind.PARAMETER:
        return {**_place(key), "component": key.more[0], "value": made["value"]}
    return _place(key) | made


def _place(key: Key) -> _Item:
    return {"name": key.name, "vhost": key.vhost}


def _credentials(made: _Item, salt: Callable[[], bytes]) -> _Item:
    password = made.pop("password", None)
    if password is not None:
        made["password_hash"] = hashed(password, salt(), made["hashing_algorithm"])
    return made


def _queue_item(made: _Item, default: Any) -> _Item:
    """With its type as the argument that both versions know; left out where it is the default anyway."""
    kind = made.pop("type")
    if kind != "classic" or default not in {None, "classic"}:
        made["arguments"] = {**made["arguments"], TYPE: kind}
    return made
