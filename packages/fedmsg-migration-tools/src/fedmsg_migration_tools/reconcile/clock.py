# SPDX-License-Identifier: MIT
"""A time that only goes forward, made of one that steps. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Clock"]

_JITTER = 10.0  # seconds that the time may go back before that is a step of the clock


@dataclass(slots=True)
class Clock:
    """Makes of the told time one that goes on.

    A little back: the time stands still. Further back, or forward by more than ``leap``: the clock was set, or the
    machine slept; the time goes on from where it was, since nothing has happened meanwhile that was seen.

    Arguments:
        leap: seconds.
    """

    leap: float
    now: float = float("-inf")
    offset: float = 0.0
    steps: int = 0

    def tell(self, told: float) -> float:
        """The time now."""
        now = told + self.offset
        if self.now == float("-inf"):
            self.now = now
        elif now >= self.now:
            self._forward(now)
        elif now < self.now - _JITTER:
            self._step(now)
        return self.now

    def inside(self, told: float) -> float:
        """A time told that is not the time now, such as when something began."""
        return told + self.offset

    def shown(self, inside: float) -> float:
        """The time as those who tell it would call it now."""
        return inside - self.offset

    def _forward(self, now: float) -> None:
        if now - self.now > self.leap:
            self._step(now)
        else:
            self.now = now

    def _step(self, now: float) -> None:
        self.offset += self.now - now
        self.steps += 1
