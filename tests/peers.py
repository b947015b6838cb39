"""The other end of a connection, played packet by packet by a test, and a program to play.

A peer knows what packets look like and nothing of the connections that are tested. It blocks: a
test plays it in its own thread while calls run in others, or the other way round.
"""

from __future__ import annotations

import gc
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, TypeVar

from wire_cases import PAYLOAD, PING, PONG, header_of
from wire_replay import ended, read_packet, send

from libvirt_rpc.virnetprotocol.encoder import (
    encode_vir_net_message_header,
    encode_vir_net_stream_hole,
)
from libvirt_rpc.virnetprotocol.types import (
    VirNetMessageHeader,
    VirNetMessageStatus,
    VirNetMessageType,
    VirNetStreamHole,
)
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.errors import XdrDecodeError, XdrEncodeError
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure, Program
from rpcgen.runtime.transport.stream import SocketStream
from rpcgen.runtime.xdr import Buffer

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds for what takes a moment: who waits longer waits in vain."""

CALL = VirNetMessageType.VIR_NET_CALL
REPLY = VirNetMessageType.VIR_NET_REPLY
MESSAGE = VirNetMessageType.VIR_NET_MESSAGE
STREAM = VirNetMessageType.VIR_NET_STREAM
CALL_WITH_FDS = VirNetMessageType.VIR_NET_CALL_WITH_FDS
REPLY_WITH_FDS = VirNetMessageType.VIR_NET_REPLY_WITH_FDS
STREAM_HOLE = VirNetMessageType.VIR_NET_STREAM_HOLE

OK = VirNetMessageStatus.VIR_NET_OK
ERROR = VirNetMessageStatus.VIR_NET_ERROR
CONTINUE = VirNetMessageStatus.VIR_NET_CONTINUE


# A program


def _encode(value: object) -> bytes:
    if not isinstance(value, int):
        raise XdrEncodeError(f"expected an int, got {type(value).__name__}")
    return struct.pack(">q", value)


def _read(data: Buffer, offset: int) -> tuple[int, int]:
    if len(data) < offset + 8:
        raise XdrDecodeError("expected 8 bytes", offset)
    (value,) = struct.unpack_from(">q", data, offset)
    return value, offset + 8


def _rest(data: Buffer, offset: int) -> tuple[bytes, int]:
    return bytes(data[offset:]), len(data)


class Flags:
    """An argument that has nothing but flags."""

    def __init__(self, flags: int) -> None:
        self.flags = flags


NUMBER = (_encode, _read)
FLAGS = (
    lambda argument: _encode(argument.flags),
    lambda data, offset: (Flags(_read(data, offset)[0]), offset + 8),
)

SPARSE = 1
"""The flag of ``OPEN`` that allows holes."""

PROGRAM = Program("TEST_V1", 0x20F1_1E52, 1)
DOUBLE: Procedure[int, int] = Procedure(PROGRAM, 1, "TEST_DOUBLE", "double", NUMBER, NUMBER)
OPEN: Procedure[Flags, int] = Procedure(
    PROGRAM, 2, "TEST_OPEN", "open", FLAGS, NUMBER, stream="read", sparse_flag=SPARSE
)
PASS: Procedure[int, int] = Procedure(
    PROGRAM, 3, "TEST_PASS", "pass_", NUMBER, NUMBER, fds_in=True, fds_out=True
)
TAKE: Procedure[int, int] = Procedure(PROGRAM, 4, "TEST_TAKE", "take", NUMBER, NUMBER, fds_in=True)
BLOB: Procedure[bytes, bytes] = Procedure(
    PROGRAM, 6, "TEST_BLOB", "blob", (bytes, _rest), (bytes, _rest)
)
PASS_BLOB: Procedure[bytes, bytes] = Procedure(
    PROGRAM,
    7,
    "TEST_PASS_BLOB",
    "pass_blob",
    (bytes, _rest),
    (bytes, _rest),
    fds_in=True,
    fds_out=True,
)
TICK: Procedure[int, None] = Procedure(
    PROGRAM, 5, "TEST_TICK", "tick", NUMBER, (lambda _: b"", lambda _, at: (None, at)), event=True
)


# Packets that came


@dataclass
class Received:
    """One packet as it came.

    Attributes:
        payload: without the count of descriptors.
        fds: descriptors that came with it; the peer closes them in the end.
    """

    header: VirNetMessageHeader
    payload: bytes
    fds: list[int] = field(default_factory=list)

    @property
    def kind(self) -> tuple[int, int]:
        """Its type and status."""
        return self.header.type, self.header.status


@dataclass
class ReceivedCall(Received):
    """A call, with what it called and with which argument."""

    procedure: Procedure[Any, Any] = field(kw_only=True)
    argument: Any = field(kw_only=True)


class Peer:
    """One end of a socket, read and written whole packets at a time."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(DEADLINE)
        self.socket = connection
        self._fds: list[int] = []

    # What comes

    def receive(self) -> Received:
        """The next packet, with its descriptors; EOFError if none comes any more."""
        data = read_packet(self.socket)
        header, payload = header_of(data), data[PAYLOAD:]
        if header.type not in (CALL_WITH_FDS, REPLY_WITH_FDS):
            return Received(header, payload)
        (count,) = struct.unpack_from(">I", payload)
        return Received(header, payload[4:], [self._receive_fd() for _ in range(count)])

    def receive_call(self, procedure: Procedure[Any, Any]) -> ReceivedCall:
        """The next packet, which must be a call of this procedure."""
        got = self.receive()
        header, program = got.header, procedure.program
        numbers = (header.prog, header.vers, header.proc)
        assert numbers == (program.number, program.version, procedure.number)
        assert got.kind in ((CALL, OK), (CALL_WITH_FDS, OK))
        argument, end = procedure.read_argument(got.payload, 0)
        assert end == len(got.payload)
        return ReceivedCall(header, got.payload, got.fds, procedure=procedure, argument=argument)

    def receive_of(self, call: Received) -> Received:
        """The next packet, which must belong to the stream of a call."""
        got = self.receive()
        assert got.header.type in (STREAM, STREAM_HOLE)
        for name in ("prog", "vers", "proc", "serial"):
            assert getattr(got.header, name) == getattr(call.header, name)
        return got

    def receive_data(self, call: Received) -> bytes:
        """All data of a stream up to its next packet that is not data, which must be the finish."""
        data = b""
        while (got := self.receive_of(call)).kind == (STREAM, CONTINUE):
            data += got.payload
        assert got.kind == (STREAM, OK)
        return data

    def is_ended(self) -> bool:
        """Whether nothing more comes; waits until that is known."""
        return ended(self.socket)

    # What goes

    def send(self, data: bytes, piece: int = 0) -> None:
        """Bytes as they are, so many at a time."""
        send(self.socket, data, piece)

    def reply(self, call: ReceivedCall, value: Any = None, fds: Sequence[int] = ()) -> None:
        """Answer a call."""
        self.send(reply(call, value, len(fds) if fds else None))
        for fd in fds:
            self.send_fd(fd)

    def refuse(self, call: Received, error: RemoteError) -> None:
        """Answer a call with an error."""
        self.send(like(call.header, error.payload(), type=REPLY, status=ERROR))

    def send_event(self, procedure: Procedure[Any, None], message: Any) -> None:
        """Send a message of an event."""
        self.send(event(procedure, message))

    def send_data(self, call: Received, data: bytes) -> None:
        """Send data of a stream in one packet; none is the end of data."""
        self.send(like(call.header, data, type=STREAM, status=CONTINUE))

    def send_hole(self, call: Received, length: int) -> None:
        """Send a hole of a stream."""
        payload = encode_vir_net_stream_hole(VirNetStreamHole(length, 0))
        self.send(like(call.header, payload, type=STREAM_HOLE, status=CONTINUE))

    def confirm(self, call: Received) -> None:
        """Confirm that a stream is finished or aborted."""
        self.send(like(call.header, type=STREAM, status=OK))

    def break_stream(self, call: Received, error: RemoteError) -> None:
        """Send an error on a stream."""
        self.send(like(call.header, error.payload(), type=STREAM, status=ERROR))

    def send_fd(self, fd: int) -> None:
        """Send a descriptor with its byte."""
        assert socket.send_fds(self.socket, [b"\0"], [fd]) == 1

    def check_alive(self) -> None:
        """Assert that a ping is answered, before anything else is sent."""
        self.send(PING)
        assert self.receive().header == header_of(PONG)

    def half_close(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Leave; descriptors that came are closed."""
        self.socket.close()
        while self._fds:
            os.close(self._fds.pop())

    def _receive_fd(self) -> int:
        data, fds, _, _ = socket.recv_fds(self.socket, 1, 2)
        self._fds += fds
        assert data == b"\0"
        (fd,) = fds
        return fd


# Packets that go


def like(header: VirNetMessageHeader, payload: bytes = b"", **fields: int) -> bytes:
    """A packet whose header differs from another in these fields."""
    usual = {name: getattr(header, name) for name in header.__slots__}
    encoded = encode_vir_net_message_header(VirNetMessageHeader(**usual | fields))
    return struct.pack(">I", PAYLOAD + len(payload)) + encoded + payload


def reply(call: ReceivedCall, value: Any = None, fds: int | None = None) -> bytes:
    """The reply to a call; with a count of descriptors if there is one, 0 included."""
    payload = call.procedure.encode_result(value)
    if fds is None:
        return like(call.header, payload, type=REPLY)
    return like(call.header, struct.pack(">I", fds) + payload, type=REPLY_WITH_FDS)


def event(procedure: Procedure[Any, None], message: Any) -> bytes:
    """A message of an event, numbered as libvirt's servers do it."""
    program = procedure.program
    header = VirNetMessageHeader(program.number, program.version, procedure.number, MESSAGE, 1, OK)
    return like(header, procedure.encode_argument(message))


# Connections


class Trickle(SocketStream):
    """A stream that takes and gives few bytes at a time, whatever it is asked for."""

    __slots__ = ("_sizes", "_usual")

    def __init__(self, connected: socket.socket, usual: int, *sizes: int) -> None:
        super().__init__(connected)
        self._usual = usual
        self._sizes = list(sizes)  # of the first reads

    def receive(self, space: memoryview) -> int | None:
        count = super().receive(space[: self._next()])
        if count:
            del self._sizes[:1]
        return count

    def receive_with_fds(self, space: memoryview) -> tuple[int | None, list[int]]:
        count, fds = super().receive_with_fds(space[: self._next()])
        if count:
            del self._sizes[:1]
        return count, fds

    def send(self, buffers: Sequence[Buffer]) -> int:
        first = next(buffer for buffer in buffers if len(buffer))
        return super().send([memoryview(first)[: self._usual]])

    def _next(self) -> int:
        return self._sizes[0] if self._sizes else self._usual


@contextmanager
def connected() -> Iterator[tuple[SocketStream, Peer]]:
    """A stream for a client, which closes it, and the peer at its other end."""
    ours, theirs = socket.socketpair()
    peer = Peer(theirs)
    try:
        yield SocketStream(ours), peer
    finally:
        peer.close()


@contextmanager
def pair(
    limits: Limits | None = None, *, strict: bool = False
) -> Iterator[tuple[Connection, Peer]]:
    """A connection and its peer."""
    with connected() as (stream, peer), connect(stream, limits=limits, strict=strict) as connection:
        yield connection, peer


@contextmanager
def trickling(usual: int, *sizes: int) -> Iterator[tuple[SocketStream, Peer]]:
    """The same with a stream that reads and writes few bytes at a time.

    Args:
        usual: how many.
        sizes: how many instead by the first reads, one after the other.
    """
    ours, theirs = socket.socketpair()
    peer = Peer(theirs)
    try:
        yield Trickle(ours, usual, *sizes), peer
    finally:
        peer.close()


def open_fds() -> set[str]:
    """Descriptors that this process has now."""
    gc.collect()
    listed = os.listdir("/proc/self/fd")  # with one to list them
    return {fd for fd in listed if os.path.exists(f"/proc/self/fd/{fd}")}


# Threads


def start(function: Callable[..., T], *arguments: Any) -> Future[T]:
    """Run something in a thread of its own, which keeps no test from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001  (whatever it is, the test is told)
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def result(future: Future[T]) -> T:
    """What it returned, or raises what it raised."""
    return future.result(DEADLINE)
