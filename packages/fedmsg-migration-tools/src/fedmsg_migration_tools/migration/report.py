# SPDX-License-Identifier: MIT
"""The overview as text for people: tables with aligned columns, then sentences. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .wording import minute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .gate import Gate
    from .linter import Finding
    from .overview import Overview

__all__ = ["clean", "gates", "table", "text"]

_CELL = 60  # characters
_HEAD = (
    *("APPLICATION", "STATE", "ZMQ: HOUR", "DAY", "WEEK", "LAST SEEN"),
    *("AMQP: HOUR", "DAY", "WEEK", "FIRST SEEN", "ON ZMQ", "QUEUES (CONSUMERS)"),
)
_RIGHT = frozenset({2, 3, 4, 6, 7, 8, 10})
_TITLES = {"zmq_to_amqp": "ZeroMQ to AMQP", "amqp_to_zmq": "AMQP to ZeroMQ"}


def text(overview: Overview, sources: Iterable[str]) -> str:
    """All of it; ``sources`` are lines that say where it is from, and what could not be asked."""
    parts = ["\n".join(clean(line) for line in sources)]
    if overview.map:
        parts.append(table(_HEAD, [_row(one) for one in overview.map], _RIGHT))
    if overview.findings:
        parts.append(_findings(overview.findings))
    parts.append(gates(overview.gates))
    return "\n\n".join(parts)


def gates(verdicts: Mapping[str, Gate]) -> str:
    """Whether the bridges may be turned off, and what stands in the way."""
    lines = []
    for name, gate in verdicts.items():
        title = f"The bridge from {_TITLES[name]} ({name})"
        if gate.open:
            lines.append(f"{title} may be turned off.")
        else:
            lines.append(f"{title} must stay:")
            lines += [f"  - {clean(why)}." for why in gate.because]
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Columns as wide as what is in them; those of ``right`` are aligned to the right."""
    shown = [list(head), *([_cell(one) for one in row] for row in rows)]
    widths = [max(len(row[number]) for row in shown) for number in range(len(head))]
    lines = []
    for row in shown:
        cells = [
            one.rjust(width) if number in right else one.ljust(width)
            for number, (one, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def clean(told: str) -> str:
    """What came from outside must not steer the terminal."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in told)


def _cell(told: str) -> str:
    short = clean(told)
    return short if len(short) <= _CELL else short[: _CELL - 1] + "…"


def _row(one: Mapping[str, Any]) -> list[str]:
    zmq, amqp = one["zmq"], one["amqp"]
    return [
        one["application"],
        one["state"],
        *(_number(zmq[name]) for name in ("hour", "day", "week")),
        _moment(zmq["last_seen"]),
        *(_number(amqp[name]) for name in ("hour", "day", "week")),
        _moment(amqp["first_seen"]),
        _number(one["subscribers"]),
        ", ".join(one["consumers"]) or "-",
    ]


def _number(number: int | None) -> str:
    return "?" if number is None else f"{number:,}" if number else "-"


def _moment(moment: float | None) -> str:
    return "-" if moment is None else minute(moment)


def _findings(findings: Sequence[Finding]) -> str:
    """By kind."""
    lines: list[str] = []
    kind = None
    for one in findings:
        if one.kind != kind:
            kind = one.kind
            lines.append(f"{kind[0].upper()}{kind[1:]}:")
        lines.append(f"  - {clean(one.text)}.")
    return "\n".join(lines)
