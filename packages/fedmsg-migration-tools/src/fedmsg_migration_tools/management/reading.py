# SPDX-License-Identifier: MIT
"""Reading an HTTP answer within bounds of size and time."""

from __future__ import annotations

import http.client
import time

__all__ = ["MOST", "TooMuch", "read"]

MOST = 64 * 2**20  # bytes of one answer
_CHUNK = 65536


class TooMuch(Exception):
    """An answer is larger than it may be."""


def read(answer: http.client.HTTPResponse, end: float, most: int = MOST) -> bytes:
    """The whole answer.

    Arguments:
        answer: of the server.
        end: on the monotonic clock, when to give up.
        most: bytes.

    Raises ``TimeoutError``, ``TooMuch``, and what reading raises.
    """
    parts, size = [], 0
    try:
        while part := answer.read1(_CHUNK):
            parts.append(part)
            size += len(part)
            if time.monotonic() > end:
                raise TimeoutError("the answer does not end")
            if size > most:
                raise TooMuch(f"it answers with more than {most // 2**20} MiB")
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
    finally:
        answer.close()  # read1() leaves it open, and then the connection cannot be used again
    return b"".join(parts)
