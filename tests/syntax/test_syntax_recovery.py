"""After an error: what is said, where, and that the rest of the file is read."""

from __future__ import annotations

import pytest
from helpers import Folded, fold, reported

from rpcgen.errors import MAX_ERRORS, Diagnostics, SpecErrors
from rpcgen.syntax import parse


def recover(text: str | bytes) -> tuple[list[str], Folded]:
    diagnostics = Diagnostics()
    spec = parse(text, "f.x", diagnostics=diagnostics)
    return reported(diagnostics), fold(spec)


MESSAGES = [
    ("x", "1:1: expected a definition before 'x'"),
    ("int x;", "1:1: expected a definition before 'int'"),
    (";", "1:1: expected a definition before ';'"),
    ("}", "1:1: expected a definition before '}'"),
    ("'c'", "1:1: expected a definition before 'c'"),
    ("const", "1:6: expected a name before end of file"),
    ("const A", "1:8: expected '=' before end of file"),
    ("const A = ", "1:10: expected a number or a name before end of file"),
    ("const A = 5", "1:12: expected ';' before end of file"),
    ("const A = 5 /* c */\n\n", "1:12: expected ';' before end of file"),
    ("const A = - ;", "1:13: expected a number before ';'"),
    ("const A = --5;", "1:12: expected a number before '-'"),
    ("const A 5;", "1:9: expected '=' before '5'"),
    ("const 5 = A;", "1:7: expected a name before '5'"),
    ("const A = int;", "1:11: expected a number or a name before 'int'"),
    ("enum { A };", "1:6: expected a name before '{'"),
    ("enum e { };", "1:10: expected a name before '}'"),
    ("enum e { A = };", "1:14: expected a number or a name before '}'"),
    ("enum e { A, , B };", "1:13: expected a name or '}' before ','"),
    ("enum e { A; };", "1:11: expected ',' or '}' before ';'"),
    ("struct { int x; };", "1:8: expected a name before '{'"),
    ("struct s int x; };", "1:10: expected '{' before 'int'"),
    ("struct s { int x };", "1:18: expected ';' before '}'"),
    ("struct s { int; };", "1:15: expected a name before ';'"),
    ("struct s { int 5x; };", "1:16: expected an integer, found 5x"),
    ("struct s { int x[]; };", "1:18: expected a number or a name before ']'"),
    ("struct s { int x[5; };", "1:19: expected ']' before ';'"),
    ("struct s { int x<5; };", "1:19: expected '>' before ';'"),
    ("struct s { int x<]; };", "1:18: expected a number, a name or '>' before ']'"),
    ("struct s { int **x; };", "1:17: expected a name before '*'"),
    ("struct s { int x = 5; };", "1:18: expected ';' before '='"),
    ("struct s { int x, y; };", "1:17: expected ';' before ','"),
    ("struct s { unsigned float x; };", "1:21: expected a name before 'float'"),
    ("struct s { void x; };", "1:17: expected ';' before 'x'"),
    ("struct s { case 1: int x; };", "1:12: expected a type or '}' before 'case'"),
    ("struct s { int x; } y;", "1:21: expected ';' before 'y'"),
    ("typedef int;", "1:12: expected a name before ';'"),
    ("typedef;", "1:8: expected a type before ';'"),
    ("union u (int d) { default: void; };", "1:9: expected 'switch' before '('"),
    ("union u switch int d) { default: void; };", "1:16: expected '(' before 'int'"),
    ("union u switch (int d { default: void; };", "1:23: expected ')' before '{'"),
    ("union u switch (int d) { };", "1:26: expected 'case' or 'default' before '}'"),
    ("union u switch (int d) { int x; };", "1:26: expected 'case', 'default' or '}' before 'int'"),
    ("union u switch (int d) { case: void; };", "1:30: expected a number or a name before ':'"),
    ("union u switch (int d) { case 1 void; };", "1:33: expected ':' before 'void'"),
    ("union u switch (int d) { case 1: };", "1:34: expected a type or 'case' before '}'"),
    ("union u switch (int d) { case 1: default: void; };", "1:34: expected a type or 'case' before 'default'"),
    ("program P { } = 1;", "1:13: expected 'version' before '}'"),
    ("program P { void f() = 1; } = 1;", "1:13: expected 'version' or '}' before 'void'"),
    ("program P { version V { } = 1; } = 1;", "1:25: expected a type before '}'"),
    ("program P { version V { void f() = 1; }; } = 1;", "1:40: expected '=' before ';'"),
    ("program P { version V { void f() = 1; } = 1; };", "1:47: expected '=' before ';'"),
    ("program P { version V { void f(); } = 1; } = 1;", "1:33: expected '=' before ';'"),
    ("program P { version V { void f = 1; } = 1; } = 1;", "1:32: expected '(' before '='"),
    ("program P { version V { void f(int = 1; } = 1; } = 1;", "1:36: expected a name, ',' or ')' before '='"),
    ("program P { version V { void f(void, int) = 1; } = 1; } = 1;", "1:36: expected ')' before ','"),
    ("program P { version V { void f(int,) = 1; } = 1; } = 1;", "1:36: expected a type before ')'"),
    ("program P { version V { void f(5) = 1; } = 1; } = 1;", "1:32: expected a type or ')' before '5'"),
    ("program P { version V { f() = 1; } = 1; } = 1;", "1:26: expected a name before '('"),
    ("x" * 100, f"1:1: expected a definition before '{'x' * 40}'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MESSAGES)
def test_one_mistake_is_one_error(text: str, message: str) -> None:
    found, _ = recover(text)
    assert [line for line in found if not line.startswith("  ")] == [message]


@pytest.mark.parametrize(
    "text", [text for text, message in MESSAGES if "end of file" not in message]
)
def test_what_follows_is_read(text: str) -> None:
    found, tree = recover(f"const FIRST = 1;\n{text}\nconst LAST = 1 = 2;\nconst END = 3;\n")
    assert found[-1] == "3:16: expected ';' before '='"
    assert [tree[0], tree[-1]] == [["const", "FIRST", "1"], ["const", "END", "3"]]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("struct s { int string; };", "'string' is a keyword"),
        ("struct s { long long x; };", "'long' is a keyword"),
        ("const version = 1;", "'version' is a keyword"),
        ("struct s { struct t { int x; } y; };", "inside another definition, 'struct' has braces or a name, not both"),
        ("typedef enum e { A } e;", "inside another definition, 'enum' has braces or a name, not both"),
    ],
)  # fmt: skip
def test_hints(text: str, hint: str) -> None:
    found, _ = recover(text)
    assert found[1:] == [f"  hint: {hint}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("const A 5;", ["const", "A", "5"]),
        ("struct s { int x };", ["struct", "s", "int x"]),
        ("struct s { int x int y };", ["struct", "s", "int x", "int y"]),
        ("struct s int x; };", ["struct", "s", "int x"]),
        ("enum e { A B };", ["enum", "e", "A", "B"]),
        ("struct s { int x[5; int y; };", ["struct", "s", "int x[5]", "int y"]),
        ("union u (int d) { case 1 void; };", ["union", "u", "int d", ["1", "void"]]),
        ("const A = 5", ["const", "A", "5"]),
    ],
)
def test_a_forgotten_token_costs_nothing(text: str, expected: Folded) -> None:
    found, tree = recover(text)
    assert found
    assert tree == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("struct s { int a; int; int b; };", ["struct", "s", "int a", "int b"]),
        ("enum e { A, B = , C };", ["enum", "e", "A", "C"]),
        ("enum e { A, B = };", ["enum", "e", "A"]),
        ("struct s { int a; int };", ["struct", "s", "int a"]),
        (
            "union u switch (int d) { case: int x; case 2: void; case };",
            ["union", "u", "int d", ["2", "void"]],
        ),
        (
            "struct s { struct { int; int a; } b; int c; };",
            ["struct", "s", [["struct", "int a"], "b"], "int c"],
        ),
        (
            "program P { x; version V { f; int g() = 1; h } = 1; y } = 1;",
            ["program", "P", "1", ["version", "V", "1", ["int", "g", [], "1"]]],
        ),
    ],
)
def test_only_the_broken_part_is_lost(text: str, expected: Folded) -> None:
    found, tree = recover(text)
    assert found
    assert tree == [expected]


def test_all_errors_of_a_file_in_one_run() -> None:
    text = """\
const A 5;
struct s {
    int x
    int @y;
    T *;
};
enum e { B = 09, C D };
unoin u switch (int d) {
    case 1: int x;
    default: void;
};
union v switch (int d) {
    case 1 int x;
    default void;
};
program P { version V { void f(void) = ; } = 1; } = 2
"""
    found, tree = recover(text)
    assert found == [
        "1:9: expected '=' before '5'",
        "4:5: expected ';' before 'int'",
        "4:9: illegal character '@'",
        "5:8: expected a name before ';'",
        "7:14: expected octal digits after the leading 0, found 09",
        "  hint: a leading 0 makes a number octal: write 9",
        "7:20: expected ',' or '}' before 'D'",
        "8:1: expected a definition before 'unoin'",
        "13:12: expected ':' before 'int'",
        "14:13: expected ':' before 'void'",
        "16:40: expected a number or a name before ';'",
        "16:54: expected ';' before end of file",
    ]
    assert tree == [
        ["const", "A", "5"],
        ["struct", "s", "int x", "int y"],
        ["enum", "e", "B = 09", "C", "D"],
        ["union", "v", "int d", ["1", "int x"], ["default", "void"]],
        ["program", "P", "2", ["version", "V", "1"]],
    ]


UNCLOSED = """\
struct s {
    int x;

struct t {
    int y;
};
enum e {
    A
const B = 1;
union u switch (int d) {
    case 1:
        struct {
            int x;
union v switch (int d) { default: void; };
program P {
    version V {
        void f(void) = 1;
"""


def test_braces_that_are_never_closed() -> None:
    found, tree = recover(UNCLOSED)
    assert found == [
        "4:1: expected '}' before 'struct'",
        "  note: 1:10: '{' is opened here",
        "9:1: expected '}' before 'const'",
        "  note: 7:8: '{' is opened here",
        "14:1: expected '}' before 'union'",
        "  note: 12:16: '{' is opened here",
        "17:26: expected '}' before end of file",
        "  note: 16:15: '{' is opened here",
    ]
    assert [one[1] for one in tree] == ["s", "t", "e", "B", "u", "v"]
    assert tree[:4] == [
        *(["struct", "s", "int x"], ["struct", "t", "int y"], ["enum", "e", "A"]),
        ["const", "B", "1"],
    ]


def test_braces_that_are_never_closed_across_files(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.x").write_text("  struct s {\n int x;\n")
    diagnostics = Diagnostics()
    parse('#include "a.x"\n    const A = 1;', str(folder / "f.x"), diagnostics=diagnostics)
    assert [str(one).removeprefix(f"{folder}/") for one in diagnostics] == [
        "f.x:2:5: expected '}' before 'const'"
    ]


def test_a_brace_too_many() -> None:
    found, tree = recover("struct s { int x; }; };\nconst A = 1;\n}\nconst B 2;")
    assert found == [
        "1:22: expected a definition before '}'",
        "3:1: expected a definition before '}'",
        "4:9: expected '=' before '2'",
    ]
    assert [one[1] for one in tree] == ["s", "A", "B"]


def test_a_stray_opening_brace() -> None:
    found, tree = recover("{\nconst A = 1;\nstruct s {{ int x; };\nconst B = 1;")
    assert found == [
        "1:1: expected a definition before '{'",
        "2:1: expected '}' before 'const'",
        "  note: 1:1: '{' is opened here",
        "3:11: expected a type or '}' before '{'",
        "4:1: expected '}' before 'const'",
        "  note: 3:10: '{' is opened here",
    ]
    assert [one[1] for one in tree] == ["A", "s", "B"]


def test_a_mistake_does_not_swallow_the_next_definition() -> None:
    found, tree = recover("cnst A = 1\nstruct s { int x };\nfoo\nconst B = 1;")
    assert found == [
        "1:1: expected a definition before 'cnst'",
        "2:18: expected ';' before '}'",
        "3:1: expected a definition before 'foo'",
    ]
    assert [one[1] for one in tree] == ["s", "B"]


def test_errors_come_to_an_end() -> None:
    text = "const A 5;\n" * (MAX_ERRORS + 50)
    with pytest.raises(SpecErrors) as caught:
        parse(text, "f.x")
    assert len(caught.value.errors) == MAX_ERRORS + 1
    diagnostics = Diagnostics()
    with pytest.raises(SpecErrors, match="too many errors"):
        parse(text, "f.x", diagnostics=diagnostics)
    assert fold(parse("const A = 5;", "f.x")) == [["const", "A", "5"]]


def test_errors_are_raised_without_diagnostics_and_recorded_with_them() -> None:
    with pytest.raises(SpecErrors) as caught:
        parse("const A 5;", "f.x")
    diagnostics = Diagnostics()
    parse("const A 5;", "f.x", diagnostics=diagnostics)
    assert [str(one) for one in caught.value.errors] == [str(one) for one in diagnostics]
