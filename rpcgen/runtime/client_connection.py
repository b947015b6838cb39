"""The client's end of a connection: calls by their serial, events, streams.

No sockets, threads or clocks; see ``connection``.
"""

from __future__ import annotations

from rpcgen.runtime.connection import Connection, key_of
from rpcgen.runtime.errors import LocalProtocolError, RemoteProtocolError, RpcError, again
from rpcgen.runtime.limits import SERIAL_MAX
from rpcgen.runtime.message import (
    CALLS,
    ERROR,
    MESSAGE,
    OK,
    REPLIES,
    REPLY_WITH_FDS,
    STREAMS,
    Packet,
    RemoteError,
)
from rpcgen.runtime.state import ConnectionState, StreamInput
from rpcgen.runtime.streams import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.program import Procedure

    Event: TypeAlias = "PendingCall | Stream | Packet"


class PendingCall:
    """A call from when it is queued until its result is taken.

    Attributes:
        procedure, serial: what was called, and under which number.
        packet: the reply, once it is there.
        error: why there is none.
        stream: the stream that it opens, if it opens one.
        waiter: whatever the shell wakes when ``is_done``.
    """

    __slots__ = ("error", "packet", "procedure", "serial", "stream", "waiter")

    def __init__(self, procedure: Procedure[Any, Any], serial: int) -> None:
        self.procedure = procedure
        self.serial = serial
        self.packet: Packet | None = None
        self.error: RpcError | None = None
        self.stream: Stream | None = None
        self.waiter: Any = None

    @property
    def is_done(self) -> bool:
        """Whether ``result`` can be asked for."""
        return self.packet is not None or self.error is not None

    def result(self) -> Any:
        """What the procedure returned.

        Raises:
            RemoteError: what the server says instead.
            ConnectionClosed: the connection was lost.
            XdrDecodeError, RemoteProtocolError: the reply is not one; the connection goes on.
        """
        if self.packet is None:
            assert self.error is not None  # noqa: S101  (asked for when done)
            raise again(self.error)
        header, payload = self.packet.header, self.packet.payload
        if header.proc != self.procedure.number:
            raise RemoteProtocolError(
                f"a reply to procedure {self.procedure.number} names procedure {header.proc}"
            )
        if header.status == OK:
            value, _ = self.procedure.read_result(payload, 0)
            return value
        if header.status == ERROR:
            raise RemoteError.from_payload(payload)
        raise RemoteProtocolError(f"status {header.status} of a reply is unknown")


class ClientConnection(Connection):
    """The client's end.

    Attributes:
        calls: those that wait for their replies, by serial.

    Args:
        strict: close at what libvirt's own client closes at although it could be passed over:
            a reply that nobody waits for, a packet that no server sends.
    """

    __slots__ = ("_has_wrapped", "_serial", "_strict", "calls")

    def __init__(
        self, limits: Limits, *, passes_fds: bool = False, strict: bool = False, room: int = 1
    ) -> None:
        super().__init__(limits, passes_fds=passes_fds, carrier=REPLY_WITH_FDS, room=room)
        self.calls: dict[int, PendingCall] = {}
        self._serial = 0
        self._has_wrapped = False
        self._strict = strict

    def call(
        self, procedure: Procedure[Any, Any], payload: bytes, fds: Sequence[int] = ()
    ) -> PendingCall:
        """Queue a call.

        Args:
            payload: the encoded argument.
            fds: descriptors that go with it; the outbox owns them from now on.

        Raises:
            ConnectionClosed: there is no connection any more.
            LocalProtocolError: it is too large, or descriptors cannot travel here.
        """
        self._check(payload, fds)
        serial = self._next_serial()
        call = self.calls[serial] = PendingCall(procedure, serial)
        self._put(procedure, CALLS, serial, OK, payload, fds)
        return call

    def open_stream(
        self, procedure: Procedure[Any, Any], payload: bytes, *, sparse: bool = False
    ) -> PendingCall:
        """Queue a call that opens a stream, which the call then has.

        Args:
            sparse: whether the call's flags allow holes.
        """
        call = self.call(procedure, payload)
        # Known before the call is sent: data may overtake the reply.
        stream = Stream(procedure, call.serial, self.outbox, self.limits, is_client=True)
        stream.sparse = sparse
        call.stream = self.streams[key_of(stream)] = stream
        return call

    def forget(self, call: PendingCall) -> None:
        """Nobody waits for a call any more: its reply is dropped, its stream aborted if it opens."""
        if self.calls.get(call.serial) is not call:
            return
        if call.stream is None or call.stream.is_over:
            del self.calls[call.serial]
        else:
            call.stream.move(StreamInput.FORGET)

    def next_event(self) -> Event | None:
        """What came next; None until more has been received.

        Returns:
            a call that is done, a stream to which something happened, or the packet of an event.

        Raises:
            RemoteProtocolError: the connection cannot go on.
        """
        while (packet := self.reader.next_packet()) is not None:
            kind = packet.header.type
            if kind in REPLIES:
                event: Event | None = self._reply(packet)
            elif self._is_keepalive(packet):
                continue
            elif kind in STREAMS:
                event = self._stream_packet(packet)
            elif kind == MESSAGE and packet.header.status == OK:
                return packet
            else:
                event = self._passed_over(packet, f"type {kind}, status {packet.header.status}")
            if event is not None:
                return event
        if not self.streams:
            self.reader.relax()
        return None

    def fail_all(self) -> tuple[list[PendingCall], list[Stream]]:
        """After ``close``: all calls and streams that were under way, failed with the reason."""
        calls, streams = list(self.calls.values()), list(self.streams.values())
        for call in calls:
            call.error = self.closed
        self.calls.clear()
        self.streams.clear()
        return calls, streams

    def _check(self, payload: bytes, fds: Sequence[int]) -> None:
        if self.closed is not None:
            raise again(self.closed)
        if self.state is not ConnectionState.OPEN:
            raise LocalProtocolError("a call, but the connection is closing")
        if 24 + 4 + len(payload) > self.limits.message:
            raise LocalProtocolError(
                f"an argument of {len(payload)} bytes does not fit a packet of {self.limits.message}"
            )
        if len(fds) > self.limits.fds:
            raise LocalProtocolError(f"{len(fds)} descriptors exceed {self.limits.fds}")

    def _next_serial(self) -> int:
        serial = self._serial
        while self._has_wrapped and self._is_taken(serial):
            serial = serial + 1 if serial < SERIAL_MAX else 0
        self._serial = serial + 1
        if serial == SERIAL_MAX:
            self._serial = 0
            self._has_wrapped = True
        return serial

    def _is_taken(self, serial: int) -> bool:
        """Whether a call or stream still has a number: possible after four thousand million calls."""
        return serial in self.calls or any(one.serial == serial for one in self.streams.values())

    def _reply(self, packet: Packet) -> PendingCall | None:
        header = packet.header
        call = self.calls.get(header.serial)
        if call is None or not _is_of(call.procedure, header.prog, header.vers):
            return self._passed_over(packet, f"a reply to serial {header.serial}")
        del self.calls[header.serial]
        call.packet = packet
        if call.stream is not None:
            call.stream.answered(accepted=header.status == OK)
            if call.stream.is_over:
                self.streams.pop(key_of(call.stream), None)
        return call

    def _passed_over(self, packet: Packet, what: str) -> PendingCall | None:
        self._drop(packet)
        if self._strict:
            raise RemoteProtocolError(f"{what}: nobody waits for that")
        return None


def _is_of(procedure: Procedure[Any, Any], program: int, version: int) -> bool:
    return procedure.program.number == program and procedure.program.version == version
