"""What stands behind ``#if``: integers, names, ``defined``, ``!``, comparisons, ``&&`` and ``||``.

Values only: whether a region is read is decided in ``preprocess``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from rpcgen.syntax.lexer import number

MAX_DEPTH = 64
"""Parentheses, ``!`` and macros inside each other: evaluation is recursive. C promises 63."""

MAX_LENGTH = 10_000
"""A page of text; a condition of megabytes would be cut into millions of atoms."""

_ATOM = re.compile(r"[0-9]\w*|[A-Za-z_]\w*|&&|\|\||[=!<>]=|\S", re.ASCII)
_INTEGER = re.compile(r"(0[xX][0-9a-fA-F]{1,500}|0[0-7]{0,500}|[1-9][0-9]{0,500})[uUlL]{0,3}")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)

_Body = Callable[[str], str | None]

_OPERATORS: dict[str, tuple[int, Callable[[int, int], int]]] = {
    "||": (1, lambda left, right: left or right),
    "&&": (2, lambda left, right: left and right),
    "==": (3, operator.eq),
    "!=": (3, operator.ne),
    "<": (4, operator.lt),
    "<=": (4, operator.le),
    ">": (4, operator.gt),
    ">=": (4, operator.ge),
}


class ConditionError(Exception):
    """A condition that cannot be evaluated; ``offset`` and ``width`` tell where in its text."""

    def __init__(self, message: str, offset: int, width: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.width = width


def evaluate(text: str, body: _Body) -> bool:
    """Whether a condition holds.

    Args:
        text: what follows ``#if``.
        body: what a name stands for; None where it is no macro, which counts as 0.

    Raises:
        ConditionError: the text is no condition.
    """
    return bool(_Condition(text, body, {}).value())


class _Condition:
    """One text being evaluated; ``known`` holds the values of macros, 0 while one is being found."""

    def __init__(self, text: str, body: _Body, known: dict[str, int], depth: int = 0) -> None:
        if len(text) > MAX_LENGTH:
            raise ConditionError(f"condition of more than {MAX_LENGTH} characters", 0, 1)
        self._text = text
        self._body = body
        self._known = known
        self._depth = depth
        self._atoms = list(_ATOM.finditer(text))
        self._atoms.reverse()

    def value(self) -> int:
        value = self._binary(1)
        if self._atoms:
            raise self._expected("an operator")
        return value

    def _next(self) -> str:
        return self._atoms[-1][0] if self._atoms else ""

    def _binary(self, lowest: int) -> int:
        left = self._unary()
        while (found := _OPERATORS.get(self._next())) and found[0] >= lowest:
            self._atoms.pop()
            precedence, apply = found
            left = int(apply(left, self._binary(precedence + 1)))
        return left

    def _unary(self) -> int:
        self._descend()
        try:
            return self._operand()
        finally:
            self._depth -= 1

    def _operand(self) -> int:
        atom = self._next()
        if _NAME.fullmatch(atom):
            self._atoms.pop()
            return self._defined() if atom == "defined" else self._macro(atom)
        if found := _INTEGER.fullmatch(atom):
            self._atoms.pop()
            return number(found[1])
        if atom not in ("!", "-", "("):
            raise self._expected("a number or a name")
        self._atoms.pop()
        if atom == "!":
            return int(not self._unary())
        if atom == "-":
            return -self._unary()
        value = self._binary(1)
        self._expect(")")
        return value

    def _defined(self) -> int:
        """``defined X`` or ``defined(X)``."""
        parenthesis = self._next() == "("
        if parenthesis:
            self._atoms.pop()
        name = self._next()
        if not _NAME.fullmatch(name):
            raise self._expected("a name")
        self._atoms.pop()
        if parenthesis:
            self._expect(")")
        return int(self._body(name) is not None)

    def _macro(self, name: str) -> int:
        if name not in self._known:
            self._known[name] = 0
            body = self._body(name)
            if body is not None:
                self._known[name] = _Condition(body, self._body, self._known, self._depth).value()
        return self._known[name]

    def _expect(self, atom: str) -> None:
        if self._next() != atom:
            raise self._expected(f"'{atom}'")
        self._atoms.pop()

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ConditionError(f"condition nested deeper than {MAX_DEPTH}", *self._place())

    def _expected(self, what: str) -> ConditionError:
        atom = self._next()
        came = f"'{atom}'" if atom else "the end of the line"
        return ConditionError(f"expected {what} before {came}", *self._place())

    def _place(self) -> tuple[int, int]:
        if not self._atoms:
            return len(self._text), 1
        return self._atoms[-1].start(), len(self._atoms[-1][0])
