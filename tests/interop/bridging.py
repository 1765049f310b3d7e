# SPDX-License-Identifier: MIT
"""What the tests of the bridges share: bridges and fedmsg's programs as processes, queues, messages.

What is asserted about them does not belong here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pika

from fedora_messaging.private_node.ports import free_port
from tests.interop import environments
from tests.interop.sides import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

PINS = Path(__file__).with_name("fedmsg-packages.txt")
REAL = Path(__file__).parents[1] / "data" / "real-fedmsg-messages.jsonl"
TOOL = Path(sys.executable).with_name("fedmsg-migration-tools")
CALLBACK = "fedmsg_migration_tools.bridges:AmqpToZmq"
PATIENCE = 30.0  # seconds for what happens within one or two, on a machine that is busy


def real_messages() -> list[dict[str, Any]]:
    """The 542 envelopes of ``tests/data``."""
    return [json.loads(line) for line in REAL.read_text("utf-8").splitlines()]


def fedmsg() -> environments.Environment:
    """The environment with fedmsg 1.1.7."""
    environment = environments.create("fedmsg", environments.pins(PINS))
    environments.check(environment)
    return environment


def eventually(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What ``condition`` returns, as soon as that is true; the test fails when it is not within ``patience``."""
    end = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(0.02)
    return found


def endpoint() -> str:
    """A ZeroMQ endpoint at such a port."""
    return f"tcp://127.0.0.1:{free_port()}"


@dataclass
class Program:
    """A process whose output is a file, which a failing test shows."""

    process: subprocess.Popen[str]
    log: Path
    port: int  # of its metrics, if it serves any

    def metrics(self) -> dict[str, float]:
        """What it serves at ``/metrics``."""
        lines = eventually(self._page, f"{self.log.name} serves its metrics").splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    def _page(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE) as answer:
                return str(answer.read(), "utf-8")
        except urllib.error.URLError:  # it has not begun yet
            return ""

    def __str__(self) -> str:
        return f"{self.log.name}\n{self.log.read_text('utf-8', 'replace')}"

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler says where it hangs
            return self.process.wait(PATIENCE)


@dataclass
class Bus:
    """A broker's virtual host, and a folder for the files of all that is started."""

    url: str
    folder: Path
    started: list[Program] = field(default_factory=list)

    def config(self, name: str, text: str) -> Path:
        """A configuration file of the tools."""
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def environment(self, config: Path, more: str = "") -> dict[str, str]:
        """The environment variables for the tools, which tell them the broker and the configuration."""
        messaging = config.with_suffix(".messaging.toml")
        messaging.write_text(f'amqp_url = "{self.url}"\n{more}')
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONFAULTHANDLER": "1",
            "FEDORA_MESSAGING_CONF": str(messaging),
            "FEDMSG_MIGRATION_TOOLS_CONFIG": str(config),
        }

    @contextlib.contextmanager
    def running(
        self, name: str, *command: str, port: int = 0, config: str = "", messaging: str = ""
    ) -> Iterator[Program]:
        """A process, with its configuration, and more for the library's; it must stop with code 0 when told to."""
        log = self.folder / f"{name}.log"
        with log.open("a") as output:
            process = subprocess.Popen(
                command,
                env=self.environment(self.config(name, config), messaging),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        program = Program(process, log, port)
        self.started.append(program)
        try:
            yield program
            assert process.poll() is None, f"ended by itself: {program}"
            assert program.stop() == 0, str(program)
        finally:
            process.kill()
            process.wait()

    def _tools(self, name: str, *arguments: str, config: str) -> contextlib.AbstractContextManager[Program]:
        port = free_port()
        monitoring = ["--monitoring-address", "127.0.0.1", "--monitoring-port", str(port)]
        return self.running(name, str(TOOL), *arguments, *monitoring, port=port, config=config)

    def zmq_to_amqp(
        self, *endpoints: str, name: str = "inward", config: str = ""
    ) -> contextlib.AbstractContextManager[Program]:
        """The bridge from these endpoints; ``config`` goes on in its section."""
        section = (
            f'[zmq_to_amqp]\nname = "{name}"\n[zmq_to_amqp.spool]\npath = "{self.folder / name}.sqlite"\n'
        )
        listening = [option for each in endpoints for option in ("--zmq-endpoint", each)]
        return self._tools(name, "zmq_to_amqp", *listening, config=f"{section}{config}")

    def amqp_to_zmq(
        self, publish: str, name: str = "outward", config: str = ""
    ) -> contextlib.AbstractContextManager[Program]:
        """The bridge to this endpoint; ``config`` is its section, and more after that."""
        section = f'[amqp_to_zmq]\nname = "{name}"\n{config}'
        return self._tools(name, "amqp_to_zmq", "--publish-endpoint", publish, config=section)

    def callback(self, publish: str) -> contextlib.AbstractContextManager[Program]:
        """The same bridge as a callback of ``fedora-messaging consume``, from a queue of its own."""
        messaging = f"""
[[bindings]]
queue = "callback"
exchange = "amq.topic"
routing_keys = ["#"]
[queues.callback]
durable = true
auto_delete = false
exclusive = false
arguments = {{}}
[consumer_config]
name = "outward"
publish_endpoint = "{publish}"
"""
        command = [str(TOOL.with_name("fedora-messaging")), "consume", "--callback", CALLBACK]
        return self.running("outward", *command, messaging=messaging)

    def tool(self, *arguments: str, config: str = "") -> tuple[int, str]:
        """The exit code of ``fedmsg-migration-tools`` with these arguments, and its output."""
        done = subprocess.run(
            [str(TOOL), *arguments],
            env=self.environment(self.config("tool", config)),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of plain pika, with exchange and quarantine declared as the bridges declare them."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            opened = connection.channel()
            opened.exchange_declare("zmq.topic", "topic", durable=True)
            opened.queue_declare("zmq.quarantine", durable=True)
            yield opened
        finally:
            connection.close()


class Lines:
    """A command of ``programs/fedmsg_bus.py`` in fedmsg's environment: JSON lines in, JSON lines out."""

    def __init__(self, python: Path, folder: Path, command: str, config: Mapping[str, Any]) -> None:
        home = folder / f"fedmsg-{command}-{time.monotonic_ns()}"
        self.config = home / "fedmsg.d"
        self.config.mkdir(parents=True)
        (self.config / "base.py").write_text(f"config = { ({**FEDMSG, **config})!r}\n")
        self.log = home / "log"
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                [str(python), "-W", "ignore", str(PROGRAMS / "fedmsg_bus.py"), command],
                env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"},
                cwd=home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        assert self.next() == "ready"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(END)

    def next(self, patience: float = PATIENCE) -> Any:
        """What it says next."""
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            line = END
        assert line != END, f"it says nothing: {self.log.read_text()}"
        return json.loads(line)

    def many(self, count: int) -> list[Any]:
        """So many of what it says next."""
        return [self.next() for _ in range(count)]

    def silent(self, seconds: float = 0.5) -> bool:
        """Whether it says nothing more for so long."""
        try:
            self._lines.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def write(self, text: str) -> None:
        """Give it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def ask(self, value: Any) -> Any:
        """Give it this value as a line of JSON, and return what it answers."""
        return self.ask_text(json.dumps(value))

    def ask_text(self, text: str) -> Any:
        """Give it this line, and return what it answers."""
        self.write(text)
        return self.next()


END = "it has ended\n"
FEDMSG: dict[str, Any] = {
    "topic_prefix": "",
    "post_init_sleep": 0,
    "io_threads": 1,
    "name": "publisher",
    "endpoints": {},
    "environment": "dev",
    "crypto_backend": "x509",
    "crypto_validate_backends": ["x509"],
    "validate_signatures": False,
    "sign_messages": False,
}


def depth(channel: Any, name: str) -> int:
    """How many messages wait in the queue."""
    return int(channel.queue_declare(name, passive=True).method.message_count)


def tap(channel: Any, name: str, exchange: str, topic: str = "#") -> None:
    """A durable queue that gets what is published to the exchange."""
    channel.queue_declare(name, durable=True)
    channel.queue_bind(name, exchange, topic)


def probe(send: Callable[[], object], arrived: Callable[[], Any], what: str) -> None:
    """Send again and again, until something has arrived: then the path is open."""
    end = time.monotonic() + PATIENCE
    while not arrived():
        assert time.monotonic() < end, f"not within {PATIENCE:g} s: {what}"
        send()
        time.sleep(0.2)


def numbered(numbers: Sequence[int], topic: str = "org.example.test") -> list[dict[str, Any]]:
    """Envelopes that say which they are: ``{"n": 0}`` and so on."""
    return [
        {
            "topic": topic,
            "msg": {"n": n},
            "msg_id": f"2018-00000000-0000-4000-8000-{n:012}",
            "timestamp": 1532000000 + n,
            "i": n + 1,
            "username": "tester",
        }
        for n in numbers
    ]
