"""Markdown tables, and the sections of ``docs/performance.md`` that they are written into.

A section lies between ``<!-- name -->`` and ``<!-- end name -->``. What is not there is not
written: the page decides which results it shows.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"

_UNITS = ((1e-3, 1e3, "ms"), (1e-6, 1e6, "µs"), (0.0, 1e9, "ns"))


def time(seconds: float) -> str:
    """Three digits and a unit."""
    factor, unit = next((factor, unit) for least, factor, unit in _UNITS if seconds >= least)
    number = seconds * factor
    return f"{number:.{0 if number >= 100 else 1 if number >= 10 else 2}f} {unit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned; all but the first are flush right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [padded[0], rule, *padded[1:]])


def write(sections: Mapping[str, str], page: Path = DOCS / "performance.md") -> set[str]:
    """Put texts into those of the sections that the page has; returns their names."""
    text = page.read_text("utf-8")
    present = {name for name in sections if f"<!-- {name} -->\n" in text}
    for name in present:
        text = _replaced(text, name, sections[name])
    page.write_text(text, "utf-8")
    return present


def write_or_create(sections: Mapping[str, str], page: Path) -> None:
    """The same, into a page that has all of them if there is none yet."""
    if not page.exists():
        marked = (f"<!-- {name} -->\n<!-- end {name} -->\n" for name in sections)
        page.write_text("\n".join(marked), "utf-8")
    write(sections, page)


def _replaced(text: str, name: str, body: str) -> str:
    begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
    before, _, rest = text.partition(begin)
    _, _, behind = rest.partition(end)
    return f"{before}{begin}\n{body}\n\n{end}{behind}"


def version() -> str:
    """The part of Python's version that sections are named after."""
    return ".".join(platform.python_version_tuple()[:2])


def versions(*distributions: str) -> str:
    """What took part, for the caption of a table."""
    found = [f"{name} {metadata.version(name)}" for name in distributions]
    return ", ".join([f"{platform.python_implementation()} {platform.python_version()}", *found])
