"""The server's end of a connection: calls checked in libvirt's order, their answers, streams.

What the rules of section "answers to bad input" demand is answered here; only calls that have a
handler come out. No sockets, threads or clocks; see ``connection``.
"""

from __future__ import annotations

from rpcgen.runtime.connection import Connection, key_of
from rpcgen.runtime.errors import XdrEncodeError
from rpcgen.runtime.message import (
    CALL_WITH_FDS,
    CALLS,
    ERROR,
    EVENT_SERIAL,
    MESSAGE,
    OK,
    REPLIES,
    REPLY,
    STREAMS,
    RemoteError,
    packet,
    rpc_error,
    unknown_procedure,
)
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Stream, as_remote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeAlias, TypeVar

    from libvirt_rpc.virnetprotocol.types import VirNetMessageHeader
    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.message import Packet
    from rpcgen.runtime.program import Procedure, Route

    Programs: TypeAlias = Mapping[tuple[int, int], Mapping[int, Route]]
    Event: TypeAlias = "IncomingCall | Stream"

    A = TypeVar("A")

_EVENTS = (MESSAGE, MESSAGE)
_CONTENT = 24
"""Bytes of the header, which count as part of a packet's size."""


class IncomingCall:
    """A call that has a handler and waits for its answer.

    Attributes:
        header: of its packet.
        route: the procedure and its handler.
        payload: the encoded argument.
        fds: descriptors that came with it; the shell closes them when the handler is done.
        stream: the stream that it opens, if it opens one.
    """

    __slots__ = ("fds", "header", "payload", "route", "stream")

    def __init__(self, packet: Packet, route: Route, stream: Stream | None) -> None:
        self.header = packet.header
        self.payload = packet.payload
        self.fds = packet.fds
        self.route = route
        self.stream = stream


class ServerConnection(Connection):
    """The server's end.

    Args:
        programs: the routes by procedure, by number and version of their program.

    Attributes:
        authenticated: whether all procedures may be called.
    """

    __slots__ = ("_programs", "authenticated")

    def __init__(
        self,
        programs: Programs,
        limits: Limits,
        *,
        passes_fds: bool = False,
        authenticated: bool = True,
        room: int = 1,
    ) -> None:
        super().__init__(limits, passes_fds=passes_fds, carrier=CALL_WITH_FDS, room=room)
        self._programs = programs
        self.authenticated = authenticated

    def next_event(self) -> Event | None:
        """What came next; None until more has been received.

        Returns:
            a call to be answered, or a stream to which something happened.

        Raises:
            RemoteProtocolError: the connection cannot go on.
        """
        while (packet := self.reader.next_packet()) is not None:
            kind = packet.header.type
            if kind in CALLS:
                event: Event | None = self._call(packet)
            elif kind in STREAMS:
                event = self._stream_packet(packet)
            else:
                event = self._other(packet)
            if event is not None:
                return event
        if not self.streams:
            self.reader.relax()
        return None

    def reply(
        self,
        call: IncomingCall,
        payload: bytes,
        fds: Sequence[int] = (),
        done: Callable[[], object] | None = None,
    ) -> None:
        """Queue the answer to a call; one that does not fit a packet becomes an error.

        Args:
            payload: the encoded result.
            fds: descriptors that go with it; the outbox owns them from now on.
            done: called when the answer has been written.
        """
        stream = call.stream
        if stream is not None and stream.state is StreamState.FAILED and stream.error is not None:
            # Broken from this side before its call was answered: an answer is all that can tell.
            self.stray_fds += fds
            self.fail(call, as_remote(stream.error), done)
            return
        if _CONTENT + 4 + len(payload) > self.limits.message:
            size = len(payload)
            self.stray_fds += fds
            self.fail(call, rpc_error(f"a result of {size} bytes does not fit a packet"), done)
            return
        self._answered(call, accepted=True)
        self._put(call.route.procedure, REPLIES, call.header.serial, OK, payload, fds, done)

    def fail(
        self, call: IncomingCall, error: RemoteError, done: Callable[[], object] | None = None
    ) -> None:
        """Queue an error as the answer to a call."""
        self._answered(call, accepted=False)
        self._refuse(call.header, error, done)

    def send_event(self, procedure: Procedure[Any, None], payload: bytes) -> None:
        """Queue an event."""
        self._put(procedure, _EVENTS, EVENT_SERIAL, OK, payload)

    def finished(self, stream: Stream) -> None:
        """Take note that a stream may be over, and its serial free."""
        key = key_of(stream)
        # Its serial may be another's by now: a client may use it again once it has broken a stream.
        if stream.is_over and self.streams.get(key) is stream:
            del self.streams[key]

    def _other(self, packet: Packet) -> Event | None:
        if not self._is_keepalive(packet):
            self._drop(packet)
        return None

    def _call(self, packet: Packet) -> IncomingCall | None:
        header = packet.header
        route, error = self._find(header)
        if route is None:
            # Before the answer: the caller's descriptors must not travel back with it.
            self.stray_fds += packet.fds
            self._refuse(header, error)
            return None
        if route.procedure.stream is None:
            return IncomingCall(packet, route, None)
        return self._stream_call(packet, route)

    def _stream_call(self, packet: Packet, route: Route) -> IncomingCall | None:
        stream = Stream(
            route.procedure, packet.header.serial, self.outbox, self.limits, is_client=False
        )
        key = key_of(stream)
        if key in self.streams:
            self.stray_fds += packet.fds
            self._refuse(packet.header, rpc_error(f"serial {stream.serial} has a stream already"))
            return None
        self.streams[key] = stream
        return IncomingCall(packet, route, stream)

    def _find(self, header: VirNetMessageHeader) -> tuple[Route | None, RemoteError]:
        """Who answers a call, or what is wrong with it: checked in libvirt's order."""
        routes = self._programs.get((header.prog, header.vers))
        if routes is None:
            return None, rpc_error(f"unknown program: {header.prog}, version {header.vers}")
        if header.status != OK:
            return None, rpc_error(f"unexpected status {int(header.status)} of a call")
        route = routes.get(header.proc)
        if route is None:
            return None, unknown_procedure(header.proc)
        if not self.authenticated and not route.procedure.auth_none:
            return None, rpc_error("authentication is required")
        return route, _NO_ERROR

    def _answered(self, call: IncomingCall, *, accepted: bool) -> None:
        if call.stream is not None:
            call.stream.answered(accepted=accepted)
            self.finished(call.stream)

    def _refuse(
        self,
        header: VirNetMessageHeader,
        error: RemoteError,
        done: Callable[[], object] | None = None,
    ) -> None:
        try:
            payload = error.payload()
        except XdrEncodeError as problem:
            payload = rpc_error(f"an error that cannot be sent: {problem}").payload()
        header.type, header.status = REPLY, ERROR
        self.outbox.put(packet(header, payload), done)


def event_payload(procedure: Procedure[A, None], message: A, limits: Limits) -> bytes:
    """A message as it travels.

    Raises:
        XdrEncodeError: it is none, or does not fit a packet, at which clients would hang up.
    """
    payload = procedure.encode_argument(message)
    if _CONTENT + 4 + len(payload) > limits.message:
        raise XdrEncodeError(f"{procedure.name}: {len(payload)} bytes do not fit a packet")
    return payload


_NO_ERROR = rpc_error("")
