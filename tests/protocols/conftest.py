# SPDX-License-Identifier: MIT
"""A node that speaks STOMP and MQTT too, with the users of the examples' ``bus.toml`` and nobody else's permissions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from fedora_messaging.private_node import PrivateNode

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "other_protocols"
NODE = ROOT / "examples" / "node"
CACHE = ROOT / ".cache" / "node"
USERS = (
    "stomp-listener",
    "stomp-publisher",
    "mqtt-listener",
    "mqtt-publisher",
    "node-listener",
    "node-publisher",
)
PASSWORD = "a pass/word: with 100 %"


@dataclass(frozen=True)
class Bus:
    """The node, and programs that talk to it."""

    node: PrivateNode

    @property
    def url(self) -> str:
        """For the administrator, by AMQP."""
        return self.node.url_of("/pubsub")

    def url_of(self, user: str) -> str:
        """For one of the examples' users, by AMQP."""
        who = f"{quote(user, safe='')}:{quote(PASSWORD, safe='')}"
        return f"amqp://{who}@127.0.0.1:{self.node.amqp_port}/{quote('/pubsub', safe='')}"

    def python(self, name: str, user: str, *arguments: str) -> list[str]:
        """The command that runs an example in Python."""
        port = self.node.ports["stomp" if "stomp" in name else "mqtt"]
        return [sys.executable, str(EXAMPLES / name), "127.0.0.1", str(port), user, *arguments]


def environment(**more: str) -> dict[str, str]:
    """For an example."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PASSWORD": PASSWORD, **more}


@pytest.fixture(scope="session")
def bus() -> Iterator[Bus]:
    """One for the run: what the tests leave on it is not in each other's way."""
    variables = {name.upper().replace("-", "_"): PASSWORD for name in USERS}
    plugins = ("rabbitmq_management", "rabbitmq_stomp", "rabbitmq_mqtt")
    with PrivateNode(plugins=plugins) as node:
        command = [str(Path(sys.executable).with_name("fedmsg-migration-tools")), "broker", "definitions"]
        made = subprocess.run(
            [*command, str(EXAMPLES / "bus.toml")],
            env=environment(**variables),
            capture_output=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr.decode()
        node.management("POST", "/api/definitions", json.loads(made.stdout))
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        node.management("PUT", f"/api/permissions/%2Fpubsub/{quote(node.user, safe='')}", everything)
        yield Bus(node)


@pytest.fixture(scope="session")
def amqplib() -> Path:
    """The folder of the examples in Node, beside their dependency."""
    package = (NODE / "package.json").read_text()
    folder = CACHE / str(json.loads(package)["dependencies"]["amqplib"])
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(package)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        (folder / "complete").touch()
    for program in NODE.glob("*.js"):
        shutil.copy(program, folder)
    return folder
