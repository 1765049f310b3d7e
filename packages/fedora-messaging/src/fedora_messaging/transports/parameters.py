# SPDX-License-Identifier: MIT
"""What an address means for AMQP: pika's parameters, and the TLS context with our certificate. Reads files only.

The files are read anew for each connection, so renewed ones need no restart.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pika import URLParameters
from pika.credentials import ExternalCredentials

from ..exceptions import ConfigurationException
from .certificates import Certificate, of_file

if TYPE_CHECKING:
    from .base import Address

_log = logging.getLogger(__name__)

DAY = 86400.0  # seconds
_SOON = 14  # days before its end that our certificate is spoken of; of a short-lived one its last quarter


class Parameters(URLParameters):  # type: ignore[misc] # pika's class is untyped here
    """Pika's settings for a URL. ``certificate`` is the path of the one that we show, None without TLS or without."""

    certificate: str | None = None


class Settings:
    """The settings of one address, for one connection after the other.

    Files that cannot be used, such as those that are being replaced just then, are not the end of what worked: the
    ones read before stay in use, with a line in the log, and the next connection looks again.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._last: tuple[Parameters, ssl.SSLContext | None] | None = None
        self._complaint: str | None = None
        self._warned = float("-inf")

    def read(self) -> tuple[Parameters, ssl.SSLContext | None]:
        """As :func:`parameters_of`, which it raises the errors of until it has worked once."""
        try:
            self._last = parameters_of(self._address)
            self._complaint = None
        except ConfigurationException as error:
            if self._last is None:
                raise
            if error.message != self._complaint:
                self._complaint = error.message
                _log.warning("%s; going on with the files as they were before", error.message)
        self.check()
        return self._last

    def check(self) -> None:
        """Say, at most once a day, that our certificate on disk will soon end or has ended.

        The broker looks at a certificate when a connection begins and never again: the one that is open stays open
        beyond the end, and the next one is refused. So there is time, and nobody would notice before.
        """
        path = self._last[0].certificate if self._last else None
        now = datetime.now(UTC)
        if path is None or time.monotonic() - self._warned < DAY - 60:
            return
        try:
            certificate = of_file(path)
        except (OSError, ValueError):
            return  # read() has its say about such files
        if _soon(certificate, now):
            self._warned = time.monotonic()
            how = "ended" if certificate.not_after <= now else "ends"
            _log.warning(
                "tls.certfile: the certificate %s %s on %s: renew it, the broker lets nobody in with it afterwards",
                path,
                how,
                certificate.not_after.strftime("%Y-%m-%d %H:%M UTC"),
            )


def _soon(certificate: Certificate, now: datetime) -> bool:
    left = certificate.not_after - now
    return left.days < _SOON and left < (certificate.not_after - certificate.not_before) / 4


def parameters_of(address: Address) -> tuple[Parameters, ssl.SSLContext | None]:
    """Pika's settings for the address, and the TLS context when its scheme asks for one.

    Raises:
        ConfigurationException: a value in the URL is none, or a certificate or key file cannot be used.
    """
    try:
        parameters = Parameters(address.url)
    except Exception as error:
        # Deliberately all: pika evaluates some parameters, and opens the files that ssl_options names.
        text = re.sub(r": \w+\(.*", "", str(error))
        raise ConfigurationException(f"amqp_url: a parameter cannot be used: {text}") from error
    if address.client_properties:
        parameters.client_properties = dict(address.client_properties)
    if parameters.ssl_options is None:
        return parameters, None
    certificate, key = address.tls.get("certfile"), address.tls.get("keyfile")
    if certificate and key and not _names_user(address.url):
        parameters.credentials = ExternalCredentials()
    if not any(address.tls.values()) and "ssl_options=" in address.url:
        return parameters, parameters.ssl_options.context
    parameters.certificate = certificate
    return parameters, _tls_context(address.tls.get("ca_cert"), certificate, key)


def _names_user(url: str) -> bool:
    return "@" in url.split("://", 1)[-1].split("/", 1)[0]


def _tls_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's name and chain checked, our certificate presented if there is one."""
    for setting, path in (("ca_cert", ca), ("certfile", certificate), ("keyfile", key)):
        if path:
            _check_readable(setting, path)
    if ca:
        _check_certificates("ca_cert", ca)
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        _load_own(context, certificate, key)
    return context


def _check_readable(setting: str, path: str) -> None:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise ConfigurationException(f"tls.{setting}: cannot read {path}: {error.strerror}") from error


def _check_certificates(setting: str, path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigurationException(
            f"tls.{setting}: {path} holds no PEM certificate ({error.reason})"
        ) from error


def _load_own(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    # OpenSSL does not say which of the two files it could not use, so the first is tried alone.
    _check_certificates("certfile", certificate)
    setting, path = ("keyfile", key) if key else ("certfile", certificate)

    def passphrase() -> str:  # where there is no such function, OpenSSL asks the terminal
        raise ConfigurationException(f"tls.{setting}: {path} is encrypted: take a key without a passphrase")

    try:
        context.load_cert_chain(certificate, key, passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"{path} is not the key of the certificate {certificate}"
        else:
            why = f"{path} holds no PEM key ({error.reason})"
        raise ConfigurationException(f"tls.{setting}: {why}") from error
