# SPDX-License-Identifier: MIT
"""A RabbitMQ that lets in whom a CA knows, and a look at who is in."""

import asyncio
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedora_messaging.aio import Session
from fedora_messaging.config import DEFAULTS
from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.message import Message
from fedora_messaging.private_node import PrivateNode

ALL = {"configure": ".*", "write": ".*", "read": ".*"}

# In advanced.config, since rabbitmq.conf cannot name the folder; these replace all ssl_options of rabbitmq.conf.
ADVANCED = """[{{rabbit, [{{ssl_options, [
  {{cacertfile, "{ca}"}},
  {{certfile, "{certificate}"}},
  {{keyfile, "{key}"}},
  {{verify, verify_peer}},
  {{fail_if_no_peer_cert, true}},
  {{depth, 2}},
  {{versions, ['tlsv1.3', 'tlsv1.2']}},
  {{reuse_sessions, false}}{crls}
]}}]}}]."""
CRLS = """,
  {{crl_check, peer}},
  {{crl_cache, {{ssl_crl_hash_dir, {{internal, [{{dir, "{crls}"}}]}}}}}}"""

Tls = dict[str, str | None]


def tls(ca: Path, certificate: Path, key: Path) -> Tls:
    """The library's setting."""
    return {"ca_cert": str(ca), "certfile": str(certificate), "keyfile": str(key)}


class Broker:
    """A node with TLS and EXTERNAL.

    Arguments:
        ca: the certificates that it trusts.
        certificate: its own.
        key: its own.
        crls: the folder of revocation lists; None: it looks at none.
    """

    def __init__(self, ca: Path, certificate: Path, key: Path, crls: Path | None = None) -> None:
        checked = CRLS.format(crls=crls) if crls else ""
        self.node = PrivateNode(
            plugins=("rabbitmq_management", "rabbitmq_auth_mechanism_ssl"),
            ports={"amqps": 0},
            config={
                "ssl_cert_login_from": "common_name",
                "auth_mechanisms.1": "EXTERNAL",
                "auth_mechanisms.2": "PLAIN",
                "collect_statistics_interval": 1000,
            },
            advanced=ADVANCED.format(ca=ca, certificate=certificate, key=key, crls=checked),
        )

    def add_user(self, name: str) -> None:
        """Who logs in by certificate, and may do everything."""
        self.node.management("PUT", f"/api/users/{name}", {"password_hash": "", "tags": ""})
        self.node.management("PUT", f"/api/permissions/%2F/{name}", ALL)

    def settings(self, files: Tls) -> dict[str, Any]:
        """For a session of the library."""
        return {
            **DEFAULTS,
            "amqp_url": f"amqps://localhost:{self.node.ports['amqps']}/",
            "tls": files,
            "client_properties": {"app": secrets.token_hex(8)},
        }

    async def told(self, files: Tls) -> str:
        """Why this client is not let in; ``""`` when it publishes."""
        try:
            async with Session(self.settings(files)) as session:
                await session.publish(hello(), timeout=20)
        except ConnectionException as error:
            return str(error)
        return ""

    def publishes(self, files: Tls) -> str:
        """As :meth:`told`."""
        return asyncio.run(self.told(files))

    def connections(self) -> list[dict[str, Any]]:
        """As the management API tells them, some time later."""
        found: list[dict[str, Any]] = self.node.management("GET", "/api/connections")
        return [one for one in found if one.get("user")]

    def break_connections(self) -> None:
        """All of them."""
        self.node.evaluate('rabbit_networking:close_all_connections("for the test")')

    def forget_files(self) -> None:
        """What it does by itself every two minutes: read certificates again, even while there are connections."""
        self.node.evaluate("ssl:clear_pem_cache()")

    def context(self, files: Tls, version: ssl.TLSVersion) -> ssl.SSLContext:
        """For a socket of one's own."""
        context = ssl.create_default_context(cafile=files["ca_cert"])
        context.maximum_version = version
        context.load_cert_chain(str(files["certfile"]), files["keyfile"])
        return context


def hello() -> Message:
    """Something to publish."""
    return Message(topic="pki.test", body={})


async def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Until it holds."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.1)
