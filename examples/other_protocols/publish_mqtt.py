# SPDX-License-Identifier: MIT
"""Publish one message over MQTT. PASSWORD is in the environment; the arguments are host, port, user and topic."""

import json
import os
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

host, port, user, topic = sys.argv[1:5]
bus = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"{user}-{os.getpid()}")
bus.username_pw_set(f"/pubsub:{user}", os.environ["PASSWORD"])
bus.connect(host, int(port))
bus.loop_start()
sent = bus.publish(topic.replace(".", "/"), json.dumps({"greeting": "hello"}), qos=1)
try:
    sent.wait_for_publish(10)
except RuntimeError as error:
    sys.exit(f"Not published: {error}")
if (
    not sent.is_published()
):  # a topic that we may not publish: the broker ends the connection, again and again
    sys.exit("The broker has not confirmed it within 10 s: may this user publish this topic?")
bus.disconnect()
