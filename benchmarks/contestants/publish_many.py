# SPDX-License-Identifier: MIT
"""``api.publish_many`` with one long list; fedora-messaging 3.9.1 has no such call.

The time is that of the call. What it costs to make the messages is in ``cpu_us`` of the other publishing tasks.
"""

from __future__ import annotations

from benchmarks.meter import Meter
from fedora_messaging import api

from . import Result, run
from ._messages import message


def publish_many(count: int, warm_up: int) -> Result:
    """Publish a short list, which connects, then one of ``count`` messages that is measured."""
    api.publish_many([message() for _ in range(warm_up)])
    messages = [message() for _ in range(count)]
    meter = Meter()
    api.publish_many(messages)
    return meter.result(count)


if __name__ == "__main__":
    run(publish_many)
