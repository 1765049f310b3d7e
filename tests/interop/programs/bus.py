# SPDX-License-Identifier: MIT
"""Publishes or consumes, and prints as JSON what it saw. Runs with 3.9.1 and with this library, unchanged.

``bus.py publish``: standard input is a list of samples (class, topic, body, maybe headers and severity).
``bus.py consume N QUEUE``: takes N messages from the queue.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from fedora_messaging import api, exceptions, message


def described(one: message.Message) -> dict[str, Any]:
    return {
        "class": f"{type(one).__module__}:{type(one).__name__}",
        "id": one.id,
        "topic": one.topic,
        "severity": one.severity,
        "priority": one.priority,
        "headers": one._headers,
        "body": one.body,
        "encoded": one._encoded_body.decode(),
        "summary": one.summary,
        "usernames": one.usernames,
        "packages": one.packages,
        "groups": one.groups,
        "url": one.url,
        "avatar": one.agent_avatar,
        "text": str(one),
    }


def publish() -> list[dict[str, Any]]:
    sent = []
    for sample in json.load(sys.stdin):
        given = {name: value for name, value in sample.items() if name != "class"}
        one = message.get_class(sample["class"])(**given)
        api.publish(one, timeout=20)
        sent.append(described(one))
    return sent


def consume(count: int, queue: str) -> list[dict[str, Any]]:
    got: list[dict[str, Any]] = []

    def callback(one: message.Message) -> None:
        got.append({**described(one), "queue": one.queue})
        if len(got) == count:
            raise exceptions.HaltConsumer

    dead = {"x-dead-letter-exchange": "dead"}
    settings = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": dead}
    with contextlib.suppress(exceptions.HaltConsumer):
        api.consume(callback, bindings=[], queues={queue: settings})
    return got


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    sys.stdout.write(
        "RESULT" + json.dumps(publish() if command == "publish" else consume(int(rest[0]), rest[1])) + "\n"
    )
