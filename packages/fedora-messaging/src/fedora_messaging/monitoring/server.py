# SPDX-License-Identifier: MIT
"""The HTTP side of monitoring: sockets and threads. It serves whatever pages it is given.

Each connection has one request, one thread, and a few seconds. At the limit of connections the oldest gives
way to the newest, so clients that hold theirs open lock nobody out.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..exceptions import ConfigurationException
from . import TEXT, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)

SECONDS = 5.0  # for one connection, all in all
CONNECTIONS = 32  # at a time
_POLL = 0.5  # seconds between two looks for connections that are over their time


class Server:
    """Listens from the moment it is made, until :meth:`stop`.

    Arguments:
        address: where to listen; ``""`` for all interfaces.
        port: 0 for a free one; the attributes ``address`` and ``port`` say which it is.
        pages: path → what makes the page, called for each request, in a thread of its own.

    Raises ``ConfigurationException`` when it cannot listen there.
    """

    def __init__(self, address: str, port: int, pages: Mapping[str, Callable[[], Page]]) -> None:
        try:
            listener = _listen(address, port)
        except OSError as error:
            where = f"port {port}" + (f" of {address}" if address else "")
            raise ConfigurationException(
                f"monitoring: cannot listen on {where}: {error.strerror or error}; "
                "set another address or port in [monitoring]"
            ) from error
        self.address, self.port = listener.getsockname()[:2]
        self._server = _Threads(listener, pages)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="fedora-messaging monitoring", daemon=True
        )
        self._thread.start()
        _log.info("Monitoring listens on %s, port %d", self.address, self.port)

    def stop(self) -> None:
        """Stop listening, and drop the connections that there are."""
        _cut(self._server.socket)  # wakes the accepting thread, which else looks twice a second
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _listen(address: str, port: int) -> socket.socket:
    """A listening socket; ``""`` means every interface, IPv6 too where there is any."""
    if not address and socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    found = socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, where = found[0]
    return socket.create_server(where[:2], family=family)


class _Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One thread a connection, and an end to each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, pages: Mapping[str, Callable[[], Page]]) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.pages = pages
        self._open: dict[socket.socket, float] = {}  # the oldest first
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, in exchange for the oldest if there are too many."""
        with self._lock:
            if len(self._open) >= CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _cut(oldest)
            self._open[request] = time.monotonic() + SECONDS
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Called by the accepting thread, every half second or more often."""
        now = time.monotonic()
        with self._lock:
            for connection, deadline in self._open.items():
                if deadline <= now:
                    _cut(connection)

    def shutdown_request(self, request: Any) -> None:
        """A connection is done with."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Listen no more, and let nobody hold a thread."""
        super().server_close()
        with self._lock:
            for connection in self._open:
                _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that goes away is no concern of anybody."""
        _log.debug("The monitoring client %s went away", client_address, exc_info=True)


def _cut(connection: socket.socket) -> None:
    """Wake the thread that waits on it; that thread closes it."""
    with contextlib.suppress(OSError):  # the client was faster, or the system wakes nobody
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Threads
    timeout = SECONDS
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def do_GET(self) -> None:
        """Answer with a page."""
        page = self.server.pages.get(urlsplit(self.path).path.rstrip("/"))
        if page is None:
            *most, last = self.server.pages
            text = f"There are {', '.join(most)} and {last}.\n" if most else f"There is {last}.\n"
            self._answer(Page(HTTPStatus.NOT_FOUND, TEXT, text.encode()))
        else:
            self._answer(_made(page))

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def do_POST(self) -> None:
        """Nothing here is changed from outside."""
        text = b"Only GET and HEAD are allowed.\n"
        self._answer(Page(HTTPStatus.METHOD_NOT_ALLOWED, TEXT, text), {"Allow": "HEAD, GET"})

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST  # noqa: N815

    def _answer(self, page: Page, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(page.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def version_string(self) -> str:
        """What the header ``Server`` says."""
        return "fedora-messaging"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Requests come every few seconds: nothing for the log but when it is asked for everything."""
        _log.debug(format, *args)


def _made(page: Callable[[], Page]) -> Page:
    """The page, or what is said when making it failed."""
    try:
        return page()
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not look like silence
        _log.exception("A monitoring page failed")
        return Page(HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, f"{type(error).__name__}: {error}\n".encode())
