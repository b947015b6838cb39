"""The slow walk: what it refuses, with the path and the byte; the generated codecs are held against it elsewhere."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import pytest

from rpcgen.runtime.errors import XdrDecodeError, XdrEncodeError
from rpcgen.runtime.limits import MAX_DEPTH, MAX_EMPTY_ELEMENTS
from rpcgen.runtime.reader import walk_decode, walk_read
from rpcgen.runtime.values import XdrStruct, link, links
from rpcgen.runtime.writer import walk_encode

if TYPE_CHECKING:
    from rpcgen.runtime.shapes import Shape


class Color(IntEnum):
    RED = 0
    BLUE = 5


class Domain(XdrStruct):
    __slots__ = __match_args__ = ("name", "uuid", "id")

    def __init__(self, name: Any, uuid: Any, id: Any) -> None:  # noqa: A002
        self.name, self.uuid, self.id = name, uuid, id


class Entry(XdrStruct):
    __slots__ = __match_args__ = ("number", "next")

    def __init__(self, number: Any, next: Any = None) -> None:  # noqa: A002
        self.number, self.next = number, next


class Tree(XdrStruct):
    __slots__ = __match_args__ = ("children",)

    def __init__(self, children: Any) -> None:
        self.children = children


class OneInt(XdrStruct):
    __slots__ = __match_args__ = ("i",)
    kind = 1

    def __init__(self, i: Any) -> None:
        self.i = i


class OneNothing(XdrStruct):
    __slots__ = __match_args__ = ("kind",)

    def __init__(self, kind: Any) -> None:
        self.kind = kind


class OneDefault(XdrStruct):
    __slots__ = __match_args__ = ("kind", "s")

    def __init__(self, kind: Any, s: Any) -> None:
        self.kind, self.s = kind, s


SHAPES: dict[str, Shape] = {
    "color": ("enum", Color, False),
    "open_color": ("enum", Color, True),
    "name": ("string", 8),
    "domain": (
        "struct",
        Domain,
        (("name", "name", "name"), ("uuid", "uuid", ("opaque", 6)), ("id", "id", "int")),
    ),
    "domains": ("list", 3, "domain"),
    "entry": (
        "chain",
        Entry,
        (("number", "number", "int"), ("next", "next", ("optional", "entry"))),
    ),
    "tree": ("struct", Tree, (("children", "children", ("list", 9, ("deeper", "tree"))),)),
    "one": (
        "union",
        ("kind", "kind", "int"),
        (
            ((1,), OneInt, ("i", "i", "int")),
            ((2, 3), OneNothing, None),
            (None, OneDefault, ("s", "s", "name")),
        ),
    ),
    "strict": ("union", ("kind", "kind", "bool"), (((1,), OneInt, ("i", "i", "int")),)),
    "empty": ("list", 0xFFFFFFFF, ("opaque", 0)),
}
NAMED = Domain("ab", b"123456", -1)
NAMED_WIRE = "00000002" "61620000" "313233343536" "0000" "ffffffff"

GOOD: list[tuple[Shape, Any, str]] = [
    ("int", -1, "ffffffff"),
    ("unsigned int", 0xFFFFFFFF, "ffffffff"),
    ("hyper", -2, "fffffffffffffffe"),
    ("unsigned hyper", 2**64 - 1, "ffffffffffffffff"),
    ("short", -32768, "ffff8000"),
    ("unsigned short", 65535, "0000ffff"),
    ("char", -128, "ffffff80"),
    ("unsigned char", 255, "000000ff"),
    ("long", -1, "ffffffff"),
    ("unsigned long", 1, "00000001"),
    ("bool", True, "00000001"),
    ("float", 1.5, "3fc00000"),
    ("double", -0.0, "8000000000000000"),
    ("color", Color.BLUE, "00000005"),
    ("open_color", 77, "0000004d"),
    ("name", "h\u00e9", "00000003" "68c3a900"),
    ("name", "\udcff", "00000001" "ff000000"),
    (("opaque", 3), b"abc", "61626300"),
    (("opaques", 5), b"abcde", "00000005" "6162636465000000"),
    (("char", 2, True), b"a\xff", "00000061" "ffffffff"),
    (("chars", 2, False), b"\xff", "00000001" "000000ff"),
    (("array", 2, "int"), [1, 2], "00000001" "00000002"),
    (("list", 2, "bool"), [False], "00000001" "00000000"),
    (("optional", "int"), None, "00000000"),
    (("optional", "int"), 7, "00000001" "00000007"),
    ("domain", NAMED, NAMED_WIRE),
    ("domains", [NAMED, NAMED], "00000002" + 2 * NAMED_WIRE),
    ("entry", Entry(1, Entry(2)), "00000001" "00000001" "00000002" "00000000"),
    ("tree", Tree([Tree([])]), "00000001" "00000000"),
    ("one", OneInt(9), "00000001" "00000009"),
    ("one", OneNothing(3), "00000003"),
    ("one", OneDefault(7, "x"), "00000007" "00000001" "78000000"),
]


@pytest.mark.parametrize(("shape", "value", "wire"), GOOD)
def test_both_ways(shape: Shape, value: Any, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert walk_encode(SHAPES, shape, value) == data
    back = walk_decode(SHAPES, shape, data)
    assert (back, type(back)) == (value, type(value))
    assert walk_read(SHAPES, shape, b"\xff" * 3 + data + b"\xff", 3) == (value, 3 + len(data))
    assert walk_decode(SHAPES, shape, memoryview(data)) == value


@pytest.mark.parametrize(("shape", "value", "wire"), GOOD)
def test_cut_short_anywhere_is_refused(shape: Shape, value: Any, wire: str) -> None:
    data = bytes.fromhex(wire)
    for end in range(len(data)):
        with pytest.raises(XdrDecodeError) as refusal:
            walk_decode(SHAPES, shape, data[:end])
        assert refusal.value.offset <= end
    with pytest.raises(XdrDecodeError, match=r"1 bytes behind the value"):
        walk_decode(SHAPES, shape, data + b"\0")


@pytest.mark.parametrize(
    ("shape", "wire", "message"),
    [
        ("short", "00008000", "expected short, -32768 to 32767, got 32768 (at byte 0)"),
        ("char", "00000080", "expected char, -128 to 127, got 128 (at byte 0)"),
        ("bool", "00000002", "expected bool 0 or 1, got 2 (at byte 0)"),
        ("color", "00000003", "3 is not a member of enum color (at byte 0)"),
        ("name", "00000009", "length 9 exceeds 8 (at byte 0)"),
        ("name", "00000001" "61000001", "padding is not zero (at byte 5)"),
        ("name", "00000002" "61000000", "a NUL in a string (at byte 5)"),
        (
            ("char", 1, True),
            "00000100",
            "[0]: expected a character, -128 to 255, got 256 (at byte 0)",
        ),
        (("optional", "int"), "00000002", "expected flag 0 or 1, got 2 (at byte 0)"),
        (("list", 2, "int"), "00000003", "count 3 exceeds 2 (at byte 0)"),
        (
            ("list", 9, "int"),
            "00000009",
            "9 elements take at least 36 bytes, 0 are left (at byte 4)",
        ),
        ("domains", "00000001" "00000009" + "00" * 12, "[0].name: length 9 exceeds 8 (at byte 4)"),
        ("entry", "00000001" "00000002", "expected flag 0 or 1, got 2 (at byte 4)"),
        ("strict", "00000000", "kind: no arm for 0 (at byte 0)"),
        ("one", "00000007" "00000009", "s: length 9 exceeds 8 (at byte 4)"),
        ("empty", "00ffffff", f"16777215 empty elements, limit {MAX_EMPTY_ELEMENTS} (at byte 4)"),
    ],
)
def test_refused_with_path_and_byte(shape: Shape, wire: str, message: str) -> None:
    with pytest.raises(XdrDecodeError) as refusal:
        walk_decode(SHAPES, shape, bytes.fromhex(wire))
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        ("int", 2**31, "expected int, -2147483648 to 2147483647, got 2147483648"),
        ("int", "1", "expected int, got str"),
        ("int", 1.0, "expected int, got float"),
        ("unsigned int", -1, "expected unsigned int, 0 to 4294967295, got -1"),
        ("char", 128, "expected char, -128 to 127, got 128"),
        ("bool", 1, "expected bool, got int"),
        ("float", 1e39, "1e+39 is out of range for float"),
        ("double", "x", "expected double, got str"),
        ("color", 3, "3 is not a member of enum color"),
        ("color", "RED", "expected enum color, got str"),
        ("name", b"x", "expected str, got bytes"),
        ("name", "123456789", "length 9 exceeds 8"),
        ("name", "a\0", "a NUL in a string (at byte 1 of it)"),
        ("name", "\ud800", "character 0 is half of a surrogate pair"),
        (("opaque", 3), b"ab", "expected 3 bytes, got 2"),
        (("opaque", 3), 3, "expected bytes, got int"),
        (("opaques", 3), [1], "expected bytes, got list"),
        (("array", 2, "int"), [1], "expected 2 elements, got 1"),
        (("list", 2, "int"), [1, 2, 3], "count 3 exceeds 2"),
        (("list", 2, "int"), [1, None], "[1]: expected int, got NoneType"),
        (("list", 2, "int"), {1}, "expected list, got set"),
        ("domain", (), "expected Domain, got tuple"),
        ("domains", [NAMED, Domain("a", b"1", 0)], "[1].uuid: expected 6 bytes, got 1"),
        ("domain", Domain.__new__(Domain), "name: has no value"),
        ("one", None, "expected one of OneInt, OneNothing, OneDefault, got NoneType"),
        ("int", 2**300, "expected int, -2147483648 to 2147483647, got a number of 301 bits"),
        ("color", 2**300, "a number of 301 bits is not a member of enum color"),
        ("one", 5, "expected one of OneInt, OneNothing, OneDefault, got int"),
        ("one", OneNothing(1), "kind: OneNothing is not for 1"),
        ("one", OneDefault(1, ""), "kind: 1 has an arm of its own"),
    ],
)
def test_not_encoded_and_why(shape: Shape, value: Any, message: str) -> None:
    with pytest.raises(XdrEncodeError) as refusal:
        walk_encode(SHAPES, shape, value)
    assert str(refusal.value) == message


def nested(depth: int) -> Tree:
    tree = Tree([])
    for _ in range(depth):
        tree = Tree([tree])
    return tree


def test_nesting_is_bounded_both_ways() -> None:
    data = walk_encode(SHAPES, "tree", nested(MAX_DEPTH))
    assert walk_decode(SHAPES, "tree", data) == nested(MAX_DEPTH)
    with pytest.raises(XdrEncodeError, match="nested deeper than 64"):
        walk_encode(SHAPES, "tree", nested(MAX_DEPTH + 1))
    with pytest.raises(XdrDecodeError, match="nested deeper than 64"):
        walk_decode(SHAPES, "tree", bytes.fromhex("00000001") * (MAX_DEPTH + 1) + bytes(4))


def test_a_chain_is_a_loop_and_not_a_depth() -> None:
    data = walk_encode(SHAPES, "entry", link(map(Entry, range(100_000))))
    assert len(data) == 800_000
    assert sum(1 for _ in links(walk_decode(SHAPES, "entry", data))) == 100_000


def test_a_chain_that_returns_to_itself_is_not_encoded() -> None:
    entry = Entry(1)
    entry.next = entry
    with pytest.raises(XdrEncodeError, match="the chain returns to a value that it has passed"):
        walk_encode(SHAPES, "entry", entry)
