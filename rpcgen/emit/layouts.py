"""Names for the precompiled ``struct`` layouts of one generated module, each made once.

A layout's name says its format: ``_2I2iIi`` unpacks or packs ``>2I2iIi``, ``_s_16si`` a
record with one item of variable length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

_LONGEST_NAME = 40
"""A longer format gets a number for a name."""


def joined(codes: Sequence[str]) -> str:
    """``struct`` codes of consecutive fields as one format, equal ones counted."""
    pieces = []
    for code, run in groupby(codes):
        count = len(list(run))
        plain = len(code) == 1
        pieces.append(f"{count}{code}" if plain and count > 1 else code * count)
    return "".join(pieces)


class Layouts:
    """The layouts that one generated module uses, in the order of their first use."""

    def __init__(self) -> None:
        self.fixed: dict[str, str] = {}
        """Format to name."""
        self.exact: dict[str, str] = {}
        """Format to name, for what must fill its buffer."""
        self.records: dict[tuple[str, str, int], str] = {}
        """(before, after, maximum) to name."""
        self._taken: set[str] = set()

    def run(self, codes: Sequence[str]) -> str:
        """The name of the layout for a run of fixed fields."""
        form = joined(codes)
        if form not in self.fixed:
            self.fixed[form] = self._name(f"_{form}", "_run")
        return self.fixed[form]

    def filling(self, codes: Sequence[str]) -> str:
        """The name of the layout for a run of fixed fields that is the whole buffer."""
        form = joined(codes)
        self.exact[form] = f"{self.run(codes)}_all"
        return self.exact[form]

    def record(self, before: Sequence[str], after: Sequence[str], maximum: int) -> str:
        """The name of the layout for fields around one item of variable length."""
        key = joined(before), joined(after), maximum
        if key not in self.records:
            bound = "" if maximum >= 0xFFFFFFFF else f"_{maximum}"
            name = "_" + "_".join(filter(None, [key[0], "s", key[1]])) + bound
            self.records[key] = self._name(name, "_record")
        return self.records[key]

    def _name(self, wanted: str, stem: str) -> str:
        name = re.sub(r"\W", "_", wanted)
        if len(name) > _LONGEST_NAME or name in self._taken:
            name = f"{stem}_{len(self._taken)}"
        self._taken.add(name)
        return name
