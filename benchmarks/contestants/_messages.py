# SPDX-License-Identifier: MIT
"""The message of ``payload`` as an application makes it."""

from __future__ import annotations

from benchmarks import payload
from fedora_messaging.api import Message


def message() -> Message:
    """A new one, with an id of its own; making it is part of what a message costs."""
    return Message(topic=payload.TOPIC, body=payload.BODY)
