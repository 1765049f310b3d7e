# SPDX-License-Identifier: MIT
"""Three signals that an application may listen to: before a message is published, after, and when that failed.

Sending them is the work of :mod:`.api` and :mod:`.aio`; nothing else belongs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blinker import Namespace

if TYPE_CHECKING:
    from blinker import NamedSignal

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
