"""Values of any type of the model, drawn by hypothesis or picked at the edges, and damaged bytes.

The values are neutral ones (``neutral.py``). Nothing here knows the generated classes, or C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from neutral import Neutral, quiet, text_of

from rpcgen.model import types as t

T = TypeVar("T")

DEPTH = 3
"""How many ``*`` and ``<>`` a drawn value passes before it ends: recursive types have to."""
DRAWN = 6
"""The longest drawn string or list; longer ones are the business of ``edges``."""
ROOM = 5000
"""The most bytes, roughly, that a value at the upper edge takes: enough for libvirt's label buffers."""


# Drawn values


@cache
def values(type_: t.Type, depth: int = DEPTH) -> st.SearchStrategy[Neutral]:
    """Every value of a type, small ones only."""
    match type_:
        case t.Primitive():
            return _numbers(type_)
        case t.Opaque(length=length, fixed=fixed) | t.CharArray(length=length, fixed=fixed):
            least, most = (length, length) if fixed else (0, min(length, DRAWN))
            return st.binary(min_size=least, max_size=most)
        case t.String(maximum=maximum):
            return _texts(min(maximum, DRAWN))
        case t.Array(element=element, length=length, fixed=fixed):
            most = length if fixed else min(length, DRAWN if depth else 0)
            inner = values(element, depth - (not fixed)) if most else st.nothing()
            return st.lists(inner, min_size=length if fixed else 0, max_size=most)
        case t.Optional(element=element):
            return st.none() | values(element, depth - 1) if depth else st.none()
        case t.Named(definition=definition):
            return _defined(definition, depth)


def _numbers(type_: t.Primitive) -> st.SearchStrategy[Neutral]:
    if type_ == t.BOOL:
        return st.booleans()
    if type_.minimum is None or type_.maximum is None:
        return st.floats(width=32 if type_ == t.FLOAT else 64).map(quiet)
    edge = st.sampled_from([type_.minimum, type_.maximum])
    return st.integers(type_.minimum, type_.maximum) | edge


def _texts(maximum: int) -> st.SearchStrategy[str]:
    unicode = st.text(max_size=maximum).map(lambda text: text.encode("utf-8", "ignore")[:maximum])
    return (unicode | st.binary(max_size=maximum)).map(
        lambda raw: text_of(raw.replace(b"\0", b"0"))
    )


def _defined(definition: t.TypeDefinition, depth: int) -> st.SearchStrategy[Neutral]:
    match definition:
        case t.Enum(members=members):
            known = st.sampled_from([member.value for member in members])
            return known | values(t.INT) if definition.open else known
        case t.Struct(fields=fields):
            return st.fixed_dictionaries({one.name: values(one.type, depth) for one in fields})
        case t.Union(arms=arms):
            return st.one_of(
                [_arm(definition, arm, depth) for arm in arms if _chosen(definition, arm)]
            )
        case t.Alias(target=target):
            return values(target, depth)


def _arm(union: t.Union, arm: t.Arm, depth: int) -> st.SearchStrategy[Neutral]:
    inner = values(arm.field.type, depth) if arm.field else st.none()
    return st.tuples(st.sampled_from(_chosen(union, arm)), inner)


def _chosen(union: t.Union, arm: t.Arm) -> list[int]:
    """Some discriminants that select an arm; none if the default arm has nothing left to take."""
    if arm.labels:
        return [label.value for label in arm.labels]
    taken = {label.value for other in union.arms for label in other.labels}
    return [value for value in _candidates(union.discriminant.type) if value not in taken]


def _candidates(discriminant: t.Type) -> list[int]:
    match t.resolve(discriminant):
        case t.Named(definition=t.Enum(members=members)):
            return [member.value for member in members]
        case t.Primitive(minimum=int(least), maximum=int(most)):
            return [most, least, 7, 77]
        case _:
            return [0, 1]


def for_all(
    types: Iterable[t.TypeDefinition],
    strategy: Callable[[t.TypeDefinition], st.SearchStrategy[T]],
    check: Callable[[t.TypeDefinition, T], None],
) -> None:
    """Check what is drawn for each of many types; a failure names the type."""
    for definition in types:
        try:
            _for_one(definition, strategy(definition), check)
        except Exception as error:
            error.add_note(f"type {definition.name} ({definition.at})")
            raise


def _for_one(
    definition: t.TypeDefinition,
    strategy: st.SearchStrategy[T],
    check: Callable[[t.TypeDefinition, T], None],
) -> None:
    @given(strategy)
    def run(drawn: T) -> None:
        check(definition, drawn)

    run()


# The edges


def edges(definition: t.TypeDefinition) -> list[Neutral]:
    """The smallest and the largest value, every member of an enum, every arm of a union."""
    if isinstance(definition, t.Enum):
        return list(dict.fromkeys(member.value for member in definition.members))
    if isinstance(definition, t.Union):
        return [value for extreme in (_least, _most) for value in _arm_edges(definition, extreme)]
    named = t.Named(definition)
    return [_least(named), _most(named)]


def _arm_edges(union: t.Union, extreme: Callable[[t.Type], Neutral]) -> Iterator[Neutral]:
    for arm in union.arms:
        for label in _chosen(union, arm):
            yield label, extreme(arm.field.type) if arm.field else None


def _least(type_: t.Type) -> Neutral:
    match type_:
        case t.Primitive(minimum=minimum):
            return {t.BOOL: False, t.FLOAT: -0.0, t.DOUBLE: -0.0}.get(type_, minimum)
        case t.Opaque(length=length, fixed=fixed) | t.CharArray(length=length, fixed=fixed):
            return bytes(length if fixed else 0)
        case t.String():
            return ""
        case t.Array(element=element, length=length, fixed=fixed):
            return [_least(element) for _ in range(length if fixed else 0)]
        case t.Optional():
            return None
        case t.Named(definition=t.Enum(members=members)):
            return min(member.value for member in members)
        case t.Named(definition=t.Struct(fields=fields)):
            return {one.name: _least(one.type) for one in fields}
        case t.Named(definition=t.Union() as union):
            return next(_arm_edges(union, _least))
        case t.Named(definition=t.Alias(target=target)):
            return _least(target)


def _most(type_: t.Type, room: int = ROOM, depth: int = DEPTH) -> Neutral:
    match type_:
        case t.Primitive(maximum=maximum):
            special = {t.BOOL: True, t.FLOAT: float("inf"), t.DOUBLE: float("-inf")}
            return special.get(type_, maximum)
        case t.Opaque(length=length, fixed=fixed) | t.CharArray(length=length, fixed=fixed):
            return b"\xff" * (length if fixed else _filled(length, room))
        case t.String(maximum=maximum):
            return text_of(b"\xff" * _filled(maximum, room))
        case t.Array(element=element, length=length, fixed=fixed):
            count = length if fixed else _filled(length, room // 32) if depth else 0
            return [_most(element, room // (count or 1), depth - (not fixed)) for _ in range(count)]
        case t.Optional(element=element):
            return _most(element, room // 2, depth - 1) if depth else None
        case t.Named(definition=t.Enum(members=members)):
            return max(member.value for member in members)
        case t.Named(definition=t.Struct(fields=fields)):
            return {one.name: _most(one.type, room, depth) for one in fields}
        case t.Named(definition=t.Union() as union):
            return _last_arm(union, room, depth)
        case t.Named(definition=t.Alias(target=target)):
            return _most(target, room, depth)


def _last_arm(union: t.Union, room: int, depth: int) -> Neutral:
    arm = [arm for arm in union.arms if _chosen(union, arm)][-1]
    return _chosen(union, arm)[0], _most(arm.field.type, room, depth) if arm.field else None


def _filled(bound: int, room: int) -> int:
    """The bound where it fits, some odd small length where it does not."""
    return bound if bound <= room else 3


def drawn(definition: t.TypeDefinition) -> st.SearchStrategy[Neutral]:
    """Any value of a type, its edges among them."""
    return st.sampled_from(edges(definition)) | values(t.Named(definition))


# Values that no side may encode


def overlong(definition: t.TypeDefinition) -> Iterator[Neutral]:
    """Values that are sound but for one string, opaque or list, which is one longer than its bound."""
    match definition:
        case t.Struct(fields=fields):
            for one in fields:
                for longer in _longer(one.type):
                    yield _least(t.Named(definition)) | {one.name: longer}
        case t.Union(arms=arms):
            for arm in arms:
                if arm.field and _chosen(definition, arm):
                    yield from (
                        (_chosen(definition, arm)[0], longer) for longer in _longer(arm.field.type)
                    )
        case t.Alias(target=target):
            yield from _longer(target)


def _longer(type_: t.Type) -> Iterator[Neutral]:
    match type_:
        case t.Opaque(length=bound, fixed=False) | t.CharArray(length=bound, fixed=False) if (
            bound <= ROOM
        ):
            yield bytes(bound + 1)
        case t.String(maximum=bound) if bound <= ROOM:
            yield "x" * (bound + 1)
        case t.Array(element=element, length=bound, fixed=False) if bound <= ROOM:
            yield [_least(element)] * (bound + 1)
        case t.Optional(element=element):
            yield from _longer(element)
        case t.Named(definition=t.Alias(target=target)):
            yield from _longer(target)


# Damaged bytes


WORDS = [0, 1, 2, 3, 5, 0x7F, 0x80, 0xFF, 0x100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
"""What a four-byte unit is replaced with: flags, lengths and sign bits on both sides of what is legal."""


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Bytes that came from ``sound`` by one to three small accidents."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 3))):
        accident = draw(st.sampled_from([_replace, _count, _flip, _cut, _grow]))
        accident(draw, data)
    return bytes(data)


def _unit(draw: st.DrawFn, data: bytearray) -> slice:
    start = 4 * draw(st.integers(0, max(0, len(data) // 4 - 1)))
    return slice(start, start + 4)


def _replace(draw: st.DrawFn, data: bytearray) -> None:
    data[_unit(draw, data)] = draw(st.sampled_from(WORDS)).to_bytes(4, "big")


def _count(draw: st.DrawFn, data: bytearray) -> None:
    place, step = _unit(draw, data), draw(st.sampled_from([1, -1]))
    data[place] = ((int.from_bytes(data[place], "big") + step) % 2**32).to_bytes(4, "big")


def _flip(draw: st.DrawFn, data: bytearray) -> None:
    if data:
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))


def _cut(draw: st.DrawFn, data: bytearray) -> None:
    del data[draw(st.integers(0, len(data))) :]


def _grow(draw: st.DrawFn, data: bytearray) -> None:
    place = _unit(draw, data).start
    data[place:place] = draw(st.binary(min_size=1, max_size=8))
