# SPDX-License-Identifier: MIT
"""Three signals that an application may listen to: before a message is published, after, and when that failed.

Sending them is the work of :mod:`.api` and :mod:`.aio`; nothing else belongs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blinker import Namespace

if TYPE_CHECKING:
    from blinker import NamedSignal

    from .message import Message

_signals = Namespace()

#: Sent before a message is handed to the broker, with the keyword ``message``. A receiver may change it.
pre_publish_signal: NamedSignal = _signals.signal("pre_publish")

#: Sent when the broker has confirmed a message, with the keyword ``message``.
publish_signal: NamedSignal = _signals.signal("publish_success")

#: Sent when a message could not be published, with the keywords ``message``, ``error`` and ``reason``
#: (both the exception: the documents of 3.x name one, its code sends the other).
publish_failed_signal: NamedSignal = _signals.signal("publish_failed_signal")


def send(signal: NamedSignal, sender: object, **facts: Any) -> None:
    """Tell the receivers of ``signal``, if it has any: without one this is a single look-up."""
    if signal.receivers:
        signal.send(sender, **facts)


class Announced:
    """Around publishing one message: tells the receivers before, and of success or failure after.

    ::

        with Announced(sender, message):
            ...
    """

    __slots__ = ("_message", "_sender")

    def __init__(self, sender: object, message: Message) -> None:
        self._sender = sender
        self._message = message

    def __enter__(self) -> None:
        send(pre_publish_signal, self._sender, message=self._message)

    def __exit__(self, kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            send(publish_signal, self._sender, message=self._message)
        elif isinstance(error, Exception):
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Tell of a failure."""
        send(publish_failed_signal, self._sender, message=self._message, error=error, reason=error)
