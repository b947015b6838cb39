"""Byte streams above another one, which they own: what is the same for all of them.

What they do to the bytes on their way is theirs. Descriptors never travel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from rpcgen.runtime.errors import AuthError, ConnectionClosed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.xdr import Buffer

_ERROR: Final = 0


class UpperStream(ABC):
    """What a ``ByteStream`` passes on to the one below."""

    __slots__ = ("_below",)

    can_move = False
    passes_fds = False

    def __init__(self, below: ByteStream) -> None:
        self._below = below

    def fileno(self) -> int:
        return self._below.fileno()

    @abstractmethod
    def receive(self, space: memoryview) -> int | None:
        """See ``ByteStream``."""

    def receive_with_fds(self, space: memoryview) -> tuple[int | None, list[int]]:
        return self.receive(space), []

    def send_fd(self, fd: int) -> bool:
        raise ConnectionClosed(f"descriptor {fd} cannot travel on this connection", _ERROR)

    def expect_bulk(self) -> None:
        self._below.expect_bulk()

    def shutdown(self) -> None:
        self._below.shutdown()

    def detach(self) -> int:
        return self._below.detach()

    def close(self) -> None:
        self._below.close()


class SealingStream(UpperStream):
    """One that sends pieces, each of which is of use to the peer only when all of it has come."""

    __slots__ = ("_held", "_piece")

    def __init__(self, below: ByteStream, piece: int) -> None:
        super().__init__(below)
        self._piece = piece  # plain bytes at most
        self._held = 0  # plain bytes that are sealed, but not all sent

    def send(self, buffers: Sequence[Buffer]) -> int:
        # Bytes count as taken when all of their piece is sent. Until then they come again.
        if not self._flush():
            return 0
        taken, self._held = self._held, 0
        if taken:
            return taken
        plain = _first(buffers, self._piece)
        if not plain:
            return 0
        try:
            self._seal(plain)
        except (OSError, AuthError) as error:
            raise self._broken(error) from error
        if self._flush():
            return len(plain)
        self._held = len(plain)
        return 0

    @abstractmethod
    def _seal(self, plain: Buffer, /) -> object:
        """Make a piece of some bytes, which waits to be sent."""

    @abstractmethod
    def _flush(self) -> bool:
        """Send what waits; whether that was all."""

    @abstractmethod
    def _broken(self, error: Exception) -> ConnectionClosed:
        """What it means that no piece can be made."""


def _first(buffers: Sequence[Buffer], most: int) -> Buffer:
    """The bytes that are sealed next."""
    first = buffers[0] if buffers else b""
    if len(buffers) <= 1 or len(first) >= most:
        return memoryview(first)[:most]
    parts: list[Buffer] = []
    for data in buffers:
        parts.append(memoryview(data)[:most])
        most -= len(parts[-1])
        if not most:
            break
    return b"".join(parts)
