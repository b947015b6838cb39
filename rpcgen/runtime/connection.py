"""What both ends of a connection share, without sockets, threads or clocks.

Bytes and the time come in through ``receive_data``; what they mean is asked for one event at a
time; what is to be sent lies in ``outbox``. ``client_connection`` and ``server_connection`` add
what the two sides do not share. A packet that is not understood but can be passed over is counted
in ``dropped``; one that costs the packets' boundaries raises RemoteProtocolError, after which only
``close`` makes sense.
"""

from __future__ import annotations

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from libvirt_rpc.virkeepaliveprotocol.program import (
    KEEPALIVE_PROC_PING,
    KEEPALIVE_PROC_PONG,
    KEEPALIVE_PROGRAM,
)
from rpcgen.runtime.errors import ConnectionClosed, LocalProtocolError, RemoteProtocolError
from rpcgen.runtime.framing import FrameReader
from rpcgen.runtime.keepalive import Keepalive, Pulse
from rpcgen.runtime.message import MESSAGE, OK, count_of_fds, head
from rpcgen.runtime.outbox import Outbox
from rpcgen.runtime.state import CONNECTION, ConnectionInput, ConnectionState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, TypeAlias

    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.message import Packet
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.streams import Stream

    StreamKey: TypeAlias = tuple[int, int, int, int]

PING: Final = head(0, KEEPALIVE_PROGRAM.number, 1, KEEPALIVE_PROC_PING.number, MESSAGE, 0, OK)
PONG: Final = head(0, KEEPALIVE_PROGRAM.number, 1, KEEPALIVE_PROC_PONG.number, MESSAGE, 0, OK)


class Connection:
    """One end of a connection.

    Attributes:
        limits: what it accepts and sends.
        outbox: what is to be written.
        state: whether it is open.
        streams: those that are not over, by program, version, procedure and serial.
        keepalive: whether the peer is asked for signs of life.
        closed: why it is closed; None while it is not.
        dropped: how many packets were passed over.
        stray_fds: descriptors that came and nobody takes: the shell closes them.
    """

    __slots__ = (
        "closed",
        "dropped",
        "keepalive",
        "limits",
        "outbox",
        "reader",
        "state",
        "stray_fds",
        "streams",
    )

    def __init__(self, limits: Limits, *, passes_fds: bool, carrier: int, room: int) -> None:
        self.limits = limits
        self.outbox = Outbox()
        self.reader = FrameReader(limits, passes_fds=passes_fds, carriers=(carrier,), room=room)
        self.state = ConnectionState.OPEN
        self.streams: dict[StreamKey, Stream] = {}
        self.keepalive: Keepalive | None = None
        self.closed: ConnectionClosed | None = None
        self.dropped = 0
        self.stray_fds: list[int] = []

    def received(self, count: int, fds: Sequence[int] = (), now: float = 0.0) -> None:
        """A read has written so many bytes into ``reader.space()``: a sign of life at ``now``."""
        if self.keepalive is not None:
            self.keepalive.alive(now)
        self.reader.received(count, fds)

    def receive_data(self, data: bytes, fds: Sequence[int] = (), now: float = 0.0) -> None:
        """The same with what has been read elsewhere."""
        if self.keepalive is not None:
            self.keepalive.alive(now)
        self.reader.receive(data, fds)

    def start_keepalive(self, interval: float, count: int, now: float) -> None:
        """Ask the peer for signs of life; an interval of 0 or less stops that.

        Args:
            interval: seconds of silence before a question.
            count: questions without an answer before ``tick`` gives the peer up.
            now: seconds of a monotonic clock.
        """
        self.keepalive = Keepalive(interval, count, now) if interval > 0 else None

    def tick(self, now: float) -> bool:
        """Do what time demands; False if the peer is to be given up."""
        pulse = self.keepalive.tick(now) if self.keepalive else Pulse.QUIET
        if pulse is Pulse.PING:
            self.outbox.put(PING)
        return pulse is not Pulse.DEAD

    def change_over(self, room: int) -> None:
        """Other bytes follow, those of a layer that begins here.

        Args:
            room: bytes that a read has to have space for from now on.

        Raises:
            LocalProtocolError: packets of this side are under way.
            RemoteProtocolError: the peer has sent more than it was to.
            ConnectionClosed: the connection is closed.
        """
        if self.closed is not None:
            raise self.closed
        if any(self.outbox.batch()) or self.streams:  # its size is already that of what is unsent
            raise LocalProtocolError("a layer cannot begin in the midst of packets")
        if not self.reader.is_between_packets:
            raise RemoteProtocolError("bytes came before the layer that was to protect them")
        self.reader.reserve(room)

    def move(self, what: ConnectionInput) -> None:
        """Go where the table says.

        Raises:
            LocalProtocolError: the connection is closed.
        """
        state = CONNECTION[self.state].get(what)
        if state is None:
            raise LocalProtocolError(f"{what.value}, but the connection is {self.state.value}")
        self.state = state

    def close(
        self, message: str, reason: int = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_ERROR
    ) -> bool:
        """Close it for a reason; False if it was closed before: the first reason stays."""
        if self.state is ConnectionState.CLOSED:
            return False
        self.closed = ConnectionClosed(message, reason)
        self.stray_fds += self.reader.release_fds() + self.outbox.release_fds()
        for stream in self.streams.values():
            stream.close(self.closed)
        # Last: what a signal handler interrupts before can be done again.
        self.move(ConnectionInput.CLOSE)
        return True

    def _is_keepalive(self, packet: Packet) -> bool:
        """Answer a ping; every packet of that program ends here."""
        header = packet.header
        if header.prog != KEEPALIVE_PROGRAM.number or header.vers != KEEPALIVE_PROGRAM.version:
            return False
        if header.proc == KEEPALIVE_PROC_PING.number and header.type == MESSAGE:
            self.outbox.put(PONG)
        return True

    def _drop(self, packet: Packet) -> None:
        self.dropped += 1
        self.stray_fds += packet.fds

    def _stream_packet(self, packet: Packet) -> Stream | None:
        """The stream that a packet belongs to, after it has taken the packet."""
        header = packet.header
        key = (header.prog, header.vers, header.proc, header.serial)
        stream = self.streams.get(key)
        if stream is None:
            self._drop(packet)  # data may be on its way when a stream ends
            return None
        stream.receive(packet)
        if stream.is_over:
            del self.streams[key]
        return stream

    def _put(
        self,
        procedure: Procedure[Any, Any],
        kinds: tuple[int, int],
        serial: int,
        status: int,
        payload: bytes,
        fds: Sequence[int] = (),
        done: Callable[[], object] | None = None,
    ) -> None:
        """Queue a packet of the first kind, or of the second if descriptors go with it."""
        program = procedure.program
        if fds:
            payload = count_of_fds(len(fds)) + payload
        self.outbox.put(
            head(
                len(payload),
                program.number,
                program.version,
                procedure.number,
                kinds[1] if fds else kinds[0],
                serial,
                status,
            )
            + payload,
            done,
        )
        for fd in fds:
            self.outbox.put_fd(fd)


def key_of(stream: Stream) -> StreamKey:
    """What the packets of a stream are recognised by."""
    program = stream.procedure.program
    return program.number, program.version, stream.procedure.number, stream.serial
