# SPDX-License-Identifier: MIT
"""``publish_amqp``: publishes what it reads, a JSON object with topic and body a line, over AMQP."""

import json
import sys

from fedora_messaging import api

for line in sys.stdin:
    message = json.loads(line)
    api.publish(api.Message(topic=message["topic"], body=message["body"]))
    print("published", message["body"]["demo"], flush=True)
