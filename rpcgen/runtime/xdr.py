"""What generated encoders and decoders are built from (RFC 4506).

Generated code is straight-line and takes the common case only: text without surrogates,
values of exactly the declared class, bytes that are all there. Whatever is irregular raises
one of ``FAULTS``, and the same value or bytes go to ``reader`` or ``writer``, which take them
after all (a memoryview for opaque, text that is not UTF-8) or say what is wrong and where.
Nothing here knows a type of any ``.x`` file.
"""

from __future__ import annotations

from struct import Struct, error, unpack_from

from rpcgen.runtime.errors import XdrDecodeError
from rpcgen.runtime.limits import SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import IntEnum
    from typing import Any, Final, TypeVar

    T = TypeVar("T")
    E = TypeVar("E", bound=IntEnum)

    Pack = Callable[..., bytes]
    Unpack = Callable[[bytes, int], tuple[Any, ...]]

Buffer = bytes | bytearray | memoryview

ZEROS: Final = b"\0\0\0"
"""No padding is greater: a byte other than zero, anywhere in it, compares above."""

ABSENT: Final = b"\0\0\0\0"
"""The flag of an optional that is not there."""

BOOLS: Final = {0: False, 1: True}

new: Callable[[type[T]], T] = object.__new__
"""An instance whose fields the decoder stores one by one: twice as fast as calling the class."""


class Irregular(Exception):  # noqa: N818  (a signal between two codecs, never seen outside)
    """The straight-line code does not take this; the slow walk decides."""


FAULTS: Final = (
    Irregular,
    error,
    KeyError,
    IndexError,
    ValueError,  # UnicodeError, and XdrError from a codec called on the way
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What the straight-line code may raise on input that is not regular."""


class RecordPacker:
    """Packs fixed fields, a length, that many bytes, padding, and fixed fields in one C call.

    ``short[length](*before, length, raw, *after)`` for lengths below ``SHORT``,
    ``long(...)`` with the same arguments for the others. A layout is compiled when a length
    is first seen.

    Args:
        before: ``struct`` codes of the fields before the length.
        after: ``struct`` codes of the fields behind the padding.
        maximum: the declared bound; longer bytes raise Irregular.
    """

    __slots__ = ("_after", "_at", "_before", "_maximum", "short")

    def __init__(self, before: str, after: str, maximum: int) -> None:
        self._before = before
        self._after = after
        self._maximum = maximum
        self._at = -1
        self.short: list[Pack] = [self._learn] * SHORT

    def long(self, *values: Any) -> bytes:
        """Pack bytes of any length up to the bound."""
        return self._layout(self._raw(values)).pack(*values)

    def _learn(self, *values: Any) -> bytes:
        layout = self._layout(self._raw(values))
        raw = self._raw(values)
        self.short[len(raw)] = layout.pack
        return layout.pack(*values)

    def _raw(self, values: tuple[Any, ...]) -> Any:
        if self._at < 0:
            # Repeats make one value of "16s" and sixteen of "16i": count what the codes take.
            self._at = (
                len(Struct(">" + self._before).unpack(bytes(Struct(">" + self._before).size))) + 1
            )
        return values[self._at]

    def _layout(self, raw: bytes) -> Struct:
        length = len(raw)
        if length > self._maximum:
            raise Irregular
        return Struct(f">{self._before}I{length}s{-length % 4}x{self._after}")


class RecordUnpacker:
    """Unpacks what RecordPacker packs: ``(*before, length, raw, padding, *after)``.

    ``short[low](data, offset)``, where ``low`` is the last byte of the length word, is right
    whenever the length turns out to be ``len(raw)``; otherwise ``long(data, offset)`` is.
    The caller checks the padding.
    """

    __slots__ = ("_after", "_before", "_maximum", "_word", "short")

    def __init__(self, before: str, after: str, maximum: int) -> None:
        self._before = before
        self._after = after
        self._maximum = maximum
        self._word = Struct(f">{before}").size
        self.short: list[Unpack] = [self._learn] * SHORT

    def long(self, data: bytes, offset: int) -> tuple[Any, ...]:
        """Unpack a record of any length up to the bound."""
        return self._layout(data, offset).unpack_from(data, offset)

    def _learn(self, data: bytes, offset: int) -> tuple[Any, ...]:
        layout = self._layout(data, offset)
        at = offset + self._word
        if not any(data[at : at + 3]):
            self.short[data[at + 3]] = layout.unpack_from
        return layout.unpack_from(data, offset)

    def _layout(self, data: bytes, offset: int) -> Struct:
        (length,) = unpack_from(">I", data, offset + self._word)
        if length > self._maximum or length > len(data) - offset:
            raise Irregular
        return Struct(f">{self._before}I{length}s{-length % 4}s{self._after}")


def members(enum: type[E]) -> dict[int, E]:
    """The members of an enum by value: a look-up costs a tenth of calling the class."""
    return enum._value2member_map_  # type: ignore[return-value]


def pack_chars(value: bytes, signed: bool) -> bytes:
    """``char x[]``: each byte as four, sign-extended where C's ``char`` is signed."""
    if value.__class__ is not bytes:
        raise Irregular
    codes = [code - 256 if code > 127 else code for code in value] if signed else list(value)
    return Struct(f">{len(codes)}i").pack(*codes)


def unpack_chars(data: bytes, offset: int, count: int, signed: bool) -> bytes:
    """``count`` bytes that take four each; a signed one above 127 may be extended either way."""
    codes = Struct(f">{count}i").unpack_from(data, offset)
    low = -128 if signed else 0
    if codes and not (low <= min(codes) and max(codes) <= 255):
        raise Irregular
    return bytes([code & 255 for code in codes])


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
