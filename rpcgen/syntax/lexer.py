"""Cuts text into tokens: names, keywords, numbers, punctuation, comments, ``#`` and ``%`` lines.

Every character of the text ends up in a token; what the language does not have becomes a
``MALFORMED`` one, so that whoever skips a region (``#if 0``) skips its errors too. Directives are
found here and understood in ``preprocess``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rpcgen.errors import LexicalError, Location, Note
from rpcgen.syntax.source import Source
from rpcgen.syntax.tree import Comment

MAX_DIGITS = 1000
"""Numbers have any size, but Python refuses to print integers of more than 4300 digits."""

KEYWORDS = {
    word: word.upper()
    for word in (
        *("bool", "char", "double", "float", "hyper", "int", "long", "opaque", "quadruple"),
        *("short", "string", "unsigned", "void"),
        *("case", "const", "default", "enum", "struct", "switch", "typedef", "union"),
        *("program", "version"),
    )
}

# Token types that the grammar never sees.
COMMENT, DIRECTIVE, PASSTHROUGH, MALFORMED = "COMMENT", "DIRECTIVE", "PASSTHROUGH", "MALFORMED"
TRIVIA = frozenset((COMMENT, DIRECTIVE, PASSTHROUGH, MALFORMED))

OPEN_COMMENT = "/*"
"""The text of the MALFORMED token that swallows the rest of a file."""

_BLANK = re.compile(r"(?:[ \t\n\r\f\v]+|\\\n)*+")
_ILLEGAL = r"""(?: (?! /[*/] ) [^\s\w{}()\[\]<>=:;,*"'-] )++"""
_TOKEN = re.compile(
    rf"""
    (?P<NAME> [A-Za-z_]\w*+ )
  | (?P<PUNCTUATION> [{{}}()\[\]<>=:;,*-] )
  | (?P<NUMBER>
      (?: 0[xX][0-9a-fA-F]{{1,{MAX_DIGITS}}}+ | 0[0-7]{{0,{MAX_DIGITS}}}+ | [1-9][0-9]{{0,{MAX_DIGITS - 1}}}+ )
      (?![\w.])
    )
  | (?P<COMMENT> /\* | //[^\n]*+ )
  | (?P<LINE> [#%] )
  | (?P<TEXT> "[^"\n]*+" | '[^'\n]*+' )
  | (?P<MALFORMED> [0-9][\w.]*+ | {_ILLEGAL} | ["'] )
    """,
    re.VERBOSE | re.ASCII,
)
_SHORT_DECIMAL = re.compile("[0-9]{1,9}")
_RUN_SHOWN = 20
_ILLEGAL_RUN = re.compile(_ILLEGAL, re.VERBOSE | re.ASCII)
_REST_OF_PASSTHROUGH = re.compile(r"(?:[^\n\\]|\\\n?)*+")
_END_OF_DIRECTIVE = re.compile(r"\n|/\*|//[^\n]*|(?:\\\n)++")


class Token:
    """One token, and one symbol of PLY's, which asks for ``type``, ``value``, ``lineno`` and ``lexpos``.

    ``lexpos`` is only ever copied by PLY, from the first and last symbol of a production to its result: being
    the token itself, it hands every production its first and last token.

    Attributes:
        text: the spelling; of a token out of a macro, the one inside the macro.
        width: the length in the source; of a token out of a macro, that of the macro's name.
        before: comments that belong to what begins here.
        after: comments that belong to what ends here.
        note: tells of the macro that this token came from.
        synthetic: stands in for what was reported already; nothing more is reported at it.
    """

    __slots__ = (
        "type",
        "text",
        "source",
        "offset",
        "width",
        "index",
        "before",
        "after",
        "note",
        "synthetic",
    )
    lineno = 0
    lexer = None

    def __init__(self, kind: str, text: str, source: Source, offset: int, width: int) -> None:
        self.type = kind
        self.text = text
        self.source = source
        self.offset = offset
        self.width = width
        self.index = 0
        self.before: tuple[Comment, ...] = ()
        self.after: tuple[Comment, ...] = ()
        self.note: Note | None = None
        self.synthetic = False

    @property
    def value(self) -> Token:
        return self

    @property
    def lexpos(self) -> Token:
        return self

    @property
    def at(self) -> Location:
        return self.source.at(self.offset, self.width)

    @property
    def end(self) -> int:
        return self.offset + self.width

    @property
    def spelling(self) -> str:
        """What the file says at this place: a macro's name rather than what it stands for."""
        return self.source.text[self.offset : self.end]


def scan(source: Source, *, fresh: bool = True) -> Iterator[Token]:
    """Cut a whole source into tokens.

    Args:
        source: the text.
        fresh: whether the text begins a line, where ``#`` and ``%`` have their meaning.
    """
    text, pos = source.text, 0
    match, keyword = _TOKEN.match, KEYWORDS.get
    ended = -1 if fresh else 0  # where the last token ended, comments aside
    while found := match(text, start := past(_BLANK, text, pos)):
        kind, word, pos = found.lastgroup, found[0], found.end()
        if kind == "NAME":
            yield Token(keyword(word, "NAME"), word, source, start, pos - start)
        elif kind == "PUNCTUATION":
            yield Token(word, word, source, start, 1)
        elif kind == "COMMENT":
            token, pos = _comment(source, start, pos)
            yield token
            continue
        elif kind == "LINE":
            token = _line(source, start, ended < 0 or "\n" in text[ended:start])
            yield token
            pos = token.end
        else:
            yield Token(kind or MALFORMED, word, source, start, pos - start)
        ended = pos


def number(text: str) -> int:
    """The value of a NUMBER token."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    return int(text, 8 if text[0] == "0" else 10)


def complaint(token: Token) -> LexicalError:
    """What is wrong with a MALFORMED token."""
    if token.text == OPEN_COMMENT:
        return LexicalError("unterminated comment", token.at)
    if token.text[0].isdecimal():
        return _bad_number(token.text, token.at)
    return LexicalError(_illegal(token.text), token.at)


def repaired(token: Token) -> Iterator[Token]:
    """What to go on with in the place of a MALFORMED token, if anything."""
    if token.text == OPEN_COMMENT:  # whatever is missing behind it may be inside it
        yield _stand_in("END", token.text, token)
    elif digits := past(_SHORT_DECIMAL, token.text, 0):
        yield _stand_in("NUMBER", token.text[:digits].lstrip("0") or "0", token)


def _stand_in(kind: str, text: str, token: Token) -> Token:
    found = Token(kind, text, token.source, token.offset, token.width)
    found.synthetic = True
    return found


def _bad_number(text: str, at: Location) -> LexicalError:
    if text[:2] in ("0x", "0X") and len(text) <= MAX_DIGITS:
        return LexicalError(f"expected hexadecimal digits after {text[:2]}, found {text}", at)
    if len(text) > MAX_DIGITS:
        return LexicalError(
            f"expected a number of at most {MAX_DIGITS} digits, found {len(text)}", at
        )
    if text.isdecimal():
        hint = f"a leading 0 makes a number octal: write {text.lstrip('0')}"
        return LexicalError(
            f"expected octal digits after the leading 0, found {text}", at, hint=hint
        )
    return LexicalError(f"expected an integer, found {text}", at)


def _illegal(run: str) -> str:
    """What to call characters that the language does not have; only the first where one has no shape."""
    if run.isprintable():
        quote = '"' if run == "'" else "'"
        return f"illegal character{'s' * (len(run) > 1)} {quote}{run[:_RUN_SHOWN]}{quote}"
    first, more = ord(run[0]), f" and {len(run) - 1} more" if len(run) > 1 else ""
    if 0xDC80 <= first <= 0xDCFF:  # see source.decode
        return f"illegal byte 0x{first - 0xDC00:02X}{more}"
    return f"illegal character U+{first:04X}{more}"


def _comment(source: Source, start: int, end: int) -> tuple[Token, int]:
    text = source.text
    if text[start + 1] == "*":
        closing = text.find("*/", end)
        if closing < 0:
            return Token(MALFORMED, OPEN_COMMENT, source, start, 2), len(text)
        end = closing + 2
    return Token(COMMENT, text[start:end], source, start, end - start), end


def _line(source: Source, start: int, fresh: bool) -> Token:
    """The token that begins with ``#`` or ``%``: a whole line where it is the first of one."""
    text = source.text
    if not fresh:
        kind, end = MALFORMED, past(_ILLEGAL_RUN, text, start)
    elif text[start] == "%":
        kind, end = PASSTHROUGH, past(_REST_OF_PASSTHROUGH, text, start)
    else:
        kind, end = DIRECTIVE, _end_of_directive(text, start)
    return Token(kind, text[start:end], source, start, end - start)


def past(pattern: re.Pattern[str], text: str, pos: int) -> int:
    """The offset behind what the pattern matches at ``pos``, if anything."""
    found = pattern.match(text, pos)
    return found.end() if found else pos


def _end_of_directive(text: str, pos: int) -> int:
    """The end of the line, or of the line on which a comment that began on this one ends."""
    while found := _END_OF_DIRECTIVE.search(text, pos):
        if found[0] == "\n":
            return found.start()
        pos = found.end()
        if found[0] == "/*":
            closing = text.find("*/", pos)
            if closing < 0:  # left over, so that it is found again and reported
                return found.start()
            pos = closing + 2
    return len(text)
