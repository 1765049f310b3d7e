# SPDX-License-Identifier: MIT
"""A broker that speaks TLS and logs in by certificate, the certificates, and peers that are no broker."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from fedora_messaging.private_node import PrivateNode

ALL = {"configure": ".*", "write": ".*", "read": ".*"}
NAMES = ("localhost", "127.0.0.1")


class Secure:
    """A node that trusts the certificates of one authority, and lets nobody in who shows none.

    Users: ``alice`` and ``bob``, who log in by certificate, and ``admin`` with a password.
    Its own certificate is for ``localhost``.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self.version = version
        self._ca, self._stranger = trustme.CA(), trustme.CA()
        self._ca.cert_pem.write_to_path(folder / "ca.pem")
        self._stranger.cert_pem.write_to_path(folder / "other-ca.pem")
        self._write("server", self._ca.issue_cert("localhost"))
        for name in ("alice", "bob", "nobody"):
            self.issue(name)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        self.issue("alice", "expired", not_before=yesterday - timedelta(days=9), not_after=yesterday)
        self._write("foreign", self._stranger.issue_cert("alice@example.org", common_name="alice"))
        self.node = PrivateNode(
            plugins=("rabbitmq_management", "rabbitmq_auth_mechanism_ssl"),
            ports={"amqps": 0},
            config={
                "ssl_options.cacertfile": self.path("ca.pem"),
                "ssl_options.certfile": self.path("server.pem"),
                "ssl_options.keyfile": self.path("server.key"),
                "ssl_options.verify": "verify_peer",
                "ssl_options.fail_if_no_peer_cert": True,
                "ssl_options.versions.1": version,
                "ssl_cert_login_from": "common_name",
                "auth_mechanisms.1": "EXTERNAL",
                "auth_mechanisms.2": "PLAIN",
            },
        )

    def issue(self, user: str, file: str | None = None, **validity: Any) -> None:
        """A certificate whose CN is ``user``, written to ``file`` (.pem and .key)."""
        self._write(file or user, self._ca.issue_cert(f"{user}@example.org", common_name=user, **validity))

    def _write(self, file: str, certificate: trustme.LeafCert) -> None:
        certificate.cert_chain_pems[0].write_to_path(self.path(f"{file}.pem"))
        certificate.private_key_pem.write_to_path(self.path(f"{file}.key"))

    def path(self, name: str) -> str:
        """Where a file is."""
        return str(self.folder / name)

    def tls(self, own: str | None = "alice", ca: str = "ca") -> dict[str, str | None]:
        """The setting ``tls`` for these files."""
        return {
            "ca_cert": self.path(f"{ca}.pem"),
            "certfile": self.path(f"{own}.pem") if own else None,
            "keyfile": self.path(f"{own}.key") if own else None,
        }

    def url(self, before: str = "", vhost: str = "", host: str = "localhost") -> str:
        """For ``before`` (``user:password@``), over TLS."""
        return f"amqps://{before}{host}:{self.node.ports['amqps']}/{vhost}"

    @contextlib.contextmanager
    def mechanisms(self, offered: str) -> Iterator[None]:
        """Offer only these for a while, as a broker without the plugin does."""
        self.node.evaluate(f"application:set_env(rabbit, auth_mechanisms, [{offered}])")
        try:
            yield
        finally:
            self.node.evaluate("application:set_env(rabbit, auth_mechanisms, ['EXTERNAL', 'PLAIN'])")

    def logins(self) -> list[tuple[str, str]]:
        """(user, mechanism) of the connections that there are now."""
        listed = self.node.evaluate(
            "[{binary_to_list(U), binary_to_list(M)} || [{user, U}, {auth_mechanism, M}] <- "
            "rabbit_networking:connection_info_all([user, auth_mechanism])]"
        )
        words = listed.split('"')[1::2]
        return sorted(zip(words[::2], words[1::2], strict=True))


@pytest.fixture(scope="session", params=["tlsv1.3", "tlsv1.2"])
def secure(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Secure]:
    """One with each version of TLS: they refuse certificates in different ways."""
    place = Secure(tmp_path_factory.mktemp("tls"), request.param)
    with place.node as node:
        for user in ("alice", "bob"):
            node.management("PUT", f"/api/users/{user}", {"password_hash": "", "tags": ""})
            node.management("PUT", f"/api/permissions/%2F/{user}", ALL)
        yield place


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Starts peers that wait for a word before each of their answers, then hang up; gives their ports.

    A peer with no answers at all hangs up when it has heard a word; ``None`` is silence until the end of the test.
    """
    with contextlib.ExitStack() as stack:

        def start(*answers: bytes | None) -> int:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=_answer, args=(server, answers, stack), daemon=True).start()
            return int(server.getsockname()[1])

        yield start


def _answer(server: socket.socket, answers: tuple[bytes | None, ...], stack: Any) -> None:
    with contextlib.suppress(OSError):  # the end of the test closes the socket
        while True:
            peer, _ = server.accept()
            peer.settimeout(5)
            for answer in answers or (b"",):
                if answer is None:
                    stack.enter_context(peer)
                    break
                peer.recv(65536)
                peer.sendall(answer)
            else:
                peer.close()
