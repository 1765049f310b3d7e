# SPDX-License-Identifier: MIT
"""The smallest callback there is, to try a consumer with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .message import Message


def printer(message: Message) -> None:
    """Print the message to standard output."""
    print(message)  # noqa: T201
