# SPDX-License-Identifier: MIT
"""Running the command as people run it, and the broker's side of what it does."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest

SCRIPT = Path(sys.executable).with_name("fedora-messaging")


class Command:
    """``fedora-messaging`` with a configuration file of its own in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "config.toml"
        self.started: list[subprocess.Popen[str]] = []
        self.environment = {key: value for key, value in os.environ.items() if key != "FEDORA_MESSAGING_CONF"}

    def configure(self, amqp_url: str, more: str = "") -> None:
        """Write the configuration: top-level settings first."""
        self.conf.write_text(f'amqp_url = "{amqp_url}"\n{more}\n')

    def arguments(self, *arguments: object) -> list[str]:
        conf = ["--conf", str(self.conf)] if self.conf.exists() else []
        return [str(SCRIPT), *conf, *map(str, arguments)]

    def __call__(self, *arguments: object, stdin: str = "", timeout: float = 60) -> Any:
        """Run it to its end."""
        return subprocess.run(
            self.arguments(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
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

    def install(self, name: str, version: str, modules: dict[str, str], entry_points: str) -> None:
        """Let the command find a distribution of this name, with message classes."""
        site = self.folder / "site"
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        for module, text in modules.items():
            (site / f"{module}.py").write_text(text)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[fedora.messages]\n{entry_points}\n")
        self.environment["PYTHONPATH"] = str(site)

    def write(self, name: str, text: str) -> Path:
        """A file beside the configuration."""
        (self.folder / name).write_text(text)
        return self.folder / name


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    one = Command(tmp_path)
    yield one
    for process in one.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Bus:
    """A virtual host, seen with pika."""

    def __init__(self, url: str, node: Any) -> None:
        self.url = url
        self.node = node
        self.vhost = urlsplit(url).path[1:]
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self._connection.channel()
        self.channel.confirm_delivery()

    def close(self) -> None:
        if self._connection.is_open:
            self._connection.close()

    def send(
        self, topic: str, body: bytes = b'{"n": 1}', exchange: str = "amq.topic", **properties: Any
    ) -> None:
        """Publish, confirmed, and fail when nobody is bound."""
        headers = {
            "fedora_messaging_schema": "base.message",
            "fedora_messaging_severity": 20,
            "sent-at": "2019-07-30T19:12:22+00:00",
        }
        told: dict[str, Any] = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "message_id": f"id-{topic}",
        }
        told |= {"headers": headers, **properties}
        self.channel.basic_publish(exchange, topic, body, pika.BasicProperties(**told), mandatory=True)

    def queue(self, name: str, topic: str = "#", exchange: str = "amq.topic", **arguments: Any) -> None:
        """A durable queue, bound."""
        self.channel.queue_declare(name, durable=True, arguments=arguments)
        self.channel.queue_bind(name, exchange, topic)

    def take(self, queue: str) -> list[tuple[str, pika.BasicProperties, Any]]:
        """All that is in the queue: topic, properties, body."""
        taken = []
        while (got := self.channel.basic_get(queue, auto_ack=True))[0] is not None:
            taken.append((got[0].routing_key, got[1], json.loads(got[2])))
        return taken

    def waiting(self, queue: str) -> int:
        """How many messages are ready in it."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    def consumers(self, queue: str) -> int:
        return int(self.channel.queue_declare(queue, passive=True).method.consumer_count)

    def until_consumed(self, queue: str, process: subprocess.Popen[str]) -> None:
        """Wait for the process to consume the queue."""
        self.until(lambda: process.poll() is not None or self.consumers(queue) == 1)
        assert process.poll() is None, process.communicate()

    def until(self, condition: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait for it; it is an error when it does not come."""
        end = time.monotonic() + seconds
        while not self._holds(condition):
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    def _holds(self, condition: Callable[[], bool]) -> bool:
        try:
            return condition()
        except pika.exceptions.ChannelClosedByBroker:  # no such queue yet
            self.channel = self._connection.channel()
            self.channel.confirm_delivery()
            return False

    def definitions(self) -> Any:
        """All exchanges, queues and bindings of the virtual host."""
        return self.node.management("GET", f"/api/definitions/{self.vhost}")

    def user(
        self,
        name: str,
        configure: str,
        write: str,
        read: str,
        topics: dict[str, tuple[str, str]] | None = None,
    ) -> str:
        """A user with these permissions (and, by exchange, on topics: write and read); the URL to be it."""
        manage = self.node.management
        manage("PUT", f"/api/users/{name}", {"password": "secret", "tags": ""})
        rights = {"configure": configure, "write": write, "read": read}
        manage("PUT", f"/api/permissions/{self.vhost}/{name}", rights)
        for exchange, (write_topics, read_topics) in (topics or {}).items():
            rights = {"exchange": exchange, "write": write_topics, "read": read_topics}
            manage("PUT", f"/api/topic-permissions/{self.vhost}/{name}", rights)
        return self.url.replace(f"{self.node.user}:{self.node.password}@", f"{name}:secret@")


@pytest.fixture
def bus(amqp_url: str, rabbitmq: Any) -> Iterator[Bus]:
    one = Bus(amqp_url, rabbitmq)
    yield one
    one.close()
