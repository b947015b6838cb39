"""Constants from outside: given by a mapping or by -D, read from headers, TOML and other .x files."""

from __future__ import annotations

from pathlib import Path

import pytest
from loading import Loads

from rpcgen.errors import SpecError, SpecErrors
from rpcgen.model import types as t
from rpcgen.model.constants import read_constants

USES = "struct s {\n    opaque uuid[UUID_BUFLEN];\n};\n"
UUID = t.Opaque(16, fixed=True)


def field_type(struct: t.TypeDefinition) -> t.Type:
    assert isinstance(struct, t.Struct)
    return struct.fields[0].type


def test_given_constants_are_known_and_not_part_of_the_module(loads: Loads) -> None:
    loaded = loads(USES, constants={"UUID_BUFLEN": 16})
    assert loaded.said == []
    assert field_type(loaded.type("s")) == UUID
    assert loaded.module.constants == []


@pytest.mark.parametrize("text", ["16", "0x10", "020", "(15 + 1)"])
def test_defines_that_are_integers_are_constants(loads: Loads, text: str) -> None:
    annotated = """\
program P { version V {
    /* @readstream
     * @sparseflag: FLAG
     */
    void READ(void) = 1;
} = 1; } = 1;
"""
    loaded = loads(annotated, defines={"FLAG": text})
    assert loaded.said == []
    assert loaded.module.programs[0].procedures[0].annotations.sparse_flag == 16


def test_defines_that_are_no_integers_are_not(loads: Loads) -> None:
    assert "unknown constant 'FLAG'" in loads("const A = FLAG;", defines={"FLUG": "x"}).said[0]


def test_the_file_may_say_the_same_again(loads: Loads) -> None:
    assert loads("const UUID_BUFLEN = 0x10;\n" + USES, constants={"UUID_BUFLEN": 16}).said == []


def test_the_file_may_not_say_something_else(loads: Loads) -> None:
    loaded = loads("const UUID_BUFLEN = 8;\n" + USES, constants={"UUID_BUFLEN": 16})
    assert loaded.said == ["error: 1:7: 'UUID_BUFLEN' is 8 here, but was given from outside as 16"]


def test_a_given_constant_may_stand_behind_one_of_the_file(loads: Loads) -> None:
    loaded = loads("const A = UUID_BUFLEN;\n", constants={"UUID_BUFLEN": 16})
    assert loaded.module.constants[0].value == 16
    assert loaded.module.constants[0].spelling == "UUID_BUFLEN"


@pytest.mark.parametrize("name", ["c.h", "c.h.in"])
def test_a_header(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"/* caf\xe9 */\n#define A (256 + 1)\nenum { B = 1 << 0, C };\n")
    assert read_constants(str(path)) == {"A": 257, "B": 1, "C": 2}


@pytest.mark.parametrize("table", ["", "[constants]\n", "[tool.rpcgen.constants]\n"])
def test_toml(tmp_path: Path, table: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"{table}A = 0x10\nB = -1\n", encoding="utf-8")
    assert read_constants(str(path)) == {"A": 16, "B": -1}


def test_another_spec(tmp_path: Path) -> None:
    path = tmp_path / "c.x"
    path.write_text(
        'const A = B;\nconst B = 5;\nconst T = "t";\nenum e { C, D = 7 };\nstruct s { int x; };\n'
    )
    assert read_constants(str(path)) == {"A": 5, "B": 5, "C": 0, "D": 7}


def test_another_spec_with_imports(tmp_path: Path) -> None:
    (tmp_path / "a.x").write_text('%#include "b.h"\nconst A = B;\n')
    (tmp_path / "b.x").write_text("const B = 5;\nenum e { C = B };\n")
    assert read_constants(str(tmp_path / "a.x")) == {"A": 5, "B": 5, "C": 5}


def test_another_spec_with_errors(tmp_path: Path) -> None:
    path = tmp_path / "c.x"
    path.write_text("const A = MISSING;\n")
    with pytest.raises(SpecErrors, match="unknown constant 'MISSING'"):
        read_constants(str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "c.txt",
            b"",
            r"expected a file of constants that ends in one of \.h, \.h\.in, \.toml, \.x, got '.*c\.txt'",
        ),
        ("c.toml", b"A = 'x'\n", r"c\.toml: expected an integer for constant 'A', got 'x'"),
        ("c.toml", b"A = true\n", r"c\.toml: expected an integer for constant 'A', got True"),
        ("c.toml", b"constants = 5\n", r"c\.toml: expected a table of constants"),
        ("c.toml", b"A = \n", r"cannot read '.*c\.toml': "),
        ("c.toml", b"\xff\n", r"cannot read '.*c\.toml': "),
    ],
)
def test_files_that_hold_no_constants(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        read_constants(str(path))
    assert caught.value.at is None


@pytest.mark.parametrize(
    ("name", "reason"), [("none.h", "No such file"), ("folder.h", "Is a directory")]
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder.h").mkdir()
    with pytest.raises(SpecError, match=f"cannot read '.*{name}': {reason}"):
        read_constants(str(tmp_path / name))
