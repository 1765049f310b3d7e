# SPDX-License-Identifier: MIT
"""The picture of the verifier's core: what an observation costs, by the number of messages in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from .plot import BOUND, OURS
from .verification_plan import IN_FLIGHT, core

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .report import Row

NAMES = {core(in_flight): in_flight for in_flight in IN_FLIGHT}
LEAST = 300_000  # observations a second that must be reached


def draw(rows: Sequence[Row], path: Path, subtitle: str) -> None:
    """Write the plot of ``rows`` to ``path``, a PNG."""
    points = {
        NAMES[row.figure.scenario]: row.ours
        for row in rows
        if row.figure.scenario in NAMES and row.figure.key == "cpu_us" and row.ours is not None
    }
    figure, axis = plt.subplots(figsize=(10, 4), layout="constrained")
    figure.suptitle(f"The verifier's core\n{subtitle}", fontsize=12)
    axis.plot(list(points), list(points.values()), "o-", color=OURS, label="measured")
    axis.axhline(1e6 / LEAST, color=BOUND, linewidth=2.5, label=f"bound: {LEAST:,} a second")
    for in_flight, cost in points.items():
        axis.annotate(f"{cost:.2f}", (in_flight, cost), (0, 8), textcoords="offset points", ha="center")
    axis.set_xscale("log")
    axis.set_xticks(IN_FLIGHT, [f"{in_flight:,}" for in_flight in IN_FLIGHT])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_title("CPU, µs an observation, by the messages in flight", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
