"""Comments become clean prose, and know where each of their lines stands."""

from __future__ import annotations

import pytest

from rpcgen.errors import Location
from rpcgen.model import prose
from rpcgen.syntax.tree import Comment, Remarks


def comment(text: str, line: int = 1, column: int = 1) -> Comment:
    return Comment(text, Location("f.x", line, column, text.splitlines()[0]))


def at(line: int) -> Location:
    return Location("f.x", line, 1)


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("/* one line */", "one line"),
        ("/** two stars */", "two stars"),
        ("/*! bang */", "bang"),
        ("/**/", ""),
        ("/***/", ""),
        ("/* */", ""),
        ("/************/", ""),
        ("/* closing **/", "closing"),
        ("// slashes", "slashes"),
        ("/// three slashes", "three slashes"),
        ("/*no blanks*/", "no blanks"),
        ("/*\n * starred\n * lines\n */", "starred\nlines"),
        ("/* first\n * second\n */", "first\nsecond"),
        ("/* first\n   second */", "first\nsecond"),
        ("/*\n   a\n     b\n   c\n*/", "a\n  b\nc"),
        ("/*\n * list:\n *\n * - one\n *   more\n */", "list:\n\n- one\n  more"),
        ("/*\n * a\n *\n *\n * b\n */", "a\n\nb"),
        ("/*\n * a\n\n * b\n */", "a\n\nb"),
        ("/*\n  * bullets\n  no star here\n*/", "* bullets\nno star here"),
        ("/*-----\n * Title\n *-----*/", "Title"),
        ("/*\tl_len\n\t * tab */", "l_len\ntab"),
        ("/* a * b */", "a * b"),
        ("/*\r\n * dos\r\n */", "dos"),
        ("/* café */", "café"),
    ],
)
def test_decoration_is_removed(written: str, clean: str) -> None:
    assert prose.head(Remarks((comment(written),))) == clean


def test_comments_before_and_behind_make_one_text() -> None:
    remarks = Remarks((comment("/* before */", 4),), (comment("/* behind */", 5, 20),))
    assert prose.describe(remarks, at(5)) == "before\nbehind"


def test_adjacent_lines_are_a_paragraph_and_blocks_are_apart() -> None:
    lines = (comment("// one", 1), comment("// two", 2), comment("/* three\n * four */", 3))
    assert prose.describe(Remarks(lines), at(5)) == "one\ntwo\n\nthree\nfour"


def test_a_blank_line_sets_a_comment_apart() -> None:
    remarks = Remarks((comment("/* group */", 1), comment("/* mine */", 3)))
    assert prose.describe(remarks, at(4)) == "mine"
    assert prose.describe(remarks, at(5)) == ""


def test_a_file_head_ends_at_a_blank_line() -> None:
    comments = (comment("/* a\n * b */", 1), comment("/* c */", 3), comment("/* section */", 5))
    assert prose.head(Remarks(comments)) == "a\nb\n\nc"
    assert prose.head(Remarks()) == ""


def test_lines_that_are_not_kept_leave_no_hole() -> None:
    remarks = Remarks((comment("/**\n * says\n *\n * @key: value\n *\n * more\n */", 1),))
    assert prose.describe(remarks, at(8), lambda line: "@" not in line.text) == "says\n\nmore"


def test_places_of_lines() -> None:
    written = comment("/* one\n   * two\n */", 7, 5)
    first, second, _ = prose.lines(written)
    assert str(first.place(1, 3)) == "f.x:7:8"
    assert str(second.place(1, 3)) == "f.x:8:6"
    assert second.place(1, 3).excerpt() == "       * two\n         ^~~"
