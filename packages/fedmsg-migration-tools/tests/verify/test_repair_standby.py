# SPDX-License-Identifier: MIT
"""Two verifiers with ``--repair`` and different delays stand in for a bridge that is down: real processes."""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest
import zmq

from fedora_messaging.private_node.ports import free_port

from .repairing import envelope, frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRIPT = Path(sys.executable).with_name("fedmsg-migration-tools")
MARK = "fedmsg_repaired_by"


def die_with_us() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def eventually(condition: Callable[[], Any], seconds: float = 40.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


class Verifiers:
    """Verifiers of one bus, by name."""

    def __init__(self, folder: Path, url: str, publisher: str) -> None:
        self._folder = folder
        self._url = url
        self._publisher = publisher
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, delay: float, *options: str) -> None:
        (self._folder / f"{name}.toml").write_text(
            f"""
[verify_missing]
zmq_endpoints = ["{self._publisher}"]
bridge_endpoints = ["tcp://127.0.0.1:{free_port()}"]
shortest_window = 0.5
longest_window = 1.0
store = "{self._folder / name}.sqlite"

[verify_missing.repair]
delay = {delay}
"""
        )
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [
                    SCRIPT,
                    "--conf",
                    f"{name}.toml",
                    "verify_missing",
                    "--repair",
                    *options,
                    "--amqp-url",
                    self._url,
                ],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_us,  # noqa: PLW1509 - no threads yet that could hold locks
            )

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def end(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, self.log(name)

    def kill(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


class Bus:
    """A publisher of fedmsg, the verifiers, a queue that takes all of ``zmq.topic``, and no bridge."""

    def __init__(self, folder: Path, url: str) -> None:
        self._context = zmq.Context()
        self._publisher = self._context.socket(zmq.XPUB)
        self._publisher.linger = 0
        port = self._publisher.bind_to_random_port("tcp://127.0.0.1")
        self.verifiers = Verifiers(folder, url, f"tcp://127.0.0.1:{port}")
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.exchange_declare("zmq.topic", "topic", durable=True)
        self._channel.queue_declare("all", durable=True)
        self._channel.queue_bind("all", "zmq.topic", "#")
        self.came: dict[str, list[dict[str, Any]]] = {}

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            self._publisher.send_multipart(frames(envelope(number)))

    def take(self) -> None:
        while (got := self._channel.basic_get("all", auto_ack=True))[0] is not None:
            _, properties, body = got
            self.came.setdefault(properties.message_id, []).append(
                {"body": json.loads(body), **properties.headers}
            )

    def number_of(self, *numbers: int) -> int:
        self.take()
        return sum(envelope(number)["msg_id"] in self.came for number in numbers)

    def wait_for_repairs(self, probe: int) -> None:
        """Until a verifier repairs, which takes that it sees both ends."""

        def repaired() -> bool:
            self.publish(probe)
            self.take()
            return any(one.get(MARK) for one in self.came.get(envelope(probe)["msg_id"], []))

        eventually(repaired)

    def close(self) -> None:
        self.verifiers.kill()
        self._connection.close()
        self._context.destroy(linger=0)


@pytest.fixture
def bus(tmp_path: Path, amqp_url: str) -> Iterator[Bus]:
    with contextlib.closing(Bus(tmp_path, amqp_url)) as made:
        yield made


@pytest.mark.slow
def test_each_message_comes_once_whoever_is_down(bus: Bus) -> None:
    bus.verifiers.start("first", 0.0)
    bus.wait_for_repairs(900)
    bus.verifiers.start("second", 3.0)
    eventually(lambda: "Watching" in bus.verifiers.log("second"))
    time.sleep(3)
    bus.publish(*range(20))
    eventually(lambda: bus.number_of(*range(20)) == 20)
    time.sleep(5)  # the second's turn would be now
    bus.take()
    assert [len(bus.came[envelope(number)["msg_id"]]) for number in range(20)] == [1] * 20
    bus.verifiers.end("first")
    bus.publish(*range(20, 40))
    eventually(lambda: bus.number_of(*range(20, 40)) == 20)
    time.sleep(1)
    bus.take()
    assert [len(bus.came[envelope(number)["msg_id"]]) for number in range(20, 40)] == [1] * 20
    assert all(
        bus.came[envelope(number)["msg_id"]][0]["body"] == envelope(number)["msg"] for number in range(40)
    )
    bus.verifiers.end("second")


def test_a_dry_run_only_says_it(bus: Bus) -> None:
    bus.verifiers.start("dry", 0.0, "--dry-run")

    def said() -> bool:
        bus.publish(1)
        return f"Would send again: {envelope(1)['msg_id']} " in bus.verifiers.log("dry")

    eventually(said)
    assert bus.number_of(1) == 0
    bus.verifiers.end("dry")
