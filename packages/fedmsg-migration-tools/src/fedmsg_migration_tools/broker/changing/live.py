# SPDX-License-Identifier: MIT
"""What a live broker is, asked of its management API. What follows from it does not belong here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from ...exceptions import ToolsError
from ...management.client import ManagementError, Problem
from ..bus.definitions import to_state, vhost_properties
from ..state import Key, Kind
from .facts import Facts, QueueFacts

if TYPE_CHECKING:
    from ...management.client import Management
    from ..state import State

__all__ = ["Asked", "facts", "live", "queue_facts"]

_QUEUES = "name,vhost,type,exclusive,arguments,messages"


def live(management: Management) -> State:
    """All that definitions have, and the metadata of virtual hosts, which 3.10's definitions lack.

    Raises:
        ToolsError: the user is no administrator; or what the management API says.
    """
    state = dict(to_state(_definitions(management)))
    for one in management.get("vhosts", columns="name,description,tags,default_queue_type"):
        key = Key(Kind.VHOST, one["name"], one["name"])
        if key in state:
            state[key] = vhost_properties(one)
    return state


def facts(management: Management) -> Facts:
    """Who we are there, and what is in the queues. Raises as :func:`live`."""
    user, _ = management.whoami()
    version = management.get("overview", columns="rabbitmq_version").get("rabbitmq_version", "")
    return Facts(
        user,
        tuple(int(number) for number in re.findall(r"\d+", version)[:3]),
        queue_facts(management),
        frozenset(
            one["name"]
            for one in management.get("vhosts", columns="name,cluster_state")
            if "running" not in (one.get("cluster_state") or {"": "running"}).values()
        ),
    )


class Asked(Protocol):
    """What can be asked: the management API, or a persistent view of it."""

    def get(self, *path: str, **query: str | int) -> Any:
        """The JSON of ``/api/PATH``."""


def queue_facts(management: Asked, *vhost: str) -> dict[tuple[str, str], QueueFacts]:
    """What is in the queues of one virtual host, or of all.

    How many messages a classic queue has is known at once; of quorum queues and streams there are only statistics,
    which are up to five seconds old, and missing at first.
    """
    totals = management.get("queues", *vhost, disable_stats="true", enable_queue_totals="true")
    messages = {(one["vhost"], one["name"]): one.get("messages") for one in totals}
    consumers: dict[tuple[str, str], int] = {}
    for one in management.get("consumers", *vhost):
        where = one["queue"]["vhost"], one["queue"]["name"]
        consumers[where] = consumers.get(where, 0) + 1
    return {
        (one["vhost"], one["name"]): QueueFacts(
            one.get("type") or (one.get("arguments") or {}).get("x-queue-type") or "classic",
            _more(messages.get((one["vhost"], one["name"])), one.get("messages")),
            consumers.get((one["vhost"], one["name"]), 0),
            bool(one.get("exclusive")),
        )
        for one in management.get("queues", *vhost, columns=_QUEUES)
    }


def _more(*numbers: int | None) -> int | None:
    return max((one for one in numbers if one is not None), default=None)


def _definitions(management: Management) -> dict[str, Any]:
    try:
        found: dict[str, Any] = management.get("definitions")
    except ManagementError as exc:
        user, where = management.server.user, f"The management API at {management.server.url}"
        if exc.problem is Problem.LOGIN:
            raise ToolsError(
                f"{where} does not know the user {user} with this password: check --user, and --password-file or what "
                "else gives the password"
            ) from exc
        if exc.problem is Problem.FORBIDDEN:
            raise ToolsError(
                f"{where} does not show its definitions to the user {user}: give it the tag administrator "
                f"(rabbitmqctl set_user_tags {user} administrator), or take another (--user)"
            ) from exc
        raise
    return found
