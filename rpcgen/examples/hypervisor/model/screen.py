"""What a guest shows: a picture, made of nothing but its name and state.

PNG (ISO/IEC 15948) in shades of grey: a bar for each character, bright while the domain runs.
"""

from __future__ import annotations

import zlib
from struct import pack
from typing import Final

MIME: Final = "image/png"
WIDTH: Final = 320
HEIGHT: Final = 200

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY_8: Final = (8, 0, 0, 0, 0)
"""Bits a sample, colour type, compression, filter, interlace."""
_NO_FILTER: Final = b"\0"


def screenshot(name: str, *, is_running: bool) -> bytes:
    """The picture of a domain, the same each time."""
    row = _row(name.encode("utf-8", "replace"), 255 if is_running else 96)
    rows = (_NO_FILTER + row) * HEIGHT
    header = pack(">II5B", WIDTH, HEIGHT, *_GREY_8)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _row(text: bytes, brightness: int) -> bytes:
    width = WIDTH // len(text) + 1
    bars = b"".join(bytes([value * brightness // 255]) * width for value in text)
    return bars[:WIDTH]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))
