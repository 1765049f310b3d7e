# SPDX-License-Identifier: MIT
"""The message that every contestant publishes and consumes: one shape, so that only the client differs."""

from __future__ import annotations

import json
import re
from typing import Any

EXCHANGE = "amq.topic"
ZMQ_EXCHANGE = "zmq.topic"
QUEUE = "benchmark"
TOPIC = "org.fedoraproject.prod.bodhi.update.comment"

NUMBERED = re.compile(rb"5e5b9bd2-7b5c-4ca8-9a0d-([0-9a-f]{12})")

#: As long as the median message of Fedora's bus.
BODY: dict[str, Any] = {
    "comment": {
        "id": 1034217,
        "author": "maria",
        "karma": 1,
        "text": "Installed on two machines, one of them with an encrypted home: works as it should.",
        "timestamp": "2019-07-30 19:12:21",
        "testcase_feedback": [{"testcase": "QA:Testcase_base_startup", "karma": 1}],
    },
    "update": {
        "alias": "FEDORA-2019-c8e2b1a1f2",
        "builds": [{"nvr": "kernel-5.1.20-300.fc30", "epoch": 0, "signed": True}],
        "status": "testing",
        "user": "jan",
    },
    "agent": "maria",
}

#: As the library writes them (../shared/wire-formats.md; docs: the wire format).
HEADERS: dict[str, str | int] = {
    "fedora_messaging_schema": "base.message",
    "fedora_messaging_severity": 20,
    "sent-at": "2019-07-30T19:12:22+00:00",
    "priority": 0,
}

#: The same of what came over ZeroMQ (docs: the wire format of the bridges).
BRIDGED_HEADERS: dict[str, str | int] = {
    "fedora_messaging_schema": "base.message",
    "fedora_messaging_severity": 20,
    "fedmsg_bridge": "zmq_to_amqp@benchmark",
    "sent-at": "2019-07-30T19:12:22+00:00",
    "fedmsg_crypto": "x509",
    "fedmsg_i": 30_000,
    "fedmsg_username": "bodhi",
}

#: And of what came signed: as long as a signature and a certificate are in base64, whatever they say.
SIGNED_HEADERS = BRIDGED_HEADERS | {"fedmsg_signature": "s" * 349, "fedmsg_certificate": "c" * 1_459}


def encoded_body() -> bytes:
    """The body as it travels."""
    return json.dumps(BODY).encode()


def message_id(number: int) -> str:
    """A valid uuid4 for the message ``number``."""
    return f"5e5b9bd2-7b5c-4ca8-9a0d-{number:012x}"


def numbers(data: bytes) -> list[int]:
    """The numbers of the messages whose ids stand in ``data``, in order."""
    return [int(digits, 16) for digits in NUMBERED.findall(data)]


def envelope(number: int) -> dict[str, Any]:
    """The message ``number`` as fedmsg wraps it, unsigned."""
    return {
        "crypto": "x509",
        "i": number,
        "msg": BODY,
        "msg_id": f"2019-{message_id(number)}",
        "timestamp": 1564513942,
        "topic": TOPIC,
        "username": "bodhi",
    }
