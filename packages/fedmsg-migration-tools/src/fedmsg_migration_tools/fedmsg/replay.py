# SPDX-License-Identifier: MIT
"""fedmsg's replay protocol: what a consumer that missed messages may ask, and how it is told that there is no answer.

Pure. A request is one JSON object, an answer one envelope a part, or a single part that begins with `error: `. Where
the messages are found is the business of `archive`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..exceptions import ToolsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_BYTES", "MAX_MESSAGES", "BadQuery", "Query", "error", "parse"]

MAX_MESSAGES = 10_000  # in one answer, and ids in one request
MAX_BYTES = 64 * 1024 * 1024  # in one answer
_MAX_REQUEST = 1024 * 1024  # bytes: 10,000 ids fit
_LARGEST = 2**63 - 1  # what SQLite can compare


class BadQuery(ToolsError):
    """A request that cannot be answered; the text goes to the one who asked."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which messages are asked for: those that any of these names (fedmsg's own store reads several keys as "or").

    Attributes:
        seq_ids: the numbers asked for.
        seq_id_range: first and last number, both included.
        msg_ids: the ids asked for.
        time: earliest and latest timestamp, seconds since the epoch, both included.
    """

    seq_ids: tuple[int, ...] = ()
    seq_id_range: tuple[int, int] | None = None
    msg_ids: tuple[str, ...] = ()
    time: tuple[float, float] | None = None


def parse(request: bytes) -> Query:
    """Read a request.

    Args:
        request: the frame.

    Raises:
        BadQuery: it is none.
    """
    if len(request) > _MAX_REQUEST:
        raise BadQuery(f"a request may have {_MAX_REQUEST} bytes, this one has {len(request)}")
    try:
        asked = json.loads(request)
    except (ValueError, RecursionError) as exc:
        raise BadQuery("the request is no JSON") from exc
    if not isinstance(asked, dict) or not asked:
        raise BadQuery(f"the request has to be an object with one of {', '.join(_READERS)}")
    unknown = [key for key in asked if key not in _READERS]
    if unknown:
        raise BadQuery(f"unknown field {_short(unknown[0])}: ask for one of {', '.join(_READERS)}")
    seq_ids = _seq_ids([*_read(asked, "seq_ids", []), *_read(asked, "seq_id", [])])
    msg_ids = _storable([*_read(asked, "msg_ids", []), *_read(asked, "msg_id", [])])
    return Query(seq_ids, _read(asked, "seq_id_range", None), msg_ids, _read(asked, "time", None))


def error(text: str) -> list[bytes]:
    """The parts that tell a consumer why it gets no messages, in the form that fedmsg gives them.

    Args:
        text: one line.
    """
    return [f"error: '{text}'".encode("utf-8", "backslashreplace")]


def _read(asked: dict[str, Any], key: str, default: Any) -> Any:
    if key not in asked:
        return default
    read, expected = _READERS[key]
    try:
        return read(asked[key])
    except (TypeError, ValueError, OverflowError) as exc:
        raise BadQuery(f"{key} has to be {expected}") from exc


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _string(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _list_of(item: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read(value: Any) -> list[Any]:
        if type(value) is not list or len(value) > MAX_MESSAGES:
            raise TypeError
        return [item(one) for one in value]

    return read


def _number_range(value: Any) -> tuple[int, int]:
    first, last = map(_integer, _pair(value))
    return max(-_LARGEST, min(first, _LARGEST)), max(-_LARGEST, min(last, _LARGEST))


def _time_range(value: Any) -> tuple[float, float]:
    first, last = _pair(value)
    if any(type(one) not in {int, float} or math.isnan(one) for one in (first, last)):
        raise TypeError
    return float(first), float(last)


def _pair(value: Any) -> list[Any]:
    if type(value) is not list or len(value) != 2:
        raise TypeError
    return value


def _seq_ids(values: list[int]) -> tuple[int, ...]:
    return tuple(value for value in values if 0 <= value <= _LARGEST)


def _storable(values: list[str]) -> tuple[str, ...]:
    """Without those that no stored id can equal: lone surrogates."""
    return tuple(value for value in values if not any("\ud800" <= char <= "\udfff" for char in value))


def _short(text: str) -> str:
    return repr(text[:40])


_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "seq_id": (lambda value: [_integer(value)], "a whole number"),
    "seq_ids": (_list_of(_integer), f"a list of at most {MAX_MESSAGES} whole numbers"),
    "seq_id_range": (_number_range, "a list of two whole numbers, the first and the last"),
    "msg_id": (lambda value: [_string(value)], "a string"),
    "msg_ids": (_list_of(_string), f"a list of at most {MAX_MESSAGES} strings"),
    "time": (_time_range, "a list of two timestamps, the first and the last"),
}
