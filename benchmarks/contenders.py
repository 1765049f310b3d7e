# SPDX-License-Identifier: MIT
"""How the bridges are started: ours by their commands, and those of fedmsg-migration-tools 0.1.2.

What is measured of them does not belong here.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import payload
from .course import configuration
from .terms import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.pki import Pki

OUR_TOOL = Path(sys.executable).with_name("fedmsg-migration-tools")
SPOOL = "spool.sqlite"
OUR_QUEUE = "amqp_to_zmq"


@dataclass(frozen=True)
class Start:
    """A command with its environment."""

    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Contender:
    """A pair of bridges, ours or the old ones, in a folder of their own; ``pki`` if they check or make signatures."""

    role: Role
    old_python: Path
    amqp_url: str
    folder: Path
    pki: Pki | None

    @property
    def queue(self) -> str:
        """What the bridge to ZeroMQ consumes from."""
        return OUR_QUEUE if self.role is Role.OURS else payload.QUEUE

    def inward(self, endpoints: Sequence[str]) -> Start:
        """ZeroMQ to AMQP."""
        if self.role is Role.OURS:
            return self._ours("zmq_to_amqp", self._our_inward(endpoints))
        options = [part for endpoint in endpoints for part in ("--zmq-endpoint", endpoint)]
        return self._old("fedmsg-migration-tools", "zmq-to-amqp", *options)

    def outward(self, endpoint: str) -> Start:
        """AMQP to ZeroMQ."""
        if self.role is Role.OURS:
            return self._ours("amqp_to_zmq", self._our_outward(endpoint))
        callback = "--callback=fedmsg_migration_tools.bridges:AmqpToZmq"
        return self._old("fedora-messaging", "consume", callback, endpoint=endpoint)

    def _ours(self, command: str, section: str) -> Start:
        path = self.folder / "config.toml"
        path.write_text(section)
        environment = self._environment(self.folder / "messaging.toml", "")
        return Start([str(OUR_TOOL), "--conf", str(path), command, "--amqp-url", self.amqp_url], environment)

    def _our_inward(self, endpoints: Sequence[str]) -> str:
        text = (
            f"[zmq_to_amqp]\nzmq_endpoints = {json.dumps(list(endpoints))}\n"
            f'[zmq_to_amqp.spool]\npath = "{self.folder / SPOOL}"\n'
        )
        if self.pki is None:
            return text
        return (
            f'{text}[zmq_to_amqp.signatures]\nvalidate = true\nca = ["{self.pki.ca_file}"]\n'
            f'crl = "{self.pki.crl_file}"\n'
        )

    def _our_outward(self, endpoint: str) -> str:
        text = f'[amqp_to_zmq]\npublish_endpoint = "{endpoint}"\n'
        if self.pki is None:
            return text
        return (
            f'{text}[amqp_to_zmq.signing]\nsign_messages = true\nssldir = "{self.pki.folder}"\n'
            'certname = "valid"\n'
        )

    def _old(self, tool: str, *arguments: str, endpoint: str = "") -> Start:
        fedmsg = self.folder / "fedmsg.d"
        fedmsg.mkdir()
        (fedmsg / "base.py").write_text(f"config = {self._fedmsg()!r}\n")
        text = configuration(self.amqp_url, 10)
        if endpoint:
            text += f'[consumer_config]\npublish_endpoint = "{endpoint}"\n'
        command = [str(self.old_python.with_name(tool)), *arguments]
        return Start(command, self._environment(fedmsg, text))

    def _environment(self, fedmsg: Path, messaging: str) -> Mapping[str, str]:
        path = self.folder / "messaging.toml"
        path.write_text(messaging)
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**clean, "LANG": "C.UTF-8", "FEDORA_MESSAGING_CONF": str(path), "FEDMSG_CONFIG": str(fedmsg)}

    def _fedmsg(self) -> dict[str, object]:
        if self.pki is None:
            return {"validate_signatures": False, "sign_messages": False}
        return {
            "validate_signatures": True,
            "sign_messages": True,
            "crypto_backend": "x509",
            "crypto_validate_backends": ["x509"],
            "ca_cert_location": str(self.pki.ca_file),
            "crl_location": str(self.pki.crl_file),
            "ssldir": str(self.pki.folder),
            "certname": "valid",
            "routing_policy": {},
            "routing_nitpicky": False,
        }
