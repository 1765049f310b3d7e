# SPDX-License-Identifier: MIT
"""A bus with everything that may give a secret away: broker, configuration files, services. What they said is kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fedora_messaging.private_node.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fedora_messaging.private_node import PrivateNode

BIN = Path(sys.executable).parent
USER = "bodhi"
PATIENCE = 30  # seconds for a program to say what is waited for, or to end
LOGGING = """
[log_config]
version = 1
disable_existing_loggers = false
[log_config.formatters.all]
format = "%(asctime)s %(name)s %(levelname)s %(message)s"
[log_config.handlers.console]
class = "logging.StreamHandler"
formatter = "all"
[log_config.root]
level = "DEBUG"
handlers = ["console"]
[log_config.loggers]
pika = {level = "DEBUG"}
fedora_messaging = {level = "DEBUG"}
fedmsg_migration_tools = {level = "DEBUG"}
"""
QUEUE = """
[queues.mine]
durable = true
auto_delete = false
exclusive = false
arguments = {}
[[bindings]]
queue = "mine"
exchange = "amq.topic"
routing_keys = ["#"]
"""
BUS = """
[broker]
management_urls = ["{management}"]
amqp_urls = ["{amqp}"]
[leave]
users = ["{admin}"]
vhosts = ["/"]
[vhosts."/pubsub"]
exchanges."zmq.topic" = {{type = "topic"}}
queues.mine.bindings = [{{exchange = "amq.topic"}}]
[vhosts."/pubsub".users.{user}]
manage = ["*"]
consume = ["*"]
publish = {{"amq.topic" = ["#"], "zmq.topic" = ["#"]}}
bind = {{"amq.topic" = ["#"], "zmq.topic" = ["#"]}}
[vhosts."/pubsub".users.other]
consume = ["mine"]
[vhosts."/pubsub".upstreams.far]
uri_file = "{uri}"
exchange = "amq.topic"
[users.{user}]
password_file = "{password}"
tags = ["monitoring"]
[users.other]
password_env = "OTHER_PASSWORD"
"""


def awkward() -> str:
    """A password that looks different in a URL, in JSON and in base64."""
    return f'{secrets.token_hex(8)}/:@%?#&=+" ü{secrets.token_hex(8)}'


class World:
    """Files and programs. ``said`` has what each of them printed, by what it was."""

    def __init__(self, folder: Path, node: PrivateNode) -> None:
        self.folder = folder
        self.node = node
        self.said: dict[str, str] = {}
        self.secrets = {
            "password": awkward(),
            "password from the environment": awkward(),
            "password of an upstream": awkward(),
            "wrong password": awkward(),
            "administrator's password": node.password,
            "cookie": (node.folder / "home" / ".erlang.cookie").read_text().strip(),
        }
        self.bus = self._bus()

    # files

    def private(self, name: str, text: str) -> Path:
        """A file for its owner only."""
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text)
        return path

    def _bus(self) -> Path:
        far = quote(self.secrets["password of an upstream"], safe="")
        return self.private(
            "bus.toml",
            BUS.format(
                management=self.node.management_url,
                amqp=f"amqp://127.0.0.1:{self.node.amqp_port}/%2Fpubsub",
                admin=self.node.user,
                user=USER,
                uri=self.private("uri", f"amqp://far:{far}@127.0.0.1:{free_port()}\n"),
                password=self.private("password", self.secrets["password"] + "\n"),
            ),
        )

    def url(self, password: str = "password", **changes: str) -> str:
        """Of the bus, with the secret of that name."""
        parts = {
            "host": f"127.0.0.1:{self.node.amqp_port}",
            "vhost": "%2Fpubsub",
            "query": "",
            "scheme": "amqp",
        } | changes
        secret = changes.get("raw") or quote(self.secrets[password], safe="")
        return f"{parts['scheme']}://{USER}:{secret}@{parts['host']}/{parts['vhost']}{parts['query']}"

    def library(self, name: str, url: str, more: str = QUEUE) -> dict[str, str]:
        """The environment for a program whose configuration has this URL; everything is logged."""
        text = f"amqp_url = {json.dumps(url)}\n{LOGGING}{more}"
        return {"FEDORA_MESSAGING_CONF": str(self.private(f"{name}.toml", text))}

    # programs

    def run(
        self, what: str, program: str, *arguments: str, stdin: str = "", until: str = "", **environment: str
    ) -> None:
        """To its end; or until it has said this (a regular expression), and then it is ended in order."""
        with self.started(what, program, *arguments, stdin=stdin, **environment) as (process, log):
            end = time.monotonic() + PATIENCE
            while process.poll() is None and time.monotonic() < end:
                if until and re.search(until, log.read_text(errors="replace")):
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)

    @contextlib.contextmanager
    def started(
        self, what: str, program: str, *arguments: str, stdin: str = "", **environment: str
    ) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """While the block runs; then it is ended by SIGTERM."""
        log = self.folder / f"{len(self.said)}.log"
        given = self.private(f"{len(self.said)}.in", stdin)
        self.said[what] = ""
        line = [sys.executable if program == "python" else str(BIN / program), *arguments]
        with log.open("wb") as output, given.open("rb") as source:
            process = subprocess.Popen(
                line,
                stdin=source,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment(environment),
            )
        try:
            yield process, log
        finally:
            for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 15)):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    if process.poll() is None:
                        process.send_signal(number)
                    process.wait(patience)
            self.said[what] = log.read_text(errors="replace")

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        configured = ("FEDMSG_MIGRATION_TOOLS_", "FEDORA_MESSAGING_")
        plain = {key: value for key, value in os.environ.items() if not key.startswith(configured)}
        mine = {
            "STATE_DIRECTORY": str(self.folder),
            "OTHER_PASSWORD": self.secrets["password from the environment"],
        }
        return plain | mine | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"} | dict(more)
