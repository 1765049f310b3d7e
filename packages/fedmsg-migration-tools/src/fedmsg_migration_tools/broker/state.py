# SPDX-License-Identifier: MIT
"""What a broker has: its objects by key, each with RabbitMQ's own names for its properties. Pure.

Both sides of a comparison have this shape: what the operator's file asks for, and what a live broker tells. How they
are read, compared and changed does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Key", "Kind", "Properties", "State"]


class Kind(StrEnum):
    """What an object is, as an operator calls it."""

    VHOST = "virtual host"
    USER = "user"
    EXCHANGE = "exchange"
    QUEUE = "queue"
    BINDING = "binding"
    PERMISSION = "permission"
    TOPIC_PERMISSION = "topic permission"
    POLICY = "policy"
    OPERATOR_POLICY = "operator policy"
    PARAMETER = "parameter"  # federation upstreams, shovels, limits of a virtual host


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which object.

    Attributes:
        kind: what it is.
        vhost: where; empty for a user, the virtual host's own name for a virtual host.
        name: of it; the user for (topic) permissions, the destination for a binding.
        more: what else it takes. A binding: source, destination type (``queue``, ``exchange``), routing key, arguments
            as JSON with sorted keys. A topic permission: the exchange. A parameter: the component.
    """

    kind: Kind
    vhost: str
    name: str
    more: tuple[str, ...] = ()


#: With the names of RabbitMQ's definitions (``/api/definitions``), without those that are in the key.
Properties = Mapping[str, Any]
State = Mapping[Key, Properties]
