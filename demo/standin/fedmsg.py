# SPDX-License-Identifier: MIT
# ruff: noqa: INP001 - a folder to put on the path, not a package
"""In the place of fedmsg, where that does not install: four of its functions, on pyzmq, with the same wire format.

Only what the programs of the demo call, unsigned. The configuration is the folder ``fedmsg.d`` where one stands.
"""

from __future__ import annotations

import datetime as dt
import getpass
import itertools
import json
import runpy
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Bus:
    """What one process has to do with the bus."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings: dict[str, Any] = {
            "endpoints": {},
            "topic_prefix": "org.fedoraproject",
            "environment": "dev",
        }
        for path in sorted(Path("fedmsg.d").glob("*.py")):
            self.settings.update(runpy.run_path(str(path))["config"])
        self.settings.update(settings)
        self.numbers = itertools.count(1)
        self.context = zmq.Context()
        self.publisher: zmq.Socket[bytes] | None = None
        for endpoint in self.settings["endpoints"].get(settings.get("name"), [])[:1]:
            self.publisher = self.context.socket(zmq.PUB)
            self.publisher.setsockopt(zmq.SNDHWM, 0)
            self.publisher.bind(endpoint)

    def topic(self, modname: str, topic: str) -> str:
        """With the prefix and the environment in front, unless it begins with the prefix."""
        whole, prefix = f"{modname}.{topic}", self.settings["topic_prefix"]
        return whole if whole.startswith(prefix) else f"{prefix}.{self.settings['environment']}.{whole}"


_bus: list[_Bus] = []


def init(**settings: Any) -> None:
    """Read the configuration, and bind the endpoint that belongs to ``name``, if any does."""
    _bus.append(_Bus(settings))


def publish(topic: str, msg: dict[str, Any], modname: str) -> None:
    """Publish ``msg``; returns at once, whoever listens."""
    (bus,) = _bus
    assert bus.publisher is not None
    envelope: dict[str, Any] = {
        "topic": bus.topic(modname, topic),
        "msg": msg,
        "timestamp": int(time.time()),
        "msg_id": f"{dt.datetime.now(dt.UTC).year}-{uuid.uuid4()}",
        "i": next(bus.numbers),
        "username": getpass.getuser(),
    }
    text = json.dumps(envelope, sort_keys=True, separators=(",", ":"))
    bus.publisher.send_multipart([envelope["topic"].encode(), text.encode()])


def tail_messages(topic: str = "") -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """The messages of all endpoints whose topic begins with ``topic``: name, endpoint, topic and envelope."""
    (bus,) = _bus
    with bus.context.socket(zmq.SUB) as subscriber:
        subscriber.setsockopt(zmq.RCVHWM, 0)
        subscriber.setsockopt(zmq.SUBSCRIBE, topic.encode())
        for endpoint in itertools.chain.from_iterable(bus.settings["endpoints"].values()):
            subscriber.connect(endpoint)
        while True:
            name, envelope = subscriber.recv_multipart()
            yield "", "", name.decode(), json.loads(envelope)


def destroy() -> None:
    """Send what is still to send, and close."""
    bus = _bus.pop()
    if bus.publisher is not None:
        bus.publisher.close(linger=-1)
    bus.context.term()
