# SPDX-License-Identifier: MIT
"""What TLS ports and certificates show, and what that means."""

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from fedmsg_migration_tools.broker.checking import encryption
from fedmsg_migration_tools.broker.checking.findings import Status
from fedmsg_migration_tools.broker.checking.handshakes import Seen, Trust, is_open, look

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def der(name: str = "bodhi", **validity: Any) -> bytes:
    issued = trustme.CA().issue_cert("b@example.org", common_name=name, **validity)
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


GOOD = Seen("h", 5671, ("TLS 1.2", "TLS 1.3"), der(), "", ("PLAIN", "EXTERNAL"))


def wrong(seen: Seen, *mechanisms: str) -> list[tuple[str, str]]:
    found = encryption.judge(seen, mechanisms, NOW, 30)
    return [(str(one.status), one.text) for one in found if one.status is not Status.OK]


def test_a_good_port() -> None:
    assert wrong(GOOD, "EXTERNAL") == []


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"certificate": None, "failure": "refused"}, "fail", "no handshake (refused)"),
        ({"certificate": None, "failure": "sslv3 alert handshake failure"}, "warn", "without a certificate"),
        ({"versions": ("TLS 1.1", "TLS 1.2")}, "fail", "accepts TLS 1.1, which are broken"),
        ({"untrusted": "self-signed"}, "fail", "does not hold: self-signed"),
        ({"mechanisms": ("PLAIN",)}, "fail", "offers no login by EXTERNAL"),
        ({"mechanisms": ("EXTERNAL", "ANONYMOUS")}, "fail", "lets anybody in without a name"),
        ({"mechanisms": None}, "warn", "cannot be seen which logins it offers"),
    ],
)
def test_each_fault_alone(changes: dict[str, Any], status: str, words: str) -> None:
    ((found, text),) = wrong(replace(GOOD, **changes), "EXTERNAL")
    assert found == status
    assert words in text


@pytest.mark.parametrize(
    ("validity", "name", "status", "words"),
    [
        ({}, "bodhi", "ok", "is valid until"),
        ({"not_after": NOW + 9 * DAY}, "bodhi", "warn", ", 8 days"),
        ({"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}, "bodhi", "fail", "expired on"),
        ({"not_before": NOW + DAY}, "bodhi", "fail", "is valid from"),
        ({}, "koji", "fail", "has the CN 'bodhi'"),
    ],
)
def test_certificates(validity: dict[str, Any], name: str, status: str, words: str) -> None:
    found = encryption.of_certificate("it", der(**validity), NOW, 30, name)
    assert found.status == status
    assert words in found.text
    assert encryption.of_certificate("it", b"", NOW, 30).status is Status.FAIL


@pytest.mark.parametrize(
    ("listener", "status"),
    [
        (("amqp", "::", 5672), "fail"),
        (("amqp", "192.0.2.1", 5672), "fail"),
        (("mqtt", "0.0.0.0", 1883), "warn"),
        (("http", "::", 15672), "warn"),
        (("amqp", "127.0.0.1", 5672), None),
        (("amqp", "::1", 5672), None),
        (("amqp/ssl", "::", 5671), None),
        (("clustering", "::", 25672), None),
    ],
)
def test_listeners_without_tls(listener: tuple[str, str, int], status: str | None) -> None:
    assert [str(one.status) for one in encryption.of_listeners([listener])] == ([status] if status else [])


@pytest.mark.parametrize(
    ("host", "is_open", "status"), [("h", True, "fail"), ("localhost", True, "warn"), ("h", False, "ok")]
)
def test_the_plain_port(host: str, is_open: bool, status: str) -> None:
    assert encryption.of_plain_port(host, 5672, is_open=is_open).status == status


@pytest.fixture
def old(tmp_path: Path) -> Iterator[int]:
    """A server that accepts every version of TLS; its port. Its certificate is of ``tmp_path``'s CA."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")

    def serve() -> None:
        with contextlib.suppress(OSError):  # the end of the test closes the socket
            while True:
                peer, _ = server.accept()
                with contextlib.suppress(OSError), context.wrap_socket(peer, server_side=True) as session:
                    session.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_old_versions_are_seen(old: int, tmp_path: Path) -> None:
    seen = look("localhost", old, Trust(tmp_path / "ca.pem"))
    assert seen.versions == ("TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")
    assert (seen.untrusted, seen.mechanisms) == ("", None)
    assert "accepts TLS 1.0 and TLS 1.1" in wrong(seen)[0][1]
    assert look("localhost", old, Trust()).untrusted


def test_a_port_where_nothing_is(tmp_path: Path) -> None:
    assert not is_open("127.0.0.1", 1)
    seen = look("127.0.0.1", 1, Trust())
    assert seen.certificate is None
    assert "refused" in seen.failure
    with pytest.raises(FileNotFoundError):
        look("127.0.0.1", 1, Trust(certificate=tmp_path / "none.crt", key=tmp_path / "none.key"))
