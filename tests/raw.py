"""A client that is nothing but bytes on a socket: packets out, packets in, whatever they say.

It shares no code with our clients and servers, so that neither can be wrong together with it.
"""

from __future__ import annotations

import array
import socket
import struct
from types import TracebackType
from typing import NamedTuple, Self

DEADLINE = 30.0
"""Seconds for what takes far less than one, unless the machine is overloaded."""

CALL, REPLY, MESSAGE, STREAM, CALL_WITH_FDS, REPLY_WITH_FDS, STREAM_HOLE = range(7)
OK, ERROR, CONTINUE = range(3)

KEEPALIVE = 0x6B656570
PING, PONG = 1, 2

_FIELDS = struct.Struct(">IIiiIi")


class Packet(NamedTuple):
    """One packet: the header's fields, and what is behind them."""

    program: int
    version: int
    procedure: int
    type: int
    serial: int
    status: int
    payload: bytes = b""

    def encoded(self) -> bytes:
        """The packet as it travels."""
        size = 4 + _FIELDS.size + len(self.payload)
        return struct.pack(">I", size) + _FIELDS.pack(*self[:6]) + self.payload


class Raw:
    """One connection.

    Args:
        connection: a connected socket, which it owns.
        program, version: what its calls name.
    """

    def __init__(self, connection: socket.socket, program: int, version: int = 1) -> None:
        connection.settimeout(DEADLINE)
        self.socket = connection
        self.program = program
        self.version = version

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    # Out

    def packet(
        self,
        procedure: int,
        payload: bytes = b"",
        *,
        serial: int = 1,
        type_: int = CALL,
        status: int = OK,
    ) -> bytes:
        """A packet, by default a call."""
        fields = (self.program, self.version, procedure, type_, serial, status)
        return Packet(*fields, payload).encoded()

    def send(self, *packets: bytes, piece: int = 0) -> None:
        """Send packets, all at once or so many bytes at a time."""
        data = b"".join(packets)
        for start in range(0, len(data), piece or len(data) or 1):
            self.socket.sendall(data[start : start + (piece or len(data))])

    def send_fds(self, packet: bytes, *fds: int) -> None:
        """Send a packet and descriptors, each with a byte of its own behind it."""
        self.send(packet)
        for fd in fds:
            rights = array.array("i", [fd])
            self.socket.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.send(Packet(KEEPALIVE, 1, PING, MESSAGE, 0, OK).encoded())

    # In

    def read(self) -> Packet:
        """The next packet; EOFError at the end."""
        (length,) = struct.unpack(">I", self._exactly(4))
        fields = _FIELDS.unpack(self._exactly(_FIELDS.size))
        return Packet._make((*fields, self._exactly(length - 4 - _FIELDS.size)))

    def read_fd(self) -> int:
        """The descriptor that comes with the next byte."""
        data, control, _, _ = self.socket.recvmsg(1, socket.CMSG_SPACE(4))
        assert data == b"\0"
        ((_, _, rights),) = control
        (fd,) = array.array("i", rights)
        return fd

    def call(self, procedure: int, payload: bytes = b"", *, serial: int = 1) -> Packet:
        """Call, and return the next packet, which is the reply to that call."""
        self.send(self.packet(procedure, payload, serial=serial))
        reply = self.read()
        wanted = (self.program, self.version, procedure, REPLY, serial)
        assert reply[:5] == wanted, reply
        return reply

    def is_ended(self) -> bool:
        """Wait for something; whether it is the end. What the server left unread makes it a reset."""
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def is_quiet(self) -> bool:
        """Whether nothing has come: a ping is answered in its turn."""
        self.ping()
        return self.read() == Packet(KEEPALIVE, 1, PONG, MESSAGE, 0, OK)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self.socket.recv(min(size - len(data), 1 << 20))
            if not more:
                raise EOFError(f"expected {size} bytes, got {len(data)} and the end")
            data += more
        return bytes(data)
