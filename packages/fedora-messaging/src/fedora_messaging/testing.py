# SPDX-License-Identifier: MIT
"""For the tests of applications: what did it publish? No broker is needed.

A broker of one's own, for tests that want one, is in :mod:`.private_node` and :mod:`.pytest_plugin`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import _outbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .message import Message


@contextmanager
def mock_sends(*expected_messages: Message | type[Message]) -> Iterator[list[Message]]:
    """Assert that exactly these messages are published in the block, in this order; nothing is sent.

    Arguments:
        expected_messages: a message, which must equal the one that is published, or a class, of which it
            must be an instance. Either way it must be valid.

    Yields the list of what was published.

    Raises:
        AssertionError: something else was published.
        jsonschema.ValidationError: a message that was published is not valid.
    """
    with _outbox.capturing() as sent:
        yield sent
    if len(sent) != len(expected_messages):
        raise AssertionError(
            f"Expected {len(expected_messages)} messages to be sent, but {len(sent)} were sent: {sent}"
        )
    for message, expected in zip(sent, expected_messages, strict=True):
        _compare(message, expected)


def _compare(message: Message, expected: Message | type[Message]) -> None:
    if isinstance(expected, type):
        if not isinstance(message, expected):
            raise AssertionError(  # noqa: TRY004 - it is the test that fails
                f"Expected message of type {expected}, but {type(message)} was sent"
            )
    elif message != expected:
        raise AssertionError(
            f"Expected {expected!r} with the headers {expected._headers}, "  # noqa: SLF001
            f"but {message!r} with the headers {message._headers} was sent"  # noqa: SLF001
        )
    message.validate()
