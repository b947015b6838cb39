"""What happens at a token that the grammar does not allow: one message, then a way to go on.

First choice is to pretend that a forgotten token (``;``, ``=``, ``)``) is there, when the two tokens
behind it then make sense. Otherwise the grammar's ``error`` productions take over: tokens are passed
over up to the next one that ends the broken part, braces in between counted.
"""

from __future__ import annotations

from typing import Any

from rpcgen.errors import GrammarError
from rpcgen.syntax.lexer import KEYWORDS, Token
from rpcgen.syntax.stream import Stream, begins_definition, end_of, synthetic
from rpcgen.syntax.tree import TypeName

_TEXT_SHOWN = 40

_FORGOTTEN = (";", ",", ")", "]", ">", ":", "=", "(", "{", "SWITCH")
"""Tokens to pretend are there, the likeliest first. Braces that are not closed are ``stream``'s."""

_SETS = (
    (frozenset(("CONST", "TYPEDEF", "PROGRAM")), ["a definition"]),
    (frozenset(("UNSIGNED", "INT", "NAME")), ["a type"]),
    (frozenset(("NUMBER", "NAME")), ["a number", "a name"]),
    (frozenset(("NAME",)), ["a name"]),
    (frozenset(("NUMBER",)), ["a number"]),
)
"""What to call a set of tokens: the first that is expected as a whole."""

_SINGLE = ("CASE", "DEFAULT", "SWITCH", "VERSION", *",;:=()[]<>{}")
_CLOSING = frozenset(",;)}")
_CONTINUING = frozenset("[<*=")
_LEFT_OVER = frozenset("};")


class Recovery:
    """PLY's error function for one parse."""

    def __init__(self, parser: Any, stream: Stream) -> None:
        self._parser = parser
        self._stream = stream
        self._damaged = -1  # how many definitions stood before the one with the last error

    def __call__(self, token: Token | None) -> Token | None:
        """Report ``token`` (None: the end of the file); returns what to read in its place, or None for PLY to pop."""
        if token and token.synthetic:
            return None  # the error that put it there is reported
        if token and self._is_left_over(token):
            self._parser.errok()
            return self._stream.token()
        self._report(token)
        forgotten = self._forgotten(token)
        if forgotten:
            self._parser.errok()
            return self._pretend(forgotten, token)
        if token:
            self._pass_over(token)
        return None

    def _is_left_over(self, token: Token) -> bool:
        """Whether this is the end of a definition whose beginning was an error."""
        return (
            token.type in _LEFT_OVER
            and self._damaged == self._definitions()
            and self._accepts("TYPEDEF")
        )

    def _definitions(self) -> int:
        return len(self._parser.symstack[1].value)

    # The message

    def _report(self, token: Token | None) -> None:
        expected = self._expected()
        self._damaged = self._definitions()
        at = token.at if token else end_of(self._stream.tokens[-1])
        message = f"expected {_phrase(expected)} before {_came(token)}"
        notes = [token.note] if token and token.note else []
        hint = self._hint(token, expected) if token else None
        self._stream.diagnostics.error(GrammarError(message, at, notes=notes, hint=hint))

    def _hint(self, token: Token, expected: set[str]) -> str | None:
        if "NAME" not in expected or "UNSIGNED" in expected:
            return None
        if token.text in KEYWORDS:
            return f"'{token.text}' is a keyword"
        last = self._parser.symstack[-1].value
        if token.type == "{" and isinstance(last, TypeName) and last.tag:
            return f"inside another definition, '{last.tag}' has braces or a name, not both"
        return None

    def _expected(self) -> set[str]:
        candidates = self._parser.action[self._parser.statestack[-1]]
        return {kind for kind in candidates if kind != "error" and self._accepts(kind)}

    def _accepts(self, *kinds: str) -> bool:
        """Whether the parser, as it stands, could read these tokens."""
        states: list[int] | None = self._parser.statestack
        for kind in kinds:
            states = states and self._after(states, kind)
        return states is not None

    def _after(self, states: list[int], kind: str) -> list[int] | None:
        """The stack of states after one more token; None where it is not allowed."""
        parser, states = self._parser, list(states)
        while True:
            action = parser.defaulted_states.get(states[-1]) or parser.action[states[-1]].get(kind)
            if action is None:
                return None
            if action >= 0:
                return [*states, action]
            rule = parser.productions[-action]
            del states[len(states) - rule.len :]
            states.append(parser.goto[states[-1]][rule.name])

    # Going on

    def _forgotten(self, token: Token | None) -> str | None:
        """The token that was left out before this one, if that is all that is wrong."""
        position = self._stream.position
        following = ["$end"]
        if token:
            following = [
                token.type,
                *(one.type for one in self._stream.tokens[position : position + 1]),
            ]
        return next((kind for kind in _FORGOTTEN if self._accepts(kind, *following)), None)

    def _pretend(self, kind: str, token: Token | None) -> Token:
        stream = self._stream
        if token:
            stream.position -= 1  # to be read again
        return synthetic(kind, stream.tokens[stream.position - 1])

    def _pass_over(self, token: Token) -> None:
        """Skip to a token that an ``error`` production waits for."""
        stream, ends = self._stream, self._ends()
        if token.type in ends:
            return
        depth = _depth(token.type)
        while stream.position < len(stream.tokens):
            kind = stream.tokens[stream.position].type
            if depth <= 0 and kind in ends:
                return
            if depth <= 0 and begins_definition(stream.tokens, stream.position):
                stream.tokens.insert(
                    stream.position, synthetic(";", stream.tokens[stream.position])
                )
                return
            depth += _depth(kind)
            stream.position += 1

    def _ends(self) -> set[str]:
        """What the innermost ``error`` production waits for."""
        states = list(self._parser.statestack)
        while (resumed := self._after(states, "error")) is None:
            states.pop()
        return set(self._parser.action[resumed[-1]])


def _depth(kind: str) -> int:
    return (kind == "{") - (kind == "}")


def _came(token: Token | None) -> str:
    if token is None:
        return "end of file"
    return f"'{token.text[:_TEXT_SHOWN]}'" if token.type != "TEXT" else token.text[:_TEXT_SHOWN]


def _phrase(expected: set[str]) -> str:
    """The tokens by name. Where a thing can end, how it could go on is not mentioned."""
    if expected & _CLOSING:
        expected = expected - _CONTINUING
    words = next((words for kinds, words in _SETS if kinds <= expected), [])
    words = words + [f"'{kind.lower()}'" for kind in _SINGLE if kind in expected]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
