# SPDX-License-Identifier: MIT
"""The two example applications, as they were over ZeroMQ (with the real fedmsg) and as they are over AMQP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest
import zmq

from fedmsg_migration_tools import endpoints
from fedora_messaging.private_node.ports import Ports
from tests.interop import environments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fedora_messaging.private_node import PrivateNode

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PINS = ROOT / "tests" / "interop" / "fedmsg-packages.txt"
STARTED = "org.fedoraproject.prod.hotness.build.started"


class Application:
    """One of the examples, running."""

    def __init__(self, *command: str | Path, folder: Path, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def feed(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def says(self) -> str:
        """The next line that it writes; the test's time limit bounds the wait."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def ends(self, number: signal.Signals | None = None) -> int:
        """Its exit code, after a signal, or after its input has ended; what it still said must be nothing."""
        if number is not None:
            self._process.send_signal(number)
        said, _ = self._process.communicate(timeout=30)
        assert said == ""
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Application]]:
    """Starts an application, and kills it at the end of the test."""
    running: list[Application] = []

    def starting(*command: str | Path, **variables: str) -> Application:
        running.append(Application(*command, folder=tmp_path, variables=variables))
        return running[-1]

    (tmp_path / "builds").mkdir()
    yield starting
    for application in running:
        application.kill()


# Over ZeroMQ


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    """Where the two publish; fedmsg is configured accordingly."""
    held = Ports(["anitya.example", "hotness.example"], {})
    (tmp_path / "fedmsg.d").mkdir()
    text = {name: [f"tcp://127.0.0.1:{port}"] for name, port in held.numbers.items()}
    (tmp_path / "fedmsg.d" / "endpoints.py").write_text(f"config = {{'endpoints': {text}}}\n")
    yield held
    held.release()


@pytest.mark.interop
@pytest.mark.timeout(600)  # the first time, fedmsg is installed
def test_over_zeromq_a_release_is_built(
    start: Callable[..., Application], ports: Ports, tmp_path: Path
) -> None:
    python = environments.create("fedmsg", environments.pins(PINS)).python
    hotness = start(python, EXAMPLES / "hotness" / "over_zeromq.py", "builds")
    monitor = start(python, EXAMPLES / "release_monitor" / "over_zeromq.py")
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.connect(f"tcp://127.0.0.1:{ports.numbers['hotness.example']}")
        subscriber.subscribe(b"")
        version = 0
        while not subscriber.poll(200):  # until everyone is connected
            version += 1
            monitor.feed(f"bash {version}")
        for line in ("curl 8.0", "curl 8.0", "curl 8.1"):
            monitor.feed(line)
        while (received := _received(subscriber))[1]["msg"] != {"release": "curl 8.1"}:
            assert received[0] == STARTED
    assert [monitor.says() for _ in range(version)] == [f"published bash {n}" for n in range(1, version + 1)]
    assert [monitor.says(), monitor.says()] == ["published curl 8.0", "published curl 8.1"]
    while (said := hotness.says()) != "started curl 8.0":
        assert said.startswith("started bash ")
    assert hotness.says() == "started curl 8.1"
    assert {"curl%208.0", "curl%208.1"} < {path.name for path in (tmp_path / "builds").iterdir()}
    assert monitor.ends() == 0
    assert hotness.ends(signal.SIGINT) == 0


def _received(subscriber: zmq.Socket[bytes]) -> tuple[str, dict[str, Any]]:
    topic, envelope = subscriber.recv_multipart()
    return topic.decode(), json.loads(envelope)


# Over AMQP


@pytest.fixture
def configured(tmp_path: Path, amqp_url: str) -> Callable[[str], dict[str, str]]:
    """The environment for an example: its own configuration, with a broker that is there."""

    def configure(name: str, more: str = "") -> dict[str, str]:
        text = (EXAMPLES / name / "config.toml").read_text()
        assert text.count('amqp_url = "amqp://"') == 1
        path = tmp_path / f"{name}{len(more)}.toml"
        path.write_text(more + text.replace('"amqp://"', f'"{amqp_url}"'))
        return {"FEDORA_MESSAGING_CONF": str(path)}

    return configure


def wait_for_queue(rabbitmq: PrivateNode, amqp_url: str) -> None:
    """Until hotness's queue is bound to both exchanges."""
    path = f"/api/queues/{amqp_url.rpartition('/')[2]}/hotness/bindings"
    while True:
        try:
            sources = {one["source"] for one in rabbitmq.management("GET", path)}
        except OSError:  # no such queue yet
            sources = set()
        if sources >= {"amq.topic", "zmq.topic"}:
            return
        time.sleep(0.1)


def test_over_amqp_a_release_is_built_even_if_hotness_was_away(
    start: Callable[..., Application],
    configured: Callable[[str], dict[str, str]],
    rabbitmq: PrivateNode,
    amqp_url: str,
) -> None:
    command = [sys.executable, EXAMPLES / "hotness" / "over_amqp.py", "builds"]
    hotness = start(*command, **configured("hotness"))
    wait_for_queue(rabbitmq, amqp_url)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("builds")
        channel.queue_bind("builds", "amq.topic", STARTED)
        monitor = start(
            sys.executable, EXAMPLES / "release_monitor" / "over_amqp.py", **configured("release_monitor")
        )
        for line in ("curl 8.0", "curl 8.0", "curl 8.1"):
            monitor.feed(line)
        assert [monitor.says(), monitor.says()] == ["published curl 8.0", "published curl 8.1"]
        assert [hotness.says(), hotness.says()] == ["started curl 8.0", "started curl 8.1"]
        assert hotness.ends(signal.SIGINT) == 0
        monitor.feed("curl 8.2")
        assert monitor.says() == "published curl 8.2"
        assert monitor.ends() == 0
        assert start(*command, **configured("hotness")).says() == "started curl 8.2"
        bodies = [json.loads(channel.basic_get("builds", auto_ack=True)[2]) for _ in range(3)]
    assert bodies == [{"release": f"curl 8.{number}"} for number in range(3)]


def test_over_amqp_a_release_that_comes_from_zeromq_or_comes_twice_is_built_once(
    start: Callable[..., Application],
    configured: Callable[[str], dict[str, str]],
    rabbitmq: PrivateNode,
    amqp_url: str,
) -> None:
    hotness = start(sys.executable, EXAMPLES / "hotness" / "over_amqp.py", "builds", **configured("hotness"))
    wait_for_queue(rabbitmq, amqp_url)
    body = json.dumps({"project": {"name": "curl"}, "upstream_version": "8.0"}).encode()
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for exchange in ("zmq.topic", "amq.topic"):
            connection.channel().basic_publish(
                exchange, "org.release-monitoring.prod.anitya.project.version.update", body
            )
    assert [hotness.says(), hotness.says()] == ["started curl 8.0", "known curl 8.0"]
    assert hotness.ends(signal.SIGINT) == 0


def test_over_amqp_what_could_not_be_published_is_tried_again(
    start: Callable[..., Application], configured: Callable[..., dict[str, str]]
) -> None:
    nowhere = 'publish_exchange = "nowhere"\n'
    monitor = start(
        sys.executable,
        EXAMPLES / "release_monitor" / "over_amqp.py",
        **configured("release_monitor", nowhere),
    )
    for _ in range(2):  # it does not count as known
        monitor.feed("curl 8.0")
        assert monitor.says().startswith("not published: curl 8.0 ")
    assert monitor.ends() == 0


def test_over_amqp_a_release_whose_build_cannot_be_told_stays_in_the_queue(
    start: Callable[..., Application],
    configured: Callable[..., dict[str, str]],
    rabbitmq: PrivateNode,
    amqp_url: str,
    tmp_path: Path,
) -> None:
    nowhere = configured("hotness", 'publish_exchange = "nowhere"\n')
    hotness = start(sys.executable, EXAMPLES / "hotness" / "over_amqp.py", "builds", **nowhere)
    wait_for_queue(rabbitmq, amqp_url)
    body = json.dumps({"project": {"name": "curl"}, "upstream_version": "8.0"}).encode()
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        topic = "org.release-monitoring.prod.anitya.project.version.update"
        channel.basic_publish("amq.topic", topic, body)
        time.sleep(0.5)  # it comes again and again
        assert hotness.ends(signal.SIGINT) == 0
        method, _, left = channel.basic_get("hotness")
        assert (method.redelivered, left) == (True, body)
    assert list((tmp_path / "builds").iterdir()) == []


def test_the_bridge_reads_fedmsgs_configuration_of_the_examples() -> None:
    assert endpoints.read([str(EXAMPLES / "fedmsg.d")]) == [
        "tcp://127.0.0.1:3001",
        "tcp://127.0.0.1:3002",
        "tcp://127.0.0.1:9940",
    ]
