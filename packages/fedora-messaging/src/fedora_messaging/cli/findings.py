# SPDX-License-Identifier: MIT
"""What a check of ``doctor`` found, and how it is printed: one line each. Checking does not belong here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .failures import one_line


class Status(StrEnum):
    """How it is."""

    OK = "ok"
    NOTE = "note"  # worth knowing, and no failure
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line: which ``check``, how it went, what was seen, and what to do about it (``""``: nothing)."""

    status: Status
    check: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return one_line(f"{self.status:<5} {self.check:<14} {self.text}{advice}")


def ok(check: str, text: str) -> Finding:
    """It works."""
    return Finding(Status.OK, check, text)


def note(check: str, text: str, advice: str = "") -> Finding:
    """It is not known to fail, but somebody may want to know."""
    return Finding(Status.NOTE, check, text, advice)


def fail(check: str, text: str, advice: str = "") -> Finding:
    """It does not work."""
    return Finding(Status.FAIL, check, text, advice)
