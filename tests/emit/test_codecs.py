"""Generated codecs at the places where the straight line ends: long lists, deep values, irregular input."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from bindings import generate, importable

from rpcgen.model import load
from rpcgen.runtime.errors import XdrDecodeError, XdrEncodeError
from rpcgen.runtime.limits import MAX_DEPTH
from rpcgen.runtime.reader import walk_decode
from rpcgen.runtime.values import link, links
from rpcgen.runtime.writer import walk_encode

SPEC = """
enum color { RED = 0, BLUE = 5 };
struct entry { string name<255>; int number; entry *next; };
struct tree { int value; tree children<>; };
union nest switch (int kind) { case 0: void; case 1: nest *inner; };
typedef string label<300>;
struct bag {
    label name;
    opaque data<>;
    opaque uuid[16];
    bool flag;
    color shade;
    int numbers<4>;
    label labels<3>;
    entry *list;
};
struct empty { };
struct crowd { empty members<>; };
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Types and codecs of the spec above, in one namespace."""
    folder = tmp_path_factory.mktemp("codecs")
    file = folder / "edges.x"
    file.write_text(SPEC)
    generate(load([str(file)]), folder, "made")
    with importable(folder, "made"):
        names: dict[str, Any] = {}
        for module in ("types", "encoder", "decoder"):
            names |= vars(importlib.import_module(f"made.edges.{module}"))
        yield SimpleNamespace(**names)


def bag(spec: Any, **changes: Any) -> Any:
    value = spec.Bag("n", b"d", bytes(16), True, spec.Color.BLUE, [1, 2], ["a"], None)
    for name, change in changes.items():
        setattr(value, name, change)
    return value


def test_a_list_of_100_000_is_coded_without_recursion(spec: Any) -> None:
    first = link(spec.Entry(str(number), number, None) for number in range(100_000))
    back = spec.decode_entry(spec.encode_entry(first))
    assert back == first
    assert sum(entry.number for entry in links(back)) == sum(range(100_000))
    inside = spec.decode_bag(spec.encode_bag(bag(spec, list_=first)))
    assert inside.list_ == first


def nest(spec: Any, depth: int) -> Any:
    inner = spec.Nest0()
    for _ in range(depth):
        inner = spec.Nest1(inner)
    return inner


def test_a_union_that_goes_on_with_itself_is_a_list_too(spec: Any) -> None:
    data = spec.encode_nest(nest(spec, 100_000))
    assert data == bytes.fromhex("00000001 00000001") * 100_000 + bytes(4)
    assert spec.decode_nest(data) == nest(spec, 100_000)
    assert walk_decode(spec.SHAPES, "nest", data) == nest(spec, 100_000)
    assert walk_encode(spec.SHAPES, "nest", nest(spec, 100_000)) == data
    assert spec.decode_nest(bytes.fromhex("00000001 00000000")) == spec.Nest1(None)
    with pytest.raises(XdrDecodeError, match=r"inner: expected flag 0 or 1, got 2 \(at byte 12\)"):
        spec.decode_nest(bytes.fromhex("00000001 00000001 00000001 00000002"))
    loop = spec.Nest1(None)
    loop.inner = loop
    with pytest.raises(XdrEncodeError, match="the chain returns to a value that it has passed"):
        spec.encode_nest(loop)


def test_a_list_that_returns_to_itself_is_refused(spec: Any) -> None:
    entry = spec.Entry("a", 1, None)
    entry.next = spec.Entry("b", 2, entry)
    with pytest.raises(XdrEncodeError, match="the chain returns to a value that it has passed"):
        spec.encode_entry(entry)


def test_a_chain_cut_off_is_refused_at_the_byte(spec: Any) -> None:
    data = spec.encode_entry(link([spec.Entry("a", 1, None), spec.Entry("b", 2, None)]))
    with pytest.raises(
        XdrDecodeError, match=r"number: expected 4 bytes, 2 are left \(at byte 24\)"
    ):
        spec.decode_entry(data[:26])


def deep(spec: Any, depth: int) -> Any:
    tree = spec.Tree(0, [])
    for _ in range(depth):
        tree = spec.Tree(0, [tree])
    return tree


def test_nesting_is_bounded_alike_both_ways(spec: Any) -> None:
    data = spec.encode_tree(deep(spec, MAX_DEPTH))
    assert spec.decode_tree(data) == deep(spec, MAX_DEPTH)
    with pytest.raises(XdrEncodeError, match=f"nested deeper than {MAX_DEPTH}"):
        spec.encode_tree(deep(spec, MAX_DEPTH + 1))
    deeper = bytes.fromhex("00000000 00000001") * 100_000
    with pytest.raises(XdrDecodeError, match=f"nested deeper than {MAX_DEPTH}"):
        spec.decode_tree(deeper)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": bytearray(b"x" * 5)},
        {"data": memoryview(b"x" * 300)},
        {"uuid": memoryview(bytes(16))},
        {"name": "\udcff\udc80"},
        {"name": "n" * 299},
        {"numbers": (1, 2)},
        {"labels": ["\udcfe", "l" * 280]},
        {"data": b"x" * 100_000},
    ],
)
def test_what_is_irregular_but_right_is_taken(spec: Any, changes: dict[str, Any]) -> None:
    value = bag(spec, **changes)
    back = spec.decode_bag(spec.encode_bag(value))
    for name, change in changes.items():
        assert getattr(back, name) == (list(change) if isinstance(change, tuple) else change)
    assert spec.encode_bag(back) == spec.encode_bag(value)


def test_a_subclass_of_a_struct_is_taken(spec: Any) -> None:
    class Special(spec.Entry):  # type: ignore[misc]
        __slots__ = ("more",)

    assert spec.encode_entry(Special("a", 1, None)) == spec.encode_entry(spec.Entry("a", 1, None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 5}, "name: expected str, got int"),
        ({"name": "n" * 301}, "name: length 301 exceeds 300"),
        ({"name": "\0"}, "name: a NUL in a string (at byte 0 of it)"),
        ({"data": "text"}, "data: expected bytes, got str"),
        ({"uuid": bytes(15)}, "uuid: expected 16 bytes, got 15"),
        ({"flag": 1}, "flag: expected bool, got int"),
        ({"shade": 4}, "shade: 4 is not a member of enum color"),
        ({"shade": None}, "shade: expected enum color, got NoneType"),
        (
            {"numbers": [1, 2**31]},
            "numbers[1]: expected int, -2147483648 to 2147483647, got 2147483648",
        ),
        ({"numbers": [1] * 5}, "numbers: count 5 exceeds 4"),
        ({"numbers": None}, "numbers: expected list, got NoneType"),
        ({"labels": ["a", 2]}, "labels[1]: expected str, got int"),
        ({"list_": "entry"}, "list: expected Entry, got str"),
    ],
)
def test_what_is_wrong_is_refused_by_name(spec: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(XdrEncodeError) as refusal:
        spec.encode_bag(bag(spec, **changes))
    assert str(refusal.value) == message


def test_another_class_with_the_same_fields_is_refused(spec: Any) -> None:
    lookalike = SimpleNamespace(name="a", number=1, next=None)
    with pytest.raises(XdrEncodeError, match="expected Entry, got SimpleNamespace"):
        spec.encode_entry(lookalike)


def test_a_count_of_elements_without_bytes_is_bounded(spec: Any) -> None:
    assert spec.decode_crowd(spec.encode_crowd(spec.Crowd([spec.Empty()] * 3))).members
    with pytest.raises(XdrDecodeError, match="4294967295 empty elements, limit 65536"):
        spec.decode_crowd(bytes.fromhex("ffffffff"))


@pytest.mark.parametrize("data", [8, [0] * 8, "text", None])
def test_what_is_no_buffer_is_a_type_error(spec: Any, data: Any) -> None:
    for decode in (spec.decode_entry, spec.decode_color, spec.decode_bag, spec.decode_label):
        with pytest.raises(TypeError, match="a bytes-like object is required"):
            decode(data)
    with pytest.raises(TypeError, match="a bytes-like object is required"):
        spec.read_entry(data, 0)


def test_nothing_is_no_union(spec: Any) -> None:
    with pytest.raises(XdrEncodeError, match="expected one of Nest0, Nest1, got NoneType"):
        spec.encode_nest(None)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_decoded(spec: Any, kind: Any) -> None:
    data = spec.encode_bag(bag(spec))
    assert spec.decode_bag(kind(data)) == bag(spec)
    assert spec.read_bag(kind(b"__" + data + b"__"), 2) == (bag(spec), 2 + len(data))
