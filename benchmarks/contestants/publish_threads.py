# SPDX-License-Identifier: MIT
"""``api.publish`` from several threads at once, as the workers of a web server do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from benchmarks.meter import Meter
from fedora_messaging import api, config

from . import Result, run
from ._messages import message


def publish_threads(count: int, warm_up: int, threads: int) -> Result:
    """Publish ``count`` messages, shared among ``threads`` that are running already.

    The configuration is loaded first: 3.9.1 fails when two threads do that at once.
    """
    config.conf.load_config()
    with ThreadPoolExecutor(threads) as pool:
        _publish_evenly(pool, warm_up, threads)
        meter = Meter()
        return meter.result(_publish_evenly(pool, count, threads))


def _publish_evenly(pool: ThreadPoolExecutor, count: int, threads: int) -> int:
    share = -(-count // threads)
    for done in [pool.submit(_publish, share) for _ in range(threads)]:
        done.result()
    return share * threads


def _publish(count: int) -> None:
    for _ in range(count):
        api.publish(message())


if __name__ == "__main__":
    run(publish_threads)
