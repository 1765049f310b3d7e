# SPDX-License-Identifier: MIT
"""What an address means for AMQP: pika's parameters, and the TLS context with our certificate. Reads files only."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from pika import URLParameters
from pika.credentials import ExternalCredentials

from ..exceptions import ConfigurationException

if TYPE_CHECKING:
    from .base import Address


def parameters_of(address: Address) -> tuple[URLParameters, ssl.SSLContext | None]:
    """Pika's settings for the address, and the TLS context when its scheme asks for one."""
    parameters = URLParameters(address.url)
    if address.client_properties:
        parameters.client_properties = dict(address.client_properties)
    secure = parameters.ssl_options is not None
    certificate, key = address.tls.get("certfile"), address.tls.get("keyfile")
    if secure and certificate and key and not _names_user(address.url):
        parameters.credentials = ExternalCredentials()
    if not secure:
        return parameters, None
    if not any(address.tls.values()) and "ssl_options=" in address.url:
        return parameters, parameters.ssl_options.context
    return parameters, _tls_context(address.tls.get("ca_cert"), certificate, key)


def _names_user(url: str) -> bool:
    return "@" in url.split("://", 1)[-1].split("/", 1)[0]


def _tls_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's name and chain checked, our certificate presented if there is one."""
    for setting, path in (("ca_cert", ca), ("certfile", certificate), ("keyfile", key)):
        try:
            if path:
                Path(path).open("rb").close()
        except OSError as error:
            raise ConfigurationException(f"tls.{setting}: cannot read {path}: {error.strerror}") from error
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise ConfigurationException(
            f"tls.ca_cert: {ca} holds no PEM certificate ({error.reason})"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if certificate:
            context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ConfigurationException(
            f"tls.certfile, tls.keyfile: {certificate} and {key} are no PEM certificate and its key ({error.reason})"
        ) from error
    return context
