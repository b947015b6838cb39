"""The front end in a process of its own: without docstrings, without leaving files, from several threads."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import rpcgen
from rpcgen.errors import Diagnostics
from rpcgen.syntax import parse

PROGRAM = """
from rpcgen.syntax import parse
print(len(parse("const A = 1; struct s { int x; };", "f.x").definitions))
"""


@pytest.mark.parametrize("options", [[], ["-O"], ["-OO"], ["-W", "error"]])
def test_python_options(options: list[str], tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(rpcgen.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, *options, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "2\n", "")
    assert list(tmp_path.iterdir()) == []


def test_ply_leaves_no_tables_behind() -> None:
    parse("const A = 1;", "f.x")
    folder = Path(rpcgen.__file__).parent / "syntax"
    assert not [*folder.glob("parse*.out"), *folder.glob("*tab.py")]


def test_threads_do_not_disturb_each_other() -> None:
    def errors(number: int) -> list[str]:
        diagnostics = Diagnostics()
        parse("\n" * number + "const A 5;\nint x;\n" * 20, "f.x", diagnostics=diagnostics)
        return [str(one) for one in diagnostics]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(errors, range(20)))
    assert found == [errors(number) for number in range(20)]
