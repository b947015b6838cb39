"""Debian's 17 ``.x`` files generate, import and pass ``mypy --strict``."""

from __future__ import annotations

from pathlib import Path

from bindings import generate, import_all, type_check
from helpers import require
from interop.sources import CONSTANTS, system

from rpcgen.model import load


def test_they_generate_import_and_type_check(tmp_path: Path) -> None:
    absent = [path.name for path in system() if not path.exists()]
    require(not absent, f"not installed: {', '.join(absent)}")
    generate(load([str(path) for path in system()], constants=CONSTANTS), tmp_path, "of_the_system")
    assert len(list(tmp_path.glob("of_the_system/*/types.py"))) == 17
    import_all(tmp_path, "of_the_system")
    type_check(tmp_path, "of_the_system")
