"""Ciphertext on its way between a byte stream and the ``ssl`` module, which never sees a socket.

It reads record by record, so that what has come is decrypted at once and whoever polls the
descriptor misses nothing. What is in the records is not known here.
"""

from __future__ import annotations

import ssl

from rpcgen.runtime.errors import ConnectionClosed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from rpcgen.runtime.interfaces import ByteStream

RECORD: Final = 16384
"""Plain bytes of a record at most (RFC 8446, section 5.1)."""

_HEAD: Final = 5
"""Type, version and length of a record (RFC 8446, section 5.1)."""

_DATA: Final = 23
"""The type of records with data (RFC 8446, section 5.1)."""

_ALERT: Final = 2 + 1 + 16
"""Ciphertext of an alert without padding: itself, its type, and the tag (RFC 8446, section 5.2)."""

_BODY_MAX: Final = RECORD + 2048
"""Ciphertext of a record at most: RFC 5246, section 6.2.3; TLS 1.3 needs less."""

_PENDING_MAX: Final = 1 << 20
"""Ciphertext kept for a peer that does not read, but has this side answer: KeyUpdate, for one."""

_EOF: Final = 1


class Wire:
    """The ciphertext of one connection, both ways.

    Attributes:
        below: what carries it.
        incoming, outgoing: what ``ssl`` reads from and writes to.
        received: bytes so far.
    """

    __slots__ = (
        "_head",
        "_kind",
        "_owed",
        "_pending",
        "_space",
        "below",
        "incoming",
        "outgoing",
        "received",
    )

    def __init__(self, below: ByteStream) -> None:
        self.below = below
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.received = 0
        self._space = memoryview(bytearray(_BODY_MAX + _HEAD))
        self._head = b""  # what has come of the next record's head
        self._kind = 0  # of the record whose head came last
        self._owed = 0  # bytes of this record's body that have not come
        self._pending: memoryview = memoryview(b"")  # taken from ``outgoing``, not sent

    @property
    def is_data_next(self) -> bool:
        """Whether what comes next is known to be data, and not the end.

        TLS 1.2 says so. TLS 1.3 calls every record data, but an alert is shorter than others,
        unless the peer pads it, which nobody does.
        """
        return self._kind == _DATA and self._owed > _ALERT

    def fetch(self) -> int | None:
        """Read no further than to the end of a record, and the head behind it.

        Returns:
            How many bytes came; 0 at the end, None if nothing is there now.

        Raises:
            ConnectionClosed: the connection is lost, or what comes is no record.
        """
        wanted = self._owed + _HEAD - len(self._head)
        came = self._space[:wanted]
        count = self.below.receive(came)
        if count:
            self.received += count
            if count < wanted:
                came = came[:count]
            self.incoming.write(came)
            self._note(came)
        elif count == 0:
            self.incoming.write_eof()
        return count

    def flush(self) -> bool:
        """Send what ``ssl`` has written; whether that was all."""
        while True:
            if not self._pending:
                if not self.outgoing.pending:
                    return True
                self._pending = memoryview(self.outgoing.read())
            sent = self.below.send([self._pending])
            if not sent:
                if self.outgoing.pending > _PENDING_MAX:
                    raise ConnectionClosed("the peer has TLS answer, and does not read", _EOF)
                return False
            self._pending = self._pending[sent:]

    def _note(self, came: memoryview) -> None:
        """Where the next record begins."""
        owed = self._owed
        if len(came) <= owed:
            self._owed -= len(came)
            return
        head = self._head + came[owed:]
        if len(head) < _HEAD:
            self._owed, self._head = 0, head
            return
        self._kind, self._owed, self._head = head[0], head[3] << 8 | head[4], b""
        if self._owed > _BODY_MAX:
            raise ConnectionClosed(f"what came is no TLS: a record of {self._owed} bytes", _EOF)
