# SPDX-License-Identifier: MIT
"""The picture of the bridges: rates as shares of the limit, CPU a message, and CPU by the number of publishers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from .plan_bridges import PUBLISHERS, endpoints
from .plot import BOUND, OURS, of_limit, panel, plain
from .terms import Bar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from .report import Row

NAMES = {endpoints(publishers): publishers for publishers in PUBLISHERS}


def draw(rows: Sequence[Row], path: Path, subtitle: str) -> None:
    """Write the plot of ``rows`` to ``path``, a PNG."""
    scaled = [row for row in rows if row.figure.scenario in NAMES]
    others = [row for row in rows if row.figure.scenario not in NAMES]
    speed = [row for row in others if row.figure.key == "rate"]
    cpu = [row for row in others if row.figure.key == "cpu_us"]
    heights = [len(speed) + 1.2, len(cpu) + 1.2, 5]
    figure, axes = plt.subplots(
        3,
        figsize=(10, 0.52 * sum(heights) + 1.2),
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
    )
    figure.suptitle(f"The bridges against the limit and against 0.1.2\n{subtitle}", fontsize=12)
    if speed:
        panel(
            axes[0], speed, of_limit, "Messages, as a share of the limit (more is better)", logarithmic=False
        )
    if cpu:
        panel(
            axes[1],
            cpu,
            plain,
            "CPU of the bridge, µs a message (less is better; logarithmic)",
            logarithmic=True,
        )
    by_publishers(axes[2], scaled)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def by_publishers(axis: Axes, rows: Sequence[Row]) -> None:
    """CPU a message over the number of publishers, and how much more it may be with the most than with one."""
    points = {NAMES[row.figure.scenario]: row.ours for row in rows if row.ours is not None}
    axis.plot(list(points), list(points.values()), "o-", color=OURS)
    bounds = [row.figure.bound for row in rows if row.figure.bar is Bar.AT_MOST_OF_FIRST]
    if bounds and 1 in points:
        axis.axhline(points[1] * bounds[0], color=BOUND, linewidth=2.5)
    axis.set_xscale("log")
    axis.set_xticks(list(points), [str(publishers) for publishers in points])
    axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_title("CPU of the bridge, µs a message, by the number of publishers", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
