# SPDX-License-Identifier: MIT
"""Why a node did not start: from what it wrote, one sentence and the lines that matter. Pure."""

from __future__ import annotations

import re

LINES = 20
"""How much of the log goes with an error."""
BEFORE = 8
"""Lines before "BOOT FAILED" that belong to it."""
LONGEST = 300
"""Characters of RabbitMQ's own words in a sentence."""

STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* \[\w+\] <[\d.]+> ?", re.MULTILINE)
TAKEN = re.compile(r"eaddrinuse|[Aa]ddress already in use|could not bind to distribution port")
REPORT = re.compile(r"\s+(?:supervisor: \{|crasher:)")
CAUSES: tuple[tuple[str, str], ...] = (
    (r"(?i)no space left|\benospc\b", "there is no space left on the disk"),
    (r"(cannot run [^\n]+)", "{0}"),
    (r"You've tried to set (\S+), but there is no setting", "rabbitmq.conf: there is no setting {0}"),
    (r"Error preparing configuration[^\n]*\n((?: +- [^\n]+\n?)+)", "rabbitmq.conf: {0}"),
    (r"Error parsing configuration:\n((?: +- [^\n]+\n?)+)", "{0}"),
    (
        r"Failed to load advanced configuration",
        "advanced.config is not a list of Erlang terms with a full stop",
    ),
    (
        r"disabled_required_feature_flag",
        "the data was written by an older RabbitMQ, which this one cannot take over",
    ),
    (
        r"schema_integrity_check_failed|unsupported_feature_flag",
        "the data was written by another version of RabbitMQ",
    ),
    (r"\beacces\b|[Pp]ermission denied", "a file or folder may not be read or written"),
    (r"(?:Exception|Error) during startup:\s+((?:[^\n]+\n?)+)", "{0}"),
)
"""What to look for, the most telling first, and what to say then."""


def port_taken(log: str) -> bool:
    """Whether the node gave up because somebody else listens on one of its ports."""
    return bool(TAKEN.search(log))


def cause(log: str) -> str:
    """The reason in the log that is known best; empty if none is."""
    text = STAMP.sub("", log)
    for pattern, sentence in CAUSES:
        if found := re.search(pattern, text):
            return sentence.format(*map(_joined, found.groups()))
    return ""


def _joined(text: str) -> str:
    """The items of a list, or the lines of an Erlang term, as part of a sentence."""
    lines = [line.strip() for line in text.strip().splitlines()]
    items = [line.removeprefix("- ").rstrip(".") for line in lines]
    joined = ("; " if lines[0].startswith("- ") else " ").join(items)
    return joined if len(joined) <= LONGEST else joined[:LONGEST] + "…"


def ending(status: int | None, seconds: float) -> str:
    """What happened to the node: ``status`` is its exit status, negative for a signal, None while it runs."""
    if status is None:
        return f"RabbitMQ was not ready after {seconds:.3g} seconds"
    if status < 0:
        return f"RabbitMQ was killed by signal {-status} before it was ready"
    return f"RabbitMQ exited with status {status} before it was ready"


def tail(log: str, lines: int = LINES) -> str:
    """The last lines that say something; of a failed boot, those where it failed, without the crash reports."""
    telling = [line.rstrip() for line in STAMP.sub("", log).splitlines() if line.strip()]
    if "BOOT FAILED" not in telling:
        return "\n".join(telling[-lines:])
    failed = telling.index("BOOT FAILED")
    reports = (number for number, line in enumerate(telling) if number > failed and REPORT.match(line))
    block = telling[max(0, failed - BEFORE) : next(reports, None)]
    # It is there twice, printed and logged, and the two may be mixed.
    return "\n".join(list(dict.fromkeys(block))[:lines])
