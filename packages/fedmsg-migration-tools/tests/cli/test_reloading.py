# SPDX-License-Identifier: MIT
"""SIGHUP: the list of publishers is read again, from the configuration too, and a mistake there changes nothing."""

from __future__ import annotations

import http.client
import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedora_messaging.private_node.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable


class Listening:
    """A bridge, asked for the publishers that it knows."""

    def __init__(self, command: Any, amqp_url: str) -> None:
        self.port = free_port()
        self.process = command.start(
            "zmq_to_amqp",
            *(
                "--monitoring-port",
                str(self.port),
                "--monitoring-address",
                "127.0.0.1",
                "--amqp-url",
                amqp_url,
            ),
        )

    def endpoints(self) -> set[str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return set(json.loads(connection.getresponse().read())["endpoints"])
        except ConnectionRefusedError:
            return set()

    def becomes(self, wanted: set[str]) -> bool:
        end = time.monotonic() + 15
        while self.endpoints() != wanted and time.monotonic() < end:
            time.sleep(0.05)
        return self.endpoints() == wanted

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> str:
        """What it logged."""
        self.process.terminate()
        said, complaint = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, complaint
        return str(said)


@pytest.fixture
def configure(command: Any) -> Callable[[str], None]:
    """Writes the tools' file."""

    def write(text: str) -> None:
        Path(command.conf).write_text(f"[zmq_to_amqp]\n{text}\n")

    return write


def test_the_list_in_the_configuration(command: Any, configure: Callable[[str], None], amqp_url: str) -> None:
    one, two = "tcp://127.0.0.1:9", "tcp://127.0.0.1:10"
    configure(f'zmq_endpoints = ["{one}"]')
    bridge = Listening(command, amqp_url)
    assert bridge.becomes({one})
    configure(f'zmq_endpoints = ["{one}", "{two}"]')
    bridge.reload()
    assert bridge.becomes({one, two})
    configure(f'zmq_endpoints = ["{two}"]')
    bridge.reload()
    assert bridge.becomes({two})
    said = bridge.end()
    assert f"No longer listening to {one}" in said


def test_a_mistake_changes_nothing(command: Any, configure: Callable[[str], None], amqp_url: str) -> None:
    endpoint = "tcp://127.0.0.1:9"
    configure(f'zmq_endpoints = ["{endpoint}"]')
    bridge = Listening(command, amqp_url)
    assert bridge.becomes({endpoint})
    configure('zmq_endpoint = ["tcp://127.0.0.1:11"]')
    bridge.reload()
    time.sleep(1.0)
    assert bridge.endpoints() == {endpoint}
    said = bridge.end()
    assert "kept what was configured before: " in said
    assert "Did you mean 'zmq_endpoints'?" in said
