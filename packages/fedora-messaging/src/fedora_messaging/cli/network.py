# SPDX-License-Identifier: MIT
"""From a broker's address to a TLS session, for ``doctor``: name, socket, certificates. No AMQP here."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import ConfigurationException
from ..transports.failures import explain
from ..transports.parameters import parameters_of
from . import certificates
from .findings import Finding, fail, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..transports.base import Address

SECONDS = 10.0  # for each attempt to connect, and for each TLS handshake
SOON = 30  # days before its end that a certificate gets a note

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def examine(address: Address) -> Iterator[Finding]:
    """Resolve, connect, and shake hands. After the first failure nothing more comes."""
    try:
        parameters, context = parameters_of(address)
    except ConfigurationException as error:
        yield fail("configuration", error.message)
        return
    except ValueError as error:  # what pika makes of the URL's query
        yield fail("configuration", f"amqp_url: {error}", "correct it")
        return
    try:
        found = socket.getaddrinfo(parameters.host, parameters.port, type=socket.SOCK_STREAM)
        yield from _resolved(parameters.host, [str(where[0]) for *_, where in found])
        with socket.create_connection((parameters.host, parameters.port), SECONDS) as plain:
            yield ok("socket", f"{_shown(plain.getpeername())} accepts connections")
        if context is not None:
            yield from _tls(address, (parameters.host, parameters.port), context)
    except TimeoutError:
        where = f"{parameters.host}:{parameters.port}"
        yield fail(
            "socket", f"no answer from {where} within {SECONDS:g} s", "is there a firewall in between?"
        )
    except OSError as error:
        yield fail("TLS" if isinstance(error, ssl.SSLError) else "socket", explain(error, parameters)[0])


def _resolved(host: str, addresses: list[str]) -> Iterator[Finding]:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return
    yield ok("name", f"{host} resolves to {', '.join(dict.fromkeys(addresses))}")


def _shown(where: tuple[str, int]) -> str:
    return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"


def _tls(address: Address, where: tuple[str, int], context: ssl.SSLContext) -> Iterator[Finding]:
    """First without asking whom we talk to, to see the certificate even when it is not to be trusted."""
    curious = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    curious.check_hostname, curious.verify_mode = False, ssl.CERT_NONE
    certificate, key = address.tls.get("certfile"), address.tls.get("keyfile")
    if certificate:
        curious.load_cert_chain(certificate, key)
    der, _ = _handshake(curious, where)
    yield _described("certificate", "the broker's certificate", der)
    _, version = _handshake(context, where)
    yield ok("TLS", f"{version}; the broker's certificate is trusted")
    if certificate:
        text = Path(certificate).read_text(encoding="ascii", errors="replace")
        pem = _PEM.search(text)
        yield _described(
            "certificate", f"ours, {certificate},", ssl.PEM_cert_to_DER_cert(pem[0]) if pem else b""
        )


def _handshake(context: ssl.SSLContext, where: tuple[str, int]) -> tuple[bytes, str]:
    with (
        socket.create_connection(where, SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=where[0]) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b"", secure.version() or ""


def _described(check: str, whose: str, der: bytes, now: datetime | None = None) -> Finding:
    try:
        certificate = certificates.read(der)
    except ValueError:
        return note(check, f"{whose} cannot be read")
    days = certificate.days_left(now or datetime.now(UTC))
    text = f"{whose} is for {', '.join(certificate.names) or certificate.subject or 'no name'}"
    if certificate.names and certificate.subject not in certificate.names:
        text += f" (CN {certificate.subject})"
    if days < 0:
        return fail(check, f"{text}; it expired on {certificate.not_after:%Y-%m-%d}", "renew it")
    text += f", valid until {certificate.not_after:%Y-%m-%d}, {days} days"
    return note(check, text, "renew it soon") if days < SOON else ok(check, text)
