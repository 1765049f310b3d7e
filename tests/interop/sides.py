# SPDX-License-Identifier: MIT
"""fedora-messaging 3.9.1 and this library, each in an environment of its own, and a queue as plain pika sees it.

What is asserted about them does not belong here.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.interop import environments

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
PEER_PINS = HERE / "peer-packages.txt"


@dataclass(frozen=True)
class Side:
    """One of the two libraries: its interpreter, and the folder with its configuration."""

    python: Path
    folder: Path

    def configure(self, url: str, text: str = "") -> None:
        """Write its configuration file."""
        (self.folder / "config.toml").write_text(f'amqp_url = "{url}"\n{text}')

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run its interpreter with ``arguments``."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PROGRAMS),
            "FEDORA_MESSAGING_CONF": str(self.folder / "config.toml"),
        }
        return subprocess.Popen(
            [str(self.python), *arguments],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, given: str = "") -> tuple[int, str]:
        """The exit code and the output of its interpreter with ``arguments``."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(given, timeout=60)
        finally:
            process.kill()
        return process.returncode, output

    def cli(self, *arguments: str) -> tuple[int, str]:
        """The same of its command ``fedora-messaging``."""
        return self.run(str(self.python.with_name("fedora-messaging")), *arguments)

    def bus(self, *arguments: str, given: object = None) -> list[dict[str, Any]]:
        """What ``programs/bus.py`` prints as its result."""
        code, output = self.run(str(PROGRAMS / "bus.py"), *arguments, given=json.dumps(given))
        results = [line[len("RESULT") :] for line in output.splitlines() if line.startswith("RESULT")]
        assert code == 0, output
        assert len(results) == 1, output
        # As a string: NaN is not equal to itself.
        return json.loads(results[0], parse_constant=str)  # type: ignore[no-any-return]


def peer() -> environments.Environment:
    """The environment with fedora-messaging 3.9.1 and four schema packages."""
    environment = environments.create("peer", environments.pins(PEER_PINS))
    environments.check(environment)
    return environment


@dataclass(frozen=True)
class Raw:
    """A message as plain pika sees it. ``redelivered`` is not a part of it, but of its journey."""

    topic: str
    properties: dict[str, Any]
    body: bytes
    redelivered: bool = field(compare=False)


def drain(channel: Any, queue: str) -> list[Raw]:
    """All that waits in the queue."""
    taken: list[Raw] = []
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return taken
        taken.append(Raw(method.routing_key, vars(properties), body, method.redelivered))
