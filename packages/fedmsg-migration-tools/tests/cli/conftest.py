# SPDX-License-Identifier: MIT
"""Running the command as people run it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(sys.executable).with_name("fedmsg-migration-tools")


class Command:
    """``fedmsg-migration-tools`` in a folder of its own, where its configuration file may be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "tools.toml"
        self.started: list[subprocess.Popen[str]] = []
        configured = ("FEDMSG_MIGRATION_TOOLS_", "FEDORA_MESSAGING_")
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(configured)}
        self.environment["STATE_DIRECTORY"] = str(folder)

    def arguments(self, *arguments: object) -> list[str]:
        """The command line. A URL with a password goes by the environment, as it should."""
        if "--amqp-url" in arguments:
            at = arguments.index("--amqp-url")
            if "@" in str(arguments[at + 1]):
                self.environment["FEDMSG_MIGRATION_TOOLS_AMQP_URL"] = str(arguments[at + 1])
                arguments = (*arguments[:at], *arguments[at + 2 :])
        conf = ["--conf", str(self.conf)] if self.conf.exists() else []
        return [str(SCRIPT), *conf, *map(str, arguments)]

    def __call__(self, *arguments: object, stdin: str = "") -> Any:
        """Run it to its end."""
        return subprocess.run(
            self.arguments(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env=self.environment,
            check=False,
        )

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start it; it is killed at the end of the test, if it still runs."""
        process = subprocess.Popen(
            self.arguments(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        self.started.append(process)
        return process


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    one = Command(tmp_path)
    yield one
    for process in one.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
