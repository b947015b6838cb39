"""Mutated specs: read, or refused with errors at places that exist; nothing else ever comes out."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.errors import MAX_ERRORS, Diagnostics, SpecErrors, as_text
from rpcgen.syntax import parse
from rpcgen.syntax.lexer import KEYWORDS

ROOT = Path(__file__).parents[2]
SPECS = [*sorted((ROOT / "tests/specs/good").glob("*.x")), ROOT / "protocols/virnetprotocol.x"]
WORDS = [
    *KEYWORDS,
    *("{", "}", "(", ")", "[", "]", "<", ">", "=", ":", ";", ",", "*", "-", "x", "Y_1", "_z"),
    *("7", "0x1f", "010", "09", "/*", "*/", "//", "\n%x\n", "\n#if 1\n", "\n#else\n", "\n#endif\n"),
    *(
        "\n#define x y\n",
        "\n#define y\n",
        "\n#undef x\n",
        '\n# 3 "g.x"\n',
        '"',
        "'",
        "@",
        "\0",
        "\\",
    ),
]


def check(text: str | bytes) -> None:
    """Whatever comes out, it is a tree or errors; each error has a place and can be printed."""
    diagnostics = Diagnostics(pedantic=True)
    with suppress(SpecErrors):  # when there are too many
        parse(text, "f.x", diagnostics=diagnostics)
    for error in diagnostics.errors[:MAX_ERRORS]:
        assert error.at
        assert error.at.line >= 1
        assert error.at.column >= 1
    for error in diagnostics:
        assert as_text(error)


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_words_in_any_order(words: list[str]) -> None:
    check(" ".join(words))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    check(data)


def _delete(text: list[str], draw: random.Random) -> None:
    start = draw.randrange(len(text))
    del text[start : start + draw.randrange(1, 9)]


def _insert(text: list[str], draw: random.Random) -> None:
    text.insert(draw.randrange(len(text)), f" {draw.choice(WORDS)} ")


def _swap(text: list[str], draw: random.Random) -> None:
    first, second = draw.randrange(len(text)), draw.randrange(len(text))
    text[first], text[second] = text[second], text[first]


def _repeat(text: list[str], draw: random.Random) -> None:
    start = draw.randrange(len(text))
    text[start:start] = text[start : start + draw.randrange(1, 200)]


def _cut(text: list[str], draw: random.Random) -> None:
    del text[draw.randrange(len(text)) + 1 :]


MUTATIONS: list[Callable[[list[str], random.Random], None]] = [
    *(_delete, _insert, _swap, _repeat, _cut)
]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
@given(draw=st.randoms(use_true_random=False))
def test_mutated_specs(path: Path, draw: random.Random) -> None:
    text = list(path.read_text(encoding="utf-8", errors="surrogateescape")) or [" "]
    for _ in range(draw.randrange(1, 8)):
        draw.choice(MUTATIONS)(text, draw)
        text = text or [" "]
    check("".join(text))
