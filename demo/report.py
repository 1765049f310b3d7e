# SPDX-License-Identifier: MIT
"""What came of the messages: the arithmetic and the table. Nothing here talks to a broker."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(slots=True)
class Row:
    """One application. ``latencies`` are in seconds, from the call of ``publish`` to the consumer's hands."""

    application: str
    published: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def consumed(self) -> int:
        """How many of the published ones arrived."""
        return len(self.latencies)

    @property
    def lost(self) -> int:
        """How many of the published ones did not."""
        return self.published - self.consumed

    def percentile(self, percent: int) -> float:
        """The latency in seconds that ``percent`` of a hundred messages keep; NaN when none arrived."""
        if not self.latencies:
            return float("nan")
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, len(ranked) * percent // 100)]


def tally(
    published: Mapping[str, tuple[str, float]],
    arrived: Mapping[str, float],
) -> list[Row]:
    """A row for each application, the busiest first.

    Arguments:
        published: by id, the application and the time of publishing, of each message that the broker confirmed.
        arrived: by id, the time of the first arrival.
    """
    rows: dict[str, Row] = {}
    for message_id, (application, at) in published.items():
        row = rows.setdefault(application, Row(application))
        row.published += 1
        if message_id in arrived:
            row.latencies.append(arrived[message_id] - at)
    return sorted(rows.values(), key=lambda row: (-row.published, row.application))


def together(rows: Iterable[Row], name: str) -> Row:
    """Several applications as one row."""
    sums = Row(name)
    for row in rows:
        sums.published += row.published
        sums.latencies += row.latencies
    return sums


def shorten(rows: list[Row], limit: int) -> list[Row]:
    """The first ``limit`` rows, without those that lost nothing after them, which become one."""
    rest = [row for row in rows[limit:] if not row.lost]
    shown = rows[:limit] + [row for row in rows[limit:] if row.lost]
    return [*shown, together(rest, f"{len(rest)} others")] if rest else shown


def table(rows: list[Row], seconds: float, limit: int = 10) -> Table:
    """The table to show, with the sum as its last row; ``seconds`` is how long the whole run took."""
    result = Table("application", title="From one process to another, by application", show_footer=False)
    for column in ("published", "consumed", "lost", "a second", "p50 ms", "p99 ms"):
        result.add_column(column, justify="right")
    for row in shorten(rows, limit):
        result.add_row(*_cells(row, seconds), style="bold red" if row.lost else None)
    result.add_section()
    result.add_row(*_cells(together(rows, "all"), seconds), style="bold")
    return result


def _cells(row: Row, seconds: float) -> list[str]:
    milliseconds = [f"{row.percentile(percent) * 1000:.1f}" for percent in (50, 99)]
    counts = [f"{count:,}" for count in (row.published, row.consumed, row.lost)]
    return [row.application, *counts, f"{row.consumed / seconds:,.0f}", *milliseconds]


def verdict(rows: list[Row], twice: int, refused: Mapping[str, int]) -> tuple[int, str]:
    """The exit code, and the closing sentence: 0 only when every message was published and none is missing.

    Arguments:
        rows: the whole table.
        twice: how many messages arrived more than once.
        refused: how many messages could not be published, by the reason.
    """
    everything = together(rows, "all")
    again = f" {twice:,} arrived more than once." if twice else ""
    if refused:
        reasons = "; ".join(f"{count:,} times: {reason}" for reason, count in refused.items())
        return 1, f"Not everything could be published. {reasons}."
    if everything.lost or not everything.published:
        return 1, f"{everything.lost:,} of {everything.published:,} messages are missing.{again}"
    return 0, f"All {everything.published:,} messages arrived, none is missing.{again}"


def count_reasons(reasons: Iterable[str]) -> dict[str, int]:
    """How often each reason occurs."""
    counts: dict[str, int] = defaultdict(int)
    for reason in reasons:
        counts[reason] += 1
    return dict(counts)
