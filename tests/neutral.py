"""Neutral values: what a value of the model is before it is Python's or C's.

An int, float, bool, str, bytes, list or None; a dict by ``.x`` field name for a struct; a
``(discriminant, value)`` pair for a union. Also their tokens: how they travel to and from the C
driver. Deliberately not XDR, so that both sides reach XDR on their own: every number, flag, length
and discriminant is eight bytes in host order, a float is a C double, text and opaque data stand
unpadded behind their length. Two values are equal exactly when their tokens are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

from rpcgen.model import types as t

Neutral: TypeAlias = Any


def quiet(number: float) -> float:
    """The same number; one NaN for all of them, since a C cast may change which one it is."""
    return float("nan") if number != number else number


def text_of(raw: bytes) -> str:
    """The bytes of a string as our decoders present them."""
    return raw.decode("utf-8", "surrogateescape")


def selected(union: t.Union, discriminant: int) -> t.Arm | None:
    """The arm that a discriminant selects."""
    by_label = {label.value: arm for arm in union.arms for label in arm.labels}
    default = next((arm for arm in union.arms if arm.is_default), None)
    return by_label.get(discriminant, default)


def leaves(type_: t.Type, value: Neutral) -> Iterator[tuple[t.Type, Neutral]]:
    """Every number, flag, enum value and piece of data inside a value, with its type."""
    match type_:
        case t.Array(element=element):
            for one in value:
                yield from leaves(element, one)
        case t.Optional(element=element):
            if value is not None:
                yield from leaves(element, value)
        case t.Named(definition=t.Struct(fields=fields)):
            for field in fields:
                yield from leaves(field.type, value[field.name])
        case t.Named(definition=t.Union() as union):
            yield from leaves(union.discriminant.type, value[0])
            arm = selected(union, value[0])
            if arm and arm.field:
                yield from leaves(arm.field.type, value[1])
        case t.Named(definition=t.Alias(target=target)):
            yield from leaves(target, value)
        case _:
            yield type_, value


# Tokens


def dump(type_: t.Type, value: Neutral) -> bytes:
    """The tokens of a value."""
    return b"".join(_tokens(type_, value))


def _tokens(type_: t.Type, value: Neutral) -> Iterator[bytes]:
    match type_:
        case t.Primitive():
            yield struct.pack(_format(type_), quiet(value))
        case t.Opaque() | t.CharArray():
            yield from _sized(value)
        case t.String():
            yield from _sized(value.encode("utf-8", "surrogateescape"))
        case t.Array(element=element):
            yield _number(len(value))
            for one in value:
                yield from _tokens(element, one)
        case t.Optional(element=element):
            yield _number(value is not None)
            if value is not None:
                yield from _tokens(element, value)
        case t.Named(definition=definition):
            yield from _defined(definition, value)


def _defined(definition: t.TypeDefinition, value: Neutral) -> Iterator[bytes]:
    match definition:
        case t.Enum():
            yield _number(value)
        case t.Struct(fields=fields):
            for one in fields:
                yield from _tokens(one.type, value[one.name])
        case t.Union(discriminant=discriminant):
            yield from _tokens(discriminant.type, value[0])
            arm = selected(definition, value[0])
            if arm and arm.field:
                yield from _tokens(arm.field.type, value[1])
        case t.Alias(target=target):
            yield from _tokens(target, value)


def _format(type_: t.Primitive) -> str:
    if type_ in (t.FLOAT, t.DOUBLE):
        return "=d"
    return "=Q" if type_ == t.UNSIGNED_HYPER else "=q"


def _number(value: int) -> bytes:
    return struct.pack("=q", value)


def _sized(raw: bytes) -> Iterator[bytes]:
    yield _number(len(raw))
    yield raw


class Reader:
    """Turns the tokens that C wrote back into a value."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def value(self, type_: t.Type) -> Neutral:
        """The next value, of this type. A bool that is neither 0 nor 1 comes as that number."""
        match type_:
            case t.Primitive():
                number = self._unpack(_format(type_))
                return bool(number) if type_ == t.BOOL and number in (0, 1) else number
            case t.Opaque() | t.CharArray():
                return self._raw()
            case t.String():
                return text_of(self._raw())
            case t.Array(element=element):
                return [self.value(element) for _ in range(self._unpack("=q"))]
            case t.Optional(element=element):
                return self.value(element) if self._unpack("=q") else None
            case t.Named(definition=definition):
                return self._defined(definition)

    def _defined(self, definition: t.TypeDefinition) -> Neutral:
        match definition:
            case t.Enum():
                return self._unpack("=q")
            case t.Struct(fields=fields):
                return {one.name: self.value(one.type) for one in fields}
            case t.Union(discriminant=discriminant):
                number = self.value(discriminant.type)
                arm = selected(definition, number)
                return number, self.value(arm.field.type) if arm and arm.field else None
            case t.Alias(target=target):
                return self.value(target)

    def _unpack(self, layout: str) -> Neutral:
        (value,) = struct.unpack_from(layout, self._data, self._offset)
        self._offset += struct.calcsize(layout)
        return value

    def _raw(self) -> bytes:
        start = self._offset + 8
        self._offset = start + int(self._unpack("=q"))
        return self._data[start : self._offset]
