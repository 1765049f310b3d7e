# SPDX-License-Identifier: MIT
"""Both bridges as services: what an operator starts, asks, and ends."""

import asyncio
import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from fedora_messaging import wire
from fedora_messaging.aio import Session
from fedora_messaging.private_node.ports import free_port


def eventually(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


class Service:
    """A bridge that was started, with its pages."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            return self.get("/ready")[0] == 200
        except ConnectionRefusedError:
            return False

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Its exit code, and its standard error."""
        self.process.send_signal(number)
        _, complaint = self.process.communicate(timeout=20)
        return self.process.returncode, complaint


@pytest.fixture
def start(command: Any, amqp_url: str) -> Callable[..., Service]:
    """Starts a bridge, and waits until it is ready."""

    def begin(*arguments: str) -> Service:
        port = free_port()
        monitoring = ["--monitoring-port", str(port), "--monitoring-address", "127.0.0.1"]
        service = Service(command.start(*arguments, *monitoring, "--amqp-url", amqp_url), port)
        eventually(service.is_ready)
        return service

    return begin


@pytest.fixture
def quarantine(command: Any, amqp_url: str) -> Callable[..., list[Any]]:
    """What is in quarantine, once there is something."""

    def look() -> list[Any]:
        told = command("quarantine", "list", "--json", "--amqp-url", amqp_url)
        return [json.loads(line) for line in told.stdout.splitlines()]

    return lambda: eventually(look)


def test_zmq_to_amqp(command: Any, start: Any, quarantine: Any, amqp_url: str) -> None:
    port = free_port()
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.bind(f"tcp://127.0.0.1:{port}")
        service = start("zmq-to-amqp", "--zmq-endpoint", f"tcp://127.0.0.1:{port}")
        assert publisher.poll(10_000)
        publisher.recv()  # the subscription
        publisher.send_multipart([b"org.example.dev.app.event", b"{broken"])
        (held,) = quarantine()
        assert (held["reason"], held["topic"]) == ("json", "org.example.dev.app.event")
        _, metrics = service.get("/metrics")
        assert 'zmq_to_amqp_quarantined_total{reason="json"} 1.0' in metrics
        assert service.end(signal.SIGTERM) == (0, "")
    told = command("quarantine", "replay", held["id"], "--amqp-url", amqp_url)
    assert told.returncode == 1
    assert told.stderr.startswith(f"{held['id']} stays: json: ")


def test_amqp_to_zmq(command: Any, start: Any, quarantine: Any, amqp_url: str) -> None:
    async def publish() -> None:
        async with Session(amqp_url=amqp_url) as session:
            settled = asyncio.get_running_loop().create_future()
            outgoing = wire.raw(
                "amq.topic", "app.event", b"[1]", message_id="id-1", headers={"a": 1}, mandatory=True
            )
            session.submit(outgoing, 10, settled.set_result)
            assert await settled is None

    service = start("amqp_to_zmq", "--publish-endpoint", f"tcp://127.0.0.1:{free_port()}")
    eventually(lambda: json.loads(service.get("/ready")[1])["consuming"])
    asyncio.run(publish())
    (first,) = quarantine()
    assert (first["reason"], first["direction"], first["topic"]) == ("body", "amqp_to_zmq", "app.event")
    told = command("quarantine", "replay", "--all", "--amqp-url", amqp_url)
    assert (told.returncode, told.stderr) == (0, "")
    (second,) = quarantine()  # it came back by the bridge's own queue, with its topic, and no better
    assert second["id"] != first["id"]
    assert second["topic"] == "app.event"
    assert service.end(signal.SIGINT) == (0, "")


def listening_to_signals(process: Any) -> None:
    """Until the command itself has begun: before, a signal ends the interpreter as it ends any program."""
    caught = 0
    while not caught >> (signal.SIGTERM - 1) & 1:
        assert process.poll() is None
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_time_is_0(command: Any, number: signal.Signals, amqp_url: str) -> None:
    for pause in (0.0, 0.05, 0.25):
        process = command.start(
            "amqp_to_zmq", "--publish-endpoint", "tcp://127.0.0.1:*", "--amqp-url", amqp_url
        )
        listening_to_signals(process)
        time.sleep(pause)
        process.send_signal(number)
        _, complaint = process.communicate(timeout=20)
        assert (process.returncode, complaint) == (0, "")


def test_a_port_that_is_taken_is_one_line(command: Any, amqp_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoint = f"tcp://127.0.0.1:{port}"
        told = command("amqp_to_zmq", "--publish-endpoint", endpoint, "--amqp-url", amqp_url)
    assert told.returncode not in (0, 2, 11)
    assert len(told.stderr.splitlines()) == 1
    assert endpoint in told.stderr
    assert "Traceback" not in told.stdout


def test_a_wrong_password_is_one_line(command: Any, amqp_url: str) -> None:
    url = amqp_url.replace("//admin:", "//admin:wrong")
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    told = command("amqp_to_zmq", "--publish-endpoint", endpoint, "--amqp-url", url)
    assert told.returncode == 14
    assert len(told.stderr.splitlines()) == 1
    assert "Traceback" not in told.stdout
