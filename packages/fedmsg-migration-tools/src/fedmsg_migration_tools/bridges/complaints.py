# SPDX-License-Identifier: MIT
"""Saying a thing once a minute, however often it happens."""

from __future__ import annotations

import time

__all__ = ["Complaints"]


class Complaints:
    """Remembers what was said of late.

    Arguments:
        pause: seconds between two lines of one kind.
    """

    def __init__(self, pause: float = 60.0) -> None:
        self._pause = pause
        self._said: dict[str, float] = {}

    def due(self, kind: str) -> bool:
        """Whether to say it now; if so, it counts as said."""
        now = time.monotonic()
        if now - self._said.get(kind, float("-inf")) < self._pause:
            return False
        self._said[kind] = now
        return True
