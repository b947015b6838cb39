"""Bytes that differ and yet are the same value: the two places where decoding is lenient (docs/strictness.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from rpcgen.model import types as t

CHARACTERS = {(code, code - 256 + 2**32) for code in range(128, 256)}
"""A character above 127, extended with zeros, and how it is written."""

QUIET = 0x00400000
"""The bit that tells a quiet NaN of four bytes from a signalling one."""


def same_value(type_: t.Type, read: bytes, written: bytes) -> bool:
    """Whether bytes that were read, and what their value is written as, differ in such places only."""
    changes = set(zip(_words(read), _words(written), strict=True)) if read != written else set()
    changes = {(old, new) for old, new in changes if old != new}
    held = set(_plain_types(type_, set()))
    if any(isinstance(one, t.CharArray) for one in held):
        changes -= CHARACTERS
    if t.FLOAT in held:
        changes = {(old, new) for old, new in changes if old | QUIET != new}
    return not changes


def _words(data: bytes) -> Iterator[int]:
    return (word for (word,) in struct.iter_unpack(">I", data))


def _plain_types(type_: t.Type, seen: set[t.TypeDefinition]) -> Iterator[t.Type]:
    """The numbers, texts and bytes that a type is made of."""
    match type_:
        case t.Array(element=element) | t.Optional(element=element):
            yield from _plain_types(element, seen)
        case t.Named(definition=definition):
            if definition not in seen:
                seen.add(definition)
                for part in t.parts(definition):
                    yield from _plain_types(part, seen)
        case _:
            yield type_
