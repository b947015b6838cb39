"""The slow walk: codecs that read a table instead of being written out.

Generated code turns here with what it does not take, see ``xdr``. The walk encodes and
decodes everything that the language reference allows, and where it refuses, it knows the
path and the byte. It is also the yardstick that tests hold the generated codecs against.
It must not know how the generated code is written.

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

from struct import Struct, error

from rpcgen.runtime.errors import XdrDecodeError, XdrEncodeError
from rpcgen.runtime.limits import MAX_DEPTH, MAX_EMPTY_ELEMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final, TypeAlias, TypeVar

    from rpcgen.runtime.xdr import Buffer

    T = TypeVar("T")

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
_WORD: Final = Struct(">I")
_INT: Final = Struct(">i")
_FOLLOWS: Final = object()
"""Stands in a union's link until what follows has been read."""


def walk_decode(shapes: Shapes, shape: Shape, data: Buffer) -> Any:
    """Decode a value that fills ``data``.

    Raises:
        XdrDecodeError: with the path and the byte at fault.
    """
    return whole(data, walk_read(shapes, shape, data, 0))


def whole(data: Buffer, read: tuple[T, int]) -> T:
    """The value of a ``read_`` function, which must have taken the whole buffer.

    Raises:
        XdrDecodeError: there are bytes behind the value.
    """
    value, end = read
    size = len(data) if type(data) is bytes else memoryview(data).nbytes
    if end != size:
        raise XdrDecodeError(f"{size - end} bytes behind the value", end)
    return value


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
        return _Reader(shapes, bytes(data)).read(shape, offset, depth)
    except RecursionError:
        raise XdrDecodeError("nested too deep for the stack that is left", offset) from None


def walk_encode(shapes: Shapes, shape: Shape, value: object, depth: int = 0) -> bytes:
    """Encode a value.

    Raises:
        XdrEncodeError: with the path of what is of the wrong type, out of range or too long.
    """
    if depth > MAX_DEPTH:
        raise XdrEncodeError(f"nested deeper than {MAX_DEPTH}")
    writer = _Writer(shapes)
    try:
        writer.write(shape, value, depth)
    except RecursionError:
        raise XdrEncodeError("nested too deep for the stack that is left") from None
    return b"".join(writer.parts)


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
        return int(_WORD.unpack_from(self.data, offset)[0])

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
        (value,) = _INT.unpack_from(self.data, offset)
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


class _Writer:
    """One value being encoded into ``parts``."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.parts: list[bytes] = []

    def write(self, shape: Shape, value: Any, depth: int) -> None:
        if isinstance(shape, str):
            if shape not in self.shapes:
                return self._number(shape, value)
            named = self.shapes[shape]
            if isinstance(named, tuple) and named[0] == "enum":
                return self._enum(shape, named, value)
            return self.write(named, value, depth)
        method: Any = getattr(self, "_" + shape[0])
        method(shape, value, depth)
        return None

    def _deeper(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise XdrEncodeError(f"nested deeper than {MAX_DEPTH}")
        self.write(shape[1], value, depth + 1)

    def _number(self, name: str, value: Any) -> None:
        if name == "bool":
            self._expect(value, bool, "bool")
            self.parts.append(_WORD.pack(value))
        elif name in FLOATS:
            self._float(name, value)
        else:
            self._integer(name, value)

    def _integer(self, name: str, value: Any) -> None:
        layout, low, high = NUMBERS[name]
        try:
            number = value.__index__()
        except (AttributeError, TypeError):
            raise _wrong_type(name, value) from None
        if not low <= number <= high:
            raise XdrEncodeError(f"expected {name}, {low} to {high}, got {number}")
        self.parts.append(layout.pack(number))

    def _float(self, name: str, value: Any) -> None:
        try:
            self.parts.append(FLOATS[name].pack(value))
        except OverflowError:
            raise XdrEncodeError(f"{value!r} is out of range for {name}") from None
        except error:
            raise _wrong_type(name, value) from None

    def _enum(self, name: str, shape: tuple[Any, ...], value: Any) -> None:
        _, enum, is_open = shape
        if not isinstance(value, int):
            raise _wrong_type(f"enum {name}", value)
        if not is_open and value not in enum._value2member_map_:
            raise XdrEncodeError(f"{int(value)} is not a member of enum {name}")
        self._integer("int", value)

    def _bytes(self, raw: bytes) -> None:
        self.parts.append(raw)
        self.parts.append(bytes(-len(raw) % 4))

    def _bounded(self, raw: bytes, maximum: int) -> None:
        self._count(len(raw), maximum, "length")
        self._bytes(raw)

    def _count(self, count: int, maximum: int, what: str) -> None:
        if count > maximum:
            raise XdrEncodeError(f"{what} {count} exceeds {maximum}")
        self.parts.append(_WORD.pack(count))

    def _opaque(self, shape: tuple[Any, ...], value: Any, _depth: int) -> None:
        self._bytes(_exactly(_raw(value), shape[1]))

    def _opaques(self, shape: tuple[Any, ...], value: Any, _depth: int) -> None:
        self._bounded(_raw(value), shape[1])

    def _string(self, shape: tuple[Any, ...], value: Any, _depth: int) -> None:
        self._expect(value, str, "str")
        try:
            raw = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as fault:
            raise XdrEncodeError(f"character {fault.start} is half of a surrogate pair") from None
        if 0 in raw:
            raise XdrEncodeError(f"a NUL in a string (at byte {raw.index(0)} of it)")
        self._bounded(raw, shape[1])

    def _char(self, shape: tuple[Any, ...], value: Any, _depth: int) -> None:
        self._characters(_exactly(_raw(value), shape[1]), shape[2])

    def _chars(self, shape: tuple[Any, ...], value: Any, _depth: int) -> None:
        raw = _raw(value)
        self._count(len(raw), shape[1], "length")
        self._characters(raw, shape[2])

    def _characters(self, raw: bytes, signed: bool) -> None:
        for code in raw:
            self.parts.append(_INT.pack(code - 256 if signed and code > 127 else code))

    def _array(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        self._expect(value, (list, tuple), "list")
        if len(value) != shape[1]:
            raise XdrEncodeError(f"expected {shape[1]} elements, got {len(value)}")
        self._elements(shape[2], value, depth)

    def _list(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        self._expect(value, (list, tuple), "list")
        self._count(len(value), shape[1], "count")
        self._elements(shape[2], value, depth)

    def _elements(self, element: Shape, values: Any, depth: int) -> None:
        for index, value in enumerate(values):
            try:
                self.write(element, value, depth)
            except XdrEncodeError as fault:
                fault.inside(f"[{index}]")
                raise

    def _optional(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        self.parts.append(_WORD.pack(value is not None))
        if value is not None:
            self.write(shape[1], value, depth)

    def _fields(self, fields: Any, value: Any, depth: int) -> None:
        for name, attribute, shape in fields:
            try:
                item = getattr(value, attribute)
            except AttributeError:
                raise XdrEncodeError("has no value", name) from None
            try:
                self.write(shape, item, depth)
            except XdrEncodeError as fault:
                fault.inside(name)
                raise

    def _struct(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        self._expect(value, shape[1], shape[1].__name__)
        self._fields(shape[2], value, depth)

    def _chain(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        _, cls, (*fields, (name, link, _)) = shape
        seen: set[int] = set()
        while True:
            self._expect(value, cls, cls.__name__)
            if id(value) in seen:
                raise XdrEncodeError("the chain returns to a value that it has passed", name)
            seen.add(id(value))
            self._fields(fields, value, depth)
            value = getattr(value, link, None)
            self.parts.append(_WORD.pack(value is not None))
            if value is None:
                return

    def _union(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        seen: set[int] = set()
        while value is not None:
            if id(value) in seen:
                raise XdrEncodeError("the chain returns to a value that it has passed")
            seen.add(id(value))
            value = self._arm(shape, value, depth)

    def _arm(self, shape: tuple[Any, ...], value: Any, depth: int) -> Any:
        """Write one arm; returns what follows where the union goes on in it, or None."""
        _, (name, attribute, discriminant_shape), arms = shape
        for labels, cls, field in arms:
            if not isinstance(value, cls):
                continue
            discriminant = getattr(value, attribute, None)
            self._fields(((name, attribute, discriminant_shape),), value, depth)
            if labels is not None and discriminant not in labels:
                raise XdrEncodeError(f"{cls.__name__} is not for {discriminant!r}", name)
            if labels is None and any(discriminant in (other[0] or ()) for other in arms):
                raise XdrEncodeError(f"{discriminant!r} has an arm of its own", name)
            self._fields((field,) if field else (), value, depth)
            return getattr(value, field[1]) if field and field[2][0] == "link" else None
        classes = ", ".join(cls.__name__ for _, cls, _ in arms)
        raise XdrEncodeError(f"expected one of {classes}, got {type(value).__name__}")

    def _link(self, _shape: tuple[Any, ...], value: Any, _depth: int) -> None:
        self.parts.append(_WORD.pack(value is not None))

    def _expect(self, value: object, cls: Any, what: str) -> None:
        if not isinstance(value, cls):
            raise _wrong_type(what, value)


def _wrong_type(expected: str, value: object) -> XdrEncodeError:
    return XdrEncodeError(f"expected {expected}, got {type(value).__name__}")


def _raw(value: Any) -> bytes:
    """The bytes of any buffer; not of an int or a list, from which ``bytes()`` would make some."""
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise _wrong_type("bytes", value) from None


def _exactly(raw: bytes, length: int) -> bytes:
    if len(raw) != length:
        raise XdrEncodeError(f"expected {length} bytes, got {len(raw)}")
    return raw
