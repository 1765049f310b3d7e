# SPDX-License-Identifier: MIT
"""How much memory this process holds, and giving back what it does not use."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

__all__ = ["resident", "trim"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


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
