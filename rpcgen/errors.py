"""What the generator says about its input: places, errors, warnings, and how they are printed.

Every layer of the generator imports this module and it imports none of them. Nothing here
decides what is an error; ``syntax`` and ``model`` do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar

MAX_ERRORS = 100
"""After so many errors the rest is noise from the first one: reading stops."""

_LINE_SHOWN = 160
"""A source line longer than this is cut around the caret: random input has lines of a megabyte."""


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a ``.x`` file.

    Attributes:
        file: the name as the user gave it, or as a line marker (``# 12 "f.x"``) set it.
        line: counted from 1.
        column: counted in characters from 1; a tab is one character.
        text: the source line, for the caret; empty where there is none.
        width: how many characters the caret underlines.
    """

    file: str
    line: int
    column: int
    text: str = field(default="", repr=False, compare=False)
    width: int = field(default=1, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def excerpt(self) -> str:
        """The source line with a caret below, tabs kept so that the caret stays under its character."""
        text, column = self.text.rstrip("\r\n"), self.column - 1
        if not text.strip():
            return ""
        if len(text) > _LINE_SHOWN:
            start = max(0, column - _LINE_SHOWN // 2)
            text, column = text[start : start + _LINE_SHOWN], column - start
        margin = "".join("\t" if char == "\t" else " " for char in text[:column])
        printable = "".join(
            char if char == "\t" or char.isprintable() else "\ufffd" for char in text
        )
        underline = "^" + "~" * (min(self.width, len(text) - column) - 1)
        return f"    {printable}\n    {margin}{underline}"


@dataclass(frozen=True, slots=True)
class Note:
    """A second place that explains an error, such as "first defined here"."""

    message: str
    at: Location | None = None


class SpecError(Exception):
    """The ``.x`` input is wrong at one place.

    Args:
        message: what was expected and what came; ``.x`` spelling, no trailing period.
        at: the place, or None where the error is about a file as a whole.
        notes: further places that explain it.
        hint: what the user can write instead.
    """

    severity: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        at: Location | None = None,
        *,
        notes: Iterable[Note] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.notes = tuple(notes)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.at}: {self.message}" if self.at else self.message


class LexicalError(SpecError):
    """A character or token that the language does not have."""


class GrammarError(SpecError):
    """Tokens in an order that the grammar does not allow."""


class SemanticError(SpecError):
    """A definition that is well formed and means nothing, or two things."""


class SpecWarning(SpecError):  # noqa: N818  (a warning travels like an error)
    """Accepted, but not what RFC 4506 allows, or likely a mistake."""

    severity = "warning"


class SpecErrors(Exception):  # noqa: N818  (a group of errors, as ExceptionGroup is)
    """All errors of a run; raised once, when nothing more can be found."""

    def __init__(self, errors: Iterable[SpecError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


class Diagnostics:
    """Collects errors and warnings while the layers go on."""

    def __init__(self, *, pedantic: bool = False) -> None:
        self.errors: list[SpecError] = []
        self.warnings: list[SpecWarning] = []
        self.pedantic = pedantic

    def error(self, error: SpecError) -> None:
        """Record an error; raises SpecErrors when there are MAX_ERRORS of them."""
        self.errors.append(error)
        if len(self.errors) >= MAX_ERRORS:
            self.errors.append(SpecError(f"too many errors ({MAX_ERRORS}), stopping"))
            self.check()

    def warn(
        self,
        message: str,
        at: Location | None,
        *,
        notes: Iterable[Note] = (),
        hint: str | None = None,
    ) -> None:
        """Record a warning that is always shown."""
        self.warnings.append(SpecWarning(message, at, notes=notes, hint=hint))

    def tolerate(self, message: str, at: Location, *, hint: str | None = None) -> None:
        """Record a tolerated form (marked P in the language reference): a warning only under ``--pedantic``."""
        if self.pedantic:
            self.warn(message, at, hint=hint)

    def check(self) -> None:
        """Raise SpecErrors if any error was recorded."""
        if self.errors:
            raise SpecErrors(self.errors)

    def __iter__(self) -> Iterator[SpecError]:
        """Errors and warnings, by place."""
        found = [*self.errors, *self.warnings]
        return iter(
            sorted(
                found, key=lambda e: (e.at is None, e.at and (e.at.file, e.at.line, e.at.column))
            )
        )


def as_text(found: SpecError) -> str:
    """One diagnostic as ``file:line:col: error: ...``, the source line, a caret, notes and hint."""
    lines = [f"{_place(found.at)}{found.severity}: {found.message}"]
    if found.at and (excerpt := found.at.excerpt()):
        lines.append(excerpt)
    for note in found.notes:
        lines.append(f"{_place(note.at)}note: {note.message}")
        if note.at and (excerpt := note.at.excerpt()):
            lines.append(excerpt)
    if found.hint:
        lines.append(f"    hint: {found.hint}")
    return "\n".join(lines)


_GITHUB = {ord("%"): "%25", ord("\r"): "%0D", ord("\n"): "%0A"}
"""What would end a workflow command; in a property ``:`` and ``,`` would, too."""


def as_github(found: SpecError) -> str:
    """One diagnostic as a GitHub workflow command."""
    text = ". ".join(filter(None, [found.message, *(n.message for n in found.notes), found.hint]))
    place = ""
    if found.at:
        file = found.at.file.translate(_GITHUB | {ord(":"): "%3A", ord(","): "%2C"})
        place = f" file={file},line={found.at.line},col={found.at.column}"
    return f"::{found.severity}{place}::{text.translate(_GITHUB)}"


def as_json(found: Iterable[SpecError]) -> str:
    """All diagnostics as one JSON array; lines and columns count from 1."""
    return json.dumps([_record(one) for one in found], indent=2)


def _record(found: SpecError) -> dict[str, object]:
    return {
        "severity": found.severity,
        "kind": type(found).__name__,
        "message": found.message,
        **_position(found.at),
        "hint": found.hint,
        "notes": [{"message": note.message, **_position(note.at)} for note in found.notes],
    }


def _position(at: Location | None) -> dict[str, object]:
    return (
        {"file": at.file, "line": at.line, "column": at.column}
        if at
        else {"file": None, "line": None, "column": None}
    )


def _place(at: Location | None) -> str:
    return f"{at}: " if at else ""
