# SPDX-License-Identifier: MIT
"""What the management API says of the broker as a whole, as it says it. Reads only; judging does not belong here.

What one version has and another has not is asked for, and left out where the broker does not know it.
"""

from __future__ import annotations

import http
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...management.client import ManagementError, Problem
from .rights import Rights, TopicRight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...management.client import Management

__all__ = ["Facts", "read"]

Row = dict[str, Any]
_UNKNOWN = {404, 406}  # how a RabbitMQ answers that does not know a part of the API; 406 is that of 3.10
_QUEUES = (
    "name,vhost,type,state,durable,exclusive,auto_delete,arguments,consumers,messages,leader,members,online,"
    "effective_policy_definition,policy,delivery_limit"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """With RabbitMQ's own names for the fields; each may be missing but the names.

    Attributes:
        overview: of the cluster: versions, listeners.
        nodes: of the cluster.
        users: with ``tags`` as a list.
        permissions: with user, vhost, configure, write, read.
        topic_permissions: with user, vhost, exchange, write, read.
        vhosts: with ``cluster_state``.
        queues: exclusive ones too.
        exchanges: all.
        bindings: without those of the default exchange.
        policies: of all virtual hosts.
        alarmed: some node is low on memory or disk, right now; what the nodes tell of it is some seconds old.
        restricted: the user who asked may not see users and permissions.
        deprecated: features that are in use and will go; None where the broker keeps no list (before 3.13).
    """

    overview: Row = field(default_factory=dict)
    nodes: Sequence[Row] = ()
    users: Sequence[Row] = ()
    permissions: Sequence[Row] = ()
    topic_permissions: Sequence[Row] = ()
    vhosts: Sequence[Row] = ()
    queues: Sequence[Row] = ()
    exchanges: Sequence[Row] = ()
    bindings: Sequence[Row] = ()
    policies: Sequence[Row] = ()
    alarmed: bool = False
    restricted: bool = False
    deprecated: Sequence[Row] | None = None

    @property
    def version(self) -> str:
        """Of the broker that was asked."""
        return str(self.overview.get("rabbitmq_version", ""))

    def rights(self) -> Mapping[tuple[str, str], Rights]:
        """(user, virtual host) → what the tables give."""
        topics: dict[tuple[str, str], dict[str, TopicRight]] = {}
        for row in self.topic_permissions:
            right = TopicRight(row["write"], row["read"])
            topics.setdefault((row["user"], row["vhost"]), {})[row["exchange"]] = right
        return {
            (row["user"], row["vhost"]): Rights(
                row["configure"], row["write"], row["read"], topics.get((row["user"], row["vhost"]), {})
            )
            for row in self.permissions
        }


def read(management: Management) -> Facts:
    """Ask for all of it, some dozen requests. Raises ``ManagementError``."""
    seen = _users(management)
    return Facts(
        overview=management.get("overview"),
        nodes=management.get("nodes"),
        restricted=seen is None,
        **(seen or {}),
        vhosts=management.get("vhosts"),
        queues=list(management.pages("queues", columns=_QUEUES)),
        exchanges=list(management.pages("exchanges", columns="name,vhost,type,durable,internal,arguments")),
        bindings=[one for one in management.get("bindings") if one["source"]],
        policies=[*management.get("policies"), *management.get("operator-policies")],
        alarmed=_alarmed(management),
        deprecated=_deprecated(management),
    )


def _users(management: Management) -> dict[str, Any] | None:
    """Users and permissions, which are for administrators; None for others."""
    try:
        return {
            "users": [_with_tags(one) for one in management.get("users")],
            "permissions": management.get("permissions"),
            "topic_permissions": management.get("topic-permissions"),
        }
    except ManagementError as error:
        if error.problem is Problem.FORBIDDEN:
            return None
        raise


def _alarmed(management: Management) -> bool:
    try:
        management.get("health", "checks", "alarms")
    except ManagementError as error:
        if error.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            return True
        raise
    return False


def _deprecated(management: Management) -> list[Row] | None:
    try:
        found: list[Row] = management.get("deprecated-features", "used")
    except ManagementError as error:
        if error.status in _UNKNOWN:
            return None
        raise
    return found


def _with_tags(user: Row) -> Row:
    """Before 3.9 the tags are a text with commas."""
    tags = user.get("tags") or []
    return {**user, "tags": tags.split(",") if isinstance(tags, str) else tags}
