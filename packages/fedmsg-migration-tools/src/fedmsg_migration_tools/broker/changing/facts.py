# SPDX-License-Identifier: MIT
"""What else there is to know about a live broker before it is changed. Pure; how it is asked is in :mod:`.live`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Facts", "QueueFacts"]


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue as it is now.

    Attributes:
        type: classic, quorum, stream, or what a plugin brings.
        messages: in it, as far as the broker tells; None where it does not.
        consumers: of it.
        exclusive: of one connection.
    """

    type: str
    messages: int | None
    consumers: int
    exclusive: bool = False

    @property
    def used(self) -> str:
        """Why it must not be deleted unasked; empty as far as we know."""
        if self.exclusive:
            return "is exclusive to a connection"
        if self.messages:
            return f"holds {self.messages} message{'s' if self.messages > 1 else ''}"
        if self.consumers:
            return f"has {self.consumers} consumer{'s' if self.consumers > 1 else ''}"
        return ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Who we are there, and what cannot be seen from definitions.

    Attributes:
        user: our name there.
        version: of RabbitMQ, like (3, 10, 8); empty when unknown.
        queues: virtual host, name → the queue; exclusive ones too.
        stopped: virtual hosts that run on no node.
    """

    user: str = ""
    version: tuple[int, ...] = ()
    queues: Mapping[tuple[str, str], QueueFacts] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()
