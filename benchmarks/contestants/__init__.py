"""Who competes: one module each, with ``codecs()`` for the six shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.shapes import Plain

Functions: TypeAlias = tuple[Callable[[Any], bytes], Callable[[bytes], Any]]
"""``encode`` and ``decode``."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one contestant handles one shape.

    Attributes:
        value: what ``encode`` takes: the shape in the contestant's own types.
        encode: value to bytes.
        decode: bytes to another such value.
        read: every field of a value, as the plain tuple of the shape.
    """

    value: Any
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    read: Callable[[Any], Plain]
