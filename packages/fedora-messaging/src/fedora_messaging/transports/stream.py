# SPDX-License-Identifier: MIT
"""pika's protocol over asyncio's transports: bytes in, frames to pika; frames from pika, bytes out.

pika's ``Connection`` speaks AMQP and leaves the stream to an adapter, which this is. It hands over in one write
what one turn of the loop produces, and lets :mod:`.shortcuts` take the frames that come by the thousand.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from pika import connection, exceptions, frame, spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from .shortcuts import Shortcuts

FRAME_OVERHEAD = 8  # type, channel, size, end: AMQP 0.9.1, 4.2.3

_METHOD = b"\x01"  # the type of the frame that a broker's first word is in: connection.start

_LINGER = 5.0  # seconds for the last words, such as the answer to a close, to be sent
# Bytes to collect at most: the broker begins while a long turn of the loop still produces more.
_WRITE = 2**15


class Stream(connection.Connection, asyncio.Protocol):  # type: ignore[misc] # pika's class is untyped here
    """pika's side of a connection, over an asyncio transport."""

    def __init__(self, parameters: Any, **callbacks: Callable[..., Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self.shortcuts: dict[int, Shortcuts] = {}  # by the channel's number
        self._failure: Exception | None = None
        self.cause: Exception | None = None
        """Why the stream ended, before pika makes a guess of it."""
        self._frame_buffer = b""
        super().__init__(parameters, internal_connection_workflow=False, **callbacks)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._on_stream_connected()

    def data_received(self, data: bytes) -> None:
        try:
            self._on_data_available(data)
        except Exception as error:  # noqa: BLE001 - whatever the peer's bytes provoke ends this connection only
            self.abort(error)

    def eof_received(self) -> bool:
        if self._error is None:
            self._failure = self._failure or exceptions.StreamLostError("the peer closed the connection")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        cause = self._why(error)
        self.cause = cause or self._error
        self._on_stream_terminated(cause)

    def _why(self, error: Exception | None) -> Exception | None:
        """What ended the stream; None when pika knows: what was said before counts, not how the silence began."""
        if self._error is not None and self._failure is None:
            return None
        cause = self._failure or error
        if cause is not None and isinstance(cause, exceptions.AMQPError | ssl.SSLError):
            return cause
        text = "the connection was closed" if cause is None else str(cause) or type(cause).__name__
        lost: Exception = exceptions.StreamLostError(text)
        return lost

    def abort(self, error: Exception) -> None:
        """Drop the connection without a goodbye, because of ``error``."""
        self._failure = self._failure or error
        if self._transport is not None:
            self._transport.abort()

    # pika's side

    def _on_data_available(self, data_in: bytes) -> None:
        """Cut the stream into frames without copying what follows each of them."""
        buffer = self._frame_buffer + data_in if self._frame_buffer else data_in
        position, length = 0, len(buffer)
        if self.connection_state == self.CONNECTION_PROTOCOL and buffer[:1] != _METHOD:
            raise exceptions.IncompatibleProtocolError(buffer[:40])
        while length - position >= FRAME_OVERHEAD:
            size = int.from_bytes(buffer[position + 3 : position + 7], "big")
            if size > (self.params.frame_max or spec.FRAME_MAX_SIZE):
                raise exceptions.InvalidFrameError(f"a frame of {size} bytes: the peer does not speak AMQP")
            end = position + size + FRAME_OVERHEAD
            if end > length:
                break
            self.bytes_received += end - position
            data, position = buffer[position:end], end
            shortcuts = self.shortcuts.get(int.from_bytes(data[1:3], "big"))
            if shortcuts is None or not shortcuts.take(data):
                self._process_frame(frame.decode_frame(data)[1])
        self._frame_buffer = buffer[position:]

    def emit(self, data: bytes) -> None:
        """Hand over whole frames, to be sent at the end of this turn of the loop, or before."""
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(data)
        self._unsent_size += len(data)
        if self._unsent_size >= _WRITE:
            self.flush()

    def flush(self) -> None:
        """Hand the frames collected so far to the socket."""
        if not self._unsent:
            return
        data, self._unsent, self._unsent_size = b"".join(self._unsent), [], 0
        if self._transport is not None:
            self._transport.write(data)

    def _adapter_emit_data(self, data: bytes) -> None:
        self.emit(data)

    def _adapter_connect_stream(self) -> None:
        raise NotImplementedError("the stream is connected from outside")

    def _adapter_disconnect_stream(self) -> None:
        self.flush()
        if self._transport is None:
            self._loop.call_soon(self._on_stream_terminated, None)
        elif isinstance(self._error, exceptions.AMQPHeartbeatTimeout):
            self._transport.abort()  # closing would wait for the silent peer to take what is still to be sent
        else:
            self._transport.close()
            self._loop.call_later(_LINGER, self._transport.abort)

    def _adapter_call_later(self, delay: float, callback: Callable[[], Any]) -> object:
        return self._loop.call_later(delay, callback)

    def _adapter_remove_timeout(self, timeout_id: Any) -> None:
        timeout_id.cancel()

    def _adapter_add_callback_threadsafe(self, callback: Callable[..., Any]) -> None:
        self._loop.call_soon_threadsafe(callback)
