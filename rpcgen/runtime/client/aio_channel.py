"""The asyncio client's I/O: one connection, the stream of bytes below it, the loop that serves both.

What a call returns, an event means or a stream gives its reader is known elsewhere. No transport
of asyncio's is used: those lose descriptors.
"""

from __future__ import annotations

import os
import select
import warnings

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.client_connection import PendingCall
from rpcgen.runtime.errors import CallTimeout, ConnectionClosed, RemoteProtocolError
from rpcgen.runtime.limits import OUTBOX_HIGH
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Final

    from rpcgen.runtime.client_connection import ClientConnection
    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.message import Packet
    from rpcgen.runtime.program import Procedure

_ERROR: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_ERROR
_EOF: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF
_KEEPALIVE: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_KEEPALIVE

_CONFIRMING: Final = (StreamState.FINISHING, StreamState.ABORTING)
"""States that only a packet of the server's leads out of."""


class Channel:
    """Carries one connection. All of it runs on the loop.

    Attributes:
        core: the connection.
        loop: the loop.
        blocked: called, and forgotten, when more may be queued for the server; streams.

    Args:
        core: its streams have an owner to call when something happened to them.
        stream: what the bytes go through; the channel closes it.
        take_event: called with the packet of each event.
        take_end: called once, when the connection is closed.
    """

    def __init__(
        self,
        core: ClientConnection,
        stream: ByteStream,
        loop: asyncio.AbstractEventLoop,
        take_event: Callable[[Packet], object],
        take_end: Callable[[ConnectionClosed], object],
    ) -> None:
        self.core = core
        self.loop = loop
        self.blocked: set[Callable[[], object]] = set()
        self.stream = stream
        self._take_event = take_event
        self._take_end = take_end
        self._full: set[Stream] = set()
        self._fd_calls: set[PendingCall] = set()
        self._flushing: asyncio.Handle | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._is_lone = True
        self._is_writing = False
        self._is_reading = True
        self._is_last = False  # no more will come: all is handed on, full or not
        self._is_behind = False  # what a full stream kept back is about to be handed on
        # uvloop tells a reader of a reset once, and then watches no more: it has to read to the end.
        self._end: select.poll | None = None
        if type(loop).__module__.partition(".")[0] == "uvloop":
            self._end = select.poll()
            self._end.register(stream.fileno(), 0)
        loop.add_reader(stream.fileno(), self._readable)
        self._plan_tick()

    def __del__(self) -> None:
        if self.core.closed is None:
            text = f"unclosed connection to {self.stream.identity}"
            warnings.warn(text, ResourceWarning, stacklevel=1, source=self)
            self.stream.close()

    # Calls

    def call(
        self, procedure: Procedure[Any, Any], payload: bytes, fds: Sequence[int] = ()
    ) -> PendingCall:
        """Send a call, with descriptors that are the channel's from now on.

        Raises:
            ConnectionClosed: there is no connection any more.
            LocalProtocolError: it cannot be sent.
        """
        try:
            call = self.core.call(procedure, payload, fds)
        except BaseException:
            close_all(fds)
            raise
        if fds or procedure.fds_out:
            # One that is given up stays: its reply may come all the same.
            self._fd_calls.add(call)
        return self.start(call)

    def start(self, call: PendingCall) -> PendingCall:
        """Send a call that is in the outbox."""
        call.waiter = self.loop.create_future()
        if not self._is_reading:
            self.set_reading()
        self.flush()
        return call

    async def wait(self, call: PendingCall, timeout: float | None) -> None:
        """Wait until a call has its result. It is given up where nobody waits any longer."""
        expiry = None
        try:
            if timeout is not None:
                expiry = self.loop.call_later(timeout, self._expire, call, timeout)
            await call.waiter
        except BaseException:
            self.core.forget(call)
            close_fds(call)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()

    def _expire(self, call: PendingCall, timeout: float) -> None:
        if not call.waiter.done():
            self.core.forget(call)
            call.error = CallTimeout(f"{call.procedure.name}: no answer within {timeout:g} seconds")
            call.waiter.set_result(None)

    # Writing

    def flush(self) -> None:
        """Write what is queued: a lone call at once, several together.

        Callers whose replies came with one read are woken one after the other, and each may make
        its next call: one system call takes them all.
        """
        if self._is_writing or self._flushing is not None:
            return
        if self._is_lone or len(self.core.calls) == 1:
            self._is_lone = False
            self._write()
        else:
            self._flushing = self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self.write()

    def write(self) -> None:
        """Write what the socket takes now, and the rest when it can."""
        if not self._is_writing and self.core.closed is None:
            self._write()

    def _write(self) -> None:
        try:
            self._send()
        except ConnectionClosed as error:
            self._is_last = True  # what the server said before it went still counts
            self._dispatch()
            while self.core.closed is None and self._receive():
                pass
            self.shut(str(error), error.reason, error)
            return
        outbox = self.core.outbox
        if bool(outbox) is not self._is_writing:
            self._is_writing = not self._is_writing
            self._watch_writing()
        if self.blocked and outbox.size < OUTBOX_HIGH:
            self._unblock()

    def _send(self) -> None:
        outbox, stream = self.core.outbox, self.stream
        while outbox:
            fd = outbox.fd
            if fd is not None:
                if not stream.send_fd(fd):
                    return
                os.close(outbox.sent_fd())
            elif count := stream.send(outbox.batch()):
                outbox.sent(count)
            else:
                return

    def _watch_writing(self) -> None:
        if self._is_writing:
            self.loop.add_writer(self.stream.fileno(), self._write)
        else:
            self.loop.remove_writer(self.stream.fileno())

    def _unblock(self) -> None:
        blocked, self.blocked = self.blocked, set()
        for wake in blocked:
            wake()

    # Reading

    def _readable(self) -> None:
        # uvloop's may come late, and what was left behind comes first.
        if self.core.closed is None and self._is_reading and not self._is_behind:
            self._receive()
            self._settle()

    def _receive(self) -> bool:
        """Read once, and hand on what came; False if nothing was there."""
        core = self.core
        fds: Sequence[int] = ()
        try:
            if self._fd_calls:
                count, fds = self.stream.receive_with_fds(core.reader.space())
            else:
                count = self.stream.receive(core.reader.space())
        except ConnectionClosed as error:
            self.shut(str(error), error.reason, error)
            return False
        if count:
            core.received(count, fds, self.loop.time() if core.keepalive else 0.0)
            self._dispatch()
            self._look_for_end()
        elif count is not None:
            where = "" if core.reader.is_between_packets else " in the middle of a packet"
            self.shut(f"the server closed the connection{where}", _EOF)
        return bool(count)

    def _look_for_end(self) -> None:
        if self._end is not None and self.core.closed is None and self._end.poll(0):
            self.loop.call_soon(self._readable)

    def _dispatch(self) -> None:
        """Hand on what has been read, until a stream is full."""
        core, answered = self.core, 0
        try:
            while (event := core.next_event()) is not None:
                if isinstance(event, PendingCall):
                    answered += 1
                    self._answer(event)
                elif isinstance(event, Stream):
                    self._move(event)
                else:
                    self._take_event(event)
                if self._full and self._must_pause():
                    break
        except RemoteProtocolError as error:
            self.shut(str(error), _ERROR, error)
        except BaseException as error:
            # A packet may be half handed on, and the loop would call again for ever.
            self.shut(f"receiving was interrupted: {error!r}", _ERROR, error)
            raise
        self._is_lone = answered < 2

    def _answer(self, call: PendingCall) -> None:
        waiter = call.waiter
        if self._fd_calls:
            self._fd_calls.discard(call)
            if not call.procedure.fds_out:
                close_fds(call)
        if not waiter.done():
            waiter.set_result(None)

    def _move(self, stream: Stream) -> None:
        if stream.queued > self.core.limits.stream_window:
            self._full.add(stream)
        else:
            self._full.discard(stream)
        stream.owner()

    def _settle(self) -> None:
        """Do what became due while packets were handed on."""
        core = self.core
        if core.stray_fds:
            self._close_strays()
        if core.outbox:
            self.write()
        if self._full:
            self.set_reading()

    def taken(self, stream: Stream) -> None:
        """Something was taken from a stream, or it is not read any more."""
        if stream in self._full and stream.queued <= self.core.limits.stream_window // 2:
            self._full.discard(stream)
            self.set_reading()

    def set_reading(self) -> None:
        """Read on, or stop: as streams are full or not, and as somebody waits for the server."""
        should = not self._must_pause()
        if should is self._is_reading or self.core.closed is not None:
            return
        self._is_reading = should
        if should:
            self._is_behind = True
            self.loop.add_reader(self.stream.fileno(), self._readable)
            self.loop.call_soon(self._read_on)
        else:
            self.loop.remove_reader(self.stream.fileno())

    def _must_pause(self) -> bool:
        core = self.core
        # A call that opens a stream stays when it is given up: nobody waits for it.
        return not (
            not self._full
            or self._is_last
            or any(not call.waiter.done() for call in core.calls.values())
            or any(stream.state in _CONFIRMING for stream in core.streams.values())
        )

    def _read_on(self) -> None:
        """Hand on what was left when a stream was full."""
        self._is_behind = False
        if self.core.closed is None:
            self._dispatch()
            self._look_for_end()
            self._settle()

    # Keepalive

    def start_keepalive(self, interval: float, count: int) -> None:
        """Ask the server for signs of life; an interval of 0 or less stops that."""
        self.core.start_keepalive(interval, count, self.loop.time())
        self._plan_tick()

    def _plan_tick(self) -> None:
        keepalive = self.core.keepalive
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if keepalive is not None and self.core.closed is None:
            self._ticking = self.loop.call_at(keepalive.deadline, self._tick)

    def _tick(self) -> None:
        core, now = self.core, self.loop.time()
        keepalive = core.keepalive
        if keepalive is None:
            return
        if not self._is_reading:
            # The silence is ours. The question still tells the server that this side is alive.
            keepalive.alive(now - keepalive.interval)
        if core.tick(now):
            self.write()
            self._plan_tick()
        else:
            silence = keepalive.interval * (keepalive.count + 1)
            self.shut(f"no sign of life from the server for {silence:g} seconds", _KEEPALIVE)

    # The end

    def shut(self, message: str, reason: int, cause: BaseException | None = None) -> None:
        """Close for a reason, and tell everyone who waits; the first reason stays."""
        core = self.core
        if not core.close(message, reason):
            return
        assert core.closed is not None  # noqa: S101  (it was closed just now)
        core.closed.__cause__ = cause
        calls, streams = core.fail_all()
        if self.loop.is_closed():
            self._free()
            return
        self._stop()
        self._free()
        for call in calls:
            if not call.waiter.done():
                call.waiter.set_result(None)
        for stream in streams:
            stream.owner()
        self._take_end(core.closed)

    def _stop(self) -> None:
        if self._is_reading:
            self.loop.remove_reader(self.stream.fileno())
        if self._is_writing:
            self.loop.remove_writer(self.stream.fileno())
        for handle in (self._flushing, self._ticking):
            if handle is not None:
                handle.cancel()

    def _free(self) -> None:
        self._close_strays()
        self.stream.close()

    def _close_strays(self) -> None:
        strays, self.core.stray_fds = self.core.stray_fds, []
        close_all(strays)


def close_all(fds: Iterable[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def close_fds(call: PendingCall) -> None:
    """Close the descriptors that came with a call's reply, and take them from it."""
    if call.packet is not None:
        fds, call.packet.fds = call.packet.fds, []
        close_all(fds)
