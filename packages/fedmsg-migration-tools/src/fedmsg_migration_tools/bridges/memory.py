# SPDX-License-Identifier: MIT
"""How much memory this process holds."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["resident"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes (proc(5), ``statm``), or 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
