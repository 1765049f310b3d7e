# SPDX-License-Identifier: MIT
"""Print what crosses the bus, over MQTT. PASSWORD is in the environment; the arguments are host, port and user."""

import os
import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

host, port, user = sys.argv[1:4]


def on_connect(client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
    if reason.is_failure:
        sys.exit(f"The broker refuses the login: {reason}")
    client.subscribe("org/fedoraproject/#", qos=1)


def on_message(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
    print(message.topic.replace("/", "."), message.payload.decode(), flush=True)


bus = mqtt.Client(
    CallbackAPIVersion.VERSION2, client_id=user, clean_session=False
)  # the broker keeps our queue
bus.username_pw_set(f"/pubsub:{user}", os.environ["PASSWORD"])
bus.on_connect, bus.on_message = on_connect, on_message
bus.connect(host, int(port))
bus.loop_forever()
