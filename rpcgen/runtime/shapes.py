"""The table that the slow codecs of ``reader`` and ``writer`` walk with.

A *shape* is what a declaration says: the ``.x`` spelling of a number, the ``.x`` name of a
type, or a tuple that begins with one of the words below. ``Shapes`` maps the name of each
type to its shape; generated ``types`` modules hold one::

    "hyper"                          a number or bool
    "remote_nonnull_domain"          a type of the table
    ("opaque", 16)                   opaque[16]
    ("opaques", 65536)               opaque<65536>
    ("string", 255)                  string<255>
    ("char", 32, True)               char[32]; unsigned: False
    ("chars", 32, True)              char<32>
    ("array", 4, shape)              shape[4]
    ("list", 16, shape)              shape<16>
    ("optional", shape)              shape *
    ("deeper", "remote_thing")       a type of the table that can contain itself
    ("enum", class, open)
    ("struct", class, ((name, attribute, shape), ...))
    ("chain", class, fields)         a struct whose last field is an optional of itself
    ("union", (name, attribute, shape), ((labels, class, field or None), ...))
    ("link", name)                   in an arm: an optional of the union itself

``labels`` is None for the default arm. An arm of one label does not carry its discriminant.
"""

from __future__ import annotations

from struct import Struct

from rpcgen.runtime.limits import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final, TypeAlias

    Shape: TypeAlias = str | tuple[Any, ...]
    Shapes: TypeAlias = Mapping[str, Shape]

NUMBERS: Final[dict[str, tuple[Struct, int, int]]] = {
    name: (Struct(f">{code}"), low, high)
    for name, code, low, high in (
        ("int", "i", -(2**31), 2**31 - 1),
        ("unsigned int", "I", 0, 2**32 - 1),
        ("hyper", "q", -(2**63), 2**63 - 1),
        ("unsigned hyper", "Q", 0, 2**64 - 1),
        ("long", "i", -(2**31), 2**31 - 1),
        ("unsigned long", "I", 0, 2**32 - 1),
        ("short", "i", -(2**15), 2**15 - 1),
        ("unsigned short", "I", 0, 2**16 - 1),
        ("char", "i", -(2**7), 2**7 - 1),
        ("unsigned char", "I", 0, 2**8 - 1),
    )
}
FLOATS: Final = {"float": Struct(">f"), "double": Struct(">d")}
WORD: Final = Struct(">I")
INT: Final = Struct(">i")


def smallest(shapes: Shapes, shape: Any, depth: int = 0) -> int:
    """A lower bound for the bytes that a value of this shape takes; 0 where all may be empty."""
    if isinstance(shape, str):
        if shape in shapes:
            return smallest(shapes, shapes[shape], depth + 1) if depth < MAX_DEPTH else 0
        return 8 if "hyper" in shape or shape == "double" else 4
    match shape:
        case ("opaque", length):
            return int(length + -length % 4)
        case ("char", length, _):
            return 4 * int(length)
        case ("array", length, element):
            each: int = smallest(shapes, element, depth)
            return each * int(length)
        case ("struct" | "chain", _, fields):
            return sum(smallest(shapes, one, depth) for _, _, one in fields)
        case _:
            return 4
