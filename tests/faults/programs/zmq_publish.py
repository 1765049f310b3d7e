# SPDX-License-Identifier: MIT
"""Publish numbered messages over ZeroMQ from a process that may be killed: PORT FIRST COUNT RATE.

Says ``subscribed`` when a subscriber is there, and ``sent`` when the last of them has gone; then it waits for its end.
"""

from __future__ import annotations

import signal
import sys
import time

import zmq

TOPIC = b"org.example.prod.faults.test"


def main(port: int, first: int, count: int, rate: int) -> None:
    """Publish from when the first subscriber is there."""
    publisher: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
    publisher.setsockopt(zmq.SNDHWM, 0)
    publisher.bind(f"tcp://127.0.0.1:{port}")
    publisher.recv()
    print("subscribed")  # noqa: T201 - the test reads it
    began = time.monotonic()
    for number in range(first, first + count):
        body = b'{"msg":{"n":%d},"msg_id":"%d","topic":"%b"}' % (number, number, TOPIC)
        publisher.send_multipart([TOPIC, body])
        while (number - first) / rate > time.monotonic() - began:
            time.sleep(0.001)
    print("sent")  # noqa: T201
    signal.pause()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
