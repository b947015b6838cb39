"""Input made to hurt: refused, or read, in time that grows with its length, without recursion."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from helpers import reported

from rpcgen.errors import MAX_ERRORS, Diagnostics, SpecErrors, as_json, as_text
from rpcgen.syntax import parse
from rpcgen.syntax.condition import MAX_DEPTH, MAX_LENGTH
from rpcgen.syntax.preprocess import MAX_EXPANSIONS
from rpcgen.syntax.stream import MAX_NESTING, MAX_TOKENS

MIB = 1 << 20
TOO_MANY = f"too many errors ({MAX_ERRORS}), stopping"
NESTED = f"braces nested deeper than {MAX_NESTING}"
TOKENS = f"more than {MAX_TOKENS} tokens and comments"


def errors(data: str | bytes) -> list[str]:
    """All errors of a file as the command prints them, and as they are in JSON."""
    diagnostics = Diagnostics()
    with suppress(SpecErrors):  # when there are too many
        parse(data, "f.x", diagnostics=diagnostics)
    assert all(len(as_text(error)) < 2000 for error in diagnostics.errors)
    assert as_json(diagnostics.errors)
    return reported(diagnostics.errors)


def noise(alphabet: bytes) -> bytes:
    return bytes(random.Random(1).choices(alphabet, k=MIB))  # noqa: S311


@pytest.mark.parametrize("alphabet", [bytes(range(256)), b"ab{}[]<>();,=*:-09 \n#%/\"'@"])
def test_random_bytes(alphabet: bytes) -> None:
    assert errors(noise(alphabet))[-1] == TOO_MANY


OPEN_COMMENT = "unterminated comment"
DEEP_CONDITION = f"condition nested deeper than {MAX_DEPTH}"
LONG_CONDITION = f"condition of more than {MAX_LENGTH} characters"
EXPANSIONS = f"macros expand to more than {MAX_EXPANSIONS} tokens"

HOSTILE: dict[str, tuple[list[tuple[bytes, int]], list[str]]] = {
    "braces": ([(b"{", 100_000)], [f"1:65: {NESTED}"]),
    "structs": ([(b"struct a {\n", 100_000)], [TOO_MANY]),
    "inline structs": ([(b"typedef ", 1), (b"struct {", 100_000)], [f"1:528: {NESTED}"]),
    "closing braces": ([(b"};", MIB)], [f"1:{MAX_TOKENS + 1}: {TOKENS}"]),
    "leftovers": ([(b"x;", 1), (b"};", 100_000)], ["1:1: expected a definition before 'x'"]),
    "a comment": ([(b"/*", 1), (b"x", 10 * MIB), (b"*/", 1)], []),
    "an open comment": ([(b"/*", 1), (b"*", 10 * MIB)], [f"1:1: {OPEN_COMMENT}"]),
    "open comments": ([(b"#/*", MIB)], [f"1:2: {OPEN_COMMENT}"]),
    "comments": ([(b"/**/", MIB)], [f"1:{4 * MAX_TOKENS + 1}: {TOKENS}"]),
    "comments behind": ([(b"const A = 1; ", 1), (b"/**/", 100_000)], []),
    "comments between labels": (
        [(b"union u switch (int d) {", 1), (b"/*a*/ case 1: /*b*/\n", 20_000), (b"void; };", 1)],
        [],
    ),
    "a line": ([(b"a", 10 * MIB)], [f"1:1: expected a definition before '{'a' * 40}'"]),
    "a line of names": ([(b"a ", 5 * MIB)], [f"1:{2 * MAX_TOKENS + 1}: {TOKENS}"]),
    "a line of errors": ([(b"const A 5;", 90_000)], [TOO_MANY]),
    "a number": (
        [(b"const A = ", 1), (b"9", 10 * MIB), (b";", 1)],
        ["1:11: expected a number of at most 1000 digits, found 10485760"],
    ),
    "NULs": ([(b"\0", 10 * MIB)], ["1:1: illegal character U+0000 and 10485759 more"]),
    "empty lines": ([(b"\n", MIB)], []),
    "spliced lines": ([(b"\\\n", MIB)], []),
    "a spliced directive": ([(b"#define A ", 1), (b"\\\n", MIB)], []),
    "a spliced pass-through": ([(b"%", 1), (b"a\\\n", MIB)], []),
    "percent signs": ([(b"x", 1), (b" %", MIB)], [TOO_MANY]),
    "open quotes": ([(b'"\n', MIB)], [TOO_MANY]),
    "conditionals": ([(b"#if 1\n", 50_000)], [TOO_MANY]),
    "closed conditionals": (
        [(b"#if 0\n", 50_000), (b"%a\n", 50_000), (b"#endif\n", 50_000)],
        [],
    ),
    "parentheses": ([(b"#if ", 1), (b"(", 100_000), (b"\n#endif", 1)], [f"1:5: {LONG_CONDITION}"]),
    "negations": (
        [(b"#if ", 1), (b"!", 1000), (b"1\n#endif", 1)],
        [f"1:{5 + MAX_DEPTH}: {DEEP_CONDITION}"],
    ),
    "a macro of itself": (
        [(b"#define A A A\nconst A = 1;", 1)],
        ["2:7: expected '=' before 'A'", "  note: 1:9: A is a macro, defined here"],
    ),
    "a large macro": (
        [(b"#define A ", 1), (b"x", MIB), (b"\n", 1), (b"A ", 90_000)],
        [f"2:100001: {EXPANSIONS}"],
    ),
    "line markers": (
        [(b'# 12 "g.x"\n', 50_000), (b"const A 1;", 1)],
        ["12:9: expected '=' before '1'"],
    ),
    "bounds": ([(b"struct s { int x", 1), (b"[1]", 50_000), (b"; };", 1)], []),
}
"""Text in pieces, each with the number of times it stands there, and what is said of it."""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input(name: str) -> None:
    pieces, expected = HOSTILE[name]
    found = errors(b"".join(piece * times for piece, times in pieces))
    assert found[-1:] == expected if expected == [TOO_MANY] else found == expected


def test_reading_stops_in_diagnostics_from_outside_too() -> None:
    diagnostics = Diagnostics()
    with pytest.raises(SpecErrors):
        parse(b"const A 5;" * 1000, "f.x", diagnostics=diagnostics)
    assert len(diagnostics.errors) == MAX_ERRORS + 1


def test_a_limit_leaves_nothing_but_its_error() -> None:
    diagnostics = Diagnostics()
    spec = parse(b"const A = 1;" + b"{" * 100, "f.x", diagnostics=diagnostics)
    assert (spec.definitions, reported(diagnostics)) == ((), [f"1:77: {NESTED}"])
