# SPDX-License-Identifier: MIT
"""A TCP proxy that misbehaves on command: what a network does to a connection, in front of a real broker.

It runs on an event loop in a thread of its own; every method may be called from any other thread. It knows of AMQP
only where one frame ends. Deciding when which fault happens belongs to the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

_CHUNK = 65536
_PATIENCE = 10.0  # seconds for one command
_HEADER = 7  # a frame's type, channel and size; AMQP 0.9.1, 4.2.3
_PROTOCOL_HEADER = 8  # what a client sends before its first frame
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close by RST


class Way(Enum):
    """Which half of a connection."""

    UP = "client to broker"
    DOWN = "broker to client"


class Mode(Enum):
    """What becomes of a new connection."""

    FORWARD = "forwarded"
    SILENT = "accepted, and then nothing"
    CLOSE = "accepted, and closed at once"


@dataclass
class Cut:
    """To end a connection in the middle of a frame: so many whole frames pass, then half of the next."""

    way: Way
    frames: int
    reset: bool
    done: threading.Event = field(default_factory=threading.Event)


class Frames:
    """How far into a stream of AMQP the proxy is. Pure."""

    def __init__(self, way: Way) -> None:
        self._skip = _PROTOCOL_HEADER if way is Way.UP else 0
        self._buffer = b""

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The pieces that ``data`` completes, and the beginning of the next one, which is kept for the next call."""
        self._buffer += data
        whole: list[bytes] = []
        while (end := self._end()) is not None and end <= len(self._buffer):
            whole.append(self._buffer[:end])
            self._buffer, self._skip = self._buffer[end:], 0
        return whole, self._buffer

    def _end(self) -> int | None:
        if self._skip:
            return self._skip
        if len(self._buffer) < _HEADER:
            return None
        return int.from_bytes(self._buffer[3:_HEADER], "big") + _HEADER + 1


class _Link:
    """One client's connection and the one to the broker that belongs to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.client = (reader, writer)
        self.stalled: set[Way] = set()
        self.broker: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def end(self, *, reset: bool) -> None:
        for side in (self.client, self.broker):
            if side is None:
                continue
            if reset:
                sock = side[1].get_extra_info("socket")
                with contextlib.suppress(OSError):  # it is closed already
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side[1].transport.abort()
            else:
                side[1].close()


class Proxy:
    """Stands before the port ``target`` on 127.0.0.1.

    ::

        with Proxy(node.amqp_port) as proxy:
            url = proxy.url(node.amqp_url)
            proxy.cut(Way.DOWN, frames=20).done.wait(10)
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut: Cut | None = None
        self._held: bytes | None = None
        self._poison: bytes | None = None
        self._mode = Mode.FORWARD
        self._open = {Way.UP: asyncio.Event(), Way.DOWN: asyncio.Event()}
        self.port = 0
        self.accepted = 0

    def __enter__(self) -> Self:
        for gate in self._open.values():
            gate.set()
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    # what a test commands

    def url(self, url: str) -> str:
        """``url`` of the broker, by way of this proxy."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    @property
    def open_links(self) -> int:
        """Connections that clients have to it now."""
        return self._do(lambda: len(self._links))

    def cut(self, way: Way, frames: int = 0, *, reset: bool = False) -> Cut:
        """End the next connection that has sent ``frames`` more frames that way, after half of one more frame.

        By FIN, or with ``reset`` by RST. Returns the cut, whose ``done`` is set when it has happened.
        """
        cut = Cut(way, frames, reset)
        self._do(lambda: setattr(self, "_cut", cut))
        return cut

    def sever(self, *, reset: bool) -> None:
        """End all connections at once: by FIN, or with ``reset`` by RST."""

        def end() -> None:
            for link in self._links:
                link.end(reset=reset)

        self._do(end)

    def stall(self, *ways: Way) -> None:
        """Pass nothing on; both ways when none is named. Connections stay open."""

        def close() -> None:
            for way in ways or Way:
                self._open[way].clear()

        self._do(close)

    def stall_open(self, *ways: Way) -> None:
        """As :meth:`stall`, but only the connections that are open now, and for good."""

        def mark() -> None:
            for link in self._links:
                link.stalled.update(ways or Way)

        self._do(mark)

    def hold_answer_to(self, words: bytes) -> None:
        """Once a client has sent these bytes, pass nothing on from the broker until :meth:`flow`."""
        self._do(lambda: setattr(self, "_held", words))

    def reset_at(self, words: bytes | None) -> None:
        """Reset every connection on which a client sends these bytes; with None, no more."""
        self._do(lambda: setattr(self, "_poison", words))

    def flow(self) -> None:
        """Pass everything on again."""

        def open_all() -> None:
            for gate in self._open.values():
                gate.set()

        self._do(open_all)

    def answer(self, mode: Mode) -> None:
        """What becomes of connections from now on."""
        self._do(lambda: setattr(self, "_mode", mode))

    def refuse(self) -> None:
        """Stop listening: new connections are refused; those there are stay."""
        self._call(self._stop_listening())

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        self._call(self._start_listening())

    # how it is done

    def _do(self, function: Callable[[], T]) -> T:
        async def run() -> T:
            return function()

        return self._call(run())

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)

    async def _start_listening(self) -> None:
        # limit: a stalled proxy must not swallow megabytes; the sender's own buffers are to fill
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _finish(self) -> None:
        for link in self._links:
            link.end(reset=True)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = _Link(reader, writer)
        self._links.add(link)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._serve(link)
        finally:
            link.end(reset=False)
            self._links.discard(link)
            self._tasks.discard(task)

    async def _serve(self, link: _Link) -> None:
        if self._mode is Mode.SILENT:
            while await link.client[0].read(_CHUNK):
                pass
        if self._mode is not Mode.FORWARD:
            return
        link.broker = await asyncio.open_connection("127.0.0.1", self._target, limit=_CHUNK)
        await asyncio.gather(
            self._pump(link, Way.UP, link.client[0], link.broker[1]),
            self._pump(link, Way.DOWN, link.broker[0], link.client[1]),
        )

    async def _pump(
        self, link: _Link, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            await self._forward(link, way, source, sink)
        await self._may_pass(link, way)  # a stalled connection does not pass on its end either
        sink.close()

    async def _forward(
        self, link: _Link, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        frames = Frames(way)
        passed = 0
        while data := await source.read(_CHUNK):
            await self._may_pass(link, way)
            if self._held is not None and way is Way.UP and self._held in data:
                self._held = None
                self._open[Way.DOWN].clear()
            if self._poison is not None and way is Way.UP and self._poison in data:
                link.end(reset=True)
                return
            whole, rest = frames.split(data)
            cut = self._cut
            if cut is not None and cut.way is way and len(whole) + bool(rest) > cut.frames:
                self._cut = None
                sink.write(_until_cut(b"".join(whole) + rest, passed, whole, rest, cut.frames))
                with contextlib.suppress(OSError):
                    await sink.drain()
                link.end(reset=cut.reset)
                cut.done.set()
                return
            if cut is not None and cut.way is way:
                cut.frames -= len(whole)
            sink.write(data)
            await sink.drain()
            passed = len(rest)

    async def _may_pass(self, link: _Link, way: Way) -> None:
        await self._open[way].wait()
        if way in link.stalled:
            await asyncio.Event().wait()


def _until_cut(stream: bytes, passed: int, whole: list[bytes], rest: bytes, frames: int) -> bytes:
    """What of ``stream`` is still sent: ``frames`` frames and half of one more, without what has ``passed`` before."""
    last = whole[frames] if frames < len(whole) else rest
    keep = sum(len(frame) for frame in whole[:frames]) + max(1, len(last) // 2)
    return stream[passed:keep]
