# SPDX-License-Identifier: MIT
"""The table that ``make bench`` prints. Wording and layout only; what is true stands in ``report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from .plan import THREADS
from .report import Row, bound, number, verdict
from .terms import WINDOW, Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

BRIDGES = (
    "lower: the limit, or what openssl alone reaches, whichever is lower. one: with one publisher.",
    "Bridges are measured from outside: CPU and memory of their process, messages in the queue or at a subscriber;",
    "latency from the publisher's send until a bare consumer has it; its limit is without ZeroMQ and bridge.",
)
VERIFIER = (
    "verify: the core of verify_missing alone, in steady state. one: with 1,000 in flight. verify_missing: beside both",
    "bridges, all at their limit; its CPU and memory from outside, and by how much its books close after the bridges.",
)
STYLES = {"ok": "green", "MISSED": "bold red", "FAILED": "bold red"}


def what(scenario: Scenario) -> str:
    """The scenario's title, with the prefetch where it consumes."""
    if scenario.name.startswith("consume"):
        return f"{scenario.title}, {scenario.prefetch} ahead"
    return scenario.title


def table(rows: Sequence[Row], peer: str = "3.9.1") -> Table:
    """Under each scenario's title a line for each of its figures; fits into 80 columns. ``peer`` is its version."""
    made = Table(box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    made.add_column("")
    for name in ("limit", peer, "ours", "ratio", "bound"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("")
    for position, row in enumerate(rows):
        if position == 0 or rows[position - 1].scenario is not row.scenario:
            made.add_row(Text(what(row.scenario), style="bold"))
        made.add_row(*_cells(row))
    return made


def _cells(row: Row) -> tuple[str | Text, ...]:
    key, said = row.figure.key, verdict(row)
    cpu = key == "cpu_us"
    return (
        f"  {row.figure.what}",
        "" if cpu else number(key, row.limit),
        number(key, row.peer) + ("*" if row.peer_is_another and row.peer is not None else " "),
        number(key, row.ours),
        "" if row.ratio is None or cpu else f"{row.ratio:.2f}",
        bound(row.figure),
        Text(said, style=STYLES.get(said, "")),
    )


def notes(rows: Sequence[Row]) -> list[str]:
    """What one must know to read the table."""
    said = [
        f"limit: frames encoded beforehand on a bare socket, at most {WINDOW:,} of them unconfirmed.",
        "ratio: ours to the limit, for import and --help to 3.9.1; the median of the rounds' ratios.",
    ]
    if any(row.peer_is_another and row.peer is not None for row in rows):
        said.append("* 3.9.1 has no such call: what one gets from api.publish, alone or in threads, instead.")
    said += [
        f"The bare socket with no more than {THREADS} unconfirmed: {number('rate', row.narrow)}, "
        f"{row.narrow / row.limit:.2f} of the limit."
        for row in rows
        if row.narrow and row.limit and row.figure.key == "rate"
    ]
    said += [
        f"{row.scenario.title}: openssl alone, on all cores, reaches {number('rate', row.rsa)}."
        for row in rows
        if row.rsa and row.figure.key == "rate"
    ]
    if any(row.scenario.of_bridges for row in rows):
        said += BRIDGES
    if any(row.scenario.of_verifier for row in rows):
        said += VERIFIER
    return said
