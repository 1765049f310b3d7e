# SPDX-License-Identifier: MIT
"""What identifies a message on both buses, and when it was sent.

Pure. Both sides must come to the same answer, whoever asks, or nobody can tell a copy from another message.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from math import floor, isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

from . import canonical
from .values import is_short

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .envelope import Envelope

__all__ = ["derive", "iso", "message_id", "second_of", "seconds", "with_year"]

_YEARS = range(-62_135_596_800, 253_402_300_800)  # seconds since the epoch: the years 1 to 9999
_HAS_YEAR = re.compile(r"[0-9]{4}-").match
# What is added to a message on its way, and does not make it another one; topic is in any case there, as the frame.
_NOT_IDENTITY = frozenset(
    {"crypto", "signature", "certificate", "headers", "seq_id", "source_name", "source_version", "topic"}
)


def message_id(envelope: Envelope) -> str:
    """The property ``message_id`` that a message of the ZeroMQ bus has in AMQP.

    It is ``msg_id``, if that is a string of 1 to 255 bytes, none of them zero. If not, it is derived from the topic
    and all keys but those which are added on the way (signature, headers, the archive's), with the year of
    ``timestamp`` in front: the same message has the same one, through whichever bridge it comes.
    """
    text = envelope.fields.get("msg_id")
    if text is not None and text[:1] == b'"':
        value: str = canonical.loads(text)
        if is_short(value):
            return value
    derived = derive(_identifying(envelope))
    timestamp = envelope.fields.get("timestamp")
    second = None if timestamp is None else second_of(timestamp)
    return derived if second is None else with_year(derived, second)


def derive(parts: Iterable[bytes]) -> str:
    """A UUID of these bytes (the first half of their SHA-256; a zero byte between two parts)."""
    return str(UUID(bytes=sha256(b"\0".join(parts)).digest()[:16], version=5))


def with_year(identifier: str, second: int) -> str:
    """The identifier with the year of ``second`` in front, as fedmsg writes it, if it has none."""
    if _HAS_YEAR(identifier) or second not in _YEARS:
        return identifier
    return f"{iso(second)[:4]}-{identifier}"


@lru_cache(maxsize=64)
def iso(second: int) -> str:
    """``second`` since the epoch as ``sent-at`` has it. Thousands of messages share one."""
    return datetime.fromtimestamp(second, UTC).isoformat()


def second_of(timestamp: bytes) -> int | None:
    """The second that the JSON text of a timestamp names; None if none between the years 1 and 9999."""
    if timestamp.isdigit() and len(timestamp) < 12:
        return int(timestamp)
    try:
        value = canonical.loads(timestamp)
    except ValueError:
        return None
    if type(value) is float and not isfinite(value):
        return None
    if type(value) not in {int, float}:
        return None
    second = floor(value)
    return second if second in _YEARS else None


def seconds(sent_at: Any) -> int | None:
    """The second, since the epoch, that a header ``sent-at`` names; None where it names none."""
    if isinstance(sent_at, datetime):
        sent_at = sent_at.isoformat()
    return _parsed(sent_at) if isinstance(sent_at, str) else None


def _identifying(envelope: Envelope) -> Iterable[bytes]:
    yield envelope.topic.encode()
    for key, text in sorted(envelope.fields.items()):
        if key not in _NOT_IDENTITY:
            yield canonical.dumps(key)
            yield text


@lru_cache(maxsize=64)
def _parsed(text: str) -> int | None:
    try:
        when = datetime.fromisoformat(text)
        return floor((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
