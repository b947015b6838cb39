"""The fixture ``loads``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loading import Loaded, Loads

from rpcgen.errors import Diagnostics
from rpcgen.model import load


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    """Load a text as ``f.x``, or the files ``wanted``; names are shown without their folder, ``f.x`` not at all."""

    def run(text: str, /, *wanted: str, pedantic: bool = False, **options: Any) -> Loaded:
        found = Diagnostics(pedantic=pedantic)
        if text:
            (tmp_path / "f.x").write_text(text, encoding="utf-8")
        files = [str(tmp_path / name) for name in wanted or ["f.x"]]
        modules = load(files, diagnostics=found, **options)
        said = (f"{one.severity}: {one}" for one in found)
        return Loaded(
            modules, [one.replace(f"{tmp_path}/", "").replace("f.x:", "") for one in said]
        )

    return run
