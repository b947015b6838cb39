"""The plot of ``benchmarks.rpc``: a panel of horizontal bars for each group, ours in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures import Panel


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Two panels beside each other, as many rows as it takes."""
    mpl.rc("font", size=8)
    mpl.rc("svg", fonttype="none", hashsalt="rpc")  # text stays text; equal numbers, equal file
    rows = -(-len(panels) // 2)
    tallest = max(len(panel.values) for panel in panels)
    figure = Figure(figsize=(11, rows * (0.8 + 0.2 * tallest)), layout="constrained")
    axes = list(figure.subplots(rows, 2, squeeze=False).flat)
    for place, panel in zip(axes, panels, strict=False):
        _panel(place, panel)
    for place in axes[len(panels) :]:
        place.set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def _panel(place: Axes, panel: Panel) -> None:
    names, values = list(panel.values), list(panel.values.values())
    colours = ["tab:blue" if name.startswith("rpcgen") else "tab:gray" for name in names]
    bars = place.barh(names, values, color=colours)
    place.bar_label(bars, [f"{value:,.0f}" for value in values], padding=2)
    place.invert_yaxis()
    place.set_xscale("log")
    place.margins(x=0.15)
    place.set_title(panel.title, loc="left")
    place.spines[["top", "right"]].set_visible(False)
