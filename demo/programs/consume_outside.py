# SPDX-License-Identifier: MIT
"""``consume_outside ENDPOINT …``: a consumer in another organisation, with neither library: plain ZeroMQ, and JSON."""

import json
import sys

import zmq

from . import seen

subscriber = zmq.Context().socket(zmq.SUB)
subscriber.setsockopt(zmq.RCVHWM, 0)
subscriber.setsockopt(zmq.SUBSCRIBE, b"")
for endpoint in sys.argv[1:]:
    subscriber.connect(endpoint)

while True:
    topic, envelope = subscriber.recv_multipart()
    message = json.loads(envelope)
    way = "bridge" if message["username"] == "amqp-bridge" else "straight"
    print(seen.line(topic.decode(), message["msg"], way), flush=True)
