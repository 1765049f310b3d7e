# SPDX-License-Identifier: MIT
"""AMQP 0.9.1 by pika, on asyncio. The only module that knows pika's connections and exceptions.

pika's ``Connection`` speaks the protocol and leaves the stream to an adapter; the one here is an asyncio
protocol. It joins all frames that one turn of the loop produces into one write.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

from pika import URLParameters, connection, exceptions, frame, spec, tcp_socket_opts
from pika.credentials import ExternalCredentials

from ..exceptions import ConfigurationException, ConnectionException, NoFreeChannels
from .base import Address, ChannelClosed, ChannelEvents, ConnectionEvents, Incoming, Outgoing, Returned
from .failures import explain, hostname
from .frames import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pika import BasicProperties
    from pika.channel import Channel as PikaChannel

# pika logs what it also reports; every failure is reported, and said once, by this library.
if logging.getLogger("pika").level == logging.NOTSET:
    logging.getLogger("pika").setLevel(logging.CRITICAL)

_GOODBYE = 5.0  # seconds for the broker to answer a close
_HANDSHAKE = (
    15.0  # seconds for TLS, authentication and opening the virtual host, unless the URL says otherwise
)
_WRITE = (
    2**15
)  # bytes to collect at most: the broker begins while a long turn of the loop still produces more
_FRAME_OVERHEAD = 8  # type, channel, size, end: AMQP 0.9.1, 4.2.3
_FRAME_HEAD = 7  # type, channel, size
_ACK = bytes((0, 60, 0, 80))  # class and method of basic.ack: AMQP 0.9.1, 1.8.3.13
_UNACKNOWLEDGED = (
    30_000  # ms that sent bytes may stay unacknowledged by the peer's kernel before it counts as gone
)


class _Stream(connection.Connection, asyncio.Protocol):  # type: ignore[misc] # pika's class is untyped here
    """pika's side of a connection, over an asyncio transport."""

    def __init__(self, parameters: Any, **callbacks: Callable[..., Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self.confirms: dict[int, Callable[[int, bool], None]] = {}  # channel → what to call for a basic.ack
        self._failure: Exception | None = None
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
        self._failure = self._failure or exceptions.StreamLostError("the peer closed the connection")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        cause = self._failure or error
        if cause is not None and not isinstance(cause, exceptions.AMQPError | ssl.SSLError):
            cause = exceptions.StreamLostError(str(cause) or type(cause).__name__)
        if cause is None and self._error is None:
            cause = exceptions.StreamLostError("the connection was closed")
        self._on_stream_terminated(cause)

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
        if buffer[:1] == b"A":  # a protocol header: the broker speaks another version
            super()._on_data_available(data_in)
            return
        while length - position >= _FRAME_OVERHEAD:
            size = int.from_bytes(buffer[position + 3 : position + 7], "big")
            if size > (self.params.frame_max or spec.FRAME_MAX_SIZE):
                raise exceptions.InvalidFrameError(f"a frame of {size} bytes: the peer does not speak AMQP")
            end = position + size + _FRAME_OVERHEAD
            if end > length:
                break
            self.bytes_received += end - position
            data, position = buffer[position:end], end
            if not self._confirm(data):
                self._process_frame(_decode(data))
        self._frame_buffer = buffer[position:]

    def _confirm(self, data: bytes) -> bool:
        """Take a basic.ack by the short way: at full speed there is one for each message."""
        if not data.startswith(_ACK, _FRAME_HEAD):
            return False
        confirmed = self.confirms.get(int.from_bytes(data[1:3], "big"))
        if confirmed is None:
            return False
        confirmed(int.from_bytes(data[11:19], "big"), data[19] != 0)
        return True

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
        else:
            self._transport.close()

    def _adapter_call_later(self, delay: float, callback: Callable[[], Any]) -> object:
        return self._loop.call_later(delay, callback)

    def _adapter_remove_timeout(self, timeout_id: Any) -> None:
        timeout_id.cancel()

    def _adapter_add_callback_threadsafe(self, callback: Callable[..., Any]) -> None:
        self._loop.call_soon_threadsafe(callback)


def _answer(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class _Unreadable(spec.BasicProperties):  # type: ignore[misc] # pika's class is untyped here
    """Stands for properties that pika could not read; ``fault`` says why."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault


def _decode(data: bytes) -> Any:
    """One frame. Unreadable properties (a header of a type that pika does not know, a time out of range) are the
    fault of one message, and must not end the connection: the broker would only deliver the message again.
    """
    try:
        return frame.decode_frame(data)[1]
    except Exception as error:
        if data[0] != spec.FRAME_HEADER:
            raise
        channel, size = int.from_bytes(data[1:3], "big"), int.from_bytes(data[11:19], "big")
        return frame.Header(channel, size, _Unreadable(f"its properties cannot be read: {error!r}"))


class Transport:
    """Connections to one RabbitMQ (or another broker that speaks AMQP 0.9.1), by TCP or TLS."""

    def __init__(self, address: Address) -> None:
        self.address = address

    async def connect(self, events: ConnectionEvents) -> Connection:
        """Open a connection: name, socket, TLS, authentication, virtual host.

        Certificates are read anew each time, so renewed ones need no restart.

        Raises ``ConnectionException`` (with ``permanent``) when it cannot be opened, ``ConfigurationException``
        when a certificate or key file cannot be used.
        """
        parameters, context = _parameters(self.address)
        limit = parameters.stack_timeout or _HANDSHAKE
        try:
            sock = await _dial(parameters)
            async with asyncio.timeout(limit):
                return await _Opening(parameters, events).over(sock, context)
        except TimeoutError as error:
            reason = f"the broker at {hostname(parameters)} accepted the connection but did not answer in {limit:g} s"
            raise ConnectionException(reason=reason) from error
        except (OSError, exceptions.AMQPError) as error:
            reason, permanent = explain(error, parameters)
            raise ConnectionException(reason=reason, permanent=permanent) from error


class _Opening:
    """The way from a connected socket to an open connection."""

    def __init__(self, parameters: URLParameters, events: ConnectionEvents) -> None:
        self._parameters = parameters
        self._events = events
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def over(self, sock: socket.socket, context: ssl.SSLContext | None) -> Connection:
        loop = asyncio.get_running_loop()
        result = Connection(self._parameters, sock, self._events)
        stream = _Stream(
            self._parameters,
            on_open_callback=lambda _: _answer(self._opened, None),
            on_open_error_callback=lambda _, error: _fail(self._opened, error),
            on_close_callback=result.on_close,
        )
        host = self._parameters.host if context else None
        try:
            await loop.create_connection(lambda: stream, sock=sock, ssl=context, server_hostname=host)
            await self._opened
        except BaseException:
            stream.abort(exceptions.StreamLostError("given up"))
            if self._opened.done() and not self._opened.cancelled():
                self._opened.exception()
            raise
        result.opened(stream)
        return result


async def _dial(parameters: URLParameters) -> socket.socket:
    """A connected socket to the first of the host's addresses that answers."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parameters.host, parameters.port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            _set_options(sock, parameters)
            async with asyncio.timeout(parameters.socket_timeout or 10.0):
                await loop.sock_connect(sock, address)
        except (OSError, TimeoutError) as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    if isinstance(failure, TimeoutError):
        failure = OSError(f"no answer within {parameters.socket_timeout or 10.0:g} s")
    raise failure or OSError("the name has no address")


def _set_options(sock: socket.socket, parameters: URLParameters) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
    tcp_socket_opts.set_sock_opts(parameters.tcp_options, sock)


def _parameters(address: Address) -> tuple[URLParameters, ssl.SSLContext | None]:
    """pika's settings for the address, and the TLS context when its scheme asks for one."""
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
                open(path, "rb").close()
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


class Connection:
    """One open connection. See :class:`.base.Connection`."""

    def __init__(self, parameters: URLParameters, sock: socket.socket, events: ConnectionEvents) -> None:
        self._parameters = parameters
        self._socket = sock
        self._events: ConnectionEvents | None = events
        self.body_limit = 0  # bytes of a body that fit in a frame: known after the handshake
        self._stream: _Stream | None = None
        self._closed = asyncio.get_running_loop().create_future()

    def opened(self, stream: _Stream) -> None:
        """The handshake is over."""
        self._stream = stream
        self.body_limit = (self._parameters.frame_max or spec.FRAME_MAX_SIZE) - _FRAME_OVERHEAD
        stream.add_on_connection_blocked_callback(self._on_blocked)
        stream.add_on_connection_unblocked_callback(self._on_unblocked)

    def on_close(self, _stream: object, error: Exception) -> None:
        """pika says that the connection is gone, by whoever's wish."""
        events, self._events = self._events, None
        if not self._closed.done():
            self._closed.set_result(None)
        if events is not None:
            events.lost(self.failure(error))

    def failure(self, error: Exception) -> ConnectionException:
        """What pika says, in this library's terms."""
        reason, permanent = explain(error, self._parameters)
        return ConnectionException(reason=reason, permanent=permanent)

    def _on_blocked(self, _stream: object, method: Any) -> None:
        if self._events is not None:
            self._events.blocked(method.method.reason)

    def _on_unblocked(self, _stream: object, _method: object) -> None:
        if self._events is not None:
            self._events.unblocked()

    async def channel(self, events: ChannelEvents, *, confirms: bool = False, prefetch: int = 0) -> Channel:
        """Open a channel; in confirm mode, or with a bound on unsettled deliveries a consumer."""
        if self._stream is None or not self._stream.is_open:
            raise ConnectionException(reason="the connection is closed")
        opened: asyncio.Future[PikaChannel] = asyncio.get_running_loop().create_future()
        try:
            raw = self._stream.channel(on_open_callback=lambda ch: _answer(opened, ch))
        except exceptions.NoFreeChannels as error:
            raise NoFreeChannels(
                "the broker allows no more channels on this connection (channel_max)"
            ) from error
        channel = Channel(raw, self, events, opened)
        await opened
        if prefetch:
            await channel.call(raw.basic_qos, prefetch_count=prefetch)
        if confirms:
            await channel.call(raw.confirm_delivery, channel.on_confirm)
            self._stream.confirms[raw.channel_number] = events.confirmed
        return channel

    def forget(self, channel: int) -> None:
        """The channel of this number is closed."""
        if self._stream is not None:
            self._stream.confirms.pop(channel, None)

    def emit(self, data: bytes) -> None:
        """Hand over whole frames."""
        if self._stream is not None:
            self._stream.emit(data)

    def flush(self) -> None:
        """Send what the channels handed over."""
        if self._stream is not None:
            self._stream.flush()

    async def close(self) -> None:
        """Close in order; drop the connection when the broker does not answer."""
        self._events = None
        if self._stream is None or self._closed.done():
            return
        try:
            if self._stream.is_open:
                self._stream.close()
            await asyncio.wait_for(asyncio.shield(self._closed), _GOODBYE)
        except (TimeoutError, exceptions.AMQPError):
            self._stream.abort(exceptions.StreamLostError("no answer to our goodbye"))

    def abandon(self) -> None:
        """Close the descriptor only: neither the peer nor the shared epoll may notice."""
        self._events = None
        descriptor = self._socket.detach()
        if descriptor >= 0:
            os.close(descriptor)


class Channel:
    """One open channel. See :class:`.base.Channel`."""

    def __init__(
        self,
        raw: PikaChannel,
        owner: Connection,
        events: ChannelEvents,
        opened: asyncio.Future[PikaChannel],
    ) -> None:
        self._raw = raw
        self._owner = owner
        self._events = events
        self._waiting: asyncio.Future[Any] | None = opened
        raw.add_on_close_callback(self._on_close)
        raw.add_on_return_callback(self._on_return)
        raw.add_on_cancel_callback(lambda method: events.cancelled(method.method.consumer_tag))

    async def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One synchronous method of AMQP: the broker's answer, or what it raised."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting = answer
        try:
            method(*args, callback=lambda frame: _answer(answer, frame), **kwargs)
            return await answer
        except exceptions.AMQPError as error:
            raise self._owner.failure(error) from error
        finally:
            self._waiting = None

    def _on_close(self, raw: PikaChannel, error: Exception) -> None:
        self._owner.forget(raw.channel_number)
        by_broker = isinstance(error, exceptions.ChannelClosedByBroker)
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_exception(
                ChannelClosed(error.reply_code, error.reply_text)  # type: ignore[attr-defined]
                if by_broker
                else self._owner.failure(error)
            )
        elif by_broker:
            self._events.closed(ChannelClosed(error.reply_code, error.reply_text))  # type: ignore[attr-defined]

    def _on_return(
        self, _raw: object, method: spec.Basic.Return, properties: BasicProperties, _body: bytes
    ) -> None:
        reason = f"{method.reply_text} ({method.reply_code})"
        self._events.returned(Returned(method.exchange, method.routing_key, properties.message_id, reason))

    def on_confirm(self, answer: Any) -> None:
        """basic.ack or basic.nack of something published."""
        method = answer.method
        if isinstance(method, spec.Basic.Ack):
            self._events.confirmed(method.delivery_tag, method.multiple)
        else:
            self._events.refused(method.delivery_tag, method.multiple)

    def _on_message(
        self, _raw: object, method: spec.Basic.Deliver, properties: BasicProperties, body: bytes
    ) -> None:
        self._events.delivered(
            Incoming(
                method.delivery_tag,
                method.exchange,
                method.routing_key,
                properties,
                body,
                method.redelivered,
                method.consumer_tag,
                properties.fault if isinstance(properties, _Unreadable) else None,
            )
        )

    def publish(self, message: Outgoing) -> None:
        if self._raw.is_open:
            self._owner.emit(publish(self._raw.channel_number, message, self._owner.body_limit))

    def flush(self) -> None:
        self._owner.flush()

    def ack(self, tag: int, multiple: bool = False) -> None:
        if self._raw.is_open:
            self._raw.basic_ack(tag, multiple)

    def reject(self, tag: int, requeue: bool) -> None:
        if self._raw.is_open:
            self._raw.basic_reject(tag, requeue)

    async def declare_exchange(self, name: str, settings: Mapping[str, Any], passive: bool = False) -> None:
        await self.call(
            self._raw.exchange_declare,
            name,
            exchange_type=settings.get("type", "topic"),
            passive=passive,
            durable=settings.get("durable", False),
            auto_delete=settings.get("auto_delete", False),
            arguments=settings.get("arguments") or {},
        )

    async def declare_queue(self, name: str, settings: Mapping[str, Any], passive: bool = False) -> str:
        answer = await self.call(
            self._raw.queue_declare,
            name,
            passive=passive,
            durable=settings.get("durable", False),
            exclusive=settings.get("exclusive", False),
            auto_delete=settings.get("auto_delete", False),
            arguments=settings.get("arguments") or {},
        )
        return str(answer.method.queue)

    async def delete_queue(self, name: str) -> None:
        await self.call(self._raw.queue_delete, name)

    async def bind(
        self, queue: str, exchange: str, topic: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        await self.call(self._raw.queue_bind, queue, exchange, topic, arguments=dict(arguments or {}))

    async def consume(self, queue: str) -> str:
        tag: list[str] = []

        def begin(callback: Callable[..., Any]) -> None:
            tag.append(self._raw.basic_consume(queue, self._on_message, callback=callback))

        await self.call(begin)
        return tag[0]

    async def cancel(self, consumer: str) -> None:
        await self.call(self._raw.basic_cancel, consumer)

    async def close(self) -> None:
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._raw.is_open:
            return
        self._raw.add_on_close_callback(lambda *_: _answer(closed, None))
        self._raw.close()
        try:
            await asyncio.wait_for(closed, _GOODBYE)
        except TimeoutError:
            pass  # a connection that does not answer is found dead by its heartbeats
