"""One ``#`` line, taken apart: its name, its operand and where both stand.

What a directive does is decided in ``preprocess`` and ``conditionals``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rpcgen.errors import Location, Note
from rpcgen.syntax.lexer import Token, past

_NOISE = re.compile(r"(\"[^\"\n]*+\")|/\*(?:[^*]|\*(?!/))*+\*/|//[^\n]*+|\\\n")
_BLANK = re.compile(r"\s*+")
_WORD = re.compile(r"\w*+", re.ASCII)


class Directive:
    """``#name operand``, comments and line splices blanked out."""

    def __init__(self, token: Token) -> None:
        text = _NOISE.sub(lambda found: found[1] or " " * len(found[0]), token.text)
        name = past(_BLANK, text, 1)
        end = past(_WORD, text, name)
        operand = past(_BLANK, text, end)
        self.token = token
        self.name = text[name:end]
        self.operand = text[operand:].rstrip()
        self._width = end
        self._operand_offset = token.offset + operand

    @property
    def at(self) -> Location:
        return self.token.source.at(self.token.offset, self._width)

    def operand_at(self, offset: int = 0, width: int = 1) -> Location:
        """The place of a part of the operand."""
        return self.token.source.at(self._operand_offset + offset, width)


@dataclass(frozen=True, slots=True)
class Macro:
    """``#define NAME body``.

    Attributes:
        tokens: those of the body.
        at: None for one given by ``-D``.
        has_parameters: it is of the kind that is known by name only.
    """

    name: str
    body: str
    tokens: tuple[Token, ...]
    at: Location | None
    has_parameters: bool = False

    def note(self) -> Note:
        if self.at is None:
            return Note(f"{self.name} is given by -D {self.name}={self.body}")
        return Note(f"{self.name} is a macro, defined here", self.at)
