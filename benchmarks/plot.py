# SPDX-License-Identifier: MIT
"""The picture of a run: rates as shares of the limit, CPU a message, and what 3.9.1 is the measure of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .plan import Bar, Figure
from .report import Row, number
from .table import what

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

OURS, PEER, BOUND = "#2f6db5", "#c9c4bb", "#b3261e"
HEIGHT = 0.38

Value = Callable[[Row, float | None], float | None]


def draw(rows: Sequence[Row], path: Path, subtitle: str) -> None:
    """Write the plot of ``rows`` to ``path``, a PNG."""
    speed = [row for row in rows if row.limit is not None and row.figure.key in ("rate", "p50_us")]
    cpu = [row for row in rows if row.figure.key == "cpu_us"]
    start = [row for row in rows if row.figure.key in ("seconds", "rss_mb")]
    panels = [
        (speed, share_of_limit, "Speed, as a share of what a bare socket reaches (more is better)", False),
        (cpu, plain, "CPU of the client, µs a message (less is better; logarithmic)", True),
        (start, share_of_peer, "Start and memory, as a share of 3.9.1 (less is better)", False),
    ]
    panels = [panel for panel in panels if panel[0]]
    heights = [len(panel[0]) + 1.2 for panel in panels]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(10, 0.52 * sum(heights) + 1.2),
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
        squeeze=False,
    )
    figure.suptitle(f"fedora-messaging against the limit and against 3.9.1\n{subtitle}", fontsize=12)
    for axis, (shown, value, title, logarithmic) in zip(axes[:, 0], panels, strict=True):
        _panel(axis, shown, value, title, logarithmic=logarithmic)
    key = [
        Patch(color=OURS, label="this library"),
        Patch(color=PEER, label="3.9.1 (* what its users do instead)"),
        Line2D([], [], color=BOUND, linewidth=2, label="bound"),
    ]
    figure.legend(handles=key, loc="outside lower center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def share_of_limit(row: Row, value: float | None) -> float | None:
    """The share of the limit's speed: for a latency the limit's to ours, so that more is always better."""
    if not value or not row.limit:
        return None
    return row.limit / value if row.figure.key == "p50_us" else value / row.limit


def share_of_peer(row: Row, value: float | None) -> float | None:
    """The value as a share of the peer's."""
    return value / row.peer if value is not None and row.peer else None


def plain(row: Row, value: float | None) -> float | None:  # noqa: ARG001 - one signature for all panels
    """The value itself."""
    return value


def bound_value(row: Row) -> float | None:
    """The bound in the unit of the figure itself."""
    figure: Figure = row.figure
    if figure.bar is None:
        return None
    if figure.bar is Bar.AT_MOST:
        return figure.bound
    against = row.peer if figure.bar is Bar.AT_MOST_OF_PEER else row.limit
    return figure.bound * against if against else None


def _panel(axis: Axes, rows: Sequence[Row], value: Value, title: str, *, logarithmic: bool) -> None:
    if logarithmic:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
    for position, row in enumerate(rows):
        _pair(axis, position, row, value)
        bound = value(row, bound_value(row))
        if bound is not None:
            ends = position - HEIGHT * 1.15, position + HEIGHT * 0.15
            axis.plot((bound, bound), ends, color=BOUND, linewidth=2.5, solid_capstyle="butt")
    if not logarithmic:
        axis.axvline(1, color="#777777", linewidth=1, linestyle=":", zorder=0)
    axis.set_yticks(range(len(rows)), [what(row.scenario) for row in rows])
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    right = axis.get_xlim()[1]
    axis.set_xlim(*((1, right * 1.8) if logarithmic else (0, right * 1.1)))


def _pair(axis: Axes, position: int, row: Row, value: Value) -> None:
    """Ours above, labelled at its root where the bound's mark cannot cover it; the peer below."""
    ours, theirs = value(row, row.ours), value(row, row.peer)
    key = row.figure.key
    if ours is not None:
        y = position - HEIGHT / 2
        axis.barh(y, ours, HEIGHT, color=OURS)
        at_axis = axis.get_yaxis_transform()
        text = number(key, row.ours)
        axis.text(0.008, y, text, transform=at_axis, color="white", va="center", fontsize=8)
    if theirs is not None:
        axis.barh(position + HEIGHT / 2, theirs, HEIGHT, color=PEER)
        text = f"  {number(key, row.peer)}{' *' if row.peer_is_another else ''}"
        axis.annotate(text, (theirs, position + HEIGHT / 2), va="center", fontsize=8)
