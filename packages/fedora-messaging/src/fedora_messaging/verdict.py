# SPDX-License-Identifier: MIT
"""What the outcome of a callback means for its message and for the consumer. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .exceptions import Drop, HaltConsumer, Nack


class Settlement(Enum):
    """What to tell the broker of a delivery; the value counts it in the statistics."""

    ACK = "processed"
    REJECT = "dropped"
    REQUEUE = "rejected"
    FAIL = "failed"


class Verdict(NamedTuple):
    """What becomes of the message; ``stop`` is raised to the caller of ``consume``, if it is set."""

    settlement: Settlement
    stop: BaseException | None = None


ACK = Verdict(Settlement.ACK)


def judge(error: BaseException | None) -> Verdict:
    """The verdict on a callback that returned (None) or raised ``error``.

    A return acknowledges. ``Nack`` requeues, ``Drop`` rejects for good, ``HaltConsumer`` acknowledges (or
    requeues, if it says so) and stops. Anything else is a fault of the callback: its message and all
    prefetched ones return to the queue, and the consumer stops.
    """
    match error:
        case None:
            return ACK
        case Nack():
            return Verdict(Settlement.REQUEUE)
        case Drop():
            return Verdict(Settlement.REJECT)
        case HaltConsumer(requeue=True):
            return Verdict(Settlement.REQUEUE, error)
        case HaltConsumer():
            return Verdict(Settlement.ACK, error)
        case _:
            return Verdict(Settlement.FAIL, error)
