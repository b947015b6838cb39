"""Conditions behind ``#if``."""

from __future__ import annotations

import pytest

from rpcgen.syntax.condition import MAX_DEPTH, MAX_LENGTH, ConditionError, evaluate

MACROS = {
    "ONE": "1",
    "TWO": "(ONE == 1) == 1 == 1",
    "HEX": "0x10",
    "EMPTY": "",
    "SELF": "SELF",
    "A": "B",
    "B": "A",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", False),
        ("1", True),
        ("0x10 == 16", True),
        ("010 == 8", True),
        ("10UL == 10", True),
        ("HEX > 15", True),
        ("NONE", False),
        ("ONE", True),
        ("TWO", True),
        ("SELF", False),
        ("A", False),
        ("!ONE", False),
        ("!!ONE", True),
        ("-1 < 0", True),
        ("- -1 > 0", True),
        ("defined ONE", True),
        ("defined(ONE)", True),
        ("defined ( NONE )", False),
        ("!defined(NONE) && ONE", True),
        ("defined EMPTY", True),
        ("0 || 1 && 0", False),
        ("1 || 1 && 0", True),
        ("(1 || 1) && 0", False),
        ("1 == 1 != 0", True),
        ("1 < 2 == 1", True),
        ("3 <= 3", True),
        ("3 >= 4", False),
        ("3 > 2 > 1", False),
        ("2 != 2", False),
    ],
)
def test_values(text: str, value: bool) -> None:
    assert evaluate(text, MACROS.get) is value


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("", "expected a number or a name before the end of the line", 0),
        ("1 &&", "expected a number or a name before the end of the line", 4),
        ("1 2", "expected an operator before '2'", 2),
        ("(1", "expected ')' before the end of the line", 2),
        ("1)", "expected an operator before ')'", 1),
        ("== 1", "expected a number or a name before '=='", 0),
        ("defined 1", "expected a name before '1'", 8),
        ("defined(ONE", "expected ')' before the end of the line", 11),
        ("1 + 1", "expected an operator before '+'", 2),
        ("'a'", "expected a number or a name before '''", 0),
        ("09", "expected a number or a name before '09'", 0),
        ("EMPTY", "expected a number or a name before the end of the line", 0),
        ("(" * MAX_DEPTH + "1", f"condition nested deeper than {MAX_DEPTH}", MAX_DEPTH),
        ("!" * 5000 + "1", f"condition nested deeper than {MAX_DEPTH}", MAX_DEPTH),
        ("1" * MAX_LENGTH + "1", f"condition of more than {MAX_LENGTH} characters", 0),
    ],
)
def test_errors(text: str, message: str, offset: int) -> None:
    with pytest.raises(ConditionError) as caught:
        evaluate(text, MACROS.get)
    assert (caught.value.message, caught.value.offset) == (message, offset)


def test_macros_that_double_are_evaluated_once() -> None:
    macros = {f"M{n}": f"(M{n + 1} && M{n + 1})" for n in range(20)} | {"M20": "1"}
    assert evaluate("M0", macros.get)


def test_a_chain_of_macros_is_not_followed_for_ever() -> None:
    with pytest.raises(ConditionError, match="nested deeper"):
        evaluate("M0", lambda name: f"M{int(name[1:]) + 1}")
