# SPDX-License-Identifier: MIT
"""Whether anything moves while messages wait. Pure: times are given, in seconds of a clock that never goes back.

A bridge is healthy when messages get on, whatever its sockets say of themselves: a connection may be open and
lead nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(slots=True)
class Progress:
    """Remembers when something last moved.

    Arguments:
        timeout: seconds that messages may wait while nothing moves.
        last: when something last moved; at first, when the bridge began.
    """

    timeout: float
    last: float
    waiting: int = 0

    def moved(self, now: float) -> None:
        """A message got on, or something was mended so that it can."""
        self.last = now

    def wait(self, now: float, waiting: int) -> None:
        """Say how many messages wait now. What has just begun to wait has not waited for long."""
        if waiting and not self.waiting:
            self.last = max(self.last, now)
        self.waiting = waiting

    def stalled(self, now: float) -> float | None:
        """For how many seconds nothing has moved while messages wait, if that is too long; else None."""
        idle = now - self.last
        return idle if self.waiting and idle > self.timeout else None
