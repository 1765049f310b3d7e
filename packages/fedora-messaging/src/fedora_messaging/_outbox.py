# SPDX-License-Identifier: MIT
"""Where messages go instead of to a broker while a test is looking: see :func:`.testing.mock_sends`.

``api`` and ``aio`` ask :func:`capture` before they publish. Nothing else belongs here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .message import Message

# Of several, the innermost takes the message. All threads share it: an application publishes from any.
_stack: list[list[Message]] = []
_lock = threading.Lock()


def capture(message: Message) -> bool:
    """True when a test has taken the message, and it is not to be published."""
    if not _stack:
        return False
    with _lock:
        if not _stack:
            return False
        _stack[-1].append(message)
        return True


@contextmanager
def capturing() -> Iterator[list[Message]]:
    """Capture what is published meanwhile, from any thread; yields the list that it goes to."""
    captured: list[Message] = []
    with _lock:
        _stack.append(captured)
    try:
        yield captured
    finally:
        with _lock:
            _stack[:] = [one for one in _stack if one is not captured]
