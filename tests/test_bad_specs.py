"""Every bad spec is refused with exactly the diagnostics that its first comment states.

One a line, in the order of the file: ``expect: 4:9: message`` for an error, ``warn: 4:9: message`` for a
warning. Below one, ``note: 2:1: message`` and ``hint: text`` state what goes with it; where they are left
out it may be anything. A new rule is a new file.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import reported

from rpcgen.errors import Diagnostics, SpecError, SpecWarning
from rpcgen.model import load

SPECS = sorted((Path(__file__).parent / "specs" / "bad").glob("*.x"))

_STATEMENT = re.compile(r"[\s*]*((expect|warn|note|hint): .*?)[\s*]*")


def stated(path: Path) -> list[list[str]]:
    """What the first comment says: a list for each diagnostic, its notes and hint behind it."""
    found: list[list[str]] = []
    _, _, comment = path.read_text(encoding="utf-8", errors="replace").partition("/*")
    for line in comment.partition("*/")[0].splitlines():
        if statement := _STATEMENT.fullmatch(line):
            text, kind = statement.groups()
            if kind in ("expect", "warn"):
                found.append([])
            found[-1].append(text)
    return found


def lines(found: SpecError) -> list[str]:
    first, *more = reported([found])
    kind = "warn" if isinstance(found, SpecWarning) else "expect"
    return [f"{kind}: {first}", *map(str.strip, more)]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_bad_specs(path: Path) -> None:
    diagnostics = Diagnostics()
    load([str(path)], diagnostics=diagnostics)
    expected = stated(path)
    found = [lines(one) for one in diagnostics]
    assert [one[0] for one in found] == [one[0] for one in expected]
    for one, wanted in zip(found, expected, strict=True):
        assert one == wanted or len(wanted) == 1
    assert diagnostics.errors
