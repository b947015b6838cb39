"""What streams carry: zeros, in packets of the size that every peer takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rpcgen.runtime.limits import STREAM_PACKET_MAX

_DATA: Final = bytes(STREAM_PACKET_MAX)


def pieces(size: int) -> Iterator[bytes]:
    """That many bytes of zeros, in the packets of a stream."""
    for left in range(size, 0, -STREAM_PACKET_MAX):
        yield _DATA[:left]


def complete(left: int) -> None:
    """Nothing is left, of bytes or whatever was counted.

    Raises:
        ValueError: something is, or too much came.
    """
    if left:
        raise ValueError(f"{left} are missing")
