# SPDX-License-Identifier: MIT
"""Where the contestants run: the broker, the interpreters, and the configuration that they read."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import payload
from .terms import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedora_messaging.private_node import PrivateNode

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Course:
    """The broker, the peers' interpreters, and a folder for files."""

    node: PrivateNode
    peer_python: Path
    old_python: Path
    folder: Path

    @property
    def amqp_url(self) -> str:
        """The broker's first virtual host."""
        return self.node.amqp_url

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """A virtual host for one measurement of a bridge, with nothing in it, by its URL."""
        name = f"bridge-{secrets.token_hex(4)}"
        try:
            yield self.node.add_vhost(name)
        finally:
            self.node.delete_vhost(name)

    def python(self, role: Role) -> Path:
        """The interpreter that runs ``role``."""
        return self.peer_python if role is Role.PEER else Path(sys.executable)

    def environment(self, prefetch: int) -> dict[str, str]:
        """This process's environment, with the configuration that all contestants read."""
        path = self.folder / f"prefetch-{prefetch}.toml"
        path.write_text(configuration(self.amqp_url, prefetch))
        return os.environ | {"PYTHONPATH": str(ROOT), "FEDORA_MESSAGING_CONF": str(path)}


def configuration(amqp_url: str, prefetch: int, exchange: str = payload.EXCHANGE) -> str:
    """The contestants' configuration: one durable queue, bound to the one topic."""
    return f"""amqp_url = "{amqp_url}"
[queues.{payload.QUEUE}]
durable = true
auto_delete = false
exclusive = false
arguments = {{}}
[[bindings]]
queue = "{payload.QUEUE}"
exchange = "{exchange}"
routing_keys = ["{payload.TOPIC}"]
[qos]
prefetch_count = {prefetch}
prefetch_size = 0
"""
