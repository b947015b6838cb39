"""Constants out of C headers: what is surely an integer is found, all else is passed over."""

from __future__ import annotations

import pytest

from rpcgen.model.headers import constants, evaluate

HEADER = r"""
#ifndef EXAMPLE_H
# define EXAMPLE_H
/* #define COMMENTED 1 */
// #define COMMENTED_TOO 1
# define BUFLEN (256 + 1)      /* with its NUL */
#define LATER  (EARLIER * 2)
#define EARLIER 0x10u
#define CONTINUED 1 + \
    2
#define MODE 0644
#define BIG 0xFFFFFFFFFFULL
#define NEGATIVE (-1)
#define TEXT "/* no comment */ 5"
#define FUNCTION(x) ((x) + 1)
#define CALL FUNCTION(1)
#define SIZE sizeof(int)
#define CAST ((unsigned int) 5)
#define SUBSTITUTED @VERSION@
#define EMPTY
#define UNKNOWN (MISSING + 1)
#define TWICE 1
#define TWICE 1
#define AMBIGUOUS 1
#define AMBIGUOUS 2
#define FLOATING 1.5
#define HUGE_SHIFT (1 << 1000000)
#define OCTAL_NOT 09

typedef enum {
    FIRST,
    SECOND,        /* (Since: 1.0) */
    TENTH = 1 << 3 | 2,
    NEXT,
# ifdef SENTINELS
    LAST /* (Since: 2.0) */
# endif
} exampleEnum;

enum named { ODD = sizeof(long), AFTER_ODD, FINE = BUFLEN, DEPRECATED_ONE G_DEPRECATED = 7, };

struct s { int field; };
#endif
"""

EXPECTED = {
    "BUFLEN": 257,
    "LATER": 32,
    "EARLIER": 16,
    "CONTINUED": 3,
    "MODE": 0o644,
    "BIG": 0xFFFFFFFFFF,
    "NEGATIVE": -1,
    "TWICE": 1,
    "FIRST": 0,
    "SECOND": 1,
    "TENTH": 10,
    "NEXT": 11,
    "LAST": 12,
    "FINE": 257,
    "DEPRECATED_ONE": 7,
}


def test_a_header() -> None:
    assert constants(HEADER) == EXPECTED


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("5", 5),
        ("0", 0),
        ("00", 0),
        ("0x7FFFFFFF", 2**31 - 1),
        ("~0", -1),
        ("1 << 4 | 1", 17),
        ("6 & 3 ^ 1", 3),
        ("KNOWN - 1", 41),
        ("256 >> 2", 64),
        ("1 +", None),
        ("", None),
        ("2 ** 3", None),
        ("1 if 2 else 3", None),
        ("5 (3)", None),
        ("1or 2", None),
        ("x = 3", None),
        ("__import__", None),
        ("True", None),
        ("1 << -1", None),
        ("0xFFFFFFFFFFFFFFFF * 0xFFFFFFFFFFFFFFFF", None),
        ("(" * 5000 + "1" + ")" * 5000, None),
        ("-" * 100_000 + "1", None),
        ("9" * 5000, None),
    ],
)
def test_expressions(expression: str, value: int | None) -> None:
    assert evaluate(expression, {"KNOWN": 42}) == value
