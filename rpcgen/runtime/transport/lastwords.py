"""What a program says on its standard error, kept for the error that tells of its end.

How the program is listened to, and how it ended, is not known here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_MAX: Final = 1_024
"""Bytes that an error quotes: the last ones (libvirt quotes as many)."""


class LastWords:
    """The end of what has been said; as text, without the white space around it."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said = b""

    def add(self, said: bytes) -> None:
        self._said = (self._said + said)[-_MAX:]

    def __str__(self) -> str:
        return self._said.decode(errors="backslashreplace").strip()
