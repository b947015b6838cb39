"""Where packets begin and end: bytes and descriptors in, packets out, one when it is asked for.

The length word is checked before anything behind it is kept, and memory grows with what came,
never with what was announced. What a packet means is not known here.
"""

from __future__ import annotations

from collections import deque
from struct import Struct

from libvirt_rpc.virnetprotocol.decoder import read_vir_net_message_header
from rpcgen.runtime.errors import RemoteProtocolError
from rpcgen.runtime.limits import RECEIVE_MAX, RECEIVE_SIZE
from rpcgen.runtime.message import CALL_WITH_FDS, HEAD_SIZE, REPLY_WITH_FDS, Packet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rpcgen.runtime.limits import Limits

_word = Struct(">I").unpack_from


class FrameReader:
    """Cuts a byte stream into packets.

    A descriptor travels with one byte of zero behind its packet. A read ends with the byte that
    carried descriptors, as Linux does it, so their place is the last byte of a read.

    Args:
        limits: how long a packet may be, and how many descriptors it may have.
        passes_fds: whether the transport can carry descriptors at all.
    """

    __slots__ = (
        "_at",
        "_data",
        "_end",
        "_fds",
        "_fds_max",
        "_held",
        "_largest",
        "_missing",
        "_owed",
        "_passes_fds",
        "_pieces",
        "_unfinished",
    )

    def __init__(self, limits: Limits, *, passes_fds: bool = False) -> None:
        self._largest = limits.message + 4
        self._fds_max = limits.fds
        self._passes_fds = passes_fds
        self._data = b""
        self._at = 0
        self._pieces: list[bytes] = []
        self._held = 0  # bytes in the pieces
        self._owed = 4  # bytes that must lie behind ``_at`` before it is worth looking
        self._end = 0  # bytes received so far, by which descriptors find their place
        self._fds: deque[tuple[int, list[int]]] = deque()
        self._unfinished: Packet | None = None  # waits for descriptors
        self._missing = 0  # how many

    @property
    def receive_size(self) -> int:
        """How many bytes the next read should ask for."""
        missing = self._owed - self._held - (len(self._data) - self._at)
        return RECEIVE_SIZE if missing <= RECEIVE_SIZE else min(missing, RECEIVE_MAX)

    @property
    def is_between_packets(self) -> bool:
        """Whether the stream may end here."""
        return self._at == len(self._data) and not self._pieces and self._unfinished is None

    def receive(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Take what one read returned."""
        self._end += len(data)
        if fds:
            self._fds.append((self._end, list(fds)))
        if self._at == len(self._data) and not self._pieces:
            self._data = data
            self._at = 0
        else:
            self._pieces.append(data)
            self._held += len(data)

    def next_packet(self) -> Packet | None:
        """The next packet, or None until more has been received.

        Raises:
            RemoteProtocolError: there is no telling where the next packet begins.
        """
        if self._pieces and not self._join():
            return None
        if self._unfinished is not None:
            return self._with_fds(self._unfinished)
        data, at = self._data, self._at
        if len(data) - at < 4:
            self._owed = 4
            return None
        (length,) = _word(data, at)
        if not HEAD_SIZE <= length <= self._largest:
            raise RemoteProtocolError(
                f"length {length} of a packet is not from {HEAD_SIZE} to {self._largest}"
            )
        end = at + length
        if end > len(data):
            self._owed = length
            return None
        header, start = read_vir_net_message_header(data, at + 4)
        self._at, self._owed = end, 4
        if self._fds and self._fds[0][0] <= self._end - (len(data) - end):
            raise RemoteProtocolError("a descriptor came where none belongs")
        packet = Packet(header, data[start:end], [])
        if header.type == CALL_WITH_FDS or header.type == REPLY_WITH_FDS:
            return self._expect_fds(packet)
        return packet

    def release_fds(self) -> list[int]:
        """Give up all descriptors that no packet has been returned with: the caller closes them."""
        fds = [fd for _, some in self._fds for fd in some]
        if self._unfinished is not None:
            fds += self._unfinished.fds
        self._fds.clear()
        self._unfinished = None
        return fds

    def _join(self) -> bool:
        """Make one buffer of what is left and what came, once that is enough for a packet."""
        if self._held + len(self._data) - self._at < self._owed:
            return False
        self._data = b"".join([self._data[self._at :], *self._pieces])
        self._at = 0
        self._pieces = []
        self._held = 0
        return True

    def _expect_fds(self, packet: Packet) -> Packet | None:
        payload = packet.payload
        if len(payload) < 4:
            raise RemoteProtocolError("a packet with descriptors does not say how many")
        (count,) = _word(payload)
        if count > self._fds_max:
            raise RemoteProtocolError(f"{count} descriptors exceed {self._fds_max}")
        if count and not self._passes_fds:
            raise RemoteProtocolError("descriptors cannot travel on this connection")
        packet.payload = payload[4:]
        self._unfinished, self._missing = packet, count
        return self._with_fds(packet)

    def _with_fds(self, packet: Packet) -> Packet | None:
        """The packet once it has all of its descriptors."""
        while self._missing:
            if self._at == len(self._data):
                self._owed = 1
                return None
            packet.fds.append(self._take_fd())
            self._missing -= 1
        self._unfinished, self._owed = None, 4
        return packet

    def _take_fd(self) -> int:
        place = self._end - (len(self._data) - self._at - 1)
        if not self._fds or self._fds[0][0] != place or self._data[self._at] != 0:
            raise RemoteProtocolError("the byte of a descriptor came without one")
        fd, *more = self._fds[0][1]
        if more:
            raise RemoteProtocolError("several descriptors came with one byte")
        self._fds.popleft()
        self._at += 1
        return fd
