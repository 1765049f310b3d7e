# SPDX-License-Identifier: MIT
"""The messages of the demo: those that Fedora's old bus really carried (see tests/data/README.md)."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parents[1] / "tests" / "data" / "real-fedmsg-messages.jsonl"
APPLICATIONS = ("compose", "pagure", "ci", "bodhi", "pkgdb")
OTHERS = "others"
PROJECTS = (
    "bash",
    "curl",
    "django",
    "emacs",
    "flask",
    "git",
    "nginx",
    "python-requests",
    "systemd",
    "zeromq",
)
RELEASES = "org.release-monitoring.prod.anitya.project.version.update"


def application(topic: str) -> str:
    """The application that a topic belongs to: its fourth word, or the first of a topic that has no prefix."""
    words = topic.split(".")
    return words[3] if len(words) > 3 else words[0]


def by_application() -> dict[str, list[dict[str, Any]]]:
    """The busiest applications, each with its envelopes, and the rest of them together.

    Without news of releases: a monitor publishes those for itself, and hotness should react to no others.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*APPLICATIONS, OTHERS)}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        envelope = json.loads(line)
        name = application(envelope["topic"])
        if envelope["topic"] != RELEASES:
            found[name if name in APPLICATIONS else OTHERS].append(envelope)
    return found


def replay(name: str, envelopes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The messages over and over, as ``topic`` and ``body``, in which the key ``demo`` makes each unique."""
    for number, envelope in enumerate(itertools.cycle(envelopes), 1):
        yield {"topic": envelope["topic"], "body": {**envelope["msg"], "demo": f"{name} {number}"}}


def releases() -> Iterator[str]:
    """New versions of projects, one after the other, as ``project version``."""
    for number in itertools.count(1):
        for project in PROJECTS:
            yield f"{project} 1.{number}"
