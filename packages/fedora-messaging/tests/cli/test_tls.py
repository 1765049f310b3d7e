# SPDX-License-Identifier: MIT
"""``consume`` and ``doctor`` over TLS, with certificates on both sides and logging in by certificate."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from fedora_messaging.private_node import PrivateNode

CALLBACK = ("--callback", "fedora_messaging.example:printer")


class Secure(NamedTuple):
    """A node that speaks TLS, knows the users ``app`` and ``admin``, and trusts our authority."""

    node: PrivateNode
    folder: Path

    @property
    def port(self) -> int:
        return self.node.ports["amqps"]

    def tls(self, certificate: str = "app", ca: str = "ca") -> str:
        """The section of the configuration."""
        own = self.folder / f"{certificate}.pem"
        return f'[tls]\nca_cert = "{self.folder / ca}.pem"\ncertfile = "{own}"\nkeyfile = "{own}"'


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("tls")
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    for name, issuer in (("server", ca), ("app", ca), ("unknown", ca), ("stranger", other)):
        certificate = issuer.issue_cert("localhost", common_name=name)
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    settings: dict[str, str | bool] = {
        "ssl_options.cacertfile": str(folder / "ca.pem"),
        "ssl_options.certfile": str(folder / "server.pem"),
        "ssl_options.keyfile": str(folder / "server.pem"),
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": True,
        "ssl_cert_login_from": "common_name",
        "auth_mechanisms.1": "EXTERNAL",
        "auth_mechanisms.2": "PLAIN",
    }
    plugins = ("rabbitmq_management", "rabbitmq_auth_mechanism_ssl")
    with PrivateNode(plugins=plugins, config=settings, ports={"amqps": 0}) as node:
        node.management("PUT", "/api/users/app", {"password_hash": "", "tags": ""})
        node.management("PUT", "/api/permissions/%2F/app", {"configure": ".*", "write": ".*", "read": ".*"})
        yield Secure(node, folder)


def test_logs_in_by_certificate(command: Any, secure: Secure) -> None:
    command.configure(f"amqps://localhost:{secure.port}/", secure.tls())
    told = command("doctor")
    assert (told.returncode, told.stderr) == (0, ""), told.stdout
    lines = [line.split(maxsplit=2) for line in told.stdout.splitlines()]
    assert [check for _, check, _ in lines[:7]] == [
        "configuration", "name", "socket", "certificate", "TLS", "certificate", "login"
    ]  # fmt: skip
    assert {status for status, *_ in lines} == {"ok"}
    assert lines[3][2].startswith("the broker's certificate is for localhost (CN server), valid until ")
    process = command.start("consume", *CALLBACK)
    assert "Consuming" in process.stdout.readline()
    assert "Connected to localhost" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("url", "certificate", "ca", "words"),
    [
        ("amqps://localhost:{amqps}/", "app", "other", "is not trusted"),
        ("amqps://127.0.0.1:{amqps}/", "app", "ca", "is not trusted"),
        ("amqps://localhost:{amqps}/", "stranger", "ca", "certificate"),
        ("amqps://localhost:{amqps}/", "unknown", "ca", "did not accept our certificate as a login"),
        ("amqps://localhost:{amqp}/", "app", "ca", "does not speak TLS"),
        ("amqp://localhost:{amqps}/", "app", "ca", "needs amqps://"),
        ("amqps://admin:wrong@localhost:{amqps}/", "app", "ca", "refused the user 'admin'"),
    ],
)
def test_a_mismatch_is_14_and_one_line(
    command: Any, secure: Secure, url: str, certificate: str, ca: str, words: str
) -> None:
    command.configure(url.format(**secure.node.ports), secure.tls(certificate, ca))
    told = command("consume", *CALLBACK)
    assert told.returncode == 14
    assert words in told.stderr
    assert told.stderr.count("\n") == 1
    examined = command("doctor")
    assert examined.returncode == 1
    assert words in examined.stdout.splitlines()[-1]
