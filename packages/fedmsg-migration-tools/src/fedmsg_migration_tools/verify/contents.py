# SPDX-License-Identifier: MIT
"""What messages were, for as long as there is room: to say what changed, and to send again what was lost.

Bounded by bytes; the oldest go first. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..reconcile.model import Witness

__all__ = ["Content", "Contents"]

_OVERHEAD = 600  # bytes for each message beside its own, as measured


class Content(NamedTuple):
    """A message as one witness saw it.

    Attributes:
        message_id: as it was there; None where it had none.
        topic: likewise.
        frames: over ZeroMQ, its frames.
        delivery: over AMQP, its topic, id, headers and body.
    """

    message_id: str | None
    topic: str
    frames: tuple[bytes, ...] | None = None
    delivery: tuple[str, str | None, Mapping[str, Any], bytes] | None = None

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        if self.delivery is not None:
            return _OVERHEAD + 100 * len(self.delivery[2]) + len(self.delivery[3])
        return _OVERHEAD + sum(map(len, self.frames or ()))


class Contents:
    """The latest messages, by witness and key.

    Arguments:
        max_bytes: what they may hold together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[Witness, bytes], Content] = OrderedDict()
        self.bytes = 0

    def keep(self, witness: Witness, key: bytes, content: Content) -> None:
        """Keep it; one of the same key there is replaced."""
        before = self._held.pop((witness, key), None)
        if before is not None:
            self.bytes -= before.size
        self._held[witness, key] = content
        self.bytes += content.size
        while self.bytes > self._max_bytes:
            _, oldest = self._held.popitem(last=False)
            self.bytes -= oldest.size

    def get(self, witness: Witness, key: bytes) -> Content | None:
        """It, if it is still there."""
        return self._held.get((witness, key))

    def __len__(self) -> int:
        return len(self._held)
