# SPDX-License-Identifier: MIT
"""Print what crosses the bus, over STOMP. PASSWORD is in the environment; the arguments are host, port and user."""

import os
import sys
import time

import stomp
from stomp.utils import Frame

host, port, user = sys.argv[1:4]


class Printer(stomp.ConnectionListener):
    def on_message(self, frame: Frame) -> None:
        print(frame.headers["destination"].rpartition("/")[2], frame.body, flush=True)
        bus.ack(frame.headers["ack"])

    def on_error(self, frame: Frame) -> None:
        sys.exit(f"{frame.headers['message']}: {frame.body}")

    def on_disconnected(self) -> None:
        os._exit(1)  # let whatever started this start it again


bus = stomp.Connection12([(host, int(port))], vhost="/pubsub", heartbeats=(10_000, 10_000))
bus.set_listener("printer", Printer())
bus.connect(user, os.environ["PASSWORD"], wait=True)
queue = {
    "durable": "true",
    "auto-delete": "false",
    "exclusive": "false",
    "x-queue-name": f"stomp-subscription-{user}",
}
bus.subscribe("/exchange/amq.topic/org.fedoraproject.#", id="amqp", ack="client-individual", headers=queue)
bus.subscribe("/exchange/zmq.topic/org.fedoraproject.#", id="zmq", ack="client-individual", headers=queue)
while True:
    time.sleep(60)
