"""Every production: source on the left, the folded tree on the right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers import Folded, fold
from ply import yacc  # type: ignore[import-untyped]

from rpcgen.errors import Diagnostics
from rpcgen.syntax import grammar, parse, tree

DEFINITIONS: list[tuple[str, Folded]] = [
    ("const A = 5;", ["const", "A", "5"]),
    ("const A = -0x10;", ["const", "A", "-0x10"]),
    ("const A = - 5;", ["const", "A", "-5"]),
    ("const A = 010;", ["const", "A", "010"]),
    ("const A = B;", ["const", "A", "B"]),
    ("const A = TRUE;", ["const", "A", "TRUE"]),
    ('const A = "d4/*a0";', ["const", "A", '"d4/*a0"']),
    ("enum e { A };", ["enum", "e", "A"]),
    ("enum e { A = 1, B, C = A, D = -2 };", ["enum", "e", "A = 1", "B", "C = A", "D = -2"]),
    ("enum e { A, B, };", ["enum", "e", "A", "B"]),
    ("struct s { int x; };", ["struct", "s", "int x"]),
    ("struct s { };", ["struct", "s"]),
    ("struct s { void; };", ["struct", "s", "void"]),
    ("struct *s { int x; };", ["struct *", "s", "int x"]),
    ("typedef int x;", ["typedef", "int x"]),
    ("typedef struct S S;", ["typedef", "struct S S"]),
    ("typedef enum { A = 1, B } e;", ["typedef", [["enum", "A = 1", "B"], "e"]]),
    ("typedef enum { A, } e;", ["typedef", [["enum", "A"], "e"]]),
    ("typedef struct { int x; } *s;", ["typedef", [["struct", "int x"], "*s"]]),
    (
        "typedef union switch (int d) { case 1: int x; } u<3>;",
        ["typedef", [["union", "int d", ["1", "int x"]], "u<3>"]],
    ),
    (
        "union u switch (int d) { case 1: int x; default: void; };",
        ["union", "u", "int d", ["1", "int x"], ["default", "void"]],
    ),
    (
        "union u switch (e d) { case A: case -1: case 0x2: T *x; };",
        ["union", "u", "e d", ["A", "-1", "0x2", "T *x"]],
    ),
    (
        "union u switch (bool d) { default: void; case TRUE: int x; default: int y; };",
        ["union", "u", "bool d", ["default", "void"], ["TRUE", "int x"], ["default", "int y"]],
    ),
    ("union u switch (int d) { default: int x; };", ["union", "u", "int d", ["default", "int x"]]),
    (
        "struct s { struct { enum { A } b; } c[2]; };",
        ["struct", "s", [["struct", [["enum", "A"], "b"]], "c[2]"]],
    ),
    (
        "program P { version V { void f(void) = 0; } = 1; } = 0x20000001;",
        ["program", "P", "0x20000001", ["version", "V", "1", ["void", "f", [], "0"]]],
    ),
    (
        "program P { version V { void f(void) = F; } = ONE; version W { int g() = 1; } = 2; } = N;",
        [
            *("program", "P", "N"),
            ["version", "V", "ONE", ["void", "f", [], "F"]],
            ["version", "W", "2", ["int", "g", [], "1"]],
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), DEFINITIONS)
def test_definitions(text: str, expected: Folded) -> None:
    assert fold(parse(text, "f.x")) == [expected]


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ("int x", "int x"),
        ("int int_x", "int int_x"),
        ("unsigned x", "unsigned int x"),
        ("unsigned int x", "unsigned int x"),
        ("unsigned hyper x", "unsigned hyper x"),
        ("unsigned char x", "unsigned char x"),
        ("unsigned short x", "unsigned short x"),
        ("unsigned long x", "unsigned long x"),
        ("unsigned long int x", "unsigned long x"),
        ("unsigned *x", "unsigned int *x"),
        ("hyper x", "hyper x"),
        ("hyper int x", "hyper x"),
        ("long x", "long x"),
        ("long int x", "long x"),
        ("short x", "short x"),
        ("short int x", "short x"),
        ("char x", "char x"),
        ("float x", "float x"),
        ("double x", "double x"),
        ("quadruple x", "quadruple x"),
        ("bool x", "bool x"),
        ("T x", "T x"),
        ("struct T x", "struct T x"),
        ("enum T x", "enum T x"),
        ("union T *x", "union T *x"),
        ("int8_t x", "int8_t x"),
        ("u_int x<>", "u_int x<>"),
        ("opaque x[16]", "opaque x[16]"),
        ("opaque x<MAX>", "opaque x<MAX>"),
        ("opaque x", "opaque x"),
        ("string x<255>", "string x<255>"),
        ("string x<>", "string x<>"),
        ("string x[3]", "string x[3]"),
        ("string x", "string x"),
        ("T x[0]", "T x[0]"),
        ("T x<-1>", "T x<-1>"),
        ("T *x", "T *x"),
        ("T *x<3>", "T *x<3>"),
        ("T *x[N]", "T *x[N]"),
        ("T x[2][3]", "T x[2]..."),
        ("T x<2>[3]<>", "T x<2>..."),
    ],
)
def test_declarations(declaration: str, expected: str) -> None:
    assert fold(parse(f"struct s {{ {declaration}; }};", "f.x")) == [["struct", "s", expected]]


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("void f(void)", ["void", "f", [], "1"]),
        ("void f()", ["void", "f", [], "1"]),
        ("T f(T)", ["T", "f", ["T"], "1"]),
        ("unsigned f(unsigned)", ["unsigned int", "f", ["unsigned int"], "1"]),
        ("string f(string)", ["string", "f", ["string"], "1"]),
        ("T *f(T *)", ["T *", "f", ["T *"], "1"]),
        ("struct T f(struct T *)", ["struct T", "f", ["struct T *"], "1"]),
        ("T f(int, T, T *)", ["T", "f", ["int", "T", "T *"], "1"]),
        ("T f(int a, T b<3>, T *c)", ["T", "f", ["int a", "T b<3>", "T *c"], "1"]),
        (
            "string f(string a<5>, opaque b[2])",
            ["string", "f", ["string a<5>", "opaque b[2]"], "1"],
        ),
    ],
)
def test_procedures(signature: str, expected: Folded) -> None:
    text = f"program P {{ version V {{ {signature} = 1; }} = 2; }} = 3;"
    assert fold(parse(text, "f.x")) == [["program", "P", "3", ["version", "V", "2", expected]]]


def test_empty_files() -> None:
    for text in ("", " \n", "/* only a comment */", "\ufeff", b"", b"\xef\xbb\xbf"):
        assert parse(text, "f.x").definitions == ()


def _struct(text: str) -> tree.StructDefinition:
    (definition,) = parse(text, "f.x").definitions
    assert isinstance(definition, tree.StructDefinition)
    return definition


def test_places() -> None:
    struct = _struct("struct s {\n\tT *x<N>;\n\tint y[2][3];\n};\n")
    first, second = struct.fields
    assert first.name
    assert first.bound
    places = [struct.at, struct.name.at, first.at, first.name.at, first.pointer, first.bound.at]
    assert [str(at) for at in places] == [
        *("f.x:1:1", "f.x:1:8", "f.x:2:2", "f.x:2:5", "f.x:2:4", "f.x:2:7"),
    ]
    assert first.bound.at.text == "\tT *x<N>;"
    assert str(second.extra) == "f.x:3:10"


def test_numbers_have_any_size() -> None:
    digits = "9" * 999
    (field,) = _struct(f"struct s {{ int x[-{digits}]; }};").fields
    assert isinstance(field.bound, tree.Number)
    assert field.bound.value == -int(digits)
    assert (field.bound.at.column, field.bound.at.width) == (18, 1000)


TOLERATED = [
    ("struct s { T x; }; // c", "1:20: a // comment: RFC 4506 has /* */ only"),
    ("const _A = 1; const B = _A;", "1:7: _A begins with an underscore: RFC 4506 wants a letter"),
    ("enum e { A, };", "1:11: a comma behind the last member: RFC 4506 has none"),
    ("struct s { };", "1:12: a struct without fields: RFC 4506 wants one"),
    ("struct *s { T x; };", "1:8: 'struct *' at a definition: only RFC 1833 has it"),
    ("struct s { enum T x; };", "1:12: 'enum T' as a type: RFC 4506 has the name alone"),
    ("typedef struct S S;", "1:9: 'struct S' as a type: RFC 4506 has the name alone"),
    ('const A = "x";', "1:11: a text as a constant: RFC 4506 has numbers only"),
]


@pytest.mark.parametrize(("text", "warning"), TOLERATED)
def test_tolerated_forms_are_warnings_for_the_pedantic(text: str, warning: str) -> None:
    pedantic, plain = Diagnostics(pedantic=True), Diagnostics()
    assert parse(text, "f.x", diagnostics=pedantic) == parse(text, "f.x", diagnostics=plain)
    assert [str(one) for one in pedantic] == [f"f.x:{warning}"]
    assert list(plain) == []


def test_the_grammar_has_no_conflicts_and_ply_no_complaint() -> None:
    complaints: list[str] = []
    log = _Log(complaints)
    yacc.yacc(
        module=grammar,
        start="specification",
        debug=True,
        debuglog=yacc.NullLogger(),
        errorlog=log,
        write_tables=False,
    )
    assert complaints == ["no p_error() function is defined", "Generating LALR tables"]


class _Log:
    """PLY's logger: with ``debug`` on it is told of conflicts."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __call__(self, message: str, *arguments: object) -> None:
        self._lines.append(message % arguments if arguments else message)

    debug = info = warning = error = critical = __call__


def test_the_productions_stand_in_the_order_of_the_rfcs() -> None:
    named = [name for name in _nonterminals() if name in RFC_ORDER]
    assert list(dict.fromkeys(named)) == RFC_ORDER


RFC_ORDER = [
    *("declaration", "value", "type_specifier", "enum_body", "struct_body", "union_body"),
    *("constant_def", "type_def", "definition", "specification"),
    *("program_def", "version_def", "procedure_def", "proc_return", "arguments"),
]


def _nonterminals() -> Iterator[str]:
    rules = [one for name, one in vars(grammar).items() if name.startswith("p_")]
    for rule in sorted(rules, key=lambda rule: rule.__code__.co_firstlineno):
        yield rule.__doc__.split()[0]
