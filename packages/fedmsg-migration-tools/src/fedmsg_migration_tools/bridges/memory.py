# SPDX-License-Identifier: MIT
"""How much memory this process holds, giving back what it does not use, and how often Python looks for garbage."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

__all__ = ["Spare", "collect_seldom", "resident", "trim"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SPARE = 4_000_000  # bytes that may be kept for later
# gc.set_threshold: allocations, and runs of the younger generation before one of the older
_COLLECT = (10_000, 20, 50)


def resident() -> int:
    """Bytes (proc(5), ``statm``), or 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def trim() -> None:
    """Give back to the system what was freed and is kept for later (malloc_trim(3)); nothing where libc has no such.

    Without it, :func:`resident` goes on counting what has long been freed.
    """
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:
        give_back(0)


def collect_seldom() -> None:
    """Have the collector look for cycles less often, and never among what is there now.

    Messages leave no cycles behind. Looking for them all the same was a tenth of what a message cost, and a pause
    of milliseconds now and then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)


class Spare:
    """What a burst needed and nobody needs any more goes back to the system."""

    def __init__(self) -> None:
        self._kept = resident()

    def give_back(self) -> None:
        """To be called while nothing waits; does something only where there is something to gain."""
        now = resident()
        if now > self._kept + _SPARE:
            trim()
            self._kept = resident()
        else:
            self._kept = min(now, self._kept)
