# SPDX-License-Identifier: MIT
"""``api.publish``, one message after the other. The latency is that of the call; the CPU includes the message."""

from __future__ import annotations

import time

from benchmarks.meter import Meter, latencies
from fedora_messaging import api

from . import Result, run
from ._messages import message


def publish_blocking(count: int, warm_up: int) -> Result:
    """Publish ``warm_up`` messages, which connects, then ``count`` that are measured."""
    for _ in range(warm_up):
        api.publish(message())
    seconds: list[float] = []
    meter = Meter()
    for _ in range(count):
        one = message()
        begun = time.perf_counter()
        api.publish(one)
        seconds.append(time.perf_counter() - begun)
    return meter.result(count) | latencies(seconds)


if __name__ == "__main__":
    run(publish_blocking)
