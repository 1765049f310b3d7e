# SPDX-License-Identifier: MIT
"""What a broker's ports show to anybody: versions of TLS, certificates, ways to log in. Connects; judges nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["VERSIONS", "Seen", "is_open", "look"]

SECONDS = 5.0  # for each connection, and for each answer
VERSIONS = {
    "TLS 1.0": ssl.TLSVersion.TLSv1,
    "TLS 1.1": ssl.TLSVersion.TLSv1_1,
    "TLS 1.2": ssl.TLSVersion.TLSv1_2,
    "TLS 1.3": ssl.TLSVersion.TLSv1_3,
}
_HELLO = b"AMQP\x00\x00\x09\x01"
_FRAME = 7  # bytes before the content of a frame: AMQP 0.9.1, 4.2.3
_LARGEST = 2**17  # bytes of a first frame


@dataclass(frozen=True, slots=True)
class Seen:
    """What one TLS port showed.

    Attributes:
        versions: those that it accepts, of :data:`VERSIONS`.
        certificate: the server's, in DER; None when there was no handshake at all.
        untrusted: why the certificate does not hold for this host; empty when it does.
        mechanisms: the ways to log in that AMQP offers; None when it did not come to that.
        failure: why there was no handshake.
    """

    host: str
    port: int
    versions: tuple[str, ...] = ()
    certificate: bytes | None = None
    untrusted: str = ""
    mechanisms: tuple[str, ...] | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust (None: the system's CAs), and a certificate of ours to show to brokers that want one."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = field(default=None, repr=False)


def look(host: str, port: int, trust: Trust) -> Seen:
    """Some six handshakes. Raises ``OSError`` when a file of ``trust`` cannot be used."""
    versions, certificate, failure = [], None, ""
    for name, version in VERSIONS.items():
        context = _curious(version, trust)
        try:
            with _session(host, port, context) as session:
                versions.append(name)
                certificate = session.getpeercert(binary_form=True) or certificate
        except OSError as error:
            failure = failure or _told(error)
    if certificate is None:
        return Seen(host, port, failure=failure)
    return Seen(
        host,
        port,
        tuple(versions),
        certificate,
        _untrusted(host, port, trust),
        _mechanisms(host, port, trust),
    )


def is_open(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), SECONDS).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _session(host: str, port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((host, port), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as session,
    ):
        yield session


def _curious(version: ssl.TLSVersion | None, trust: Trust) -> ssl.SSLContext:
    """Speaks this version only, whatever it is worth, and believes everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
    if trust.certificate is not None:
        context.load_cert_chain(trust.certificate, trust.key, lambda: "")
    return context


def _untrusted(host: str, port: int, trust: Trust) -> str:
    context = ssl.create_default_context(cafile=str(trust.ca) if trust.ca else None)
    if trust.certificate is not None:
        context.load_cert_chain(trust.certificate, trust.key, lambda: "")
    try:
        with _session(host, port, context):
            return ""
    except OSError as error:
        return _told(error)


def _mechanisms(host: str, port: int, trust: Trust) -> tuple[str, ...] | None:
    """AMQP 0.9.1, connection.start: after two bytes of version and a table, names with spaces in between."""
    try:
        with _session(host, port, _curious(None, trust)) as session:
            session.sendall(_HELLO)
            head = _exactly(session, _FRAME)
            content = _exactly(session, min(int.from_bytes(head[3:7], "big"), _LARGEST))
    except OSError:
        return None
    table = int.from_bytes(content[6:10], "big")
    names = content[10 + table :]
    length = int.from_bytes(names[:4], "big")
    return tuple(names[4 : 4 + length].decode("ascii", "replace").split())


def _exactly(session: ssl.SSLSocket, number: int) -> bytes:
    data = b""
    while len(data) < number:
        more = session.recv(number - len(data))
        if not more:
            raise ConnectionResetError("the peer hung up")
        data += more
    return data


def _told(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error) or type(error).__name__


def described(listeners: list[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """(protocol, address, port) of what the management API says that the nodes listen on.

    3.10 says of HTTP only among the options of the socket on which address it listens.
    """
    return [
        (
            str(one.get("protocol", "")),
            str(_options(one).get("ip") or one.get("ip_address", "")),
            int(one.get("port", 0)),
        )
        for one in listeners
    ]


def _options(listener: Mapping[str, Any]) -> Mapping[str, Any]:
    options = listener.get("socket_opts")
    return options if isinstance(options, dict) else {}
