# SPDX-License-Identifier: MIT
"""How the management API calls each object, and what it wants to be told of it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..bus.arguments import TYPE
from ..bus.passwords import same_password
from ..state import Key, Kind

if TYPE_CHECKING:
    from ..state import Properties, State

__all__ = ["body", "ends_of", "login", "path", "rows"]

_COLLECTIONS = {
    Kind.VHOST: "vhosts",
    Kind.USER: "users",
    Kind.EXCHANGE: "exchanges",
    Kind.QUEUE: "queues",
    Kind.PERMISSION: "permissions",
    Kind.TOPIC_PERMISSION: "topic-permissions",
    Kind.POLICY: "policies",
    Kind.OPERATOR_POLICY: "operator-policies",
}


def path(key: Key) -> tuple[str, ...]:
    """Where an object is, behind ``/api/``; for a binding, where those between the two ends are."""
    if key.kind in {Kind.VHOST, Kind.USER}:
        return _COLLECTIONS[key.kind], key.name
    if key.kind is Kind.PARAMETER:
        return "parameters", key.more[0], key.vhost, key.name
    if key.kind is Kind.BINDING:
        source, kind, _, _ = key.more
        return "bindings", key.vhost, "e", source, kind[0], key.name
    return _COLLECTIONS[key.kind], key.vhost, key.name


def ends_of(binding: Key) -> set[Key]:
    """The exchange that a binding leads from, and the queue or exchange that it leads to."""
    source, kind, _, _ = binding.more
    return {Key(Kind.EXCHANGE, binding.vhost, source), Key(Kind(kind), binding.vhost, binding.name)}


def body(key: Key, properties: Properties, state: State) -> dict[str, Any]:
    """What makes the object so.

    Arguments:
        key: of what; no user (see :func:`login`).
        properties: as it shall be.
        state: what else there shall be.
    """
    if key.kind is Kind.VHOST:
        return {**properties, "tags": ",".join(properties.get("tags", ()))}
    if key.kind is Kind.QUEUE:
        return _queue(properties, state.get(Key(Kind.VHOST, key.vhost, key.vhost), {}))
    if key.kind is Kind.TOPIC_PERMISSION:
        return {"exchange": key.more[0], **properties}
    if key.kind is Kind.BINDING:
        return {"routing_key": key.more[2], "arguments": json.loads(key.more[3])}
    return dict(properties)


def _queue(properties: Properties, vhost: Properties) -> dict[str, Any]:
    """With the type as an argument, but where it is the default: clients that give none would be refused."""
    made = dict(properties)
    kind = made.pop("type", "classic")
    if kind != "classic" or vhost.get("default_queue_type", "classic") != "classic":
        made["arguments"] = {**made.get("arguments", {}), TYPE: kind}
    return made


def login(before: Properties, after: Properties) -> dict[str, Any]:
    """How a user logs in, and the tags. A password that is there already keeps its hash."""
    made = {"tags": ",".join(after.get("tags", ()))}
    algorithm = before.get("hashing_algorithm", "")
    if "password" not in after:
        made["password_hash"] = after.get("password_hash", "")
        made["hashing_algorithm"] = after.get("hashing_algorithm", "rabbit_password_hashing_sha256")
    elif same_password(after["password"], before.get("password_hash", ""), algorithm):
        made["password_hash"], made["hashing_algorithm"] = before["password_hash"], algorithm
    else:
        made["password"] = "".join(after["password"])
    return made


def rows(state: State, vhost: str, user: str) -> dict[Key, Properties]:
    """A user's topic permissions in a virtual host."""
    return {
        key: properties
        for key, properties in state.items()
        if key.kind is Kind.TOPIC_PERMISSION and key.vhost == vhost and key.name == user
    }
