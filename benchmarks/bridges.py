# SPDX-License-Identifier: MIT
"""Runs bridges under a load, each in a process of its own, and measures them from outside.

Messages that come twice, or out of order, fail the measurement; those that do not come are counted.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fedmsg_migration_tools.fedmsg.canonical import dumps
from fedmsg_migration_tools.spool import Entry, Spool
from fedora_messaging.private_node.ports import free_port
from tests.pki import Pki

from . import frames, limit, payload
from .contenders import SPOOL, Contender
from .course import ROOT
from .meter import latencies
from .processes import MeasureError, cpu_seconds, end_with_parent, memory_of, running, stop
from .terms import Crossing, Load, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .contenders import Start
    from .course import Course

Sample = dict[str, float]

PATIENCE = 60.0
#: Seconds without a new message after which no more are expected.
STALLED = 3.0
#: What a bridge gets to come to rest after its work.
REST_SECONDS = 3.0
POLL = 0.02
#: Messages in the queue at which it is emptied while a backlog drains: the limit fills one of as many.
DEEP = 20_000
SPOOLED_AT_ONCE = 1_000


def measure(course: Course, crossing: Crossing, role: Role) -> Sample:
    """One sample of one bridge. Raises :class:`MeasureError`."""
    with course.vhost() as url, TemporaryDirectory(dir=course.folder) as name:
        folder = Path(name)
        pki = Pki(folder) if crossing.signed else None
        run = Run(Contender(role, course.old_python, url, folder, pki), crossing)
        try:
            return run.measure()
        except (TimeoutError, limit.LimitError) as error:
            raise MeasureError(f"{error}{run.log()}") from error
        except MeasureError as error:
            raise MeasureError(f"{error}{run.log()}") from error


class Run:
    """One bridge, once."""

    def __init__(self, contender: Contender, crossing: Crossing) -> None:
        self._contender = contender
        self._crossing = crossing
        self._output = contender.folder / "log"

    def measure(self) -> Sample:
        """What the load asks for."""
        loads: dict[Load, Callable[[limit.Bare], Sample]] = {
            Load.BURST: self._burst,
            Load.PACED: self._paced,
            Load.BACKLOG: self._backlog,
            Load.OUTWARD: self._outward,
        }
        with limit.Bare(self._contender.amqp_url) as bare:
            bare.timeout(PATIENCE)
            return loads[self._crossing.load](bare)

    def log(self) -> str:
        """The last line that the bridge wrote, to be put behind an error."""
        lines = self._output.read_text(errors="replace").splitlines() if self._output.exists() else []
        return f"; its last words: {lines[-1][:200]}" if lines else ""

    # the loads

    def _burst(self, bare: limit.Bare) -> Sample:
        """From the first message that is sent to the last that stands in the queue."""
        crossing = self._crossing
        bare.prepare_queue(payload.ZMQ_EXCHANGE)
        with self._listening() as (publisher, bridge):
            publisher.ask(first=0, count=crossing.warm_up, rate=0)
            publisher.hear()
            arrived(bare, crossing.warm_up)
            cpu = cpu_seconds(bridge)
            publisher.ask(first=crossing.warm_up, count=crossing.count, rate=crossing.rate)
            begun = publisher.hear()["sent_at"][0]
            total, ended = arrived(bare, crossing.warm_up + crossing.count)
            cpu = cpu_seconds(bridge) - cpu
            count = total - crossing.warm_up
            time.sleep(REST_SECONDS)
            return {
                "messages": count,
                "arrived": count / crossing.count,
                "rate": count / (ended - begun),
                "cpu_us": cpu / max(1, count) * 1e6,
                **memory_of(bridge),
            }

    def _paced(self, bare: limit.Bare) -> Sample:
        """From each message's send to its delivery to a bare consumer."""
        crossing = self._crossing
        bare.prepare_queue(payload.ZMQ_EXCHANGE)
        bare.call(frames.consume(payload.QUEUE), frames.BASIC_CONSUME_OK)
        with self._listening() as (publisher, bridge):
            publisher.ask(first=0, count=crossing.warm_up, rate=crossing.rate)
            limit.delivered(bare, crossing.warm_up)
            publisher.hear()
            cpu = cpu_seconds(bridge)
            publisher.ask(first=crossing.warm_up, count=crossing.count, rate=crossing.rate)
            got_at = limit.delivered(bare, crossing.count)
            cpu = cpu_seconds(bridge) - cpu
            sent_at = publisher.hear()["sent_at"]
            seconds = [got_at[crossing.warm_up + number] - sent for number, sent in enumerate(sent_at)]
            return {
                "messages": crossing.count,
                "cpu_us": cpu / crossing.count * 1e6,
                **latencies(seconds),
                **memory_of(bridge),
            }

    def _backlog(self, bare: limit.Bare) -> Sample:
        """From the moment that the warm-up has arrived, until all have. There is no publisher."""
        crossing = self._crossing
        total = crossing.warm_up + crossing.count
        fill(self._contender.folder / SPOOL, total)
        bare.prepare_queue(payload.ZMQ_EXCHANGE)
        with self._running(self._contender.inward([free_endpoint()])) as bridge:
            sink = Sink(bare)
            first = sink.until(crossing.warm_up)
            begun, cpu = time.perf_counter(), cpu_seconds(bridge)
            last = sink.until(total)
            wall, cpu = time.perf_counter() - begun, cpu_seconds(bridge) - cpu
            if last != total:
                raise MeasureError(f"{last} of {total} messages came")
            count = last - first
            return {
                "messages": count,
                "rate": count / wall,
                "cpu_us": cpu / count * 1e6,
                **memory_of(bridge),
            }

    def _outward(self, bare: limit.Bare) -> Sample:
        """As one subscriber sees it, which knows when the warm-up is over."""
        crossing = self._crossing
        total = crossing.warm_up + crossing.count
        surplus = crossing.count // 10 + 500  # so that it does not run dry
        limit.fill_queue(bare, total + surplus, self._contender.queue)
        endpoint = free_endpoint()
        options = {"endpoint": endpoint, "warm_up": crossing.warm_up, "count": crossing.count}
        with helper("subscribe", options) as subscriber:
            subscriber.hear()
            with self._running(self._contender.outward(endpoint)) as bridge:
                subscriber.write(str(bridge))
                sample: Sample = subscriber.hear(2 * PATIENCE)
                if not sample.pop("gapless"):
                    raise MeasureError("Messages came out of order, twice, or not at all")
                time.sleep(REST_SECONDS)
                return sample | memory_of(bridge)

    # what they need

    @contextmanager
    def _listening(self) -> Iterator[tuple[Helper, int]]:
        """A publisher with the bridge as its subscriber, and the bridge's process."""
        pki = self._contender.pki
        keys = (
            {"certificate": str(pki.folder / "valid.crt"), "key": str(pki.folder / "valid.key")}
            if pki
            else {}
        )
        options = {"sockets": self._crossing.publishers, "held": self._crossing.held, **keys}
        with helper("publish", options) as publisher:
            endpoints = publisher.hear()["endpoints"]
            with self._running(self._contender.inward(endpoints)) as bridge:
                publisher.hear()
                yield publisher, bridge

    @contextmanager
    def _running(self, start: Start) -> Iterator[int]:
        with (
            self._output.open("ab") as output,
            running(start.command, start.environment, output=output, cwd=self._contender.folder) as process,
        ):
            yield process.pid
            if process.poll() is not None:
                raise MeasureError(f"The bridge ended by itself with {process.returncode}")


def arrived(bare: limit.Bare, expected: int) -> tuple[int, float]:
    """How many messages stand in the queue when all have come, or no more come, and when the last came."""
    last, since = 0, time.perf_counter()
    while last < expected:
        found = bare.queue_counts()[0]
        now = time.perf_counter()
        if found > last:
            last, since = found, now
        elif now - since > STALLED:
            break
        time.sleep(POLL)
    if last > expected:
        raise MeasureError(f"{last} messages came of {expected}")
    return last, since


class Sink:
    """Counts what reaches the queue, and empties it now and then."""

    def __init__(self, bare: limit.Bare) -> None:
        self._bare = bare
        self._purged = 0
        self._before = 0

    def until(self, wanted: int) -> int:
        """Wait until so many have come, or none comes any more; how many have."""
        since = time.perf_counter()
        while (total := self._count()) < wanted:
            if total > self._before:
                self._before, since = total, time.perf_counter()
            elif time.perf_counter() - since > 3 * STALLED:
                raise MeasureError(f"No message comes after {total}")
            time.sleep(POLL)
        return total

    def _count(self) -> int:
        waiting = self._bare.queue_counts()[0]
        if waiting < DEEP:
            return self._purged + waiting
        self._purged += self._bare.purge()
        return self._purged


def fill(path: Path, count: int) -> None:
    """Put so many messages into a spool."""
    spool = Spool(path, 2**40)
    topic, now = payload.TOPIC.encode(), time.time()
    for first in range(1, count + 1, SPOOLED_AT_ONCE):
        positions = range(first, min(first + SPOOLED_AT_ONCE, count + 1))
        spool.append([Entry(number, now, (topic, dumps(payload.envelope(number)))) for number in positions])
    spool.close()


def free_endpoint() -> str:
    """A ZeroMQ endpoint at a port of its own."""
    return f"tcp://127.0.0.1:{free_port()}"


class Helper:
    """A process of ``benchmarks.zeromq``: lines of JSON in and out."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._heard = b""

    def ask(self, **what: Any) -> None:
        """Have it do something."""
        self.write(json.dumps(what))

    def write(self, line: str) -> None:
        """A line on its standard input."""
        self._stdin.write(f"{line}\n".encode())

    def hear(self, patience: float = PATIENCE) -> Any:
        """What it says next. Raises :class:`MeasureError` when it says nothing in time."""
        while b"\n" not in self._heard:
            if not select.select([self._stdout], [], [], patience)[0]:
                raise MeasureError(f"Nothing from the other end for {patience:g} s")
            heard = self._stdout.read(1 << 16)
            if not heard:
                raise MeasureError("The other end is gone")
            self._heard += heard
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)


@contextmanager
def helper(task: str, options: dict[str, Any]) -> Iterator[Helper]:
    """A publisher or a subscriber, until it is needed no more."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.zeromq", task, json.dumps(options)],
        cwd=ROOT,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - this process has no threads
    )
    try:
        yield Helper(process)
    finally:
        stop(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
