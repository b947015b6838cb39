"""The same input gives the same bytes: under any hash seed, from any folder, after an unrelated line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rpcgen.emit.render import render_module
from rpcgen.model import load

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "rpcgen/examples/filer/filer.x"

PROGRAM = """
import sys
from rpcgen.emit.render import render_module
from rpcgen.model import load
(module,) = load([sys.argv[1]])
for name, text in sorted(render_module(module, package="p", rename={}).items()):
    print(name, text)
"""


def test_neither_the_hash_seed_nor_the_folder_shows(tmp_path: Path) -> None:
    def run(seed: str, folder: Path, file: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM, file]
        return subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True
        ).stdout

    first = run("0", ROOT, str(SPEC.relative_to(ROOT)))
    assert first
    assert first == run("1", tmp_path, str(SPEC))
    assert first == run("4711", SPEC.parent, SPEC.name)


def test_a_line_inserted_into_the_spec_changes_nothing_else(tmp_path: Path) -> None:
    copy = tmp_path / "filer.x"
    text = SPEC.read_text()
    copy.write_text(text)
    (module,) = load([str(copy)])
    before = render_module(module, package="p", rename={})
    copy.write_text("\n\n" + text)
    (module,) = load([str(copy)])
    assert render_module(module, package="p", rename={}) == before
