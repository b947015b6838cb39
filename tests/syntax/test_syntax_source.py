"""Bytes to text, and the place of every character."""

from __future__ import annotations

import pytest

from rpcgen.errors import SpecErrors
from rpcgen.syntax import parse, tree
from rpcgen.syntax.source import Source, decode, readable


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\xef\xbb\xbfconst", "const"),
        ("\ufeffconst", "const"),
        (b"a\r\nb\rc", "a\nb\rc"),
        ("caf\u00e9".encode(), "caf\u00e9"),
        ("caf\u00e9".encode("latin-1"), "caf\udce9"),
    ],
)
def test_decoding(data: str | bytes, text: str) -> None:
    assert decode(data) == text


def test_undecodable_bytes_in_comments_are_latin_1() -> None:
    assert readable("caf\udce9 \u4e2d") == "caf\u00e9 \u4e2d"
    spec = parse(b"/* caf\xe9 */\n%\xe9\nconst A = 1; /* \xff */\n", "f.x")
    passed, const = spec.definitions
    assert [spec.remarks.before[0].text, passed.text] == ["/* caf\u00e9 */", "\u00e9"]  # type: ignore[union-attr]
    assert isinstance(const, tree.ConstDefinition)
    assert const.remarks.after[0].text == "/* \u00ff */"


def test_undecodable_bytes_elsewhere_are_errors() -> None:
    with pytest.raises(SpecErrors, match=r"f\.x:2:7: illegal byte 0xE9"):
        parse(b"/* \xe9 */\r\nconst \xe9A = 1;\r\n", "f.x")


@pytest.mark.parametrize(
    ("offset", "line", "column", "shown"),
    [
        (0, 1, 1, "ab"),
        (1, 1, 2, "ab"),
        (2, 1, 3, "ab"),
        (3, 2, 1, "\tc"),
        (4, 2, 2, "\tc"),
        (6, 3, 1, ""),
        (9, 4, 3, "de"),
    ],
)
def test_places(offset: int, line: int, column: int, shown: str) -> None:
    at = Source("ab\n\tc\n\nde", "f.x").at(offset, 2)
    assert (at.file, at.line, at.column, at.text, at.width) == ("f.x", line, column, shown, 2)


def test_places_in_any_order() -> None:
    source = Source("a\nb\nc", "f.x")
    assert [source.at(offset).text for offset in (4, 0, 2, 2, 0)] == ["c", "a", "b", "b", "a"]


def test_line_markers() -> None:
    source = Source("a\n#\nb\nc\n#\nd\n", "f.x")
    source.mark(3, 12, "g.x")
    source.mark(9, 1, None)
    assert [str(source.at(offset)) for offset in (0, 4, 6, 10)] == [
        *("f.x:1:1", "g.x:12:1", "g.x:13:1", "g.x:1:1"),
    ]


def test_carriage_returns_do_not_count() -> None:
    with pytest.raises(SpecErrors) as caught:
        parse("const A = 1;\r\nconst\tB 2;\r\n", "f.x")
    (error,) = caught.value.errors
    assert error.at
    assert (error.at.line, error.at.column) == (2, 9)
    assert error.at.excerpt() == "    const\tB 2;\n         \t  ^"
