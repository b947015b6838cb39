"""Integer constants of a C header: ``#define NAME EXPRESSION`` and enum members.

Only what is surely a constant integer is taken; macros with parameters, strings, ``sizeof``, casts,
``@SUBSTITUTIONS@`` and names with two different values are passed over without a word. No
conditional is evaluated.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_COMMENT_OR_TEXT = re.compile(
    r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|/\*.*?\*/|//[^\n]*""", re.DOTALL
)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+([A-Za-z_]\w*)[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_ENUM = re.compile(r"\benum\b[^;{}()]*\{([^{}]*)\}")
_MEMBER = re.compile(r"\s*([A-Za-z_]\w*)[^=]*(?:=(.*))?", re.DOTALL)
_NUMBER = re.compile(r"\b(0[xX][0-9A-Fa-f]+|\d+)[uUlL]*\b")
_EXPRESSION = re.compile(r"(?:[A-Za-z_]\w*|\d+\b|[-+*<>&|^~()\s])+")

_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_UNARY: dict[type[ast.unaryop], Callable[[int], int]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}
_LARGEST = 2**64
"""No C integer constant is wider; the check also keeps ``1 << 1000000`` from being computed."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name with its expression, or, without one, the successor of the enum member ``after`` (the first one is 0)."""

    name: str
    expression: str | None
    after: str | None = None


def constants(text: str) -> dict[str, int]:
    """Every integer constant of a header, in file order."""
    text = _COMMENT_OR_TEXT.sub(lambda match: match[1] or " ", text.replace("\\\n", " "))
    waiting = [*_defines(text), *_members(_DIRECTIVE.sub("", text))]
    found: dict[str, int] = {}
    ambiguous: set[str] = set()
    while progress := [
        (entry, value) for entry in waiting if (value := _value(entry, found)) is not None
    ]:
        for entry, value in progress:
            if found.setdefault(entry.name, value) != value:
                ambiguous.add(entry.name)
        done = {id(entry) for entry, _ in progress}
        waiting = [entry for entry in waiting if id(entry) not in done]
    return {name: value for name, value in found.items() if name not in ambiguous}


def evaluate(expression: str, known: Mapping[str, int]) -> int | None:
    """The value of a C constant expression; None where it is none, or names something unknown."""
    try:
        decimal = _NUMBER.sub(_as_decimal, expression).strip()
        if not _EXPRESSION.fullmatch(decimal):
            return None
        return _evaluate(ast.parse(decimal, mode="eval").body, known)
    except (SyntaxError, ValueError, KeyError, RecursionError, MemoryError):
        return None


def _defines(text: str) -> Iterator[_Entry]:
    for match in _DEFINE.finditer(text):
        yield _Entry(match[1], match[2])


def _members(text: str) -> Iterator[_Entry]:
    for body in _ENUM.finditer(text):
        previous = None
        for part in body[1].split(","):
            if match := _MEMBER.fullmatch(part):
                yield _Entry(match[1], match[2], previous)
                previous = match[1]


def _value(entry: _Entry, known: Mapping[str, int]) -> int | None:
    if entry.expression is not None:
        return evaluate(entry.expression, known)
    if entry.after is None:
        return 0
    return known[entry.after] + 1 if entry.after in known else None


def _as_decimal(match: re.Match[str]) -> str:
    digits = match[1]
    octal = len(digits) > 1 and digits[0] == "0" and digits[1] not in "xX"
    return str(int(digits, 8 if octal else 0))


def _evaluate(node: ast.expr, known: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return known[name]
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_evaluate(operand, known))
        case ast.BinOp(left=left, op=op, right=right):
            return _limited(_BINARY[type(op)], _evaluate(left, known), _evaluate(right, known))
    raise ValueError(node)


def _limited(operation: Callable[[int, int], int], left: int, right: int) -> int:
    if operation in (operator.lshift, operator.rshift) and not 0 <= right < 64:
        raise ValueError(right)
    value = operation(left, right)
    if not -_LARGEST < value < _LARGEST:
        raise ValueError(value)
    return value
