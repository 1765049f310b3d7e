# SPDX-License-Identifier: MIT
"""Why a node did not start: from what it wrote, one sentence. Pure."""

from __future__ import annotations

import re

LINES = 20
"""How much of the log goes with an error."""

CAUSES: tuple[tuple[str, str], ...] = (
    (r"no space left|enospc", "there is no space left on the disk"),
    (r"You've tried to set ([\w.$]+), but there is no setting", "rabbitmq.conf: there is no setting {0}"),
    (r"Error preparing configuration in phase \w+:\s*\n\s*- (.+)", "rabbitmq.conf: {0}"),
    (r"(syntax error[^\n]*)", "a configuration file has a {0}"),
    (r"failed_to_(?:prepare|read|parse)_(?:advanced_)?configuration", "the configuration is wrong"),
    (
        r"disabled_required_feature_flag",
        "the data was written by an older RabbitMQ, which this one cannot take over",
    ),
    (r"(?:unsupported|unknown)_feature_flags?", "the data was written by a newer RabbitMQ"),
    (r"(?:eacces|[Pp]ermission denied)[^\n]*", "a file or folder may not be read or written"),
    (r"cannot run ([^\n]+)", "cannot run {0}"),
)
TAKEN = re.compile(r"eaddrinuse|[Aa]ddress already in use|could not bind to distribution port")

LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* \[\w+\] ")


def port_taken(log: str) -> bool:
    """Whether the node gave up because somebody else listens on one of its ports."""
    return bool(TAKEN.search(log))


def cause(log: str) -> str:
    """The reason in the log that is known best; empty if none is."""
    if port_taken(log):
        return "another program took one of its ports"
    for pattern, sentence in CAUSES:
        if found := re.search(pattern, log):
            return sentence.format(*(group.strip().rstrip(".") for group in found.groups()))
    return ""


def ending(status: int | None, seconds: float) -> str:
    """What happened to the node: ``status`` is its exit status, negative for a signal, None while it runs."""
    if status is None:
        return f"RabbitMQ was not ready after {seconds:.0f} seconds"
    if status < 0:
        return f"RabbitMQ was killed by signal {-status} before it was ready"
    return f"RabbitMQ exited with status {status} before it was ready"


def tail(log: str, lines: int = LINES) -> str:
    """The last lines that say something; of a failed boot, without the crash reports that follow."""
    telling = [line.rstrip() for line in log.splitlines() if line.strip()]
    if "BOOT FAILED" in telling:
        failed = telling.index("BOOT FAILED")
        after = (number for number, line in enumerate(telling) if number > failed and LOGGED.match(line))
        telling = telling[: next(after, None)]
    return "\n".join(telling[-lines:])
