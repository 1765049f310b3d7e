# SPDX-License-Identifier: MIT
"""What the tests of faults share: settings, messages, waiting for a condition, a second look at the broker.

The broker is looked at by plain pika, so that a mistake of the library does not hide behind itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import pika

from fedora_messaging.config import DEFAULTS
from fedora_messaging.message import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping

    from fedora_messaging.aio import Session
    from fedora_messaging.private_node import PrivateNode

PROGRAMS = Path(__file__).parent / "programs"
QUEUE = "faults"
PATIENCE = 60.0  # seconds for what happens within a few, on a machine that is busy
DURABLE = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}


def settings(url: str, **more: Any) -> dict[str, Any]:
    """A configuration that consumes the durable queue ``faults``, which gets everything from amq.topic."""
    return {
        **DEFAULTS,
        "amqp_url": url,
        "queues": {QUEUE: DURABLE},
        "bindings": [{"queue": QUEUE, "exchange": "amq.topic", "routing_keys": ["#"]}],
        **more,
    }


def numbered(numbers: Iterable[int], topic: str = "faults.test", size: int = 0) -> list[Message]:
    """Messages that say which they are: ``{"n": 0}`` and so on."""
    return [Message(topic=topic, body={"n": n, "filling": "x" * size}) for n in numbers]


def heartbeat(url: str, seconds: int) -> str:
    """``url`` with a heartbeat so short that a test can wait for it."""
    return f"{url}?heartbeat={seconds}"


def eventually(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What ``condition`` returns, as soon as that is true; the test fails when it is not within ``patience``."""
    end = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(0.02)
    return found


async def soon(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """:func:`eventually`, on an event loop."""
    end = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:g} s: {what}")
        await asyncio.sleep(0.02)
    return found


@contextlib.asynccontextmanager
async def consuming(session: Session, callback: Any) -> AsyncIterator[asyncio.Task[None]]:
    """``session.consume(callback)`` in the background, from when it consumes."""
    task = asyncio.create_task(session.consume(callback))
    await soon(lambda: session.statistics.consuming or task.done(), "consuming")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def keep_publishing(session: Session, over: asyncio.Event, size: int = 0, at_once: int = 500) -> int:
    """Publish round after round until ``over``, and one round more; how many messages that were."""
    published = 0
    last = False
    while not last:
        last = over.is_set()
        await session.publish_many(numbered(range(published, published + at_once), size=size), timeout=90)
        published += at_once
        await asyncio.sleep(0.1)  # the other side is to keep up
    assert session.statistics.published == published
    return published


class Seen:
    """Which messages were processed, and how often each. Filled by callbacks, in whatever thread they run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.order: list[int] = []
        self.ids: dict[int, set[str]] = {}

    def __call__(self, message: Message) -> None:
        with self._lock:
            number = message.body["n"]
            self.order.append(number)
            self.ids.setdefault(number, set()).add(message.id)

    @property
    def duplicates(self) -> int:
        """How many were processed more than once, counted each time."""
        return len(self.order) - len(self.ids)

    async def has(self, numbers: Iterable[int], patience: float = PATIENCE) -> None:
        """Wait until each of ``numbers`` was processed."""
        wanted = set(numbers)
        await soon(lambda: self.all_of(wanted), f"{len(wanted)} messages, {min(wanted)} the first", patience)

    def all_of(self, numbers: Iterable[int]) -> bool:
        """Whether each of ``numbers`` was processed."""
        return self.ids.keys() >= set(numbers)


# the broker, looked at by plain pika


@contextlib.contextmanager
def channel(url: str) -> Iterator[Any]:
    """A channel of pika's blocking connection."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def declare(
    url: str, queue: str = QUEUE, *, arguments: Mapping[str, Any] | None = None, topic: str = "#"
) -> None:
    """A durable queue that gets ``topic`` from amq.topic."""
    with channel(url) as ch:
        ch.queue_declare(queue, durable=True, arguments=dict(arguments or {}))
        ch.queue_bind(queue, "amq.topic", topic)


def depth(url: str, queue: str = QUEUE) -> int:
    """How many messages wait in the queue."""
    with channel(url) as ch:
        return int(ch.queue_declare(queue, passive=True).method.message_count)


def drain(url: str, queue: str = QUEUE) -> list[Any]:
    """The bodies of all that waits in the queue, taken out of it; parsed where they are JSON."""
    taken: list[Any] = []
    with channel(url) as ch:
        waiting = ch.queue_declare(queue, passive=True).method.message_count
        while len(taken) < waiting:
            _, _, body = next(ch.consume(queue, auto_ack=True, inactivity_timeout=PATIENCE))
            assert body is not None, f"{len(taken)} of {waiting} messages came"
            with contextlib.suppress(ValueError):
                body = json.loads(body)
            taken.append(body)
    return taken


def numbers_in(url: str, queue: str = QUEUE) -> list[int]:
    """The numbers of the messages that :func:`numbered` made, taken from the queue."""
    return [body["n"] for body in drain(url, queue)]


def connections(node: PrivateNode) -> dict[str, str]:
    """The node's AMQP connections: pid in the node → the client's name for itself (``app``)."""
    listed = node.evaluate(
        '[{pid_to_list(P), [binary_to_list(V) || {<<"app">>, longstr, V} <- C]} || '
        "[{pid, P}, {client_properties, C}] <- rabbit_networking:connection_info_all([pid, client_properties])]"
    )
    return dict(_pairs(listed))


def _pairs(erlang: str) -> Iterator[tuple[str, str]]:
    parts = erlang.split('"')
    yield from zip(parts[1::4], parts[3::4], strict=True)


def user_url(node: PrivateNode, url: str, pattern: str) -> str:
    """The URL for a new user of the virtual host, who may publish to amq.topic only what matches ``pattern``."""
    name, parts = f"user-{secrets.token_hex(4)}", urlsplit(url)
    vhost = quote(parts.path[1:], safe="%")
    node.management("PUT", f"/api/users/{name}", {"password": "secret", "tags": ""})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    node.management("PUT", f"/api/permissions/{vhost}/{name}", everything)
    topics = {"exchange": "amq.topic", "write": pattern, "read": ".*"}
    node.management("PUT", f"/api/topic-permissions/{vhost}/{name}", topics)
    return parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}").geturl()


# programs


def write_config(path: Path, url: str, *, prefetch: int = 10, app: str = "faults", more: str = "") -> Path:
    """A configuration file for a program, the same settings as :func:`settings` gives."""
    path.write_text(
        f"""amqp_url = "{url}"
{more}
[client_properties]
app = "{app}"
[qos]
prefetch_count = {prefetch}
[queues.{QUEUE}]
durable = true
auto_delete = false
exclusive = false
arguments = {{}}
[[bindings]]
queue = "{QUEUE}"
exchange = "amq.topic"
routing_keys = ["#"]
"""
    )
    return path


class Program:
    """One of the programs beside this file, as a process of its own. What it prints is read line by line.

    Leaving the ``with`` block kills it, if it has not ended.
    """

    def __init__(self, name: str, config: Path, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, PROGRAMS / f"{name}.py", *map(str, arguments)],
            env={**os.environ, "FEDORA_MESSAGING_CONF": str(config), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._said: dict[str, list[str]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print("\n".join(self.lines[-200:]))  # noqa: T201 - pytest shows it beside the failure
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            word, _, rest = self.lines[-1].partition(" ")
            self._said.setdefault(word, []).append(rest)

    def said(self, word: str) -> list[str]:
        """What follows ``word`` in the lines that begin with it. The list grows."""
        return self._said.setdefault(word, [])

    def says(self, word: str, times: int = 1, patience: float = PATIENCE) -> list[str]:
        """Wait until it has printed so many lines that begin with ``word``; what follows in them."""
        said = self.said(word)

        def enough() -> list[str]:
            if len(said) < times and self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}: {self.lines[-40:]}")
            return said if len(said) >= times else []

        try:
            eventually(enough, f"{times} lines {word!r}", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; it printed {self.lines[-40:]}") from None
        return said

    def ends(self, patience: float = PATIENCE) -> int:
        """Wait until it ends; its exit code."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {patience:g} s: {self.lines[-40:]}") from None
        self._reader.join(5)
        return code
