# SPDX-License-Identifier: MIT
"""The messages of the demo: 542 that Fedora's old bus really carried (see tests/data/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from fedora_messaging.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).parents[1] / "tests" / "data" / "real-fedmsg-messages.jsonl"


def messages(rounds: int) -> Iterator[Message]:
    """Every message of the sample, ``rounds`` times over, with a new id each time."""
    envelopes = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    for _ in range(rounds):
        for envelope in envelopes:
            yield Message(topic=envelope["topic"], body=envelope["msg"])


def application(topic: str) -> str:
    """The application that a topic belongs to: its fourth word, or the first of a topic that has no prefix."""
    words = topic.split(".")
    return words[3] if len(words) > 3 else words[0]
