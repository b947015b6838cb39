"""Comments as prose: delimiters, leading stars, rulers and common indentation taken away.

Pure functions over ``syntax.tree.Comment``. What a line means (an annotation, a hint) is not
decided here: callers filter the lines and get the rest back as text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from rpcgen.errors import Location
from rpcgen.syntax.tree import Comment, Remarks

_OPENING = re.compile(r"//+!?|/\*+!?")
_STAR = re.compile(r"\s*\*")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_RULER = re.compile(r"\s*[-=*_#~/+]{3,}\s*")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a comment without its decoration; ``column`` is that of ``text[0]`` in the file."""

    text: str
    comment: Comment
    row: int
    column: int

    def place(self, offset: int, width: int) -> Location:
        """Where a part of ``text`` stands in the file."""
        first = self.comment.at
        source = self.comment.text.split("\n")[self.row] if self.row else first.text
        column = self.column + offset
        return replace(first, line=first.line + self.row, column=column, text=source, width=width)


Keep = Callable[[Line], bool]


def everything(_: Line) -> bool:
    """Keep the line."""
    return True


def lines(comment: Comment) -> Iterator[Line]:
    """The lines of a comment, decoration removed, indentation kept."""
    block = comment.text.startswith("/*")
    rows = (comment.text.removesuffix("*/") if block else comment.text).split("\n")
    starred = all(_STAR.match(row) for row in rows[1:] if row.strip())
    for number, row in enumerate(rows):
        decoration = _STAR if number else _OPENING
        match = decoration.match(row) if starred or not number else None
        start = match.end() if match else 0
        text = _UNPRINTABLE.sub(" ", row[start:]).rstrip()
        if block and number == len(rows) - 1:
            text = text.rstrip("*").rstrip()
        text = "" if _RULER.fullmatch(text) else text
        yield Line(text, comment, number, start + (1 if number else comment.at.column))


def attached(remarks: Remarks, start: Location) -> tuple[Comment, ...]:
    """The comments right before a node: a blank line sets a remark on a whole group apart."""
    below, first = start.line, len(remarks.before)
    for comment in reversed(remarks.before):
        if below - _last_line(comment) > 1:
            break
        below, first = comment.at.line, first - 1
    return remarks.before[first:]


def describe(remarks: Remarks, start: Location, keep: Keep = everything) -> str:
    """The prose that belongs to a node which begins at ``start``: what stands directly before it, then what trails."""
    return _joined((*attached(remarks, start), *remarks.after), keep)


def head(remarks: Remarks) -> str:
    """The prose at the head of a file, up to the first blank line that is in no comment."""
    comments = remarks.before
    gaps = (
        n for n, (one, two) in enumerate(pairwise(comments), 1) if two.at.line - _last_line(one) > 1
    )
    return _joined(comments[: next(gaps, len(comments))], everything)


def _joined(comments: Iterable[Comment], keep: Keep) -> str:
    text, above = "", None
    for comment in comments:
        if prose := _clean(comment, keep):
            text += prose if above is None else _joint(above, comment) + prose
            above = comment
    return text


def _clean(comment: Comment, keep: Keep) -> str:
    kept = [line for line in lines(comment) if keep(line)]
    opening = [line.text.strip() for line in kept if not line.row]
    rest = textwrap.dedent("\n".join(line.text.expandtabs() for line in kept if line.row))
    text = "\n".join([*opening, *map(str.rstrip, rest.split("\n"))])
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def _joint(above: Comment, below: Comment) -> str:
    """One-line comments on adjacent lines are one paragraph."""
    single = "\n" not in above.text and "\n" not in below.text
    return "\n" if single and below.at.line - above.at.line == 1 else "\n\n"


def _last_line(comment: Comment) -> int:
    return comment.at.line + comment.text.count("\n")
