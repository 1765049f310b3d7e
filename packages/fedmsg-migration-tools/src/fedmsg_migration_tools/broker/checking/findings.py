# SPDX-License-Identifier: MIT
"""What a check found: one line each. Pure; checking does not belong here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Status", "fail", "ok", "warn"]

LONGEST = 500  # characters of a line


class Status(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"  # somebody should look at it; the exit code stays 0
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        status: how it is.
        check: what was looked at, in a word.
        text: what was seen.
        advice: what to do about it; empty when there is nothing to do.
    """

    status: Status
    check: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f": {self.advice}" if self.advice else ""
        line = f"{self.status:<4}  {self.check:<11}  {_printable(self.text + advice)}"
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 4]} ..."

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"status": self.status, "check": self.check, "text": self.text, "advice": self.advice}


def _printable(text: str) -> str:
    """On one line, and without what a terminal would act upon: names may hold anything."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def ok(check: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(Status.OK, check, text)


def warn(check: str, text: str, advice: str = "") -> Finding:
    """It works, and is not as it should be; or it could not be seen."""
    return Finding(Status.WARN, check, text, advice)


def fail(check: str, text: str, advice: str = "") -> Finding:
    """It is not as it should be."""
    return Finding(Status.FAIL, check, text, advice)
