"""Tokens: what the text is cut into, and what is said about text that cannot be."""

from __future__ import annotations

import pytest

from rpcgen.syntax.lexer import KEYWORDS, MAX_DIGITS, complaint, repaired, scan
from rpcgen.syntax.source import Source


def cut(text: str) -> list[str]:
    """Tokens as ``TYPE text``; punctuation as it is."""
    return [
        one.text if one.type == one.text else f"{one.type} {one.text}"
        for one in scan(Source(text, "f.x"))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r\n\f\v", []),
        ("a\\\n b", ["NAME a", "NAME b"]),
        ("{}()[]<>=:;,*-", list("{}()[]<>=:;,*-")),
        ("A_1 _a a9", ["NAME A_1", "NAME _a", "NAME a9"]),
        ("interior default_x int8_t Int", [*("NAME interior", "NAME default_x", "NAME int8_t", "NAME Int")]),
        ("int x;", ["INT int", "NAME x", ";"]),
        ("0 7 007 0x1F 0Xab 42", [*("NUMBER 0", "NUMBER 7", "NUMBER 007", "NUMBER 0x1F", "NUMBER 0Xab", "NUMBER 42")]),
        ("-5", ["-", "NUMBER 5"]),
        ("/* a\n b */x", ["COMMENT /* a\n b */", "NAME x"]),
        ("/**/ /***/ /*/*/ /* // */", ["COMMENT /**/", "COMMENT /***/", "COMMENT /*/*/", "COMMENT /* // */"]),
        ("x // a /* b\ny", ["NAME x", "COMMENT // a /* b", "NAME y"]),
        ("%#include <a.h>\n%\n", ["PASSTHROUGH %#include <a.h>", "PASSTHROUGH %"]),
        ("  % it's /* C\nx", ["PASSTHROUGH % it's /* C", "NAME x"]),
        ("%a \\\n b\nc", ["PASSTHROUGH %a \\\n b", "NAME c"]),
        ("x; %y", ["NAME x", ";", "MALFORMED %", "NAME y"]),
        ("/* c */ %y\n", ["COMMENT /* c */", "PASSTHROUGH %y"]),
        ("#if X\n #endif", ["DIRECTIVE #if X", "DIRECTIVE #endif"]),
        ("#define A 1 /* two\nlines */\nx", ["DIRECTIVE #define A 1 /* two\nlines */", "NAME x"]),
        ("#define A \\\n 1\nx", ["DIRECTIVE #define A \\\n 1", "NAME x"]),
        ("#x // /* no\ny", ["DIRECTIVE #x // /* no", "NAME y"]),
        ("#x /* open\ny", ["DIRECTIVE #x ", "MALFORMED /*"]),
        ("x # y", ["NAME x", "MALFORMED #", "NAME y"]),
        ("'a' \"b c\"", ["TEXT 'a'", 'TEXT "b c"']),
        ("\"a\n'", ['MALFORMED "', "NAME a", "MALFORMED '"]),
        ("a@b", ["NAME a", "MALFORMED @", "NAME b"]),
        ("@@$!/ x", ["MALFORMED @@$!/", "NAME x"]),
        ("@/* c */", ["MALFORMED @", "COMMENT /* c */"]),
        ("/*", ["MALFORMED /*"]),
        ("x /* y ; z", ["NAME x", "MALFORMED /*"]),
        ("09 0x 1.5 10L 0b1", [*("MALFORMED 09", "MALFORMED 0x", "MALFORMED 1.5", "MALFORMED 10L", "MALFORMED 0b1")]),
        ("\0", ["MALFORMED \0"]),
        ("é\u00a0", ["MALFORMED é\u00a0"]),
    ],
)  # fmt: skip
def test_tokens(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_keywords() -> None:
    words = list(KEYWORDS)
    assert cut(" ".join(words)) == [f"{word.upper()} {word}" for word in words]
    assert cut(" ".join(f"{word}_x {word}s" for word in words)) == [
        f"NAME {word}{end}" for word in words for end in ("_x", "s")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@", "illegal character '@'"),
        ("'", 'illegal character "\'"'),
        ("@$@", "illegal characters '@$@'"),
        ("@" * 50, f"illegal characters '{'@' * 20}'"),
        ("\0", "illegal character U+0000"),
        ("\0\1\2", "illegal character U+0000 and 2 more"),
        ("\ufeff", "illegal character U+FEFF"),
        ("\udce9", "illegal byte 0xE9"),
        ("\udce9\udcff", "illegal byte 0xE9 and 1 more"),
        ("/*", "unterminated comment"),
        ("09", "expected octal digits after the leading 0, found 09"),
        ("0189", "expected octal digits after the leading 0, found 0189"),
        ("0x", "expected hexadecimal digits after 0x, found 0x"),
        ("0xfg", "expected hexadecimal digits after 0x, found 0xfg"),
        ("1.5", "expected an integer, found 1.5"),
        ("10UL", "expected an integer, found 10UL"),
        ("9" * (MAX_DIGITS + 1), f"expected a number of at most {MAX_DIGITS} digits, found 1001"),
        ("0x" + "f" * (MAX_DIGITS + 1), f"expected a number of at most {MAX_DIGITS} digits, found 1003"),
    ],
)  # fmt: skip
def test_complaints(text: str, message: str) -> None:
    (token,) = scan(Source(text, "f.x"))
    assert complaint(token).message == message
    assert complaint(token).at == token.at


def test_the_hint_at_a_leading_zero() -> None:
    (token,) = scan(Source("0089", "f.x"))
    assert complaint(token).hint == "a leading 0 makes a number octal: write 89"


@pytest.mark.parametrize(
    ("text", "number"),
    [("09", ["9"]), ("10L", ["10"]), ("0x", ["0"]), ("@", []), ("/*", ["/*"]), ("'", [])],
)
def test_what_reading_goes_on_with(text: str, number: list[str]) -> None:
    (token,) = scan(Source(text, "f.x"))
    assert [one.text for one in repaired(token)] == number


def test_the_largest_number() -> None:
    assert cut("9" * MAX_DIGITS) == [f"NUMBER {'9' * MAX_DIGITS}"]
    assert cut("0x" + "f" * MAX_DIGITS) == [f"NUMBER 0x{'f' * MAX_DIGITS}"]
