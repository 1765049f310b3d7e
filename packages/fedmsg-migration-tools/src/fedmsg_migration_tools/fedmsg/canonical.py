# SPDX-License-Identifier: MIT
"""JSON as fedmsg writes and reads it: Python's ``json`` with sorted keys and no blanks.

What is signed is this form, so every byte counts. Pure; what the JSON means does not belong here.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["dumps", "loads"]

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_fast_decoder = msgspec.json.Decoder()


def dumps(value: Any) -> bytes:
    """``value`` in fedmsg's canonical form: keys sorted, ``,`` and ``:`` alone, all but ASCII escaped.

    NaN and the infinities are written as Python writes them.

    Raises:
        TypeError: a value of a type that JSON does not have, or keys that cannot be sorted.
        ValueError: it is nested too deeply, contains itself, or an integer longer than Python writes.
    """
    try:
        return _encoder.encode(value).encode("ascii")
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def loads(data: bytes) -> Any:
    """The value of ``json.loads(data.decode())``, several times as fast for what a fast parser takes.

    Lone surrogates, NaN, the infinities, integers beyond 64 bits and duplicate keys (the last counts) pass.

    Raises:
        ValueError: it is no JSON, no UTF-8, nested too deeply, or has an integer longer than Python reads.
    """
    try:
        return _fast_decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # It refuses some of what Python's json takes, and is not the last word.
        pass
    try:
        return json.loads(data.decode())
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
