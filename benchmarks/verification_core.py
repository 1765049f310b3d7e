# SPDX-License-Identifier: MIT
"""The core of the verifier alone: observations in, verdicts out, no socket. ``python -m benchmarks.verification_core``.

A process of its own each time, since memory is what is measured: a task and its options as JSON, a line of JSON back.
Time of the messages runs as the calls say, not as the clock does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from fedmsg_migration_tools.reconcile.core import Reconciler
from fedmsg_migration_tools.reconcile.model import Leg, Witness

from .meter import Meter, quantile
from .processes import memory_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sample = dict[str, float]

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds between two messages: a million of them are in flight for less than the window.
STEP = 1e-5
#: Messages in flight that the service allows, if not configured otherwise.
MOST = 1_000_000
#: Messages made at a time, outside of what is measured.
TOGETHER = 5_000
APPLICATION, CARRIER, SOURCE = "bodhi", "zmq_to_amqp@benchmark", "tcp://publisher:9940"
#: An odd number: multiples of it modulo 2**128 are all different, and look like UUIDs.
SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
_MASK = 2**128 - 1
#: Steps in one call of ``advance``, as the service asks for.
STEPS = 2_000


class Flow:
    """Messages that are seen at the origin and, a number of messages later, at the far end."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.sent = self.arrived = 0

    @property
    def now(self) -> float:
        """The time of the next message."""
        return 1e9 + self.sent * STEP

    def depart(self, count: int) -> Iterator[None]:
        """So many are sent, in parts; what lies between two is not to be measured."""
        seen = self._reconciler.seen
        for part in parts(self.sent, count):
            made = [(message_key(number), message_digest(number)) for number in part]
            at = self.now
            yield
            for key, digest in made:
                at += STEP
                seen(Witness.PUBLISHERS, key, digest, at, APPLICATION, source=SOURCE)
            self.sent += len(part)
            yield

    def flow(self, count: int) -> Iterator[None]:
        """So many are sent while as many arrive: as many are in flight as before."""
        seen = self._reconciler.seen
        for part in parts(self.sent, count):
            behind = self.sent - self.arrived
            made = [
                (message_key(number), message_digest(number), message_key(old), message_digest(old))
                for number in part
                for old in (number - behind,)
            ]
            at = self.now
            yield
            for key, digest, old_key, old_digest in made:
                at += STEP
                seen(Witness.PUBLISHERS, key, digest, at, APPLICATION, source=SOURCE)
                seen(Witness.ZMQ_TOPIC, old_key, old_digest, at, APPLICATION, carrier=CARRIER)
            self._reconciler.advance(at, STEPS)
            self.sent += len(part)
            self.arrived += len(part)
            yield


def parts(first: int, count: int) -> Iterator[range]:
    """``count`` numbers from ``first`` on, some at a time."""
    for begin in range(first, first + count, TOGETHER):
        yield range(begin, min(begin + TOGETHER, first + count))


def message_key(number: int) -> bytes:
    """The key of the message ``number``."""
    return ((number + 1) * SPREAD & _MASK).to_bytes(16)


def message_digest(number: int) -> int:
    """The digest of its content."""
    return (number + 1) * SPREAD & (2**64 - 1)


def rate(in_flight: int, count: int) -> Sample:
    """Observations a second, and CPU for each, while ``in_flight`` messages are.

    What was matched is remembered for a while: before the measurement begins there is as much of it as there may be,
    so each message that comes lets another be forgotten, as in a service that has run for an hour.
    """
    reconciler = Reconciler(most=MOST + TOGETHER)
    flow = Flow(reconciler)
    for _ in flow.depart(in_flight):
        pass
    for _ in flow.flow(MOST // 2 + TOGETHER):
        pass
    spent: list[Sample] = []
    meter = Meter()
    for number, _ in enumerate(flow.flow(count)):
        if number % 2 == 0:
            meter.restart()
        else:
            meter.stop()
            spent.append(meter.result(2 * TOGETHER))
    close(reconciler, flow.sent, flow.arrived)
    # The middle of the parts: what else the machine does falls on few of them.
    cpu = quantile([one["cpu_us"] for one in spent], 0.5)
    return {"messages": 2 * count, "rate": quantile([one["rate"] for one in spent], 0.5), "cpu_us": cpu}


def hold(count: int) -> Sample:
    """Memory with ``count`` messages in flight, and what the process has of it for each; then all are lost at once."""
    reconciler = Reconciler(most=count)
    before = memory_of(os.getpid())["rss_mb"]
    flow = Flow(reconciler)
    for _ in flow.depart(count):
        pass
    after = memory_of(os.getpid())["rss_mb"]
    close(reconciler, count, 0)
    return {"messages": count, "rss_mb": after, "held_bytes": (after - before) * 1e6 / count}


def pause(count: int) -> Sample:
    """The longest call, in CPU time and by the clock: ``count`` messages come, and nine in ten are lost at once."""
    reconciler = Reconciler(most=count)
    longest = Longest()
    seen, advance = longest.watching(reconciler.seen), longest.watching(reconciler.advance)
    at = 1e9
    for number in range(count):
        at += STEP
        seen(Witness.PUBLISHERS, message_key(number), message_digest(number), at, APPLICATION, source=SOURCE)
    for old in range(0, count, 10):
        seen(Witness.ZMQ_TOPIC, message_key(old), message_digest(old), at, APPLICATION, carrier=CARRIER)
    at += 2 * reconciler.window
    judged = 0
    while reconciler.books[Leg.ZMQ_TO_AMQP].in_flight:
        judged += len(advance(at, STEPS))
    close(reconciler, count, len(range(0, count, 10)))
    return {
        "messages": count,
        "verdicts": judged,
        "pause_ms": longest.cpu * 1e3,
        "pause_wall_ms": longest.wall * 1e3,
    }


class Longest:
    """The longest call of some functions, in seconds."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def watching(self, call: Callable[P, R]) -> Callable[P, R]:
        """``call``, timed."""

        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            wall, cpu = time.perf_counter(), time.thread_time()
            result = call(*args, **kwargs)
            self.cpu = max(self.cpu, time.thread_time() - cpu)
            self.wall = max(self.wall, time.perf_counter() - wall)
            return result

        return timed


def close(reconciler: Reconciler, sent: int, arrived: int) -> None:
    """What it counted must be what was done. Raises ``ValueError``."""
    books = reconciler.books[Leg.ZMQ_TO_AMQP]
    if not books.balanced or (books.received, books.matched) != (sent, arrived):
        raise ValueError(f"{sent} sent and {arrived} arrived, and the books say {books}")


TASKS: dict[str, Callable[..., Sample]] = {"rate": rate, "hold": hold, "pause": pause}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](**json.loads(sys.argv[2]))))
