# SPDX-License-Identifier: MIT
"""Snapshots in JSON, and what changed between two of them. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Parts = dict[str, bytes]  # the snapshot's keys → their values' JSON text


def in_json(value: Any) -> bytes:
    """JSON text, on one line; what JSON has no words for becomes a string, or null for what is no number."""
    try:
        return msgspec.json.encode(value, enc_hook=str)
    except (UnicodeError, OverflowError, TypeError, ValueError, msgspec.MsgspecError):
        # Contents of messages: lone surrogates, integers of any size, keys of any kind.
        return json.dumps(_plain(value), allow_nan=False).encode()


def of(snapshot: Mapping[str, Any]) -> Parts:
    """A snapshot, part by part."""
    return {key: in_json(value) for key, value in snapshot.items()}


def whole(parts: Mapping[str, bytes]) -> bytes:
    """The parts as one object."""
    return b"{" + b",".join(in_json(key) + b":" + text for key, text in parts.items()) + b"}"


def changed(sent: Mapping[str, bytes], now: Mapping[str, bytes]) -> Parts:
    """The parts that are other than what was sent."""
    return {key: text for key, text in now.items() if sent.get(key) != text}


def event(parts: Mapping[str, bytes]) -> bytes:
    """A server-sent event (HTML Living Standard, 9.2): our JSON has no line ends, so its data is one line."""
    return b"data: " + whole(parts) + b"\n\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
