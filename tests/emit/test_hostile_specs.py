"""Definitions and file names that would break the output are refused, or harmless in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from rpcgen.emit.render import render_module
from rpcgen.errors import SpecErrors
from rpcgen.model import load


@pytest.mark.parametrize("stem", ["a b\\d", 'a""";print(1);"""b', "q\nprint(1)", "tab\t", "\udce9"])
def test_a_file_name_cannot_end_a_string_or_a_line(stem: str, tmp_path: Path) -> None:
    file = tmp_path / f"{stem}.x"
    file.write_text("struct s { int x; };\nprogram P { version V { int F(s) = 1; } = 1; } = 7;\n")
    (module,) = load([str(file)])
    for text in render_module(module, package="p", rename={}).values():
        text.encode()
        assert "print" not in {
            node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)
        }


def test_types_that_nest_too_far_are_an_error_of_one_line(tmp_path: Path) -> None:
    file = tmp_path / "deep.x"
    nested = [f"struct t{level} {{ t{level + 1} x; }};" for level in range(1200)]
    file.write_text("\n".join([*nested, "struct t1200 { int x; };"]))
    (module,) = load([str(file)])
    with pytest.raises(SpecErrors, match="contain each other over too many levels"):
        render_module(module, package="p", rename={})
