# SPDX-License-Identifier: MIT
"""A real RabbitMQ with TLS, revocation lists, certificates as logins, and all that deploy/bus.toml says."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cryptography import x509

from fedmsg_migration_tools.broker.bus.definitions import of_state
from fedmsg_migration_tools.broker.bus.desired import Secrets, desired
from fedmsg_migration_tools.broker.bus.file import read
from fedora_messaging import aio
from fedora_messaging.config import DEFAULTS
from fedora_messaging.exceptions import BaseException as LibraryError
from fedora_messaging.exceptions import ConnectionException
from fedora_messaging.message import Message
from fedora_messaging.private_node import PrivateNode
from tests.pki import Authority, Credentials, authority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from fedmsg_migration_tools.broker.bus.shape import Bus

FILE = Path(__file__).parents[2] / "deploy" / "bus.toml"
VHOST = "/pubsub"
PUBLIC = "/public_pubsub"
PASSWORD = "a-password-of-the-bus"
VERSIONS = ("tlsv1.3", "tlsv1.2")
DAY = timedelta(days=1)


@dataclass
class Place:
    """The broker, its CA in ``folder``, and one certificate of each kind."""

    folder: Path
    version: str | None = None
    only_with_certificate: bool = False
    node: PrivateNode = field(init=False)
    ca: Authority = field(init=False)

    def __post_init__(self) -> None:
        self.ca, stranger = authority("Bus CA"), authority("Another CA")
        (self.folder / "ca.crt").write_bytes(self.ca.pem)
        (self.folder / "other.crt").write_bytes(stranger.pem)
        names = [x509.DNSName("localhost")]
        self.write(
            "server", self.ca.issue("localhost", extensions=[(x509.SubjectAlternativeName(names), False)])
        )
        for user in ("nobody", *(name for name, user in bus().users.items() if user.certificate)):
            self.write(user, self.ca.issue(user))
        now = datetime.now(UTC)
        self.write("expired", self.ca.issue("bodhi", begins=now - 9 * DAY, ends=now - DAY))
        self.write("foreign", stranger.issue("bodhi"))
        revoked = self.ca.issue("bodhi")
        self.write("revoked", revoked)
        self._write_list(revoked)
        self.node = PrivateNode(
            plugins=bus().broker.plugins,
            ports={"amqps": 0},
            config={
                "default_user": "owner",  # admin is a user of the file
                "ssl_cert_login_from": "common_name",
                "auth_mechanisms.1": "EXTERNAL",
                "auth_mechanisms.2": "PLAIN",
            },
            advanced=self._advanced(),
        )

    def _advanced(self) -> str:
        """The TLS of the broker, as in deploy/rabbitmq: only here can the folder of revocation lists be named."""
        versions = ", ".join(f"'{one}'" for one in ([self.version] if self.version else VERSIONS))
        required = str(self.only_with_certificate).lower()
        return f"""[{{rabbit, [{{ssl_options, [
            {{cacertfile, "{self.path("ca.crt")}"}},
            {{certfile, "{self.path("server.crt")}"}},
            {{keyfile, "{self.path("server.key")}"}},
            {{verify, verify_peer}}, {{fail_if_no_peer_cert, {required}}}, {{versions, [{versions}]}},
            {{crl_check, peer}},
            {{crl_cache, {{ssl_crl_hash_dir, {{internal, [{{dir, "{self.folder}"}}]}}}}}}
        ]}}]}}]."""

    def _write_list(self, *revoked: Credentials) -> None:
        """Under the name that Erlang looks for, as ``openssl rehash`` gives it."""
        crl = self.folder / "crl.pem"
        crl.write_bytes(self.ca.crl(revoked))
        command = ["openssl", "crl", "-in", str(crl), "-noout", "-hash"]
        name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        crl.rename(self.folder / f"{name}.r0")

    def write(self, name: str, credentials: Credentials) -> None:
        """A certificate and its key, beside the others."""
        credentials.write(self.folder, name)

    def path(self, name: str) -> str:
        """Where a file is."""
        return str(self.folder / name)

    @contextmanager
    def started(self) -> Iterator[Place]:
        """The broker, with all that bus.toml says."""
        with self.node:
            self.node.management(
                "POST", "/api/definitions", of_state(desired(bus(), Secrets(self.environment)))
            )
            yield self

    @property
    def environment(self) -> dict[str, str]:
        """What bus.toml expects of it."""
        names = [user.password_env for user in bus().users.values() if user.password_env]
        uri = f"amqp://federation:{PASSWORD}@127.0.0.1:{self.node.amqp_port}/%2Fpubsub"
        return {**os.environ, **dict.fromkeys(names, PASSWORD), "BUS_PUBSUB_URI": uri}

    def settings(
        self,
        user: str,
        *,
        vhost: str = VHOST,
        own: str | None = None,
        password: str | None = None,
        ca: str = "ca",
        host: str = "localhost",
        **more: Any,
    ) -> dict[str, Any]:
        """The library's settings for this user of bus.toml; ``own`` names another certificate, "" none."""
        if password is None and user in bus().users and not bus().users[user].certificate:
            own, password = "", PASSWORD
        before = "" if password is None else f"{user}:{password}@"
        name = user if own is None else own
        tls = {
            "ca_cert": self.path(f"{ca}.crt"),
            "certfile": self.path(f"{name}.crt") if name else None,
            "keyfile": self.path(f"{name}.key") if name else None,
        }
        url = f"amqps://{before}{host}:{self.node.ports['amqps']}/{quote(vhost, safe='')}"
        return {
            **DEFAULTS,
            "queues": {},
            "bindings": [],
            "exchanges": {},
            "amqp_url": url,
            "tls": tls,
            **more,
        }

    def why(self, settings: dict[str, Any]) -> ConnectionException:
        """Why nothing can be published; it is the same as why nothing can be consumed."""

        async def work() -> tuple[LibraryError | None, LibraryError | None]:
            async with aio.Session(settings) as session:
                publishing = await _error(session.publish(Message(topic="a.topic"), timeout=20))
            async with aio.Session({**settings, "queues": {"bodhi": {}}}) as session:
                return publishing, await _error(session.consume(print))

        one, other = asyncio.run(asyncio.wait_for(work(), 60))
        assert isinstance(one, ConnectionException)
        assert isinstance(other, ConnectionException)
        assert str(one) == str(other)
        return one


async def _error(attempt: Awaitable[None]) -> LibraryError | None:
    try:
        await attempt
    except LibraryError as error:
        return error
    return None


def bus() -> Bus:
    """What bus.toml says."""
    return read(FILE)
