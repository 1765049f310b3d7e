# SPDX-License-Identifier: MIT
"""How numbers and days are written for the operator. Pure."""

from __future__ import annotations

import time

__all__ = ["count", "day"]


def count(number: int, what: str) -> str:
    """``1 message``, ``2,000 messages``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def day(moment: float | None) -> str:
    """``2026-11-24``, UTC; empty where no date is known."""
    try:
        return "" if moment is None else time.strftime("%Y-%m-%d", time.gmtime(moment))
    except (OverflowError, OSError, ValueError):
        return ""
