"""A module on both sides, C's and ours, and what both must agree on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bindings import Bindings
from interop.peer import Decoded, Peer
from neutral import Neutral, Reader, dump, leaves
from wire import same_value

from rpcgen.model import types as t
from rpcgen.runtime.errors import XdrDecodeError

STRICTER = (
    "padding is not zero",
    "expected (bool|flag) 0 or 1",
    "is not a member of enum",
    r"expected (a character|(unsigned )?(char|short)), -?\d+ to \d+",
    "a NUL in a string",
)
"""What we say to what C reads: one for each row of docs/strictness.md."""


@dataclass
class Pair:
    """A module on both sides."""

    ours: Bindings
    theirs: Peer
    types: Sequence[t.TypeDefinition]

    def wire(self, definition: t.TypeDefinition, value: Neutral) -> bytes:
        """C's bytes for a value that C cannot but take."""
        encoded = self.theirs.encode(definition, value)
        assert encoded is not None, f"C does not encode {value!r}"
        return encoded


def agree(pair: Pair, definition: t.TypeDefinition, value: Neutral) -> None:
    """Both sides give the same bytes for a value and the same value for these bytes."""
    named = t.Named(definition)
    wanted, wire = dump(named, value), pair.wire(definition, value)
    ours = pair.ours.encode(definition)(pair.ours.to_python(named, value))
    assert ours == wire
    assert tokens(pair, named, pair.ours.decode(definition)(wire)) == wanted
    assert pair.theirs.decode(definition, ours) == Decoded(wanted, len(ours), ours)


def judge(pair: Pair, definition: t.TypeDefinition, data: bytes) -> None:
    """We refuse what C refuses, read what C reads, and are stricter in known ways only."""
    named, theirs = t.Named(definition), pair.theirs.decode(definition, data)
    ours = pair.ours.attempt(definition, data)
    if isinstance(ours, XdrDecodeError):
        assert 0 <= ours.offset <= len(data)
        assert theirs is None or stricter(named, data, theirs), ours
        assert theirs is None or re.search("|".join(STRICTER), str(ours)), ours
    else:
        assert theirs is not None
        value, consumed = ours
        again = pair.ours.encode(definition)(value)
        assert (theirs.tokens, theirs.consumed) == (tokens(pair, named, value), consumed)
        assert same_value(named, data[:consumed], again)
        assert same_value(named, theirs.again, again)


def tokens(pair: Pair, type_: t.Type, value: object) -> bytes:
    """What our value is, in the form that can be compared with C's."""
    return dump(type_, pair.ours.to_neutral(type_, value))


def stricter(type_: t.Type, data: bytes, theirs: Decoded) -> bool:
    """Whether C reads here what it would not write, or a value that the file does not have."""
    return theirs.again != data[: theirs.consumed] or any(
        undefined(leaf, value) for leaf, value in leaves(type_, Reader(theirs.tokens).value(type_))
    )


def undefined(leaf: t.Type, value: Neutral) -> bool:
    """Whether the file has no such value: C keeps any number in an enum, and some in a bool."""
    if isinstance(leaf, t.Named) and isinstance(leaf.definition, t.Enum):
        return value not in [member.value for member in leaf.definition.members]
    return leaf == t.BOOL and not isinstance(value, bool)
