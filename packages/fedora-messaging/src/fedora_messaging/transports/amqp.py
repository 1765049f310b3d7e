# SPDX-License-Identifier: MIT
"""AMQP 0.9.1 by pika, on asyncio: the transport of the schemes ``amqp`` and ``amqps``.

With its neighbours in this folder the only code that knows pika's connections and exceptions.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from pika import exceptions, spec

from ..exceptions import ConnectionException, NoFreeChannels
from .base import Address, ChannelClosed, ChannelEvents, ConnectionEvents, Outgoing, Returned
from .failures import explain, is_unexplained, silence
from .frames import publish
from .parameters import DAY, Settings
from .refusal import heard
from .shortcuts import Shortcuts
from .sockets import dial, drop
from .stream import FRAME_OVERHEAD, Stream

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Mapping

    from pika import BasicProperties
    from pika.channel import Channel as PikaChannel

    from .parameters import Parameters

T = TypeVar("T")

# pika logs what it also reports; every failure is reported, and said once, by this library.
if logging.getLogger("pika").level == logging.NOTSET:
    logging.getLogger("pika").setLevel(logging.CRITICAL)

_GOODBYE = 5.0  # seconds for the broker to answer a close
_HANDSHAKE = 15.0  # seconds for TLS, login and opening the virtual host, unless the URL says otherwise


class Transport:
    """Connections to one RabbitMQ (or another broker that speaks AMQP 0.9.1), by TCP or TLS."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._settings = Settings(address)

    async def connect(self, events: ConnectionEvents) -> Connection:
        """Open a connection: name, socket, TLS, authentication, virtual host.

        Certificates are read anew each time, so renewed ones need no restart, if the same transport is asked: it
        goes on with those that it has read when the new ones cannot be used.

        Raises ``ConnectionException`` (with ``permanent``) when it cannot be opened, ``ConfigurationException``
        when a certificate or key file cannot be used.
        """
        parameters, context = self._settings.read()
        limit = parameters.stack_timeout or _HANDSHAKE
        try:
            sock = await dial(parameters)
            async with asyncio.timeout(limit):
                connection = await _Opening(parameters, events).over(sock, context)
        except TimeoutError as error:
            raise ConnectionException(reason=silence(limit, parameters)) from error
        except (OSError, UnicodeError, exceptions.AMQPError) as error:
            refusal = await heard(parameters, context) if context and is_unexplained(error) else None
            reason, permanent = explain(refusal or error, parameters)
            raise ConnectionException(reason=reason, permanent=permanent) from error
        connection.each_day(self._settings.check)
        return connection


class _Opening:
    """The way from a connected socket to an open connection."""

    def __init__(self, parameters: Parameters, events: ConnectionEvents) -> None:
        self._parameters = parameters
        self._events = events
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def over(self, sock: socket.socket, context: ssl.SSLContext | None) -> Connection:
        loop = asyncio.get_running_loop()
        result = Connection(self._parameters, sock, self._events)
        stream = Stream(
            self._parameters,
            on_open_callback=lambda _: _answer(self._opened, None),
            on_open_error_callback=self._failed,
            on_close_callback=result.on_close,
        )
        host = self._parameters.host if context else None
        try:
            await loop.create_connection(lambda: stream, sock=sock, ssl=context, server_hostname=host)
            await self._opened
        except BaseException:
            stream.abort(exceptions.StreamLostError("given up"))
            # Nobody waits for it any more: what comes of the abort is not to be told as an error.
            if not self._opened.cancel() and not self._opened.cancelled():
                self._opened.exception()
            raise
        result.opened(stream)
        return result

    def _failed(self, stream: Stream, error: Exception) -> None:
        if error is not stream.cause:
            error.__cause__ = stream.cause
        _fail(self._opened, error)


class Connection:
    """One open connection. See :class:`.base.Connection`."""

    def __init__(self, parameters: Parameters, sock: socket.socket, events: ConnectionEvents) -> None:
        self._parameters = parameters
        self._socket = sock
        self._events: ConnectionEvents | None = events
        self.body_limit = 0  # bytes of a body that fit in a frame: known after the handshake
        self._stream: Stream | None = None
        self.deaf = False  # the broker has blocked us, or not answered our goodbye to a channel
        self._closed = asyncio.get_running_loop().create_future()
        self._daily: asyncio.TimerHandle | None = None

    def opened(self, stream: Stream) -> None:
        """The handshake is over."""
        self._stream = stream
        self.body_limit = (self._parameters.frame_max or spec.FRAME_MAX_SIZE) - FRAME_OVERHEAD
        stream.add_on_connection_blocked_callback(self._on_blocked)
        stream.add_on_connection_unblocked_callback(self._on_unblocked)

    def on_close(self, _stream: object, error: Exception) -> None:
        """Pika says that the connection is gone, by whoever's wish."""
        events, self._events = self._events, None
        if not self._closed.done():
            self._closed.set_result(None)
        if self._daily is not None:
            self._daily.cancel()
        if events is not None:
            events.lost(self.failure(error))

    def each_day(self, look: Callable[[], None]) -> None:
        """Have a look, each day for as long as the connection is open."""

        def again() -> None:
            look()
            self.each_day(look)

        if not self._closed.done():
            self._daily = asyncio.get_running_loop().call_later(DAY, again)

    def failure(self, error: Exception) -> ConnectionException:
        """What pika says, in this library's terms."""
        reason, permanent = explain(error, self._parameters)
        code = error.reply_code if isinstance(error, exceptions.ConnectionClosedByBroker) else None
        return ConnectionException(reason=reason, permanent=permanent, code=code)

    def _on_blocked(self, _stream: object, method: Any) -> None:
        self.deaf = True
        if self._events is not None:
            self._events.blocked(method.method.reason)

    def _on_unblocked(self, _stream: object, _method: object) -> None:
        self.deaf = False
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
        shortcuts = self._stream.shortcuts[raw.channel_number] = Shortcuts(events)
        channel = Channel(raw, self, events, shortcuts)
        await channel.answered(opened)
        if prefetch:
            await channel.call(raw.basic_qos, prefetch_count=prefetch)
        if confirms:
            await channel.call(raw.confirm_delivery, channel.on_confirm)
        return channel

    def forget(self, channel: int) -> None:
        """The channel of this number is closed."""
        if self._stream is not None:
            self._stream.shortcuts.pop(channel, None)

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
            async with asyncio.timeout(0 if self.deaf else _GOODBYE):
                await asyncio.shield(self._closed)
        except (TimeoutError, exceptions.AMQPError):
            self._stream.abort(exceptions.StreamLostError("no answer to our goodbye"))

    def abandon(self) -> None:
        """See :func:`_drop`."""
        self._events = None
        drop(self._socket)


class Channel:
    """One open channel. See :class:`.base.Channel`."""

    def __init__(
        self,
        raw: PikaChannel,
        owner: Connection,
        events: ChannelEvents,
        shortcuts: Shortcuts,
    ) -> None:
        self._raw = raw
        self._owner = owner
        self._events = events
        self._shortcuts = shortcuts
        self._waiting: set[asyncio.Future[Any]] = set()
        raw.add_on_close_callback(self._on_close)
        raw.add_on_return_callback(self._on_return)
        raw.add_on_cancel_callback(lambda method: events.cancelled(method.method.consumer_tag))

    async def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One synchronous method of AMQP: the broker's answer, or what it raised."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            method(*args, callback=lambda frame: _answer(answer, frame), **kwargs)
        except exceptions.AMQPError as error:
            raise self._owner.failure(error) from error
        return await self.answered(answer)

    async def answered(self, answer: asyncio.Future[T]) -> T:
        """The answer, or the error with which the channel or the connection ends before it comes."""
        self._waiting.add(answer)
        try:
            return await answer
        finally:
            self._waiting.discard(answer)

    def _on_close(self, raw: PikaChannel, error: Exception) -> None:
        self._owner.forget(raw.channel_number)
        closed = None
        if isinstance(error, exceptions.ChannelClosedByBroker):
            closed = ChannelClosed(error.reply_code, _text(error.reply_text))
        if closed is not None and not self._waiting:
            self._events.closed(closed)
        for waiting in self._waiting:
            _fail(waiting, closed or self._owner.failure(error))

    def _on_return(
        self, _raw: object, method: spec.Basic.Return, properties: BasicProperties, _body: bytes
    ) -> None:
        reason = f"{method.reply_text} ({method.reply_code})"
        self._events.returned(Returned(method.exchange, method.routing_key, properties.message_id, reason))

    def on_confirm(self, answer: Any) -> None:
        """A basic.nack of something published; a basic.ack takes the short way."""
        self._events.refused(answer.method.delivery_tag, answer.method.multiple)

    def publish(self, message: Outgoing) -> None:
        if self._raw.is_open:
            self._owner.emit(publish(self._raw.channel_number, message, self._owner.body_limit))

    async def rehearse(self, message: Outgoing) -> None:
        await self.call(self._raw.tx_select)
        self.publish(message)
        await self.call(self._raw.tx_rollback)

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

    async def unbind(
        self, queue: str, exchange: str, topic: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        await self.call(self._raw.queue_unbind, queue, exchange, topic, arguments=dict(arguments or {}))

    async def consume(self, queue: str, arguments: Mapping[str, Any] | None = None) -> str:
        tag: list[str] = []

        def begin(callback: Callable[..., Any]) -> None:
            given = dict(arguments) if arguments else None
            tag.append(self._raw.basic_consume(queue, _taken, arguments=given, callback=callback))
            self._shortcuts.consumers.add(tag[0])

        await self.call(begin)
        return tag[0]

    async def cancel(self, consumer: str) -> None:
        await self.call(self._raw.basic_cancel, consumer)
        self._shortcuts.consumers.discard(consumer)

    async def close(self) -> None:
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._raw.is_open:
            return
        self._raw.add_on_close_callback(lambda *_: _answer(closed, None))
        self._raw.close()
        try:
            async with asyncio.timeout(_GOODBYE):
                await closed
        except TimeoutError:  # heartbeats find such a connection dead, unless it is closed before
            self._owner.deaf = True


def _text(said: str | bytes) -> str:
    """The broker's words; pika leaves bytes that are no UTF-8, such as those cut within a character."""
    return said if isinstance(said, str) else said.decode(errors="replace")


def _taken(*_: object) -> None:
    """Deliveries take the short way, and never come here."""


def _answer(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
