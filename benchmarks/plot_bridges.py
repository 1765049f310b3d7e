# SPDX-License-Identifier: MIT
"""The picture of the bridges: rates as shares of the limit, CPU a message, and CPU by the number of publishers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .plan_bridges import PUBLISHERS, endpoints
from .plot import BOUND, OURS, PEER, of_limit, panel, plain
from .terms import Bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from .report import Row

SPEED = "Messages, as a share of the limit, or of openssl's where that is lower (more is better)"
CPU = "CPU of the bridge, µs a message (less is better; logarithmic)"
NAMES = {endpoints(publishers): publishers for publishers in PUBLISHERS}


def draw(rows: Sequence[Row], path: Path, subtitle: str) -> None:
    """Write the plot of ``rows`` to ``path``, a PNG."""
    scaled = [row for row in rows if row.figure.scenario in NAMES]
    others = [row for row in rows if row.figure.scenario not in NAMES]
    speed = [row for row in others if row.figure.key == "rate"]
    cpu = [row for row in others if row.figure.key == "cpu_us"]
    panels: list[tuple[float, Callable[[Axes], None]]] = []
    if speed:
        panels.append(
            (len(speed) + 1.2, partial(panel, rows=speed, scale=of_limit, title=SPEED, logarithmic=False))
        )
    if cpu:
        panels.append((len(cpu) + 1.2, partial(panel, rows=cpu, scale=plain, title=CPU, logarithmic=True)))
    if scaled:
        panels.append((5.0, partial(by_publishers, rows=scaled)))
    heights = [height for height, _ in panels]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(10, 0.52 * sum(heights) + 1.2),
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
        squeeze=False,
    )
    figure.suptitle(f"The bridges against the limit and against 0.1.2\n{subtitle}", fontsize=12)
    for axis, (_, show) in zip(axes[:, 0], panels, strict=True):
        show(axis)
    key = [
        Patch(color=OURS, label="these bridges"),
        Patch(color=PEER, label="0.1.2"),
        Line2D([], [], color=BOUND, linewidth=2, label="bound"),
    ]
    figure.legend(handles=key, loc="outside lower center", ncols=3, frameon=False)
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
