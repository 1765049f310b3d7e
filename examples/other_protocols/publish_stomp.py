# SPDX-License-Identifier: MIT
"""Publish one message over STOMP. PASSWORD is in the environment; the arguments are host, port, user and topic."""

import json
import os
import sys
import uuid
from datetime import UTC, datetime

import stomp
from stomp.utils import Frame

host, port, user, topic = sys.argv[1:5]


class Answers(stomp.ConnectionListener):
    def on_error(self, frame: Frame) -> None:
        print(f"{frame.headers['message']}: {' '.join(frame.body.split())}", file=sys.stderr, flush=True)
        os._exit(1)


bus = stomp.Connection12([(host, int(port))], vhost="/pubsub")
bus.set_listener("answers", Answers())
bus.connect(user, os.environ["PASSWORD"], wait=True)
headers = {
    "amqp-message-id": str(uuid.uuid4()),
    "content-encoding": "utf-8",
    "sent-at": datetime.now(UTC).isoformat(timespec="seconds"),
    "fedora_messaging_schema": "base.message",
    "persistent": "true",
}
bus.send(f"/topic/{topic}", json.dumps({"greeting": "hello"}), "application/json", headers, receipt="sent")
bus.disconnect(receipt="over")  # waits until the broker has confirmed both
