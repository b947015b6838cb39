"""Local variables of generated functions: none may hide what the function uses."""

from __future__ import annotations

import builtins

USED = frozenset(
    {
        *("data", "depth", "first", "following", "into", "last", "length", "link", "offset", "pad"),
        *("cls", "extent", "low", "starmap", "unpack"),
        *("parts", "present", "raw", "start", "value", "values", "wire"),
        *("members", "new", "pack", "pack_chars", "repeat", "unpack_chars", "unpack_from"),
        *("walk_decode", "walk_encode", "walk_read", "whole"),
    }
)
"""What the templates, and the modules that they import from, call their own."""

_PREFIXES = ("_", "encode_", "decode_", "read_")
"""How the functions and layouts of a module begin."""


def unique(wanted: str, taken: dict[str, int]) -> str:
    """A name for a local: as wanted, or with a number where that is taken.

    Args:
        wanted: a valid identifier.
        taken: how often each name was asked for; changed by the call.
    """
    if wanted in USED or hasattr(builtins, wanted) or wanted.startswith(_PREFIXES):
        wanted = f"the_{wanted.strip('_')}"
    number = taken[wanted] = taken.get(wanted, 0) + 1
    return wanted if number == 1 else unique(f"{wanted}_{number}", taken)
