# SPDX-License-Identifier: MIT
"""What tests on a cluster share: a quorum queue, programs' settings, what broke the order, how long nothing went."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.faults.support import channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAMS = Path(__file__).parent / "programs"
QUEUE = "cluster"
QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
SETTLING = 2.0
"""Seconds after declaring a quorum queue: one whose node is killed before may come back without a leader."""


def declare(
    url: str, queue: str = QUEUE, exchange: str = "amq.topic", arguments: dict[str, Any] | None = None
) -> None:
    """A quorum queue that gets all that is published to a topic exchange, and is on the disks of all nodes."""
    with channel(url) as ch:
        ch.exchange_declare(exchange, "topic", durable=True)
        ch.queue_declare(queue, durable=True, arguments={**QUORUM, **(arguments or {})})
        ch.queue_bind(queue, exchange, "#")
    time.sleep(SETTLING)


def write_config(path: Path, urls: Sequence[str], *, prefetch: int = 100) -> Path:
    """A configuration file for a program, which may connect to any of the nodes, and consumes the queue."""
    path.write_text(
        f"""amqp_urls = {list(urls)}
[qos]
prefetch_count = {prefetch}
[queues.{QUEUE}]
durable = true
auto_delete = false
exclusive = false
arguments = {{x-queue-type = "quorum"}}
[[bindings]]
queue = "{QUEUE}"
exchange = "amq.topic"
routing_keys = ["#"]
"""
    )
    path.chmod(0o600)
    return path


def out_of_order(numbers: Sequence[int], stream: int = 1_000_000) -> int:
    """How many came for the first time after a later one of their stream."""
    latest: dict[int, int] = {}
    broken = 0
    for number in dict.fromkeys(numbers):
        broken += number < latest.get(number // stream, -1)
        latest[number // stream] = max(number, latest.get(number // stream, -1))
    return broken


class Gaps:
    """Looks at a number that should grow, a hundred times a second, while the ``with`` block lasts.

    Arguments:
        count: what gives the number.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.longest = 0.0
        """Seconds in which it did not grow, at most."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        last, since = self._count(), time.monotonic()
        while not self._over.wait(0.01):
            now, seen = time.monotonic(), self._count()
            if seen != last:
                last, since = seen, now
            self.longest = max(self.longest, now - since)
