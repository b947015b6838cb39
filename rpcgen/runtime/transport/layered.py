"""A byte stream below a security layer of SASL: a length word and a token for each piece of data.

How a token is made is the layer's to know, when the layer begins the connection's. Like TLS it keeps
nothing back: a token that has come is handed out whole.
"""

from __future__ import annotations

from rpcgen.runtime.errors import AuthError, ConnectionClosed
from rpcgen.runtime.transport.upper import SealingStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from rpcgen.runtime.auth.mechanism import SecurityLayer
    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.xdr import Buffer

_WORD: Final = 4
"""Bytes of a token's length (RFC 4422, section 3.7)."""

_ERROR: Final = 0


class LayeredStream(SealingStream):
    """See ``ByteStream``; it owns the stream below."""

    __slots__ = ("_layer", "_pending", "_raw", "_space", "room")

    def __init__(self, below: ByteStream, layer: SecurityLayer) -> None:
        super().__init__(below, layer.send_max)
        self._layer = layer
        self._space = memoryview(bytearray(layer.receive_max + _WORD))
        self._raw = bytearray()  # what has come of a token, and of the word behind it
        self._pending = memoryview(b"")  # of a token, not sent
        # A token may be shorter than what is in it only if it were compressed.
        self.room = layer.receive_max

    @property
    def identity(self) -> Identity:
        """Who is on the other end."""
        return self._below.identity

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
            raise self._broken(error) from error
        if len(plain) > len(space):
            raise ConnectionClosed("SASL: more data in a token than was agreed on", _ERROR)
        space[: len(plain)] = plain
        return len(plain) or None

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

    def _seal(self, plain: Buffer, /) -> None:
        self._pending = memoryview(self._layer.wrap(bytes(plain)))

    def _broken(self, error: Exception) -> ConnectionClosed:
        return ConnectionClosed(str(error), _ERROR)

    def _flush(self) -> bool:
        while self._pending:
            sent = self._below.send([self._pending])
            if not sent:
                return False
            self._pending = self._pending[sent:]
        return True
