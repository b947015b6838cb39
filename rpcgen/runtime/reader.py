"""The slow decoder: it walks over bytes with a table of shapes in hand.

Generated decoders turn here with bytes that they do not take, see ``xdr``. The walk decodes
everything that the language reference allows, and where it refuses, it knows the path and
the byte. It is also the yardstick that tests hold the generated decoders against. It must
not know how the generated code is written.
"""

from __future__ import annotations

from struct import Struct

from rpcgen.runtime.errors import XdrDecodeError
from rpcgen.runtime.limits import MAX_DEPTH, MAX_EMPTY_ELEMENTS
from rpcgen.runtime.shapes import FLOATS, INT, NUMBERS, WORD, smallest
from rpcgen.runtime.xdr import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from rpcgen.runtime.shapes import Shape, Shapes
    from rpcgen.runtime.xdr import Buffer

_FOLLOWS: Final = object()
"""Stands in a union's link until what follows has been read."""


def walk_decode(shapes: Shapes, shape: Shape, data: Buffer) -> Any:
    """Decode a value that fills ``data``.

    Raises:
        XdrDecodeError: with the path and the byte at fault.
    """
    return whole(data, walk_read(shapes, shape, data, 0))


def walk_read(
    shapes: Shapes, shape: Shape, data: Buffer, offset: int, depth: int = 0
) -> tuple[Any, int]:
    """Decode a value at ``offset``; returns it and the offset behind it.

    Raises:
        XdrDecodeError: with the path and the byte at fault.
    """
    if depth > MAX_DEPTH:
        raise XdrDecodeError(f"nested deeper than {MAX_DEPTH}", offset)
    try:
        return _Reader(shapes, bytes(memoryview(data))).read(shape, offset, depth)
    except RecursionError:
        raise XdrDecodeError("nested too deep for the stack that is left", offset) from None


class _Reader:
    """One buffer being decoded. Every method returns the value and the offset behind it."""

    def __init__(self, shapes: Shapes, data: bytes) -> None:
        self.shapes = shapes
        self.data = data

    def read(self, shape: Shape, offset: int, depth: int) -> tuple[Any, int]:
        if isinstance(shape, str):
            if shape not in self.shapes:
                return self._number(shape, offset)
            named = self.shapes[shape]
            if isinstance(named, tuple) and named[0] == "enum":
                return self._enum(shape, named, offset)
            return self.read(named, offset, depth)
        method: Any = getattr(self, "_" + shape[0])
        result: tuple[Any, int] = method(shape, offset, depth)
        return result

    def _deeper(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[Any, int]:
        if depth >= MAX_DEPTH:
            raise XdrDecodeError(f"nested deeper than {MAX_DEPTH}", offset)
        return self.read(shape[1], offset, depth + 1)

    def _take(self, size: int, offset: int) -> int:
        left = len(self.data) - offset
        if offset < 0 or left < size:
            raise XdrDecodeError(f"expected {size} bytes, {max(left, 0)} are left", offset)
        return offset + size

    def _word(self, offset: int) -> int:
        self._take(4, offset)
        return int(WORD.unpack_from(self.data, offset)[0])

    def _number(self, name: str, offset: int) -> tuple[Any, int]:
        if name == "bool":
            return self._flag("bool", offset)
        if name in FLOATS:
            layout, low, high = FLOATS[name], 0, 0
        else:
            layout, low, high = NUMBERS[name]
        end = self._take(layout.size, offset)
        (value,) = layout.unpack_from(self.data, offset)
        if name in NUMBERS and not low <= value <= high:
            raise XdrDecodeError(f"expected {name}, {low} to {high}, got {value}", offset)
        return value, end

    def _flag(self, what: str, offset: int) -> tuple[bool, int]:
        value = self._word(offset)
        if value > 1:
            raise XdrDecodeError(f"expected {what} 0 or 1, got {value}", offset)
        return value == 1, offset + 4

    def _enum(self, name: str, shape: tuple[Any, ...], offset: int) -> tuple[Any, int]:
        _, enum, is_open = shape
        end = self._take(4, offset)
        (value,) = INT.unpack_from(self.data, offset)
        member = enum._value2member_map_.get(value)
        if member is None and not is_open:
            raise XdrDecodeError(f"{value} is not a member of enum {name}", offset)
        return value if member is None else member, end

    def _length(self, maximum: int, offset: int, what: str) -> int:
        length = self._word(offset)
        if length > maximum:
            raise XdrDecodeError(f"{what} {length} exceeds {maximum}", offset)
        return length

    def _bytes(self, length: int, offset: int) -> tuple[bytes, int]:
        end = self._take(length, offset)
        behind = self._take(-length % 4, end)
        if any(self.data[end:behind]):
            raise XdrDecodeError("padding is not zero", end)
        return self.data[offset:end], behind

    def _opaque(self, shape: tuple[Any, ...], offset: int, _depth: int) -> tuple[bytes, int]:
        return self._bytes(shape[1], offset)

    def _opaques(self, shape: tuple[Any, ...], offset: int, _depth: int) -> tuple[bytes, int]:
        return self._bytes(self._length(shape[1], offset, "length"), offset + 4)

    def _string(self, shape: tuple[Any, ...], offset: int, _depth: int) -> tuple[str, int]:
        raw, end = self._bytes(self._length(shape[1], offset, "length"), offset + 4)
        if 0 in raw:
            raise XdrDecodeError("a NUL in a string", offset + 4 + raw.index(0))
        return raw.decode("utf-8", "surrogateescape"), end

    def _char(self, shape: tuple[Any, ...], offset: int, _depth: int) -> tuple[bytes, int]:
        return self._characters(shape[1], shape[2], offset)

    def _chars(self, shape: tuple[Any, ...], offset: int, _depth: int) -> tuple[bytes, int]:
        count = self._length(shape[1], offset, "length")
        return self._characters(count, shape[2], offset + 4)

    def _characters(self, count: int, signed: bool, offset: int) -> tuple[bytes, int]:
        end = self._take(4 * count, offset)
        low = -128 if signed else 0
        codes = Struct(f">{count}i").unpack_from(self.data, offset)
        for index, code in enumerate(codes):
            if not low <= code <= 255:
                message = f"expected a character, {low} to 255, got {code}"
                raise XdrDecodeError(message, offset + 4 * index, f"[{index}]")
        return bytes(code & 255 for code in codes), end

    def _array(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[list[Any], int]:
        return self._elements(shape[1], shape[2], offset, depth)

    def _list(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[list[Any], int]:
        count = self._length(shape[1], offset, "count")
        return self._elements(count, shape[2], offset + 4, depth)

    def _elements(
        self, count: int, element: Shape, offset: int, depth: int
    ) -> tuple[list[Any], int]:
        least, left = smallest(self.shapes, element), len(self.data) - offset
        if count * least > left:
            message = f"{count} elements take at least {count * least} bytes, {left} are left"
            raise XdrDecodeError(message, offset)
        if not least and count > MAX_EMPTY_ELEMENTS:
            raise XdrDecodeError(f"{count} empty elements, limit {MAX_EMPTY_ELEMENTS}", offset)
        values = []
        for index in range(count):
            try:
                value, offset = self.read(element, offset, depth)
            except XdrDecodeError as fault:
                fault.inside(f"[{index}]")
                raise
            values.append(value)
        return values, offset

    def _optional(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[Any, int]:
        present, offset = self._flag("flag", offset)
        return self.read(shape[1], offset, depth) if present else (None, offset)

    def _field(self, target: object, field: tuple[str, str, Shape], offset: int, depth: int) -> int:
        name, attribute, shape = field
        try:
            value, offset = self.read(shape, offset, depth)
        except XdrDecodeError as fault:
            fault.inside(name)
            raise
        setattr(target, attribute, value)
        return offset

    def _struct(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[Any, int]:
        value = object.__new__(shape[1])
        for field in shape[2]:
            offset = self._field(value, field, offset, depth)
        return value, offset

    def _chain(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[Any, int]:
        _, cls, (*fields, (_, link, _)) = shape
        first = value = object.__new__(cls)
        while True:
            for field in fields:
                offset = self._field(value, field, offset, depth)
            present, offset = self._flag("flag", offset)
            if not present:
                setattr(value, link, None)
                return first, offset
            following = object.__new__(cls)
            setattr(value, link, following)
            value = following

    def _union(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[Any, int]:
        first, link, offset = self._arm(shape, offset, depth)
        value = first
        while link:
            following, next_link, offset = self._arm(shape, offset, depth)
            setattr(value, link, following)
            value, link = following, next_link
        return first, offset

    def _arm(self, shape: tuple[Any, ...], offset: int, depth: int) -> tuple[Any, str, int]:
        """One arm; where the union goes on in it, the attribute for what follows."""
        _, (name, attribute, discriminant_shape), arms = shape
        discriminant, end = self.read(discriminant_shape, offset, depth)
        for labels, cls, field in arms:
            if labels is None or discriminant in labels:
                value = object.__new__(cls)
                if attribute in cls.__match_args__:
                    setattr(value, attribute, discriminant)
                if not field:
                    return value, "", end
                end = self._field(value, field, end, depth)
                return value, field[1] if getattr(value, field[1]) is _FOLLOWS else "", end
        raise XdrDecodeError(f"no arm for {int(discriminant)}", offset, name)

    def _link(self, _shape: tuple[Any, ...], offset: int, _depth: int) -> tuple[Any, int]:
        present, offset = self._flag("flag", offset)
        return _FOLLOWS if present else None, offset
