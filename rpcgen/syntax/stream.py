"""The tokens of a file in the order the grammar reads them, each with the comments that belong to it.

Decides which comment belongs to what; ``grammar`` only asks tokens for theirs. It also looks at
braces, because only here is the whole file in view: how deep they go, and which one was never closed.

Which comment belongs to what: comments before a token belong to what begins with it, except that one
behind a token on its line belongs to what ends there, ``,`` and ``;`` not counted. A ``#`` or ``%`` line
parts a comment from what follows. Comments at the head of a file belong to the file, except those
right before the first token, no blank line between.
"""

from __future__ import annotations

from collections.abc import Iterable

from rpcgen.errors import Diagnostics, GrammarError, LexicalError, Location, Note
from rpcgen.syntax.lexer import COMMENT, DIRECTIVE, PASSTHROUGH, Token
from rpcgen.syntax.source import Source, readable
from rpcgen.syntax.tree import Comment, PassThrough

MAX_TOKENS = 400_000
"""Thirty times the largest protocol known. More is a mistake, which should not take minutes to find."""

MAX_NESTING = 64
"""Braces inside each other. The layers behind walk types by recursion, and real files stop at three."""

_SEPARATORS = frozenset(",;")
_ENDS = frozenset(",;:")  # a comment right behind one of these belongs to what it ends
_CLOSING = frozenset(",;)}")  # and so does one right before one of these
_DEFINITIONS = frozenset(("CONST", "TYPEDEF", "ENUM", "STRUCT", "UNION", "PROGRAM"))
_STRUCTURAL = _DEFINITIONS | {"{", "}"}
_HEADS = (
    ("CONST",),
    ("TYPEDEF",),
    ("PROGRAM",),
    ("ENUM", "NAME", "{"),
    ("STRUCT", "NAME", "{"),
    ("STRUCT", "*", "NAME", "{"),
    ("UNION", "NAME", "SWITCH"),
)
"""How definitions begin; none of these can stand inside braces."""


class Stream:
    """The lexer that PLY sees.

    Attributes:
        tokens: all of them; ``position`` is the next one.
        head: the comments at the head of the file.
        passed: the ``%`` lines, each with the index of the token behind it.
    """

    lineno = lexpos = 0  # PLY copies them into empty productions

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics
        self.tokens: list[Token] = []
        self.position = 0
        self.head: list[Comment] = []
        self.passed: list[tuple[int, PassThrough]] = []

    def token(self) -> Token | None:
        if self.position == len(self.tokens):
            return None
        self.position += 1
        return self.tokens[self.position - 1]


def begins_definition(tokens: list[Token], index: int) -> bool:
    """Whether a definition begins here, whatever surrounds it."""
    if tokens[index].type not in _DEFINITIONS:
        return False
    types = tuple(token.type for token in tokens[index : index + 4])
    return any(types[: len(head)] == head for head in _HEADS)


def collect(lexemes: Iterable[Token], source: Source, diagnostics: Diagnostics) -> Stream:
    """Read all tokens of ``source`` and what it includes.

    Raises:
        LexicalError: a limit is exceeded.
    """
    stream = Stream(diagnostics)
    comments = _Comments(stream, source)
    tokens = stream.tokens
    underscored = set()
    for count, token in enumerate(lexemes):
        if count == MAX_TOKENS:
            raise LexicalError(f"more than {MAX_TOKENS} tokens and comments", token.at)
        if token.type == COMMENT:
            comments.pending.append(token)
        elif token.type in (DIRECTIVE, PASSTHROUGH):
            comments.settle(None)
            if token.type == PASSTHROUGH:
                stream.passed.append((len(tokens), PassThrough(readable(token.text[1:]), token.at)))
        else:
            if comments.pending:
                comments.settle(token)
            if token.text[0] == "_" and token.text not in underscored:
                underscored.add(token.text)
                diagnostics.tolerate(
                    f"{token.text} begins with an underscore: RFC 4506 wants a letter", token.at
                )
            token.index = len(tokens)
            tokens.append(token)
    comments.settle(None)
    _close_braces(stream)
    return stream


class _Comments:
    """Hands comments to tokens."""

    def __init__(self, stream: Stream, source: Source) -> None:
        self._stream = stream
        self._tokens = stream.tokens
        self._source = source
        self.pending: list[Token] = []

    def settle(self, following: Token | None) -> None:
        """Give away the comments between the last token and ``following``; None where something parts them."""
        comments, self.pending = self.pending, []
        if following and comments and following.source is not comments[-1].source:
            following = None
        trailing = self._trailing(comments, following)
        if trailing:
            self._owner().after += _nodes(comments[:trailing])
        leading = self._leading(comments[trailing:], following)
        if following:
            following.before = _nodes(leading)
        if not self._tokens and comments and comments[0].source is self._source:
            self._stream.head += _nodes(comments[: len(comments) - len(leading)])

    def _trailing(self, comments: list[Token], following: Token | None) -> int:
        """How many of the comments stand behind the last token, on its line."""
        if not self._tokens or not comments or comments[0].source is not self._tokens[-1].source:
            return 0
        count, last = 0, self._tokens[-1]
        for comment in comments:
            if _newlines(last, comment):
                break
            count, last = count + 1, comment
            if "\n" in comment.text:
                break
        if following and not _newlines(last, following) and not self._ends_something(following):
            return 0
        return count

    def _ends_something(self, following: Token) -> bool:
        """Whether a comment between two tokens of one line belongs to the first."""
        return self._tokens[-1].type in _ENDS or following.type in _CLOSING

    def _owner(self) -> Token:
        """The last token that is no separator."""
        last = self._tokens[-1]
        return self._tokens[-2] if last.type in _SEPARATORS and len(self._tokens) > 1 else last

    def _leading(self, comments: list[Token], following: Token | None) -> list[Token]:
        """Those that belong to what follows: at the head of a file they have to touch it."""
        if following is None:
            return []
        if self._tokens:
            return comments
        start, below = len(comments), following
        while start and _newlines(comments[start - 1], below) <= 1:
            start -= 1
            below = comments[start]
        return comments[start:]


def _newlines(first: Token, second: Token) -> int:
    return first.source.text.count("\n", first.end, second.offset)


def _nodes(comments: list[Token]) -> tuple[Comment, ...]:
    return tuple(Comment(readable(token.text), token.at) for token in comments)


# Braces


def _close_braces(stream: Stream) -> None:
    """Report braces that are never closed, and close them.

    A definition that begins inside braces, no further to the right than the one around it, is where the
    missing brace was expected: without this, each definition behind it would be an error of its own.
    """
    tokens = stream.tokens
    open_: list[Token] = []
    gaps: list[tuple[int, int]] = []
    start = None
    for index, token in enumerate(tokens):
        if token.type not in _STRUCTURAL:
            continue
        if token.type == "{":
            if len(open_) == MAX_NESTING:
                raise LexicalError(f"braces nested deeper than {MAX_NESTING}", token.at)
            open_.append(token)
        elif token.type == "}":
            del open_[-1:]
        elif not open_:
            start = token
        elif begins_definition(tokens, index) and _is_not_inside(token, start or open_[0]):
            stream.diagnostics.error(_unclosed(open_[-1], f"'{token.text}'", token.at))
            gaps.append((index, len(open_)))
            open_, start = [], token
    if open_:
        if not tokens[-1].synthetic:  # as it is behind a comment that is never closed
            stream.diagnostics.error(_unclosed(open_[-1], "end of file", end_of(tokens[-1])))
        gaps.append((len(tokens), len(open_)))
    for index, depth in reversed(gaps):
        tokens[index:index] = [synthetic(kind, tokens[index - 1]) for kind in "}" * depth + ";"]


def _is_not_inside(token: Token, start: Token) -> bool:
    return token.source is not start.source or token.at.column <= start.at.column


def _unclosed(brace: Token, came: str, at: Location) -> GrammarError:
    return GrammarError(
        f"expected '}}' before {came}", at, notes=[Note("'{' is opened here", brace.at)]
    )


def end_of(token: Token) -> Location:
    """The place right behind a token, where the end of a file is reported."""
    return token.source.at(token.end)


def synthetic(kind: str, near: Token) -> Token:
    """A token that the file does not have."""
    token = Token(kind, kind.lower(), near.source, near.offset, near.width)
    token.index = -2  # next to no other
    token.synthetic = True
    return token
