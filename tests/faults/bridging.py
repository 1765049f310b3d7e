# SPDX-License-Identifier: MIT
"""Bridges as processes, publishers and subscribers at the other side, queues counted by the numbers of messages.

What is done to them, and what is asserted, belongs to the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue as queues
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pika.exceptions
import zmq

from fedmsg_migration_tools.fedmsg.setaside import SetAside
from fedora_messaging.private_node.ports import free_port

from .support import PATIENCE, channel, depth, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fedora_messaging.private_node import PrivateNode

TOOL = Path(sys.executable).with_name("fedmsg-migration-tools")
TOPIC = "org.example.prod.faults.test"
EXCHANGE = "zmq.topic"
TAP = "tap"
QUARANTINE = "zmq.quarantine"
RATE = 2000  # messages a second
_STEP = 0.005  # seconds between two handfuls of a publisher
_FILLING = "x" * 220  # so that an envelope has 400 to 500 bytes


def envelope(number: int, topic: str = TOPIC, size: int = 0) -> tuple[bytes, bytes]:
    """The frames of a message that says which it is; ``size`` bytes longer than usual."""
    fields = {
        "i": number + 1,
        "msg": {"n": number, "filling": _FILLING + "x" * size},
        "msg_id": f"2026-00000000-0000-4000-8000-{number:012}",
        "timestamp": int(time.time()),
        "topic": topic,
        "username": "faults",
    }
    return topic.encode(), json.dumps(fields).encode()


# the bridges


class Bridge:
    """A bridge as a process that can be started again: same options, same files. Leaving ``with`` kills it.

    Arguments:
        folder: where its configuration, its spool and its log are.
        command: ``zmq_to_amqp`` or ``amqp_to_zmq``.
        url: the broker.
        options: of the command.
        config: TOML, before all else; more of the command's section comes by ``section``.
        section: lines of the command's section.
        before: a command that runs the rest of its line, such as ``unshare``.
        name: of its files.
    """

    def __init__(
        self,
        folder: Path,
        command: str,
        url: str,
        *options: str,
        section: str = "",
        before: Sequence[str] = (),
        name: str = "bridge",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.log, self.spool, self.port = folder / f"{name}.log", folder / f"{name}.sqlite", free_port()
        self.config = folder / f"{name}.toml"
        self.config.write_text(f'[{command}]\nname = "{name}"\n{section}\n')
        library = folder / "messaging.toml"
        library.write_text("")
        spool = ["--spool", str(self.spool)] if command == "zmq_to_amqp" and "--spool" not in options else []
        pages = ["--monitoring-address", "127.0.0.1", "--monitoring-port", str(self.port)]
        # It dies with us, however we do (prctl(2), PR_SET_PDEATHSIG).
        self._line = [
            *("setpriv", "--pdeathsig", "KILL", "--", *before, str(TOOL), "--conf", str(self.config)),
            *(command, *spool, *pages, *options),
        ]
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "LANG": "C.UTF-8",
            "PYTHONFAULTHANDLER": "1",
            "FEDORA_MESSAGING_CONF": str(library),
            "FEDMSG_MIGRATION_TOOLS_AMQP_URL": url,
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.kill()
        if kind is not None:
            print(self.text()[-20_000:])  # noqa: T201 - pytest shows it beside the failure

    def start(self) -> None:
        """Start it; what it logs is added to its file."""
        self.starts += 1
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._line,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def ends(self, patience: float = PATIENCE) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGABRT)  # faulthandler says where it hangs
            self.process.wait()
            raise AssertionError(f"it has not ended within {patience:g} s") from None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, wait until it has; its exit code."""
        self.send(number)
        return self.ends(20)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    # what it says of itself

    def text(self) -> str:
        """All it has logged."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def said(self, words: str) -> list[str]:
        """The lines of its log with these words, a regular expression."""
        return [line for line in self.text().splitlines() if re.search(words, line)]

    def says(self, words: str, times: int = 1, patience: float = PATIENCE) -> list[str]:
        """Wait until it has said so, so many times."""
        return list(
            eventually(
                lambda: found if len(found := self.said(words)) >= times else None,
                f"{words!r} in its log, {times} times",
                patience,
            )
        )

    def metrics(self) -> dict[str, float]:
        """``/metrics``: name with labels → value; empty before it serves them."""
        lines = self._page("/metrics")[1].splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    def metric(self, name: str) -> float:
        """One of its metrics, without the command's name; those with labels added up. 0 when there is none."""
        found = self.metrics()
        return sum(value for key, value in found.items() if key.partition("{")[0].partition("to_")[2] == name)

    def ready(self) -> tuple[int, dict[str, Any]]:
        """``/ready``: its status, and what it says; (0, {}) before it serves it."""
        status, text = self._page("/ready")
        return status, json.loads(text or "{}")

    def _page(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return int(answer.status), str(answer.read(), "utf-8")
        except urllib.error.HTTPError as error:
            return error.code, str(error.read(), "utf-8")
        except OSError:
            return 0, ""

    def resident(self) -> float:
        """Its resident memory, in MB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000

    def has_received(self, count: int, patience: float = PATIENCE) -> None:
        """Wait until it has read so many messages from its sockets, or from its queue."""
        eventually(lambda: self.metric("amqp_received_total") >= count, f"{count} received", patience)


def inward(folder: Path, url: str, *endpoints: str, section: str = "", **more: Any) -> Bridge:
    """The bridge from these ZeroMQ endpoints."""
    options = [option for each in endpoints for option in ("--zmq-endpoint", each)]
    return Bridge(folder, "zmq_to_amqp", url, *options, *more.pop("options", ()), section=section, **more)


def outward(folder: Path, url: str, *endpoints: str, section: str = "", **more: Any) -> Bridge:
    """The bridge to this ZeroMQ endpoint."""
    options = [option for each in endpoints for option in ("--publish-endpoint", each)]
    return Bridge(folder, "amqp_to_zmq", url, *options, *more.pop("options", ()), section=section, **more)


# the side of ZeroMQ


class Publisher:
    """A fedmsg-like publisher in a thread: numbered messages at a rate, from when a first subscriber is there.

    Arguments:
        port: where to listen; 0 for any.
        rate: messages a second.
        limit: how many; None: until it is paused or closed.
        first: the number of the first.
        topic: of all of them.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        rate: int = RATE,
        limit: int | None = None,
        first: int = 0,
        topic: str = TOPIC,
    ) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 5000)
        self._socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        self.endpoint: str = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.first, self.next, self.topic = first, first, topic
        self._rate, self._limit = rate, limit
        self._others: queues.SimpleQueue[tuple[bytes, ...]] = queues.SimpleQueue()
        self._flowing = threading.Event()
        self._idle = threading.Event()
        self._closing = threading.Event()
        self.subscribers = 0
        self.lost_subscriber_at: list[int] = []  # what number was next when one went
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    @property
    def sent(self) -> range:
        """The numbers of what was sent."""
        return range(self.first, self.next)

    @property
    def done(self) -> bool:
        """Whether it has sent as many as it should."""
        return self._limit is not None and self.next - self.first >= self._limit

    def has_subscribers(self, count: int = 1) -> None:
        """Wait for them."""
        eventually(lambda: self.subscribers >= count, f"{count} subscribers at {self.endpoint}")

    def flow(self, limit: int | None = None) -> None:
        """Go on; for so many more, if ``limit`` is given."""
        if limit is not None:
            self._limit = self.next - self.first + limit
        self._flowing.set()

    def pause(self) -> None:
        """Send nothing, until :meth:`flow`; what was sent before has left this thread when it returns."""
        self._flowing.clear()
        self._idle.clear()
        self._idle.wait()

    def is_done(self, patience: float = PATIENCE) -> None:
        """Wait until it has sent as many as it should."""
        eventually(lambda: self.done, f"{self._limit} messages sent", patience)

    def put(self, *frames: bytes) -> None:
        """Send these frames as well, in between."""
        self._others.put(frames)

    def burst(self, count: int) -> None:
        """Send so many at once, however fast."""
        self._limit = None
        rate, self._rate = self._rate, 10**9
        self.flow(count)
        self.is_done()
        self.pause()
        self._rate = rate

    def _run(self) -> None:
        began, before = time.monotonic(), 0
        while not self._closing.is_set():
            self._look()
            while not self._others.empty():
                self._socket.send_multipart(self._others.get())
            if not self._flowing.is_set():
                self._idle.set()
                began, before = time.monotonic(), 0
                time.sleep(_STEP)
                continue
            due = int((time.monotonic() - began) * self._rate) - before
            if self._limit is not None:
                due = min(due, self._limit - (self.next - self.first))
            for _ in range(min(due, 1000)):
                self._socket.send_multipart(envelope(self.next, self.topic))
                self.next += 1
                before += 1
            time.sleep(_STEP if due < 1000 else 0)

    def _look(self) -> None:
        while self._socket.poll(0):
            change = self._socket.recv()
            self.subscribers += 1 if change[:1] == b"\x01" else -1
            if change[:1] == b"\x00":
                self.lost_subscriber_at.append(self.next)


class Subscriber:
    """Gets all that is published at an endpoint, in a thread; the numbers in their order."""

    def __init__(self, endpoint: str, kind: int = zmq.SUB, *, bind: bool = False) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.subscribe(b"")
        if bind:
            self._socket.bind(endpoint)
        else:
            self._socket.connect(endpoint)
        self.numbers: list[int] = []
        self.envelopes: list[dict[str, Any]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._socket.poll(50):
                fields = json.loads(self._socket.recv_multipart()[1])
                self.envelopes.append(fields)
                self.numbers.append(fields["msg"].get("n", -1))

    def has(self, numbers: Iterable[int], patience: float = PATIENCE) -> None:
        """Wait until it has got each of them."""
        wanted = set(numbers)
        try:
            eventually(lambda: wanted <= set(self.numbers), f"{len(wanted)} messages", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}: {missing(wanted, self.numbers)}") from None


# the side of AMQP


def tap(url: str, queue: str = TAP, *, topic: str = "#", arguments: dict[str, Any] | None = None) -> None:
    """A durable queue that gets what reaches the bridge's exchange."""
    with channel(url) as ch:
        ch.exchange_declare(EXCHANGE, "topic", durable=True)
        ch.queue_declare(queue, durable=True, arguments=arguments or {})
        ch.queue_bind(queue, EXCHANGE, topic)


def lasting(node: PrivateNode) -> None:
    """See that what was declared so far survives SIGKILL.

    RabbitMQ 3.10 answers before its log is on the disk: a queue may come back without a binding that was made in the
    last moments (seen 4 times in 16). Newer ones, without Mnesia, do not know this call and do not need it.
    """
    node.evaluate("catch mnesia:sync_log()")


def bodies(
    url: str, queue: str, enough: Callable[[list[Any]], bool], patience: float = PATIENCE
) -> list[tuple[Any, bytes]]:
    """What comes out of the queue, properties and body, until it is enough and the queue is empty."""
    taken: list[tuple[Any, bytes]] = []
    end = time.monotonic() + patience
    with channel(url) as ch:
        for _, properties, body in ch.consume(queue, auto_ack=True, inactivity_timeout=0.3):
            if body is not None:
                taken.append((properties, body))
            elif enough(taken) or time.monotonic() > end:
                break
    return taken


def collect(url: str, wanted: Iterable[int], queue: str = TAP, *, patience: float = PATIENCE) -> list[int]:
    """The numbers that come out of the queue, in order, until all that are wanted have come.

    The test fails when one of them does not come.
    """
    expected = set(wanted)

    def enough(taken: list[tuple[Any, bytes]]) -> bool:
        return expected <= {json.loads(body)["n"] for _, body in taken}

    found = [json.loads(body)["n"] for _, body in bodies(url, queue, enough, patience)]
    assert expected <= set(found), (
        f"{missing(expected, found)}; {len(found)} came: {found[:2]} to {found[-2:]}; {depth(url, queue)} wait there"
    )
    return found


def set_aside(url: str, count: int, patience: float = PATIENCE) -> list[SetAside]:
    """So many messages from quarantine, and whatever else is there."""
    eventually(lambda: there(url, QUARANTINE), "a quarantine")
    found = bodies(url, QUARANTINE, lambda taken: len(taken) >= count, patience)
    return [SetAside.decode(body) for _, body in found]


def there(url: str, queue: str) -> bool:
    """Whether there is such a queue."""
    try:
        depth(url, queue)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    return True


def missing(wanted: Iterable[int], found: Iterable[int]) -> str:
    """Which are missing, in short: their runs."""
    gone = sorted(set(wanted).difference(found))
    runs = list(_runs(gone))
    return f"{len(gone)} missing: {', '.join(f'{a}-{b}' for a, b in runs[:20])}"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
            yield numbers[start], numbers[end - 1]
            start = end


def duplicates(numbers: Sequence[int]) -> int:
    """How many came more than once, counted each time."""
    return len(numbers) - len(set(numbers))


def in_order(numbers: Sequence[int]) -> bool:
    """Whether each that came for the first time was later than all before it."""
    first = list(dict.fromkeys(numbers))
    return first == sorted(first)


@contextlib.contextmanager
def after(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Do it in another thread so many seconds after the beginning of the block, which waits for its end."""
    failures: list[BaseException] = []

    def act() -> None:
        time.sleep(seconds)
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    yield
    thread.join()
    if failures:
        raise failures[0]
