"""Structs: equality, printing, copies; linked lists of any length."""

from __future__ import annotations

import copy

import pytest

from rpcgen.runtime.values import XdrStruct, link, links, replace


class Point(XdrStruct):
    __slots__ = __match_args__ = ("x", "y")
    x: int
    y: int

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y


class Entry(XdrStruct):
    __slots__ = __match_args__ = ("name", "next")
    name: str
    next: Entry | None

    def __init__(self, name: str, next: Entry | None = None) -> None:  # noqa: A002
        self.name = name
        self.next = next


class Nothing(XdrStruct):
    __slots__ = __match_args__ = ()


def chain(count: int) -> Entry | None:
    return link(Entry(str(number)) for number in range(count))


def test_equal_by_class_and_fields() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != Point(2, 2)
    assert Point(1, 2) != (1, 2)
    assert Nothing() == Nothing()
    assert Nothing() != Point(1, 2)


def test_mutable_and_so_not_hashable() -> None:
    point = Point(1, 2)
    point.x = 5
    assert point == Point(5, 2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(point)
    with pytest.raises(AttributeError):
        point.z = 1  # type: ignore[attr-defined]


def test_printed_as_the_call_that_makes_it() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    assert repr(Nothing()) == "Nothing()"
    assert repr(chain(2)) == "Entry(name='0', next=Entry(name='1', next=None))"


def test_matched_by_position() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_copied_with_changes() -> None:
    point = Point(1, 2)
    assert replace(point, y=7) == Point(1, 7)
    assert point == Point(1, 2)
    assert copy.copy(point) == point
    assert copy.deepcopy(chain(3)) == chain(3)
    with pytest.raises(TypeError, match="Point has no field 'z'"):
        replace(point, z=1)


def test_linked_and_walked() -> None:
    first = chain(3)
    assert [entry.name for entry in links(first)] == ["0", "1", "2"]
    assert list(links(None)) == []
    assert link([]) is None


def test_a_long_list_compares_and_prints_in_a_loop() -> None:
    one, other = chain(100_000), chain(100_000)
    assert one == other
    assert repr(one).count("Entry(") == 100_000
    assert one != chain(99_999)
