# SPDX-License-Identifier: MIT
"""Which values JSON and AMQP both hold, and which must travel as JSON text to come back as they were. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import canonical
from .envelope import MAX_TOPIC
from .marks import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SENT_AT", "SEVERITY", "TYPED", "as_json", "is_header", "is_short", "is_unicode", "number", "text"]

SCHEMA, SEVERITY, SENT_AT = "fedora_messaging_schema", "fedora_messaging_severity", "sent-at"
_STRINGS = frozenset({SCHEMA, "fedora_messaging_schema_package", SENT_AT})
#: The headers that fedora-messaging's own schema gives a type: a consumer rejects a message that breaks it.
TYPED = _STRINGS | {SEVERITY}

_SEVERITIES = (10, 20, 30, 40)
_INT64 = range(-(2**63), 2**63)
# RabbitMQ sends copies to the queues that these name, and closes the channel where they are no arrays.
_BROKERS_OWN = frozenset({"CC", "BCC"})


def text(json_text: bytes) -> str | None:
    """The string that this JSON text is, if AMQP can hold it and it is written in canonical form; else None."""
    if json_text[:1] != b'"':
        return None
    if b"\\" not in json_text and b"\x7f" not in json_text and json_text.isascii():
        return json_text[1:-1].decode()
    value: str = canonical.loads(json_text)
    return value if canonical.dumps(value) == json_text and is_unicode(value) else None


def number(json_text: bytes) -> int | None:
    """The natural number that this JSON text is, if it has at most 18 digits, which AMQP can hold; else None."""
    if json_text.isdigit() and len(json_text) < 19:
        return int(json_text)
    return None


def is_header(name: str, value: Any) -> bool:
    """Whether ``value``, decoded JSON, may be a header in AMQP.

    All clients agree about strings, booleans and integers of 64 bits, and about nothing else: pika cannot write floats,
    RabbitMQ cannot read NaN, and 3.9.1 rejects other types for what its schema names. Names that begin with ``x-`` are
    the broker's.
    """
    kind = type(value)
    if name == SEVERITY:
        return kind is int and value in _SEVERITIES
    if kind is str:
        fits = is_unicode(value)
    else:
        fits = name not in _STRINGS and (kind is bool or (kind is int and value in _INT64))
    return fits and is_short(name) and not name.startswith((PREFIX, "x-")) and name not in _BROKERS_OWN


def as_json(headers: Mapping[Any, Any]) -> dict[str, Any]:
    """A table of AMQP as JSON can hold it.

    Bytes become text (UTF-8, what is none as lone surrogates), times ISO 8601, decimals and others text.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if all(type(name) is str and type(value) in {str, int, bool} for name, value in headers.items()):
        return dict(headers)
    return {str(_json_value(name)): _json_value(value) for name, value in headers.items()}


def is_short(value: str) -> bool:
    """Whether it is a short string of AMQP (4.2.5.3: at most 255 bytes, none of them zero), and not empty."""
    if not value or "\0" in value:
        return False
    if value.isascii():
        return len(value) <= MAX_TOPIC
    return is_unicode(value) and len(value.encode()) <= MAX_TOPIC


def is_unicode(value: str) -> bool:
    """Whether UTF-8 can hold it: lone surrogates it cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return value.decode(errors="surrogateescape")
    if isinstance(value, dict):
        return as_json(value)
    if isinstance(value, (list, tuple)):
        return [_json_value(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else str(value)
