# SPDX-License-Identifier: MIT
"""Subscribe to everything at an ENDPOINT, in a process that may be frozen; says ``got`` and how many, each second."""

from __future__ import annotations

import sys
import time

import zmq


def main(endpoint: str) -> None:
    """Count until the process ends."""
    subscriber: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    subscriber.subscribe(b"")
    subscriber.connect(endpoint)
    count, said = 0, 0.0
    while True:
        if subscriber.poll(100):
            subscriber.recv_multipart()
            count += 1
        if time.monotonic() - said > 1:
            said = time.monotonic()
            print("got", count)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(sys.argv[1])
