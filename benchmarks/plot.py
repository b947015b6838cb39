"""The plot of ``docs/performance.md``: how many times as fast as the base each contestant is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measure import Samples


def draw(
    results: Mapping[str, Mapping[str, Samples]],
    titles: Mapping[str, str],
    base: str,
    path: Path,
) -> None:
    """One panel for each operation, a group of bars for each shape."""
    mpl.rc("font", size=9)
    mpl.rc("svg", fonttype="none", hashsalt="codec")  # text stays text; equal numbers, equal file
    figure = Figure(figsize=(9, 3.2 * len(results)), layout="constrained")
    panels = figure.subplots(len(results), squeeze=False)[:, 0]
    for panel, (operation, samples) in zip(panels, results.items(), strict=True):
        _panel(panel, operation, samples, titles, base)
    panels[0].legend(ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def _panel(
    panel: Axes,
    operation: str,
    results: Mapping[str, Samples],
    titles: Mapping[str, str],
    base: str,
) -> None:
    names = [name for name in next(iter(results.values())).seconds if name != base]
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        places = [shape + width * (number - (len(names) - 1) / 2) for shape in range(len(results))]
        panel.bar(places, [one.speed(name, base) for one in results.values()], width, label=name)
    panel.axhline(1, color="black", linewidth=0.8)
    panel.set_yscale("log", base=2)
    panel.yaxis.set_major_formatter("{x:g}x")
    panel.set_xticks(range(len(results)), [titles[shape] for shape in results])
    panel.set_ylabel(f"{operation}: times {base}'s speed")
    panel.spines[["top", "right"]].set_visible(False)
