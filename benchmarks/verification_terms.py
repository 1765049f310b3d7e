# SPDX-License-Identifier: MIT
"""What the verifier is given to do. Types alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Work(Enum):
    """One kind of measurement; the first three are tasks of ``verification_core``."""

    #: Messages come and arrive, while a number of them is in flight.
    RATE = "rate"
    #: Messages come and none arrives.
    HOLD = "hold"
    #: They come, and are all lost at once.
    PAUSE = "pause"
    #: The service beside both bridges.
    SERVICE = "service"


@dataclass(frozen=True)
class Verification:
    """The verifier at work, in a process of its own.

    ``count`` and ``warm_up`` are messages, of the service on each leg; a warm-up is never shortened. ``in_flight`` is
    how many messages are on their way all the time.
    """

    work: Work
    count: int
    warm_up: int = 0
    in_flight: int = 0

    def shortened(self, divisor: int) -> Verification:
        """The same with fewer messages."""
        return replace(self, count=self.count // divisor)
