# SPDX-License-Identifier: MIT
"""Where the management API of a broker is, who we are there, and how that follows from the settings. Asks nobody.

The files of the TLS settings are read anew for each connection, as the library does for its own.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from fedora_messaging.address import addresses, shown

from ..exceptions import ToolsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Server", "servers", "vhost"]

_log = logging.getLogger(__name__)

#: Where the API is when a URL of this scheme does not say; for AMQP's, RabbitMQ's own ports.
_PORTS = {"amqp": 15672, "amqps": 15671, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Server:
    """Where one broker's management API is, and who we are there. ``tls`` gives the context for a new connection."""

    host: str
    port: int
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    tls: Callable[[], ssl.SSLContext] | None = field(default=None, repr=False)
    prefix: str = ""

    @property
    def url(self) -> str:
        """As it may stand in a log."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}{self.prefix}"


def servers(conf: Mapping[str, Any], url: str | None = None) -> list[Server]:
    """The management APIs of the brokers in the library's settings.

    Arguments:
        conf: the library's settings: ``amqp_url``, ``amqp_urls``, ``tls``.
        url: instead of what follows from the brokers' URLs, which is their hosts, port 15672 (15671 for ``amqps``),
            and their user; what a URL without a user leaves open is still taken from there.

    Raises:
        ToolsError: the URL cannot be used.
        ConfigurationException: one of a broker cannot.
    """
    found = addresses(conf)
    if url is None:
        return [
            _server(one.url, dict(one.tls)) for one in found if urlsplit(one.url).hostname or "//" in one.url
        ]
    return [_server(url, dict(conf.get("tls") or {}), _user(found[0].url) if found else None)]


def vhost(conf: Mapping[str, Any]) -> str:
    """The virtual host that the library's settings name. Raises ``ConfigurationException``."""
    found = addresses(conf)
    name = unquote(urlsplit(found[0].url).path[1:]) if found else ""
    return name or "/"


def _server(url: str, tls: Mapping[str, str | None], user: tuple[str, str] | None = None) -> Server:
    """From the URL of the API, or of the broker itself."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ToolsError(f"The URL {shown(url)!r} of the management API is wrong: {error}") from error
    if parts.scheme not in _PORTS:
        raise ToolsError(f"The URL {shown(url)!r} of the management API must begin with http:// or https://")
    web = parts.scheme.startswith("http")
    if web and not parts.hostname:
        raise ToolsError(f"The URL {shown(url)!r} of the management API names no host")
    name, password = _user(url) or user or ("guest", "guest")
    return Server(
        parts.hostname or "localhost",
        (port if web else None) or _PORTS[parts.scheme],
        name,
        password,
        _Files(tls) if parts.scheme.endswith("s") else None,
        parts.path.rstrip("/").removesuffix("/api") if web else "",
    )


def _user(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


class _Files:
    """The broker's name and chain are checked, by the CA of the AMQP connection if there is one.

    Files that cannot be used once others could leave those in use, with a line in the log.
    """

    def __init__(self, tls: Mapping[str, str | None]) -> None:
        self._tls = tls
        self._last = _context(tls)

    def __call__(self) -> ssl.SSLContext:
        try:
            self._last = _context(self._tls)
        except ToolsError as error:
            _log.warning("%s; going on with the files as they were before", error)
        return self._last


def _context(tls: Mapping[str, str | None]) -> ssl.SSLContext:
    try:
        for path in filter(None, tls.values()):
            Path(path).open("rb").close()  # whose error names the file
        context = ssl.create_default_context(cafile=tls.get("ca_cert") or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.get("certfile"):
            context.load_cert_chain(str(tls["certfile"]), tls.get("keyfile"), lambda: "")
    except OSError as error:  # ssl.SSLError is one
        raise ToolsError(f"A file of the TLS settings cannot be used: {error}") from error
    return context
