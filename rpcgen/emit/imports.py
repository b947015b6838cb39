"""Import lines of generated modules, in the order that isort gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(\d+)")


@dataclass(slots=True)
class ImportView:
    """One ``from module import names``."""

    module: str
    names: list[str]


def import_order(name: str) -> tuple[bool, bool, list[str | int], str]:
    """A sort key: constants, then classes, then the rest, each by letters and by numbers."""
    words = _NUMBER.split(name.lower())
    natural = [int(word) if word.isdigit() else word for word in words]
    return not (name.isupper() and len(name) > 1), not name[0].isupper(), natural, name
