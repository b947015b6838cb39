"""A byte stream inside TLS, once the handshake is over.

It keeps nothing back: a record that has come is handed out whole, in the same call. Who the peer
is was found out before, by ``handshake``.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.tls.alerts import explained
from rpcgen.runtime.tls.wire import RECORD
from rpcgen.runtime.transport.upper import SealingStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from rpcgen.runtime.interfaces import Identity
    from rpcgen.runtime.tls.wire import Wire
    from rpcgen.runtime.xdr import Buffer

_CHUNK: Final = 4 * RECORD
"""Plain bytes that are encrypted before the system is asked to take them."""

_RECORDS_AT_ONCE: Final = 64
"""Records without data, or parts of one, after which others have their turn."""

_ERROR, _EOF = 0, 1


class TlsStream(SealingStream):
    """See ``ByteStream``; it owns the stream below."""

    __slots__ = ("_failure", "_flush", "_seal", "_ssl", "_wire", "identity")

    room = RECORD

    # The wire's and OpenSSL's own, with no call of ours between.
    _flush: Callable[[], bool]
    _seal: Callable[[Buffer], object]

    def __init__(self, wire: Wire, inside: ssl.SSLObject, identity: Identity) -> None:
        super().__init__(wire.below, _CHUNK)
        self._wire = wire
        self._ssl = inside
        self._flush = wire.flush
        self._seal = inside.write
        self._failure: ConnectionClosed | None = None  # of reading
        self.identity = identity

    @property
    def version(self) -> str:
        """Of the protocol: ``TLSv1.2``, ``TLSv1.3``."""
        return self._ssl.version() or ""

    @property
    def cipher(self) -> tuple[str, int]:
        """The cipher's name, and the bits of its key."""
        name, _, bits = self._ssl.cipher() or ("", "", 0)
        return name, bits

    def receive(self, space: memoryview) -> int | None:
        # Records with data and no more: what comes behind them, the end for one, is then still in
        # the system, where somebody looks for it.
        if self._failure is not None:
            raise self._failure
        taken = 0
        try:
            for _ in range(_RECORDS_AT_ONCE):
                fetched = self._wire.fetch()
                if fetched is None:
                    break
                count = self._decrypt(space[taken:])
                if count is None and fetched:
                    continue
                if not count:
                    return self._end_behind(taken)
                taken += count
                if len(space) - taken < RECORD or not self._wire.is_data_next:
                    break
        except ConnectionClosed as error:
            self._failure = error
            if not taken:
                raise
            return self._end_behind(taken)
        return taken or None

    def close(self) -> None:
        # The peer learns that nothing was cut off, if that can be told without waiting.
        with suppress(OSError, ConnectionClosed):
            try:
                self._ssl.unwrap()
            finally:
                self._flush()
        super().close()

    def _end_behind(self, taken: int) -> int:
        """Have the next call, which comes if the system has something to tell, say what was seen."""
        if taken:
            self.shutdown()
        return taken

    def _decrypt(self, space: memoryview) -> int | None:
        """Decrypt into a buffer; 0 at the end, None if there is no whole record."""
        try:
            count = self._ssl.read(len(space), space)
        except ssl.SSLWantReadError:
            if self._wire.outgoing.pending:
                self._flush()  # TLS itself has something to say
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0
        except OSError as error:
            with suppress(ConnectionClosed):
                self._flush()
            raise self._broken(error) from error
        return int(count)

    def _broken(self, error: Exception) -> ConnectionClosed:
        said = explained(why(error), is_client=not self._ssl.server_side)
        return ConnectionClosed(f"TLS: {said}", _ERROR)


def why(error: Exception) -> str:
    """What OpenSSL says, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if not isinstance(error, ssl.SSLError):
        return "OpenSSL gives up without a word"  # the number is that of some earlier system call
    reason = error.reason or str(error)
    return reason.lower().replace("_", " ")
