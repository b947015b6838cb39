"""One stream, as either side sees it: its state, what has come and not been taken, what it sends.

Sending puts packets into the connection's outbox. Nothing here waits: a shell asks ``take``
and is told of changes by the connection.
"""

from __future__ import annotations

from collections import deque

from libvirt_rpc.virnetprotocol.decoder import read_vir_net_stream_hole
from libvirt_rpc.virnetprotocol.encoder import encode_vir_net_stream_hole
from libvirt_rpc.virnetprotocol.types import VirNetStreamHole
from rpcgen.runtime.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    RpcError,
    XdrDecodeError,
)
from rpcgen.runtime.message import CONTINUE, ERROR, OK, STREAM, STREAM_HOLE, RemoteError, head
from rpcgen.runtime.state import CLIENT_STREAM, OVER, SERVER_STREAM, StreamInput, StreamState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.message import Packet
    from rpcgen.runtime.outbox import Outbox
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.xdr import Buffer

HOLE_MAX: Final = 2**63 - 1
"""Bytes of a hole: what its length, a hyper, can say."""

ITEM_OVERHEAD: Final = 64
"""What an item costs beside its bytes, so that a million empty ones are not free."""

_LISTENING: Final = frozenset({StreamState.OPENING, StreamState.OPEN})
_RECEIVED: Final[dict[int, StreamInput]] = {
    OK: StreamInput.RECEIVE_OK,
    ERROR: StreamInput.RECEIVE_ERROR,
}


class Hole:
    """A run of zeros that was not sent.

    Attributes:
        length: bytes; more than 0.
    """

    __slots__ = ("length",)
    __match_args__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hole) and self.length == other.length

    def __hash__(self) -> int:
        return hash((Hole, self.length))

    def __repr__(self) -> str:
        return f"Hole({self.length})"


class Stream:
    """One end of a stream.

    Attributes:
        procedure: what opened it.
        serial: of the call that opened it.
        state: how far it has come.
        sparse: whether holes are allowed, as the call's flags say.
        queued: bytes that have come and not been taken, and what they cost beside.
        ended: whether the peer said that it has no more data.
        error: why it broke.
        owner: whatever the shell needs to find its own object.
    """

    __slots__ = (
        "_incoming",
        "_limits",
        "_outbox",
        "_table",
        "ended",
        "error",
        "owner",
        "procedure",
        "queued",
        "serial",
        "sparse",
        "state",
    )

    def __init__(
        self,
        procedure: Procedure[Any, Any],
        serial: int,
        outbox: Outbox,
        limits: Limits,
        *,
        is_client: bool,
    ) -> None:
        self.procedure = procedure
        self.serial = serial
        self.state = StreamState.OPENING
        self.sparse = False
        self.queued = 0
        self.ended = False
        self.error: RpcError | None = None
        self.owner: Any = None
        self._incoming: deque[bytes | Hole] = deque()
        self._outbox = outbox
        self._limits = limits
        self._table = CLIENT_STREAM if is_client else SERVER_STREAM

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state in OVER

    def take(self) -> bytes | Hole | None:
        """The next data or hole that has come, in order; None if there is none now."""
        if not self._incoming:
            return None
        item = self._incoming.popleft()
        self.queued -= cost_of(item)
        return item

    def put_back(self, item: bytes | Hole) -> None:
        """Return what was taken, or its rest, to the front."""
        self._incoming.appendleft(item)
        self.queued += cost_of(item)

    def answered(self, *, accepted: bool) -> None:
        """The call that opens the stream was answered."""
        was_doomed = self.state is StreamState.DOOMED
        self.move(StreamInput.ACCEPT if accepted else StreamInput.REFUSE)
        if was_doomed and accepted:
            self._put(STREAM, ERROR)

    # What this side sends

    def send(self, data: Buffer) -> None:
        """Queue data, in packets that every peer takes.

        Raises:
            LocalProtocolError: the stream is not open.
        """
        self.move(StreamInput.SEND)
        view = memoryview(data).cast("B")
        size = self._limits.stream_packet
        for start in range(0, len(view), size):
            self._put(STREAM, CONTINUE, view[start : start + size])

    def send_hole(self, length: int) -> None:
        """Queue a hole.

        Raises:
            LocalProtocolError: the stream is not open, or is not sparse.
        """
        if not self.sparse:
            raise LocalProtocolError("holes are not allowed: the call did not ask for them")
        if not 0 < length <= HOLE_MAX:
            raise LocalProtocolError(f"length {length} of a hole is not from 1 to {HOLE_MAX}")
        self.move(StreamInput.SEND)
        self._put(STREAM_HOLE, CONTINUE, encode_vir_net_stream_hole(VirNetStreamHole(length, 0)))

    def send_end(self) -> None:
        """Say that no more data comes from this side."""
        self.move(StreamInput.SEND_END)
        self._put(STREAM, CONTINUE)

    def send_ok(self) -> None:
        """Finish; on the server's side, confirm that the stream is finished."""
        self.move(StreamInput.SEND_OK)
        self._put(STREAM, OK)

    def send_error(self, payload: bytes = b"") -> None:
        """Abort; on the server's side, break the stream with an error."""
        self.move(StreamInput.SEND_ERROR)
        self._put(STREAM, ERROR, payload)

    # What comes

    def receive(self, packet: Packet) -> None:
        """Take a packet of this stream.

        What the peer may not send breaks the stream, not the connection.
        """
        try:
            self._receive(packet)
        except (RemoteProtocolError, XdrDecodeError) as error:
            self.fail(error)

    def fail(self, error: RpcError) -> None:
        """Break the stream from this side, and tell the peer if it can be told."""
        if self.state is StreamState.FAILED:
            self.error = self.error or error
        if self.is_over:
            return
        self.error = error
        self._drop()
        allowed = self._table[self.state]
        if StreamInput.SEND_ERROR in allowed:
            is_client = self._table is CLIENT_STREAM
            self.send_error(b"" if is_client else as_remote(error).payload())
        elif StreamInput.FORGET in allowed:  # the peer is told when it has opened the stream
            self.move(StreamInput.FORGET)
        else:
            self.state = StreamState.FAILED

    def close(self, error: RpcError) -> None:
        """The connection is gone; what came before can still be taken."""
        if not self.is_over:
            self.error = error
            self.state = StreamState.FAILED

    def move(self, what: StreamInput) -> None:
        """Go where the table says.

        Raises:
            LocalProtocolError: this side may not do that now.
            RemoteProtocolError: the peer may not do that now.
        """
        state = self._table[self.state].get(what)
        if state is None:
            is_received = what.name.startswith("RECEIVE")
            kind = RemoteProtocolError if is_received else LocalProtocolError
            raise kind(f"{what.value}, but the stream is {self.state.value}")
        self.state = state

    def _receive(self, packet: Packet) -> None:
        header = packet.header
        if header.type == STREAM_HOLE:
            self._receive_hole(packet)
        elif header.status == CONTINUE:
            self._receive_data(packet.payload)
        elif header.status in _RECEIVED:
            self.move(_RECEIVED[header.status])
            if header.status == ERROR:
                self._receive_error(packet.payload)
        else:
            raise RemoteProtocolError(f"status {header.status} of a stream packet is unknown")

    def _receive_data(self, payload: bytes) -> None:
        self.move(StreamInput.RECEIVE if payload else StreamInput.RECEIVE_END)
        if self.state not in _LISTENING:
            return
        if self.ended:
            raise RemoteProtocolError("stream data behind the end of data")
        if payload:
            self._keep(payload)
        else:
            self.ended = True

    def _receive_hole(self, packet: Packet) -> None:
        self.move(StreamInput.RECEIVE)
        if self.state not in _LISTENING:
            return
        hole, _ = read_vir_net_stream_hole(packet.payload, 0)
        if not self.sparse:
            raise RemoteProtocolError("a hole in a stream that allows none")
        if hole.length <= 0 or hole.flags or packet.header.status != CONTINUE or self.ended:
            raise RemoteProtocolError(f"a hole of length {hole.length}, flags {hole.flags:#x}")
        self._keep(Hole(hole.length))

    def _receive_error(self, payload: bytes) -> None:
        self._drop()
        if self.state is StreamState.FAILED:
            self.error = RemoteError.from_payload(payload)
        elif self._table is SERVER_STREAM:
            self._put(STREAM, OK)  # there is nothing that the client would have to wait for

    def _keep(self, item: bytes | Hole) -> None:
        self._incoming.append(item)
        self.queued += cost_of(item)
        if self.queued > self._limits.stream_overflow:
            raise RemoteProtocolError(
                f"{self.queued} bytes of the stream wait unread: it was given up"
            )

    def _drop(self) -> None:
        self._incoming.clear()
        self.queued = 0

    def _put(self, kind: int, status: int, payload: Buffer = b"") -> None:
        program = self.procedure.program
        start = head(
            len(payload),
            program.number,
            program.version,
            self.procedure.number,
            kind,
            self.serial,
            status,
        )
        if len(payload) < ITEM_OVERHEAD:
            self._outbox.put(start + payload)
        else:
            self._outbox.put(start)
            self._outbox.put(payload)


def cost_of(item: bytes | Hole) -> int:
    """Bytes that an item counts for while it waits."""
    return ITEM_OVERHEAD if isinstance(item, Hole) else ITEM_OVERHEAD + len(item)


def as_remote(error: RpcError) -> RemoteError:
    """The error as a peer is told of it."""
    from rpcgen.runtime.message import rpc_error

    return error if isinstance(error, RemoteError) else rpc_error(str(error))
