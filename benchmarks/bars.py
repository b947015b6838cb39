"""The plot of ``benchmarks.rpc``: a panel of horizontal bars for each group, ours in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures import Panel

_AHEAD, _CUT = 2.0, 1.2
"""A bar this many times as long as the next is cut to so many times its length."""


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
    limit = _limit(values)
    bars = place.barh(names, [min(value, limit) for value in values], color=colours)
    cut = [" →" if value > limit else "" for value in values]
    labels = [f"{value:,.0f}{more}" for value, more in zip(values, cut, strict=True)]
    place.bar_label(bars, labels, padding=2)
    place.invert_yaxis()
    place.margins(x=0.2)
    place.set_xticks([])  # the numbers are at the bars
    place.set_title(panel.title, loc="left")
    place.spines[["top", "right", "bottom"]].set_visible(False)


def _limit(values: Sequence[float]) -> float:
    """Where bars are cut, so that one far ahead does not make the others look alike."""
    *_, second, first = (0.0, *sorted(values))
    return first if first <= _AHEAD * second else _CUT * second
