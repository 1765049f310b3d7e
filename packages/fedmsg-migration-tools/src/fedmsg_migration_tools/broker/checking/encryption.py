# SPDX-License-Identifier: MIT
"""TLS and certificates: what the ports showed, and the files of certificates, against the file. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fedora_messaging.cli import certificates

from .findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from .handshakes import Seen

__all__ = ["is_loopback", "judge", "of_certificate", "of_listeners", "of_plain_port"]

_WANTS_CERTIFICATE = ("handshake failure", "certificate required")
OLD = ("TLS 1.0", "TLS 1.1")
PLAIN = {
    "amqp": "AMQP",
    "http": "the management API",
    "mqtt": "MQTT",
    "stomp": "STOMP",
    "stream": "streams",
    "http/web-mqtt": "MQTT",
    "http/web-stomp": "STOMP",
}


def judge(seen: Seen, mechanisms: Collection[str], now: datetime, days: int) -> Iterator[Finding]:
    """What one TLS port showed; ``mechanisms`` have to be offered there, certificates to hold for so many days."""
    where = f"{seen.host}:{seen.port}"
    if seen.certificate is None and any(words in seen.failure for words in _WANTS_CERTIFICATE):
        text = f"{where}: lets nobody see it without a certificate ({seen.failure})"
        yield warn("TLS", text, "give a user's certificate by --credentials")
        return
    if seen.certificate is None:
        yield fail("TLS", f"{where}: no handshake ({seen.failure})", "let the broker listen there with TLS")
        return
    old = [version for version in seen.versions if version in OLD]
    if old:
        advice = "set ssl_options.versions.1 = tlsv1.3 and .2 = tlsv1.2"
        yield fail("TLS", f"{where}: accepts {' and '.join(old)}, which are broken", advice)
    elif seen.versions:
        yield ok("TLS", f"{where}: accepts {' and '.join(seen.versions)}, nothing older")
    if seen.untrusted:
        advice = "check broker.ca_cert, and the names in the broker's certificate"
        yield fail("TLS", f"{where}: its certificate does not hold: {seen.untrusted}", advice)
    else:
        yield ok("TLS", f"{where}: its certificate is of the CA and for this name")
    yield of_certificate(f"{where}: the broker's certificate", seen.certificate, now, days)
    yield from _login(where, seen, mechanisms)


def _login(where: str, seen: Seen, mechanisms: Collection[str]) -> Iterator[Finding]:
    if seen.mechanisms is None:
        if "EXTERNAL" in mechanisms:
            text = f"{where}: lets nobody speak without a certificate, so it cannot be seen which logins it offers"
            yield warn("TLS", text, "give a user's certificate by --credentials")
        return
    missing = sorted(set(mechanisms) - set(seen.mechanisms))
    if missing:
        advice = "set auth_mechanisms in rabbitmq.conf; EXTERNAL needs the plugin rabbitmq_auth_mechanism_ssl"
        yield fail("TLS", f"{where}: offers no login by {', '.join(missing)}", advice)
    elif mechanisms:
        yield ok("TLS", f"{where}: offers {', '.join(sorted(mechanisms))}")
    if "ANONYMOUS" in seen.mechanisms:
        advice = "take ANONYMOUS out of auth_mechanisms, and see which user anonymous_login_user names"
        yield fail("TLS", f"{where}: lets anybody in without a name (ANONYMOUS)", advice)


def of_certificate(whose: str, der: bytes, now: datetime, days: int, name: str | None = None) -> Finding:
    """Until when it holds, and whether its CN is ``name``."""
    try:
        certificate = certificates.read(der)
    except ValueError:
        return fail("certificate", f"{whose} cannot be read", "put a certificate in PEM there")
    left = certificate.days_left(now)
    if name is not None and certificate.subject != name:
        return fail("certificate", f"{whose} has the CN {certificate.subject!r}", f"issue one for {name}")
    if certificate.not_before > now:
        return fail(
            "certificate", f"{whose} is valid from {certificate.not_before:%Y-%m-%d} on", "check the clocks"
        )
    if left < 0:
        return fail("certificate", f"{whose} expired on {certificate.not_after:%Y-%m-%d}", "renew it")
    told = f"{whose} is valid until {certificate.not_after:%Y-%m-%d}, {left} days"
    return warn("certificate", told, "renew it") if left < days else ok("certificate", told)


def of_plain_port(host: str, port: int, *, is_open: bool) -> Finding:
    """With ``tls = true`` nobody may come by this port."""
    if not is_open:
        return ok("TLS", f"{host}:{port}: the port without TLS is closed")
    if is_loopback(host):
        return warn(
            "TLS", f"{host}:{port}: is open without TLS, on this machine at least", "see where it listens"
        )
    advice = "set listeners.tcp = none, or listeners.tcp.default = 127.0.0.1:5672"
    return fail("TLS", f"{host}:{port}: is open without TLS", advice)


def of_listeners(listeners: Sequence[tuple[str, str, int]]) -> Iterator[Finding]:
    """What the nodes say they listen on: (protocol, address, port)."""
    for protocol, address, port in dict.fromkeys(listeners):
        if protocol in PLAIN and not is_loopback(address):
            where = "every interface" if address in {"::", "0.0.0.0"} else address  # noqa: S104 - as it is told
            text = f"{PLAIN[protocol]} is spoken without TLS on {where}, port {port}"
            verdict = fail if protocol == "amqp" else warn
            yield verdict("TLS", text, "let it listen on 127.0.0.1 only, or with TLS")


def is_loopback(host: str) -> bool:
    """Whether only this machine can mean it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
