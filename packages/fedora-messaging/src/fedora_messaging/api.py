# SPDX-License-Identifier: MIT
"""Publish and consume, blocking: the asyncio API on a background thread.

Every function may be called from any thread, from inside a callback (plain or async), and after a fork.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

from . import _outbox
from .background import background
from .callbacks import resolve
from .exceptions import BaseException as LibraryError
from .message import SERIALIZED_MESSAGE_SCHEMA, SEVERITIES, Message, dumps, loads
from .signals import Announced, pre_publish_signal, publish_failed_signal, publish_signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import FrameType

    from .aio import Session
    from .background import Background
    from .transports.base import Outgoing

__all__ = [
    "SERIALIZED_MESSAGE_SCHEMA",
    "SEVERITIES",
    "Message",
    "consume",
    "dumps",
    "loads",
    "pre_publish_signal",
    "publish",
    "publish_failed_signal",
    "publish_many",
    "publish_signal",
]


def publish(
    message: Message, exchange: str | None = None, timeout: float | None = 30, mandatory: bool = False
) -> None:
    """Publish a message; returns when the broker has confirmed it.

    Arguments:
        message: what to publish; it is validated first.
        exchange: where to; the configuration's ``publish_exchange`` when omitted.
        timeout: seconds; None waits without limit.
        mandatory: fail when no queue is bound to take it.

    Raises:
        ValidationError: it breaks its schema, or does not fit on the wire; nothing was sent.
        PublishForbidden: the user may not publish that topic there.
        PublishReturned: ``mandatory``, and nobody is bound; or there is no such exchange.
        PublishNacked: a queue refused it.
        PublishTimeout, PublishBlocked: no confirm in time; it may have arrived, and may be published again.
        ConnectionException: the broker refuses us for good (password, virtual host, certificate).
    """
    if _outbox.capture(message):
        return
    with Announced(publish, message):
        loop = background(publish)
        outgoing = loop.session.encode(message, exchange, mandatory=mandatory)
        waiting = _Waiting()
        loop.call(lambda: waiting.begin(loop.session, outgoing, timeout))
        waiting.wait()


class _Waiting:
    """A thread that waits for one message's outcome."""

    __slots__ = ("_error", "_lock")

    def __init__(self) -> None:
        self._error: LibraryError | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def begin(self, session: Session, outgoing: Outgoing, timeout: float | None) -> None:
        """On the session's loop: publish it."""
        try:
            session.submit(outgoing, timeout, self.done)
        except LibraryError as error:  # the first message finds what is wrong with the settings
            self.done(error)

    def done(self, error: LibraryError | None) -> None:
        self._error = error
        self._lock.release()

    def wait(self) -> None:
        self._lock.acquire()
        if self._error is not None:
            raise self._error


def publish_many(
    messages: Iterable[Message],
    exchange: str | None = None,
    timeout: float | None = 30,
    mandatory: bool = False,
) -> None:
    """Publish messages in one pipeline, in order; returns when each is confirmed, or has failed.

    ``messages`` may be any iterable; it is read on the background thread, some thousands at a time.
    ``timeout`` is for each message, in seconds from when it is taken. The rest is as for :func:`publish`.

    Raises ``PublishIncomplete``, which says which messages failed and why; all others are confirmed.
    """
    loop = background(publish)
    loop.wait_for(loop.session.publish_many(messages, exchange, timeout, mandatory))


def consume(
    callback: Any,
    bindings: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    queues: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Call ``callback`` with each message, one at a time, until it raises or the process is told to end.

    In the main thread, SIGINT and SIGTERM let the callback finish the message in hand, and then return; a second
    one does what it did before.

    Arguments:
        callback: a function, a class (instantiated once) with ``__call__``, either of them ``async`` or not. A
            return acknowledges; ``Nack``, ``Drop`` and ``HaltConsumer`` say otherwise; anything else that it
            raises returns the message to the queue and ends consuming.
        bindings: what to bind, in the configuration's terms, and from there when omitted.
        queues: what to declare and consume, likewise.

    Raises:
        HaltConsumer: raised by the callback; or anything else that it raised.
        ConnectionException: no connection in ``connection_attempts`` attempts, or refused for good.
        BadDeclaration, PermissionException: the broker does not let us declare or consume.
        ConsumerCanceled: the queue is gone, and did not come back.
        ValueError: the callback, bindings or queues are not what they should be.
    """
    target = resolve(callback)
    loop = background(publish)
    with _monitored(loop), _ended_by_signals(loop) as ended:

        async def run() -> None:
            # Up to its first await, consume() gets to where stop_consuming() finds it.
            if not ended.is_set():
                await loop.session.consume(target, bindings, queues)

        loop.wait_for(run())


@contextlib.contextmanager
def _monitored(loop: Background) -> Iterator[None]:
    """With the monitoring server, where the configuration asks for one."""
    if not loop.session.conf["monitoring"]:
        yield
        return
    from . import monitoring  # noqa: PLC0415 - only where it is asked for

    session = loop.session
    server = monitoring.start(session.conf, session.statistics, lambda: session.unconfirmed)
    try:
        yield
    finally:
        if server is not None:
            server.stop()


@contextlib.contextmanager
def _ended_by_signals(loop: Background) -> Iterator[threading.Event]:
    """In the main thread: let the first SIGINT or SIGTERM end consuming in order. Says whether one has come."""
    ended = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    previous: dict[signal.Signals, Any] = {}

    def restore() -> None:
        while previous:
            signal.signal(*previous.popitem())

    def end(_number: int, _frame: FrameType | None) -> None:
        restore()
        ended.set()
        loop.call(loop.session.stop_consuming)

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, end)
    try:
        yield ended
    finally:
        restore()
