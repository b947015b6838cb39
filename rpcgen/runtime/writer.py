"""The slow encoder: it walks over a value with a table of shapes in hand.

Generated encoders turn here with values that they do not take, see ``xdr``. The walk encodes
everything that the language reference allows, and where it refuses, it knows the path. It is
also the yardstick that tests hold the generated encoders against. It must not know how the
generated code is written.
"""

from __future__ import annotations

from operator import index as integer
from struct import error

from rpcgen.runtime.errors import XdrEncodeError
from rpcgen.runtime.limits import MAX_DEPTH
from rpcgen.runtime.shapes import FLOATS, INT, NUMBERS, WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rpcgen.runtime.shapes import Shape, Shapes


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
            self.parts.append(WORD.pack(value))
        elif name in FLOATS:
            self._float(name, value)
        else:
            self._integer(name, value)

    def _integer(self, name: str, value: Any) -> None:
        layout, low, high = NUMBERS[name]
        try:
            number = integer(value)
        except TypeError:
            raise _wrong_type(name, value) from None
        if not low <= number <= high:
            raise XdrEncodeError(f"expected {name}, {low} to {high}, got {_shown(number)}")
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
        if not is_open and int(value) not in enum._value2member_map_:
            raise XdrEncodeError(f"{_shown(value)} is not a member of enum {name}")
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
        self.parts.append(WORD.pack(count))

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
            self.parts.append(INT.pack(code - 256 if signed and code > 127 else code))

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
        self.parts.append(WORD.pack(value is not None))
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
            self.parts.append(WORD.pack(value is not None))
            if value is None:
                return

    def _union(self, shape: tuple[Any, ...], value: Any, depth: int) -> None:
        seen: set[int] = set()
        while (following := self._arm(shape, value, depth)) is not None:
            seen.add(id(value))
            if id(following) in seen:
                raise XdrEncodeError("the chain returns to a value that it has passed")
            value = following

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
        self.parts.append(WORD.pack(value is not None))

    def _expect(self, value: object, cls: Any, what: str) -> None:
        if not isinstance(value, cls):
            raise _wrong_type(what, value)


def _wrong_type(expected: str, value: object) -> XdrEncodeError:
    return XdrEncodeError(f"expected {expected}, got {type(value).__name__}")


def _shown(number: int) -> str:
    """A number for a message; one that nobody would read is not written out."""
    return f"a number of {number.bit_length()} bits" if number.bit_length() > 256 else f"{number:d}"


def _raw(value: Any) -> bytes:
    """The bytes of any buffer; not of an int or a list, from which ``bytes()`` would make some."""
    try:
        return bytes(memoryview(value))
    except (TypeError, ValueError):  # no buffer, or one that was released
        raise _wrong_type("bytes", value) from None


def _exactly(raw: bytes, length: int) -> bytes:
    if len(raw) != length:
        raise XdrEncodeError(f"expected {length} bytes, got {len(raw)}")
    return raw
