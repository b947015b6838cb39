"""Every good spec has its output committed: a change of the templates shows as a diff of real files.

``pytest --regen`` writes the files anew; then ``git diff`` is the review.
"""

from __future__ import annotations

import difflib
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from rpcgen.emit.formatting import format_draft
from rpcgen.emit.render import render_module
from rpcgen.model import load

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden"
SPECS = sorted((TESTS / "specs" / "good").glob("*.x"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_output_is_the_golden_one(spec: Path, regen: bool) -> None:
    (module,) = load([str(spec)])
    files = render_module(module, package="golden", rename={})
    made = {name: format_draft(text) for name, text in files.items()}
    folder = GOLDEN / spec.stem
    if regen:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in made.items():
            (folder / name).write_text(text)
    golden = {path.name: path.read_text() for path in folder.iterdir()}
    assert sorted(golden) == sorted(made)
    for name, text in made.items():
        changes = difflib.unified_diff(golden[name].splitlines(), text.splitlines(), lineterm="")
        assert golden[name] == text, "\n".join([f"{name}, black {version('black')}", *changes])


def test_no_golden_output_is_left_of_a_spec_that_is_gone() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {path.stem for path in SPECS}
