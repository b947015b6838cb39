"""The text of one file and its places.

Knows bytes, lines and line markers. It must not know tokens: ``lexer`` cuts the text.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right

from rpcgen.errors import Location

_BOM = "\ufeff"
_UNDECODABLE = {0xDC00 + byte: chr(byte) for byte in range(0x80, 0x100)}


def decode(data: str | bytes) -> str:
    """The text of a file: UTF-8, no byte order mark, lines ended by ``\\n`` alone.

    A byte that is not UTF-8 becomes a lone surrogate: legal in a comment, an illegal character elsewhere.
    """
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    return text.removeprefix(_BOM).replace("\r\n", "\n")


def readable(text: str) -> str:
    """Comment text with its undecodable bytes read as Latin-1, which is what old files hold."""
    return text if text.isascii() else text.translate(_UNDECODABLE)


class Source:
    """One file's text, and the Location of any offset in it.

    Args:
        text: what ``decode`` returned.
        file: the name as the user gave it.
    """

    __slots__ = ("file", "text", "_starts", "_line", "_line_text", "_markers")

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.text = text
        self._starts = array("q", [0])
        self._starts.extend(newline.end() for newline in re.finditer("\n", text))
        self._line = 0
        self._line_text = ""
        self._markers: list[tuple[int, str, int]] = []

    @property
    def name(self) -> str:
        """The name without its folder."""
        return os.path.basename(self.file)

    def at(self, offset: int, width: int = 1) -> Location:
        """The place of ``offset``, as line markers before it name it."""
        line = bisect_right(self._starts, offset)
        if line != self._line:  # one string for all places of a line: it may be megabytes long
            self._line, self._line_text = line, self._text_of(line)
        column = offset - self._starts[line - 1] + 1
        if self._markers:
            return Location(*self._presumed(line), column, self._line_text, width)
        return Location(self.file, line, column, self._line_text, width)

    def mark(self, offset: int, line: int, file: str | None) -> None:
        """Honour a line marker: the line after ``offset`` is ``line`` of ``file``."""
        physical = bisect_right(self._starts, offset)
        self._markers.append((physical, file or self.at(offset).file, line - physical - 1))

    def _presumed(self, line: int) -> tuple[str, int]:
        index = bisect_right(self._markers, line - 1, key=lambda marker: marker[0])
        if not index:
            return self.file, line
        _, file, shift = self._markers[index - 1]
        return file, line + shift

    def _text_of(self, line: int) -> str:
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return self.text[self._starts[line - 1] : end].rstrip("\r\n")
