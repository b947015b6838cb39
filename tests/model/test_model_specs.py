"""Every good spec means what the file of shapes beside it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpcgen.model import load
from rpcgen.model.dump import shapes

GOOD = sorted((Path(__file__).parents[1] / "specs" / "good").glob("sem_*.x"))


@pytest.mark.parametrize("spec", GOOD, ids=lambda path: path.stem)
def test_shapes(spec: Path, regen: bool) -> None:
    found = shapes(load([str(spec)])[0])
    golden = spec.with_suffix(".shapes")
    if regen:
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")
