# SPDX-License-Identifier: MIT
"""The network part of ``doctor``, with real sockets and TLS servers."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from fedora_messaging.cli import network
from fedora_messaging.cli.findings import Finding, Status
from fedora_messaging.transports.base import Address

CA = trustme.CA()


def examine(url: str, **tls: str) -> list[Finding]:
    return list(network.examine(Address(url, tls)))


def said(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.status.value, finding.check) for finding in findings]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts servers that shake hands and hang up; gives their ports."""
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    stopped = threading.Event()
    servers: list[socket.socket] = []

    def start(certificate: trustme.LeafCert | None = None, *, clients: bool = False) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            if clients:
                context.verify_mode = ssl.CERT_REQUIRED
                CA.configure_trust(context)
        threading.Thread(target=accept, args=(server, context, stopped), daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    stopped.set()
    for server in servers:
        server.close()


def accept(server: socket.socket, context: ssl.SSLContext | None, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connection.settimeout(5)
        with closing(connection):
            try:
                if context is not None:
                    with context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)
                else:
                    connection.recv(1)
                    connection.sendall(b"AMQP\0\0\x09\x01")
            except OSError:
                pass


def days(number: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=number)


def test_a_name_and_a_socket(serve: Any) -> None:
    port = serve()
    findings = examine(f"amqp://localhost:{port}/")
    assert said(findings) == [("ok", "name"), ("ok", "socket")]
    assert "localhost resolves to " in findings[0].text
    assert findings[1].text == f"127.0.0.1:{port} accepts connections"
    assert said(examine(f"amqp://127.0.0.1:{port}/")) == [("ok", "socket")]


@pytest.mark.parametrize(
    ("url", "check", "words"),
    [
        ("amqp://no-such-host.invalid/", "socket", "the host name 'no-such-host.invalid' does not resolve"),
        ("amqp://127.0.0.1:9/", "socket", "nothing listens on 127.0.0.1:9"),
        ("amqp://127.0.0.1/?heartbeat=often", "configuration", "heartbeat"),
    ],
)
def test_the_first_failure_ends_it(url: str, check: str, words: str) -> None:
    (finding,) = examine(url)
    assert (finding.status, finding.check) == (Status.FAIL, check)
    assert words in finding.text


def test_silence_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        findings = examine(f"amqps://127.0.0.1:{silent.getsockname()[1]}/")
    assert said(findings) == [("ok", "socket"), ("FAIL", "socket")]
    assert "within 0.1 s" in findings[1].text


def test_certificates_that_are_good(serve: Any, tmp_path: Path) -> None:
    ours = CA.issue_cert("client@example.org", common_name="bodhi", not_after=days(400.5))
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    port = serve(
        CA.issue_cert("localhost", "rabbit.example", common_name="cn", not_after=days(90.5)), clients=True
    )
    own = str(tmp_path / "ours.pem")
    findings = examine(
        f"amqps://localhost:{port}/", ca_cert=str(tmp_path / "ca.pem"), certfile=own, keyfile=own
    )
    assert said(findings[1:]) == [
        ("ok", "socket"),
        ("ok", "certificate"),
        ("ok", "TLS"),
        ("ok", "certificate"),
    ]
    assert findings[2].text == (
        f"the broker's certificate is for localhost, rabbit.example (CN cn), valid until {days(90.5):%Y-%m-%d}, 90 days"
    )
    assert findings[3].text == "TLSv1.3; the broker's certificate is trusted"
    assert findings[4].text == f"ours, {own}, is for bodhi, valid until {days(400.5):%Y-%m-%d}, 400 days"


@pytest.mark.parametrize(
    ("identity", "ends", "statuses", "words"),
    [
        ("localhost", 10.5, ["note", "ok"], "renew it soon"),
        ("localhost", -3, ["FAIL", "FAIL"], "it expired on "),
        ("other.example", 90, ["ok", "FAIL"], "is for other.example"),
    ],
)
def test_certificates_that_are_not(
    serve: Any, tmp_path: Path, identity: str, ends: float, statuses: list[str], words: str
) -> None:
    port = serve(CA.issue_cert(identity, not_before=days(-9), not_after=days(ends)))
    findings = examine(f"amqps://localhost:{port}/", ca_cert=str(tmp_path / "ca.pem"))[2:]
    assert said(findings) == list(zip(statuses, ["certificate", "TLS"], strict=True))
    assert words in str(findings[0])


def test_an_unknown_authority(serve: Any, tmp_path: Path) -> None:
    port = serve(trustme.CA().issue_cert("localhost"))
    findings = examine(f"amqps://localhost:{port}/", ca_cert=str(tmp_path / "ca.pem"))[2:]
    assert said(findings) == [("ok", "certificate"), ("FAIL", "TLS")]
    assert "check tls.ca_cert" in findings[1].text


def test_no_tls_there(serve: Any) -> None:
    findings = examine(f"amqps://localhost:{serve()}/")[2:]
    assert said(findings) == [("FAIL", "TLS")]
    assert "does not speak TLS" in findings[0].text


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_an_unusable_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_text(content)
    (finding,) = examine("amqps://localhost/", certfile=str(path), keyfile=str(path))
    assert (finding.status, finding.check) == (Status.FAIL, "configuration")
    assert str(path) in finding.text
