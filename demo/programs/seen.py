# SPDX-License-Identifier: MIT
"""The line that a consumer writes for each message: ``had WAY CHECKSUM NAME``. Nothing but the standard library.

The name is what the message is counted by. A checksum of the body shows whether it came as it was.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

NAME = "demo"  # the key that the demo puts into the body of a real message


def line(topic: str, body: dict[str, Any], way: str) -> str:
    """What to write. ``way`` is ``straight`` (from the publisher, or the exchange it publishes to) or ``bridge``."""
    return f"had {way} {checksum(body)} {name(topic, body)}"


def name(topic: str, body: dict[str, Any]) -> str:
    """What a message is called: unique in one run of the demo."""
    if NAME in body:
        return str(body[NAME])
    if topic.endswith(".anitya.project.version.update"):
        return f"{body['project']['name']} {body['upstream_version']}"
    if topic.endswith(".hotness.build.started"):
        return f"started {body['release']}"
    return f"? {topic}"


def checksum(body: dict[str, Any]) -> int:
    """A number that is another one when anything in the body is another."""
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())
