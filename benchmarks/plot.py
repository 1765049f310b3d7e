# SPDX-License-Identifier: MIT
"""The picture of a run: rates as shares of the limit, CPU a message, and what 3.9.1 is the measure of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .report import Row, number
from .table import what
from .terms import Bar

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

OURS, PEER, BOUND = "#2f6db5", "#c9c4bb", "#b3261e"
HEIGHT = 0.38


class Lengths(NamedTuple):
    """How far the bars of a row and the mark of its bound reach; None where there is nothing to draw."""

    ours: float | None
    peer: float | None
    bound: float | None


Scale = Callable[[Row], Lengths]


def draw(rows: Sequence[Row], path: Path, subtitle: str) -> None:
    """Write the plot of ``rows`` to ``path``, a PNG."""
    speed = [row for row in rows if row.limit is not None and row.figure.key in ("rate", "p50_us")]
    cpu = [row for row in rows if row.figure.key == "cpu_us"]
    start = [row for row in rows if row.figure.key in ("seconds", "rss_mb")]
    panels = [
        (speed, of_limit, "Speed, as a share of what a bare socket reaches (more is better)", False),
        (cpu, plain, "CPU of the client, µs a message (less is better; logarithmic)", True),
        (start, of_peer, "Start and memory, as a share of 3.9.1 (less is better)", False),
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
    for axis, (shown, scale, title, logarithmic) in zip(axes[:, 0], panels, strict=True):
        panel(axis, shown, scale, title, logarithmic=logarithmic)
    key = [
        Patch(color=OURS, label="this library"),
        Patch(color=PEER, label="3.9.1 (* what its users do instead)"),
        Line2D([], [], color=BOUND, linewidth=2, label="bound"),
    ]
    figure.legend(handles=key, loc="outside lower center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def of_limit(row: Row) -> Lengths:
    """Shares of the limit's speed, or of openssl's where the bound is on the lower of both.

    For a latency it is the limit's to ours, so that more is always better.
    """
    lower = row.figure.bar is Bar.AT_LEAST_OF_LOWER and row.limit and row.rsa
    against = min(row.limit or 0, row.rsa or 0) if lower else row.limit
    shares = Lengths(row.ratio, _quotient(row.peer, against), row.figure.bound)
    return Lengths(*(_quotient(1, share) for share in shares)) if row.figure.key == "p50_us" else shares


def of_peer(row: Row) -> Lengths:
    """Shares of the peer's value."""
    if row.figure.bar is Bar.AT_MOST_OF_PEER:
        return Lengths(row.ratio, _quotient(row.peer, row.peer), row.figure.bound)
    return Lengths(*(_quotient(value, row.peer) for value in plain(row)))


def plain(row: Row) -> Lengths:
    """The values themselves."""
    return Lengths(row.ours, row.peer, row.figure.bound if row.figure.bar is Bar.AT_MOST else None)


def _quotient(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None


def panel(axis: Axes, rows: Sequence[Row], scale: Scale, title: str, *, logarithmic: bool) -> None:
    """Draw a pair of bars for each row."""
    if logarithmic:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
    for position, row in enumerate(rows):
        lengths = scale(row)
        _pair(axis, position, row, lengths)
        if lengths.bound is not None:
            ends = position - HEIGHT * 1.15, position + HEIGHT * 0.15
            axis.plot((lengths.bound, lengths.bound), ends, color=BOUND, linewidth=2.5, solid_capstyle="butt")
    if not logarithmic:
        axis.axvline(1, color="#777777", linewidth=1, linestyle=":", zorder=0)
    axis.set_yticks(range(len(rows)), [what(row.scenario) for row in rows])
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    right = axis.get_xlim()[1]
    axis.set_xlim(*((1, right * 1.8) if logarithmic else (0, right * 1.1)))


def _pair(axis: Axes, position: int, row: Row, lengths: Lengths) -> None:
    """Ours above, labelled at its root where the bound's mark cannot cover it; the peer below."""
    key = row.figure.key
    if lengths.ours is not None:
        y = position - HEIGHT / 2
        axis.barh(y, lengths.ours, HEIGHT, color=OURS)
        at_axis = axis.get_yaxis_transform()
        text = number(key, row.ours)
        axis.text(0.008, y, text, transform=at_axis, color="white", va="center", fontsize=8)
    if lengths.peer is not None:
        axis.barh(position + HEIGHT / 2, lengths.peer, HEIGHT, color=PEER)
        text = f"  {number(key, row.peer)}{' *' if row.peer_is_another else ''}"
        axis.annotate(text, (lengths.peer, position + HEIGHT / 2), va="center", fontsize=8)
