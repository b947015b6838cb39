"""Every limit of the runtime, named, with its reason."""

from __future__ import annotations

MAX_DEPTH = 64
"""How often a value may contain another of a type that can contain itself.

The slow codec takes about eight frames of the interpreter for a level, and a caller may
already be a few hundred deep: 64 levels stay clear of CPython's limit of 1,000 frames.
Linked lists do not count: they are coded as loops.
"""

MAX_UNCHECKED_LINKS = 1_000_000
"""Links of a chain that are encoded before it is checked for a loop.

A chain that leads back into itself would otherwise be encoded until memory is gone.
"""

MAX_EMPTY_ELEMENTS = 65_536
"""How many elements of zero bytes an array may announce.

The bytes that are left bound every other count. An element that takes no bytes would let
four bytes of input ask for four thousand million objects.
"""

SHORT = 256
"""Items of variable length shorter than this have a precompiled layout for each length.

Names, paths and small blobs are below it, and one byte of the length word then tells the
layout. 256 slots of one pointer are 2 KiB for each shape of record.
"""
