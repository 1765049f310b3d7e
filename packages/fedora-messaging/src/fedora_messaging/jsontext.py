# SPDX-License-Identifier: MIT
"""JSON as the bus writes it: that of Python's ``json`` module, NaN, lone surrogates and long integers included.

Pure. Which JSON is a message does not belong here.
"""

from __future__ import annotations

import json
from typing import Any

_encoder = json.JSONEncoder()


def encode(value: Any) -> bytes:
    """The bytes of ``json.dumps(value)``.

    Raises:
        TypeError, ValueError, RecursionError: JSON cannot hold the value.
    """
    return _encoder.encode(value).encode()


def decode(body: bytes, encoding: str) -> Any:
    """The value of ``json.loads(body.decode(encoding))``, ten times as fast for what a fast parser takes.

    Raises:
        ValueError, LookupError, RecursionError: it is not JSON, or not in that encoding.
    """
    if encoding == "utf-8":
        import msgspec  # noqa: PLC0415 - not needed to import this library

        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError):
            # It refuses some of what ``json`` takes, and is not the last word.
            pass
    return json.loads(body.decode(encoding))
