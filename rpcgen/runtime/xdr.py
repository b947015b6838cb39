"""What generated encoders and decoders are built from (RFC 4506).

Generated code is straight-line and takes the common case only: text without surrogates,
values of exactly the declared class, bytes that are all there. Whatever is irregular raises
one of ``FAULTS``, and the same value or bytes go to ``reader`` or ``writer``, which take them
after all (a memoryview for opaque, text that is not UTF-8) or say what is wrong and where.
Nothing here knows a type of any ``.x`` file.
"""

from __future__ import annotations

from itertools import repeat, starmap
from struct import Struct, calcsize, error, pack, unpack, unpack_from

from rpcgen.runtime.errors import XdrDecodeError
from rpcgen.runtime.limits import SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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

_PADDING: Final = ("0s", "?", "H", "3s")
"""Codes that read padding as something false or, where it is three bytes, to be compared with ZEROS."""

new: Callable[[type[T]], T] = object.__new__
"""An instance whose fields the decoder stores one by one: twice as fast as calling the class."""


def instances(cls: type[T]) -> Iterator[T]:
    """New instances without end, one for each ``next``: faster than ``new``, which is asked by name."""
    return starmap(new, repeat((cls,)))


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
    BufferError,  # a memoryview with gaps
    OverflowError,
    RecursionError,
)
"""What the straight-line code may raise on input that is not regular."""


def record_packer(before: str, after: str, maximum: int) -> tuple[list[Pack], Pack]:
    """Functions that pack fixed fields, the length of some bytes, these bytes, padding, and fixed fields.

    All are called with ``(*before, raw, *after)``. Of the list, the one at the length of ``raw``
    does it in one C call, by a layout that is compiled when the length is first seen; the other
    takes bytes of any length.

    Args:
        before: ``struct`` codes of the fields before the length.
        after: ``struct`` codes of the fields behind the padding.
        maximum: the declared bound; longer bytes raise Irregular.
    """
    index = _values_of(before)

    def long(*values: Any) -> bytes:
        raw = values[index]
        length = len(raw)
        if raw.__class__ is not bytes or length > maximum:
            raise Irregular
        head = pack(f">{before}I", *values[:index], length)
        tail = pack(f">{-length % 4}x{after}", *values[index + 1 :])
        return b"".join((head, raw, tail))

    def learn(*values: Any) -> bytes:
        length = len(values[index])
        if length > maximum:
            raise Irregular
        # struct's Pascal string begins with a byte that has its length: with three zeros in
        # front, and padding behind, that is a short XDR string, its length not an argument.
        short[length] = Struct(f">{before}3x{length + 1}p{-length % 4}x{after}").pack
        return short[length](*values)

    short: list[Pack] = [learn] * SHORT
    return short, long


def record_unpacker(
    before: str, after: str, maximum: int
) -> tuple[list[tuple[Unpack, int]], Unpack]:
    """Functions that unpack what ``record_packer`` packs: ``(*before, length, raw, padding, *after)``.

    All are called with ``(data, offset)``. Of the list, the one at the last byte of the length
    word is right, and takes as many bytes as the number beside it, if the length turns out to be
    that byte; if not, the other is. The caller checks the padding, which is false or ZEROS.
    """
    index = _values_of(before)
    word = calcsize(f">{before}")

    def long(data: bytes, offset: int) -> tuple[Any, ...]:
        *head, length = unpack_from(f">{before}I", data, offset)
        start = offset + word + 4
        end = start + length
        if length > maximum or end > len(data):
            raise Irregular
        tail = unpack_from(f">{_PADDING[-length % 4]}{after}", data, end)
        return (*head, length, data[start:end], *tail)

    def learn(data: bytes, offset: int) -> tuple[Any, ...]:
        low = data[offset + word + 3]
        if low <= maximum:
            layout = Struct(f">{before}I{low}s{_PADDING[-low % 4]}{after}")
            short[low] = layout.unpack_from, layout.size
        values = list(long(data, offset))
        values[index] = -1  # this one is left to the other function
        return tuple(values)

    short: list[tuple[Unpack, int]] = [(learn, 0)] * SHORT
    return short, long


def _values_of(form: str) -> int:
    """How many values ``struct`` codes take: "16s" is one, "16i" sixteen."""
    return len(unpack(f">{form}", bytes(calcsize(f">{form}"))))


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
