# SPDX-License-Identifier: MIT
"""A verdict as it is kept and shown, within bounds: what comes over the wire may be of any size and any bytes. Pure.

How verdicts come about is :mod:`..reconcile`'s business; where they are kept, :mod:`.store`'s.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIRTY", "KINDS", "LEGS", "TAKEN_BACK", "WITNESSES", "Clean", "Kept", "Row", "shown"]

#: The names of the legs and of the witnesses, by their numbers.
LEGS = ("zmq_to_amqp", "amqp_to_zmq")
WITNESSES = ("publishers", "zmq_topic", "amq_topic", "bridge_socket")

#: The verdicts that are kept, which are all but `matched`.
KINDS = (
    "late",
    "lost",
    "unverifiable",
    "quarantined",
    "loop",
    "duplicated",
    "changed",
    "looped",
    "unwitnessed",
)

#: What a late match takes back.
TAKEN_BACK = ("lost", "unverifiable")

#: After one of these an audit is not clean. Duplicates are: the bridges promise at least one copy, not at most one.
DIRTY = ("lost", "unverifiable", "changed", "looped", "unwitnessed")

_ID = 300  # characters
_TOPIC = 255
_APPLICATION = 100
_EVIDENCE = 16_384  # bytes of JSON
_EXCERPT = 2_000  # characters of what is too large


class Row(NamedTuple):
    """What lies in the table, in the order of its columns."""

    kind: str
    leg: int
    key: bytes
    id: str
    topic: str
    application: str
    seen_at: float
    judged_at: float
    window: float
    evidence: str
    takes_back: int = 0  # whether what was said of its message before does not hold any more
    taken_back: int = 0

    @property
    def size(self) -> int:
        """Bytes in memory and in the file, about."""
        return 200 + len(self.id) + len(self.topic) + len(self.evidence)

    @property
    def dirty(self) -> bool:
        """Whether an audit is not clean after it."""
        return self.kind in DIRTY and not self.taken_back


@dataclass(frozen=True, slots=True)
class Kept:
    """A verdict other than `matched`, with what names its message.

    Arguments:
        kind: one of ``KINDS``.
        leg: index in ``LEGS``.
        key: what the message is matched by.
        id: its ``message_id``, as far as it is known.
        topic: its topic, as far as it is known.
        application: the topic's fourth word.
        seen_at: when it was seen at its origin, in seconds since the epoch.
        judged_at: when the verdict fell.
        window: how long it was waited for, in seconds.
        evidence: what the verdict rests on; with ``earlier``, it takes back what was said of its message before.
    """

    kind: str
    leg: int
    key: bytes
    id: str
    topic: str
    application: str
    seen_at: float
    judged_at: float
    window: float
    evidence: Mapping[str, Any]

    def row(self) -> Row:
        """It, cut to what may be kept. Never raises for what came over the wire."""
        return Row(
            str(self.kind),
            int(self.leg),
            bytes(self.key[:64]),
            _text(self.id, _ID),
            _text(self.topic, _TOPIC),
            _text(self.application, _APPLICATION),
            _number(self.seen_at),
            _number(self.judged_at),
            _number(self.window),
            _json(self.evidence),
            int(self.kind == "late" or bool(self.evidence.get("earlier"))),
        )


class Clean(NamedTuple):
    """For how long nothing was wrong on a leg."""

    days: float
    since: float  # seconds since the epoch
    why: str  # what was at that time


def shown(row: Row) -> dict[str, Any]:
    """A row for the page, for people and for JSON."""
    return {
        "kind": row.kind,
        "leg": LEGS[row.leg],
        "id": row.id,
        "topic": row.topic,
        "application": row.application,
        "seen_at": row.seen_at,
        "judged_at": row.judged_at,
        "window": row.window,
        "evidence": json.loads(row.evidence),
        "taken_back": bool(row.taken_back),
        "key": row.key.hex(),
    }


def _text(text: str, most: int) -> str:
    """What SQLite can hold: lone surrogates are written as escapes."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short.encode("utf-8", "backslashreplace").decode()


def _number(number: float) -> float:
    """SQLite makes NULL of NaN, and JSON knows no infinity."""
    return float(number) if math.isfinite(number) else 0.0


def _json(evidence: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(evidence, allow_nan=False, default=str)
    except (ValueError, TypeError, RecursionError):
        text = _excerpt(evidence, "no JSON")
    return text if len(text) <= _EVIDENCE else _excerpt(evidence, f"{len(text)} bytes of JSON")


def _excerpt(evidence: Mapping[str, Any], why: str) -> str:
    """Each value cut short; what is small remains as it is."""
    short: dict[str, Any] = {"cut": why}
    for name in list(evidence)[:50]:
        value = evidence[name]
        plain = isinstance(value, bool | int | float | None) and (
            not isinstance(value, float) or math.isfinite(value)
        )
        short[_text(str(name), 100)] = value if plain else _brief(value)
    text = json.dumps(short)
    return text if len(text) <= _EVIDENCE else json.dumps({"cut": why, "begins": text[:_EXCERPT]})


def _brief(value: Any) -> str:
    try:
        return _text(str(value), _EXCERPT // 8)
    except RecursionError:
        return "nested too deeply"
