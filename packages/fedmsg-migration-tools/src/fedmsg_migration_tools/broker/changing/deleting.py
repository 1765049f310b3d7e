# SPDX-License-Identifier: MIT
"""Deleting what may still be needed: only after the broker itself has said that it is not."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from ...exceptions import ToolsError
from .live import queue_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..state import Key
    from .changes import Plan
    from .facts import QueueFacts
    from .persisting import Persistent

__all__ = ["Deleting", "Held"]


class Held(ToolsError):
    """Somebody still needs it."""


class Deleting:
    """Deletions on one broker.

    Arguments:
        broker: that one.
        plan: what was there before.
        settling: seconds after which the broker's statistics know what was in a queue when we began.
    """

    def __init__(self, broker: Persistent, plan: Plan, settling: float) -> None:
        self._broker = broker
        self._plan = plan
        self._settled = time.monotonic() + settling
        self._facts: dict[str, dict[tuple[str, str], QueueFacts]] = {}

    def queue(self, key: Key, path: Sequence[str], *, unasked: bool) -> None:
        """Delete a queue; ``unasked``, only when it is empty and has no consumer.

        For a classic queue the broker decides that in the moment in which it deletes it. It knows no such condition
        for quorum queues, and does not heed it for streams (3.10, 4.0): of these we make sure just before.

        Raises:
            Held: it is not.
            Refused: the broker does not delete it.
        """
        if not unasked:
            self._broker.change("DELETE", path)
            return
        kind = self._kind(key)
        if kind == "classic":
            self._broker.change("DELETE", path, query={"if-empty": "true", "if-unused": "true"})
            return
        known = self._known(key)
        if known is None:
            return
        if known.used:
            raise Held(f"it {known.used}")
        if kind == "quorum":
            self._require_empty(path)
        elif known.messages is None:
            raise Held("it may hold messages: the broker does not tell")
        self._broker.change("DELETE", path)

    def exchange(self, path: Sequence[str], *, unasked: bool) -> None:
        """Delete an exchange; ``unasked``, only when no bindings lead from it. Raises ``Refused``."""
        self._broker.change("DELETE", path, query={"if-unused": "true"} if unasked else None)

    def vhost(self, name: str, *, unasked: bool) -> None:
        """Delete a virtual host; ``unasked``, only when it has no queue any more. Raises ``Held``, ``Refused``."""
        if unasked:
            left = [one["name"] for one in self._broker.get("queues", name, columns="name")]
            if left:
                raise Held(f"it has got a queue {left[0]} meanwhile")
        self._broker.change("DELETE", ("vhosts", name))

    def binding(self, key: Key, path: Sequence[str]) -> None:
        """Delete a binding. Raises ``Refused``."""
        topic, arguments = key.more[2], json.loads(key.more[3])
        if not arguments:
            self._broker.change("DELETE", (*path, quote(topic, safe="") or "~"))
            return
        for one in self._broker.change("GET", path):
            if one["routing_key"] == topic and one["arguments"] == arguments:
                self._broker.change("DELETE", (*path, one["properties_key"]))

    def _kind(self, key: Key) -> str:
        known = self._plan.facts.queues.get((key.vhost, key.name))
        return known.type if known else str(self._plan.live.get(key, {}).get("type", "classic"))

    def _known(self, key: Key) -> QueueFacts | None:
        """What the broker tells of it, now that its statistics are not older than our plan."""
        if key.vhost not in self._facts:
            time.sleep(max(0.0, self._settled - time.monotonic()))
            self._facts[key.vhost] = queue_facts(self._broker, key.vhost)
        return self._facts[key.vhost].get((key.vhost, key.name))

    def _require_empty(self, path: Sequence[str]) -> None:
        """By looking at its first message, which stays."""
        look = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 1}
        if self._broker.change("POST", (*path, "get"), look):
            raise Held("it holds messages")
