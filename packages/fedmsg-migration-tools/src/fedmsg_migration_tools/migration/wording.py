# SPDX-License-Identifier: MIT
"""How moments, lists and names are written in the sentences for the operator. Pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["count", "day", "duration", "listed", "minute", "quoted"]

_NAMED = 5  # names in one sentence


def day(moment: float) -> str:
    """``2026-11-23``, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(moment))


def minute(moment: float) -> str:
    """``2026-11-23 23:59``, UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))


def duration(seconds: float) -> str:
    """``3 days``, ``5 hours``, ``40 s``: rounded down to what matters."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return count(int(seconds // length), unit)
    return f"{max(0, int(seconds))} s"


def count(number: float, what: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number:,g} {what}" if number == 1 else f"{number:,g} {what}s"


def listed(names: Collection[str]) -> str:
    """A few names, and how many more."""
    shown = ", ".join(list(names)[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def quoted(text: str) -> str:
    """What stands in a sentence without being part of it."""
    return f"'{text}'"
