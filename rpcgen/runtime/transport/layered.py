"""A byte stream below a security layer of SASL: a length word and a token for each piece of data.

How a token is made is the layer's to know, when the layer begins the connection's. Like TLS it keeps
nothing back: a token that has come is handed out whole.
"""

from __future__ import annotations

from rpcgen.runtime.errors import AuthError, ConnectionClosed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from rpcgen.runtime.auth.mechanism import SecurityLayer
    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.xdr import Buffer

_WORD: Final = 4
"""Bytes of a token's length (RFC 4422, section 3.7)."""

_ERROR: Final = 0


class LayeredStream:
    """See ``ByteStream``; it owns the stream below. Descriptors do not travel."""

    __slots__ = ("_below", "_held", "_layer", "_pending", "_raw", "_space", "room")

    can_move = False
    passes_fds = False

    def __init__(self, below: ByteStream, layer: SecurityLayer) -> None:
        self._below = below
        self._layer = layer
        self._space = memoryview(bytearray(layer.receive_max + _WORD))
        self._raw = bytearray()  # what has come of a token, and of the word behind it
        self._pending = memoryview(b"")  # of a token, not sent
        self._held = 0  # plain bytes in it
        # A token may be shorter than what is in it only if it were compressed.
        self.room = layer.receive_max

    @property
    def identity(self) -> Identity:
        """Who is on the other end."""
        return self._below.identity

    def fileno(self) -> int:
        return self._below.fileno()

    def receive(self, space: memoryview) -> int | None:
        while len(self._raw) < (wanted := self._wanted()):
            # No further than to the end of a token and the word behind it.
            more = wanted - len(self._raw) + (_WORD if len(self._raw) >= _WORD else 0)
            count = self._below.receive(self._space[:more])
            if not count:
                return count
            self._raw += self._space[:count]
        token = bytes(self._raw[_WORD:wanted])
        del self._raw[:wanted]
        try:
            plain = self._layer.unwrap(token)
        except AuthError as error:
            raise ConnectionClosed(str(error), _ERROR) from error
        if len(plain) > len(space):
            raise ConnectionClosed("SASL: more data in a token than was agreed on", _ERROR)
        space[: len(plain)] = plain
        return len(plain) or None

    def receive_with_fds(self, space: memoryview) -> tuple[int | None, list[int]]:
        return self.receive(space), []

    def send(self, buffers: Sequence[Buffer]) -> int:
        # Bytes count as taken when all of their token is sent. Until then they come again.
        if not self._flush():
            return 0
        taken, self._held = self._held, 0
        if taken:
            return taken
        plain = _first(buffers, self._layer.send_max)
        if not plain:
            return 0
        try:
            self._pending = memoryview(self._layer.wrap(plain))
        except AuthError as error:
            raise ConnectionClosed(str(error), _ERROR) from error
        if self._flush():
            return len(plain)
        self._held = len(plain)
        return 0

    def send_fd(self, fd: int) -> bool:
        raise ConnectionClosed(f"descriptor {fd} cannot travel below SASL", _ERROR)

    def expect_bulk(self) -> None:
        self._below.expect_bulk()

    def shutdown(self) -> None:
        self._below.shutdown()

    def detach(self) -> int:
        return self._below.detach()

    def close(self) -> None:
        self._below.close()

    def _wanted(self) -> int:
        """Bytes of the token that is coming, with its word; of the word until that has come."""
        if len(self._raw) < _WORD:
            return _WORD
        size = int.from_bytes(self._raw[:_WORD])
        if not 0 < size <= self._layer.receive_max:
            most = self._layer.receive_max
            raise ConnectionClosed(
                f"SASL: expected a token of 1 to {most} bytes, got {size}", _ERROR
            )
        return _WORD + size

    def _flush(self) -> bool:
        while self._pending:
            sent = self._below.send([self._pending])
            if not sent:
                return False
            self._pending = self._pending[sent:]
        return True


def _first(buffers: Sequence[Buffer], most: int) -> bytes:
    """The bytes that are wrapped next."""
    parts: list[Buffer] = []
    for data in buffers:
        parts.append(memoryview(data)[:most])
        most -= len(parts[-1])
        if not most:
            break
    return b"".join(parts)
