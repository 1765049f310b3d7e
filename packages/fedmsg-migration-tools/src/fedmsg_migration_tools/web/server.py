# SPDX-License-Identifier: MIT
"""The page's sockets: HTTP/1.1 by h11, on the running loop. What is answered is decided in :mod:`.page`.

Each connection has one request. Whoever takes too long, to ask or to read, is cut off; at the limit of connections
the oldest gives way to the newest, so that clients that hold theirs open lock nobody out. Streams of events live
long and are counted apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from ..exceptions import ToolsError
from . import parts
from .access import is_loopback
from .page import PERIOD
from .wire import SECURITY, Answer, Request, says

if TYPE_CHECKING:
    from .page import Page

_log = logging.getLogger(__name__)

HEAD_BYTES = 65_536  # of a request: an id of 10 kB takes 30 kB in a URL
ASKING = 5.0  # seconds for a request to arrive
READING = 15.0  # seconds that a client may leave what was written to it unread
CONNECTIONS = 64  # at a time, streams apart
STREAMS = 16
_CHUNK = 8192  # bytes: h11 measures a head between two of them
_BUFFER = 131_072  # bytes that wait in the system for one client, about
_RECONNECT = b"retry: 1000\n\n"


class Server:
    """A page on a socket, until :meth:`close`. Made by :func:`serve`.

    ``url`` says where, with the real port.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._listener: asyncio.Server | None = None
        self._asking: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._streams: set[asyncio.Task[None]] = set()
        self.url = ""

    async def listen(self, host: str, port: int) -> None:
        """Begin. Raises ``OSError``."""
        self._listener = await asyncio.start_server(self._connected, host or None, port, limit=HEAD_BYTES)
        port = self._listener.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host or socket.gethostname()
        self.url = f"http://{name}:{port}/"

    async def close(self) -> None:
        """Listen no more, and let everybody go."""
        if self._listener is not None:
            self._listener.close()
        tasks = [*self._asking, *self._streams]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # never: asyncio runs this as a task
            return
        if len(self._asking) >= CONNECTIONS:
            oldest = next(iter(self._asking))
            del self._asking[oldest]
            oldest.cancel()
        self._asking[task] = None
        try:
            _bound(writer)
            await self._serve(_Connection(reader, writer), task)
        except (OSError, TimeoutError, h11.ProtocolError, asyncio.CancelledError) as error:
            # Also when cancelled: this task is of no use to anybody else, and asyncio would log it as an error.
            _log.debug("A client of the page is gone: %r", error)
            writer.transport.abort()
        except Exception:  # noqa: BLE001 - one client less is better than a service less
            _log.exception("The page failed")
            writer.transport.abort()
        finally:
            self._asking.pop(task, None)
            self._streams.discard(task)
            writer.close()

    async def _serve(self, client: _Connection, task: asyncio.Task[None]) -> None:
        try:
            request = await client.request()
        except h11.RemoteProtocolError as error:
            await client.answer(_refused(error))
            return
        if request is None:
            return
        answer = self._page.answer(request)
        if isinstance(answer, Answer):
            await client.answer(answer)
        elif request.method == "HEAD":
            await client.answer(Answer(HTTPStatus.OK, content_type="text/event-stream"))
        elif len(self._streams) >= STREAMS:
            await client.answer(
                says(HTTPStatus.SERVICE_UNAVAILABLE, f"{STREAMS} others look already.", Retry_After="10")
            )
        else:
            self._asking.pop(task, None)
            self._streams.add(task)
            await self._stream(client)

    async def _stream(self, client: _Connection) -> None:
        """A snapshot a second; of each, what this client does not have yet."""
        await client.begin(Answer(HTTPStatus.OK, content_type="text/event-stream"))
        await client.write(_RECONNECT)
        sent: parts.Parts = {}
        while True:
            now = self._page.latest()
            await client.write(parts.event(parts.changed(sent, now)))  # an empty one says: still here
            sent = dict(now)
            await asyncio.sleep(PERIOD)


class _Connection:
    """One client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._head_only = False

    async def request(self) -> Request | None:
        """The request; ``None`` when the client left without one. Raises h11's errors and ``TimeoutError``."""
        async with asyncio.timeout(ASKING):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_CHUNK))
        if not isinstance(event, h11.Request):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            raise h11.RemoteProtocolError("a request has no body here", error_status_hint=413)
        self._head_only = event.method == b"HEAD"
        return Request(event.method.decode("latin-1"), event.target.decode("latin-1"), headers)

    async def answer(self, answer: Answer) -> None:
        """Send it, whole."""
        length = {"Content-Length": str(len(answer.body))}
        bodiless = self._head_only or answer.status is HTTPStatus.NOT_MODIFIED
        await self.begin(answer, {} if answer.status is HTTPStatus.NOT_MODIFIED else length)
        if not bodiless:
            await self.write(answer.body)
        self._send(h11.EndOfMessage())
        await self._drain()

    async def begin(self, answer: Answer, more: dict[str, str] | None = None) -> None:
        """Send its head."""
        headers = {
            "Cache-Control": "no-store",
            **SECURITY,
            "Content-Type": answer.content_type,
            **answer.headers,
            **(more or {}),
            "Connection": "close",
        }
        self._send(
            h11.Response(
                status_code=answer.status, reason=answer.status.phrase.encode(), headers=list(headers.items())
            )
        )
        await self._drain()

    async def write(self, body: bytes) -> None:
        """Send a part of the body."""
        self._send(h11.Data(data=body))
        await self._drain()

    def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _drain(self) -> None:
        async with asyncio.timeout(READING):
            await self._writer.drain()


async def serve(page: Page, listen: str) -> Server:
    """Serve a page on the running loop.

    Arguments:
        page: what to serve.
        listen: ``HOST:PORT``; port 0 for a free one.

    Raises ``ToolsError``: it cannot listen there, or may not, because the page has no token.
    """
    host, port = _address(listen)
    if page.access.token is None and not is_loopback(host):
        raise ToolsError(
            f"The page would be open to everybody who reaches {listen}: give it a token, or let it listen on 127.0.0.1"
        )
    server = Server(page)
    try:
        await server.listen(host, port)
    except OSError as error:
        raise ToolsError(f"The page cannot listen on {listen}: {error.strerror or error}") from error
    return server


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    plain = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not (port.isascii() and port.isdigit())
        or int(port[:6]) > 65_535
        or (":" in host) != (plain != host)
    ):
        raise ToolsError(
            f"The page is to listen on {listen!r}, which is no HOST:PORT, as 127.0.0.1:8071 is one"
        )
    return plain, int(port)


def _refused(error: h11.RemoteProtocolError) -> Answer:
    return says(HTTPStatus(error.error_status_hint), f"That is no request for this page: {error}.")


def _bound(writer: asyncio.StreamWriter) -> None:
    """Let the system hold little for a client that does not read, and notice soon when it is gone."""
    writer.transport.set_write_buffer_limits(high=_BUFFER)
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError):  # not on every system
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(READING * 1000))
