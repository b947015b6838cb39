"""Where packets begin and end: bytes and descriptors in, packets out, one when it is asked for.

The length word is checked before anything behind it is kept, and memory grows with what came,
never with what was announced. What a packet means is not known here.
"""

from __future__ import annotations

from collections import deque
from struct import Struct

from libvirt_rpc.virnetprotocol.decoder import decode_vir_net_message_header
from rpcgen.runtime.errors import RemoteProtocolError
from rpcgen.runtime.limits import RECEIVE_MIN, RECEIVE_SIZE
from rpcgen.runtime.message import CALL_WITH_FDS, HEAD_SIZE, REPLY_WITH_FDS, Packet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.xdr import Buffer

_word = Struct(">I").unpack_from


class FrameReader:
    """Cuts a byte stream into packets.

    It has a buffer of its own, into which the system writes: memory that is used again and again
    costs a fraction of memory that is asked for and given back with every read.

    A descriptor travels with one byte of zero behind its packet. A read ends with the byte that
    carried descriptors, as Linux does it, so their place is the last byte of a read.

    Args:
        limits: how long a packet may be, and how many descriptors it may have.
        passes_fds: whether the transport can carry descriptors at all.
        carriers: types of packets that descriptors belong to.
        room: bytes that the space for a read has at least; see ``ByteStream``.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_carriers",
        "_fds",
        "_fds_max",
        "_largest",
        "_message_max",
        "_missing",
        "_owed",
        "_passes_fds",
        "_received",
        "_room",
        "_stop",
        "_unfinished",
        "_view",
        "_was_full",
    )

    def __init__(
        self,
        limits: Limits,
        *,
        passes_fds: bool = False,
        carriers: Sequence[int] = (CALL_WITH_FDS, REPLY_WITH_FDS),
        room: int = 1,
    ) -> None:
        self._message_max = limits.message
        self._largest = limits.message + 4
        self._carriers = carriers
        self._fds_max = limits.fds
        self._passes_fds = passes_fds
        self._room = room
        self._buffer = bytearray(max(RECEIVE_MIN, 2 * room))
        self._view = memoryview(self._buffer)
        self._at = 0  # of the first byte that has not been looked at
        self._stop = 0  # behind the last byte that has come
        self._owed = 4  # bytes that must lie behind ``_at`` before it is worth looking
        self._was_full = False  # the last read might have brought more
        self._received = 0  # bytes so far, by which descriptors find their place
        self._fds: deque[tuple[int, list[int]]] = deque()
        self._unfinished: Packet | None = None  # waits for descriptors
        self._missing = 0  # how many

    @property
    def is_between_packets(self) -> bool:
        """Whether the stream may end here."""
        return self._at == self._stop and self._unfinished is None

    @property
    def missing(self) -> int:
        """Bytes that are known to belong to the packet in the middle; 0 between packets."""
        if self.is_between_packets:
            return 0
        return max(self._owed - (self._stop - self._at), 0)

    @property
    def capacity(self) -> int:
        """Bytes of its buffer."""
        return len(self._buffer)

    def limit(self, message: int | None) -> None:
        """From now on packets are to be no longer than this; None is what its limits say."""
        most = self._message_max
        self._largest = 4 + (most if message is None else min(message, most))

    def reserve(self, room: int) -> None:
        """From now on there is to be more space for a read."""
        self._room = max(self._room, room)
        if len(self._buffer) < 2 * room:
            self._resize(2 * room)

    def space(self) -> memoryview:
        """Where the next read is to write; never smaller than ``room``."""
        size, held = len(self._buffer), self._stop - self._at
        if not held:
            self._at = self._stop = 0
            if self._was_full and size < RECEIVE_SIZE:
                self._resize(2 * size)
        elif size - self._stop < max(self._owed - held, size // 4, self._room):
            if (held > size // 2 and held + self._owed > size) or size - held < self._room:
                size *= 2  # with what came, as long as the packet does not fit
            self._resize(size)
        return self._view[self._stop :]

    def received(self, count: int, fds: Sequence[int] = ()) -> None:
        """A read has written so many bytes into the space, and brought descriptors."""
        self._stop += count
        self._was_full = self._stop == len(self._buffer)
        if fds:
            self._fds.append((self._received + count, list(fds)))
        self._received += count

    def receive(self, data: Buffer, fds: Sequence[int] = ()) -> None:
        """Take what has been read elsewhere."""
        view = memoryview(data)
        while view:
            space = self.space()
            count = min(len(space), len(view))
            space[:count] = view[:count]
            view = view[count:]
            self.received(count, () if len(view) else fds)

    def relax(self) -> None:
        """Give back a buffer that was needed for once, if nothing is in it."""
        if len(self._buffer) > RECEIVE_SIZE and self._at == self._stop:
            self._at = self._stop = 0
            self._resize(RECEIVE_SIZE)

    def next_packet(self) -> Packet | None:
        """The next packet, or None until more has been received.

        Raises:
            RemoteProtocolError: there is no telling where the next packet begins.
        """
        if self._unfinished is not None:
            return self._with_fds(self._unfinished)
        at, held = self._at, self._stop - self._at
        if held < self._owed:
            return None
        (length,) = _word(self._buffer, at)
        if not HEAD_SIZE <= length <= self._largest:
            raise RemoteProtocolError(
                f"length {length} of a packet is not from {HEAD_SIZE} to {self._largest}"
            )
        if length > held:
            self._owed = length
            return None
        start, end = at + HEAD_SIZE, at + length
        header = decode_vir_net_message_header(self._view[at + 4 : start].tobytes())
        self._at, self._owed = end, 4
        if self._fds and self._fds[0][0] <= self._received - (self._stop - end):
            raise RemoteProtocolError("a descriptor came where none belongs")
        packet = Packet(header, self._view[start:end].tobytes(), [])
        if header.type in self._carriers:
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

    def _resize(self, size: int) -> None:
        """Move what is held to the front of the buffer, or of another of this size."""
        held = self._stop - self._at
        if size == len(self._buffer):
            self._view[:held] = self._view[self._at : self._stop]
        else:
            buffer = bytearray(size)
            buffer[:held] = self._view[self._at : self._stop]
            self._buffer, self._view = buffer, memoryview(buffer)
        self._at, self._stop = 0, held

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
            if self._at == self._stop:
                self._owed = 1
                return None
            packet.fds.append(self._take_fd())
            self._missing -= 1
        self._unfinished, self._owed = None, 4
        return packet

    def _take_fd(self) -> int:
        place = self._received - (self._stop - self._at - 1)
        if not self._fds or self._fds[0][0] != place or self._buffer[self._at] != 0:
            raise RemoteProtocolError("the byte of a descriptor came without one")
        fd, *more = self._fds[0][1]
        if more:
            raise RemoteProtocolError("several descriptors came with one byte")
        self._fds.popleft()
        self._at += 1
        return fd
