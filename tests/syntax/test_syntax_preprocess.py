"""Directives: what is read, what is kept, and where errors are reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers import Folded, fold, reported

from rpcgen.errors import Diagnostics, SpecErrors
from rpcgen.syntax import parse
from rpcgen.syntax.preprocess import MAX_EXPANSIONS, MAX_INCLUDE_DEPTH, MAX_INCLUDES

A, B, C = (["const", name, "1"] for name in "ABC")
ONE, TWO, THREE = (f"const {name} = 1;\n" for name in "ABC")


def errors(text: str | bytes, name: str = "f.x", **options: dict[str, str]) -> list[str]:
    diagnostics = Diagnostics()
    parse(text, name, diagnostics=diagnostics, **options)  # type: ignore[arg-type]
    return reported(diagnostics)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"#if 1\n{ONE}#endif\n{TWO}", [A, B]),
        (f"#if 0\n{ONE}#endif\n{TWO}", [B]),
        (f"#if 0\n{ONE}#else\n{TWO}#endif", [B]),
        (f"#if 0\n{ONE}#elif 1\n{TWO}#else\n{THREE}#endif", [B]),
        (f"#if 1\n{ONE}#elif 1\n{TWO}#else\n{THREE}#endif", [A]),
        (f"#if 0\n#if 1\n{ONE}#else\n{TWO}#endif\n#else\n{THREE}#endif", [C]),
        (f"#if 1\n#if 0\n{ONE}#endif\n{TWO}#endif\n{THREE}", [B, C]),
        (f"#define X\n#ifdef X\n{ONE}#endif\n#ifndef X\n{TWO}#endif", [A]),
        (f"#define X\n#undef X\n#ifdef X\n{ONE}#else\n{TWO}#endif", [B]),
        (f"#undef X\n#if !defined(X)\n{ONE}#endif", [A]),
        (f"#define X 2\n#if X > 1 && !defined Y\n{ONE}#endif", [A]),
        (f"#ifdef RPC_HDR\n{ONE}#endif\n#if RPC_XDR\n{TWO}#endif\n{THREE}", [C]),
        (f"  #  ifdef X /* why */\n{ONE} # endif /* def\nX */\n{TWO}", [B]),
        (f"#if 0\n@ 09 it's \"\n#error no\n#include \"no.x\"\n#bad\n#endif\n{ONE}", [A]),
        (f"#if 0\n#elif 1\n{ONE}#elif (\n{TWO}#endif", [A]),
        (f"#pragma once\n#ident \"x\"\n#\n# /* c */\n{ONE}", [A]),
    ],
)  # fmt: skip
def test_conditionals(text: str, expected: Folded) -> None:
    assert fold(parse(text, "f.x")) == expected


def test_defines_from_outside() -> None:
    text = f"#ifdef RPC_HDR\n{ONE}#endif\n#if LEVEL >= 2\n{TWO}#endif\n"
    assert fold(parse(text, "f.x", defines={"RPC_HDR": "1", "LEVEL": "2"})) == [A, B]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("#ifdef RPC_HDR\n%a\n#else\n%b\n#endif\n%c", ["%a", "%b", "%c"]),
        ("#if RPC_HDR || defined(RPC_XDR)\n%a\n#endif", ["%a"]),
        ("#ifndef RPC_HDR\n%a\n#endif", ["%a"]),
        ("#ifdef OTHER\n%a\n#else\n%b\n#endif", ["%b"]),
        ("#if RPC_HDR && OTHER\n%a\n#endif", []),
        ("#if 0\n%a\n#endif", []),
        ("#if RPC_HDR\n%a\n#elif OTHER\n%b\n#else\n%c\n#endif", ["%a", "%c"]),
        ("#ifdef RPC_HDR\n#ifdef OTHER\n%a\n#else\n%b\n#endif\n%c\n#endif", ["%b", "%c"]),
        ("#ifdef OTHER\n#ifdef RPC_HDR\n%a\n#endif\n#ifdef\n#endif\n#if (\n#endif\n#endif", []),
    ],
)
def test_pass_through_lines_are_kept_under_conditions_on_rpc_names(
    text: str, kept: list[str]
) -> None:
    assert fold(parse(text, "f.x")) == kept


def test_pass_through_lines_stand_between_definitions() -> None:
    text = f"%first\n{ONE}%second\nstruct s {{\n%third\n int x;\n%fourth\n}};\n%last"
    assert fold(parse(text, "f.x")) == [
        *("%first", A, "%second", ["struct", "s", "int x"], "%third", "%fourth", "%last"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#define N 10\nstruct s { int x[N]; };", ["struct", "s", "int x[N]"]),
        ("#define N -5 /* why */\nconst A = N;", ["const", "A", "N"]),
        ("#define N 5\nconst A = -N;", ["const", "A", "-N"]),
        ("#define T unsigned hyper\nstruct s { T x; };", ["struct", "s", "unsigned hyper x"]),
        ("#define word hyper\nstruct s { word x; };", ["struct", "s", "hyper x"]),
        ("#define BODY { int x; \\\n int y; }\nstruct s BODY;", ["struct", "s", "int x", "int y"]),
        ("#define X Y\n#define Y Z\nconst A = X;", ["const", "A", "Z"]),
        ("#define X Y\n#define Y X\nconst X = 1;", ["const", "X", "1"]),
        ("#define X X\nconst X = 1;", ["const", "X", "1"]),
        ("#define E\nconst E A E = E 1 E;", ["const", "A", "1"]),
        ("#define N 1\n#define N 1\nconst A = 1;", ["const", "A", "1"]),
        ("#define F(x) x\nconst A = 1;", ["const", "A", "1"]),
    ],
)
def test_macros(text: str, expected: Folded) -> None:
    assert fold(parse(text, "f.x")) == [expected]


def test_a_number_out_of_a_macro_has_its_value_and_the_name_as_spelling() -> None:
    (const,) = parse("const A = -N;", "f.x", defines={"N": "0x10"}).definitions
    assert const.value.value == -16  # type: ignore[union-attr]
    assert fold(parse("const A = N;", "f.x", defines={"N": "0x10"})) == [["const", "A", "N"]]


def test_redefinition_is_a_warning() -> None:
    assert errors("#define N 1\n#define N 2\n", defines={"M": "1"}) == [
        "2:9: N is defined again, with another value",
        "  note: 1:9: N is a macro, defined here",
    ]
    assert errors("#define M 2\n", defines={"M": "1"}) == [
        "1:9: M is defined again, with another value",
        "  note: M is given by -D M=1",
    ]


def test_errors_in_a_macro_are_reported_where_it_is_used() -> None:
    text = "#define N (5)\n#define BAD 09 @\nconst A =  N;\nconst B = BAD;\n"
    assert errors(text) == [
        "3:12: expected a number or a name before '('",
        "  note: 1:9: N is a macro, defined here",
        "4:11: expected octal digits after the leading 0, found 09",
        "  note: 2:9: BAD is a macro, defined here",
        "  hint: a leading 0 makes a number octal: write 9",
        "4:11: illegal character '@'",
        "  note: 2:9: BAD is a macro, defined here",
        "4:14: expected a number or a name before ';'",
    ]


def test_errors_in_a_macro_from_outside() -> None:
    assert errors("const A = 1;\nconst B = A;\n", defines={"A": "8"}) == [
        "1:7: expected a name before '8'",
        "  note: A is given by -D A=8",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#if 1\n#if 0\n", ["1:1: expected #endif before end of file", "2:1: expected #endif before end of file"]),
        ("\n #else\n#elif 1\n#endif", ["2:2: #else without #if", "3:1: #elif without #if", "4:1: #endif without #if"]),
        ("#if 1\n#else\n#else\n#endif", ["3:1: #else after #else", "  note: 2:1: #else is here"]),
        ("#if 1\n#else\n#elif 1\n#endif", ["3:1: #elif after #else", "  note: 2:1: #else is here"]),
        ("#if\n#endif", ["1:4: expected a number or a name before the end of the line"]),
        ("#if /* c */ (1 /* d */ 2)\n#endif", ["1:24: expected ')' before '2'"]),
        ("#if 1 &&\\\n  @\n#endif", ["2:3: expected a number or a name before '@'"]),
        ("#ifdef\n#endif", ["1:7: expected a name after #ifdef"]),
        ("#ifndef 1\n#endif", ["1:9: expected a name after #ifndef"]),
        ("#define\n#undef 2", ["1:8: expected a name after #define", "2:8: expected a name after #undef"]),
        ("#define 1 2", ["1:9: expected a name after #define"]),
        ("#foo bar", ["1:1: unknown directive #foo"]),
        ("# !", ["1:1: expected the name of a directive after #"]),
        ("#error not for us", ["1:1: #error not for us"]),
        ("#error", ["1:1: #error"]),
        ("#warning old", ["1:1: #warning old"]),
        ("#line x", ['1:1: expected #line NUMBER "FILE"']),
        ("#include", ['1:9: expected "FILE" or <FILE> after #include']),
        ("#include x", ['1:10: expected "FILE" or <FILE> after #include']),
        ("#include \"no.x\"", ["1:10: cannot find no.x", "  hint: other folders are searched with -I"]),
        ("#include <rpc/types.h>", ["1:10: <rpc/types.h> is passed over: no -I folder has it"]),
        ("#if 0\n/*", ["2:1: unterminated comment"]),
    ],
)  # fmt: skip
def test_directive_errors(text: str, expected: list[str]) -> None:
    assert errors(text) == expected


def test_macros_with_arguments_are_for_others() -> None:
    assert errors("#define F(x) x\nconst A = F;") == [
        "2:11: F takes arguments: expected a macro without",
        "  note: 1:9: F is a macro, defined here",
        "2:12: expected a number or a name before ';'",
    ]


def test_line_markers() -> None:
    text = '# 12 "g.x" 2\n@\n#line 40\n@\n# 1 "h.x"\n\n@\n'
    with pytest.raises(SpecErrors) as caught:
        parse(text, "f.x")
    assert [str(error.at) for error in caught.value.errors] == ["g.x:12:1", "g.x:40:1", "h.x:2:1"]


# Inclusion


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    return tmp_path


def test_include_is_textual(folder: Path) -> None:
    (folder / "fields.x").write_text("int x;\n%kept\n")
    (folder / "f.x").write_text('struct s {\n#include "fields.x"\nint y; };\n')
    path = str(folder / "f.x")
    spec = parse((folder / "f.x").read_bytes(), path)
    assert fold(spec) == [["struct", "s", "int x", "int y"], "%kept"]
    assert spec.included == (str(folder / "fields.x"),)


def test_include_looks_beside_the_file_that_includes_first(folder: Path) -> None:
    (folder / "a.x").write_text(ONE)
    (folder / "more/a.x").write_text(TWO)
    (folder / "more/b.x").write_text('#include "a.x"\n#include <a.x>\n')
    spec = parse('#include "more/b.x"', str(folder / "f.x"), include_path=[str(folder)])
    assert fold(spec) == [B, A]
    assert [os.path.relpath(one, folder) for one in spec.included] == [
        *("more/b.x", "more/a.x", "a.x"),
    ]


def test_macros_cross_files(folder: Path) -> None:
    (folder / "a.x").write_text("#define N 1\n#ifdef M\nconst A = M;\n#endif\n")
    text = '#define M 1\n#include "a.x"\nconst B = N;\n'
    assert fold(parse(text, str(folder / "f.x"))) == [["const", "A", "M"], ["const", "B", "N"]]


def test_places_in_an_included_file(folder: Path) -> None:
    (folder / "a.x").write_text("\n@\n#if 1\n")
    with pytest.raises(SpecErrors) as caught:
        parse('#include "a.x"\n$', str(folder / "f.x"))
    assert [str(one.at).removeprefix(f"{folder}/") for one in caught.value.errors] == [
        *("a.x:2:1", "a.x:3:1", "f.x:2:1"),
    ]


def test_a_file_that_includes_itself(folder: Path) -> None:
    (folder / "f.x").write_text(f'{ONE}#include "f.x"\n')
    assert errors((folder / "f.x").read_bytes(), str(folder / "f.x")) == [
        "2:10: f.x includes itself"
    ]


def test_files_that_include_each_other(folder: Path) -> None:
    (folder / "f.x").write_text(f'{ONE}#include "g.x"\n')
    (folder / "g.x").write_text(f'\n{TWO} #include "./f.x"\n')
    assert errors((folder / "f.x").read_bytes(), str(folder / "f.x")) == [
        "3:11: f.x includes itself",
        "  note: 2:10: g.x is included here",
    ]


def test_guarded_files_may_include_each_other(folder: Path) -> None:
    (folder / "f.x").write_text(f'/* f */\n#ifndef F\n#define F\n#include "g.x"\n{ONE}#endif\n')
    (folder / "g.x").write_text(f'#ifndef G\n#define G\n#include "f.x"\n{TWO}#endif\n')
    assert fold(parse((folder / "f.x").read_bytes(), str(folder / "f.x"))) == [B, A]


@pytest.mark.parametrize("text", ["", "/* only */", "int", '#define X\n#include "f.x"'])
def test_what_has_no_guard_may_not_be_included_in_itself(folder: Path, text: str) -> None:
    (folder / "f.x").write_text(text)
    found = errors('#include "f.x"', str(folder / "f.x"))
    assert found[0] == "1:10: f.x includes itself"


def test_includes_are_limited_in_depth(folder: Path) -> None:
    for number in range(MAX_INCLUDE_DEPTH + 1):
        (folder / f"f{number}.x").write_text(f'#include "f{number + 1}.x"\n')
    limit = f"more than {MAX_INCLUDES} files included, or {MAX_INCLUDE_DEPTH} inside each other"
    assert errors(b'#include "f0.x"', str(folder / "f.x")) == [f"1:10: {limit}"]


def test_includes_are_limited_in_number(folder: Path) -> None:
    (folder / "a.x").write_text("")
    found = errors('#include "a.x"\n' * (MAX_INCLUDES + 1), str(folder / "f.x"))
    assert [line.partition(":")[0] for line in found] == [str(MAX_INCLUDES + 1)]


def test_an_included_file_that_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.x").write_text("")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    found = errors('#include "a.x"', str(folder / "f.x"))
    assert found == [f"1:10: cannot read {folder}/a.x: Permission denied"]


@pytest.mark.parametrize("last", ["#define M20 1\n", "#define M20\n"])
def test_macros_that_double_are_stopped(last: str) -> None:
    text = "".join(f"#define M{n} M{n + 1} M{n + 1}\n" for n in range(20)) + last
    assert errors(f"{text}M0") == [f"22:1: macros expand to more than {MAX_EXPANSIONS} tokens"]
