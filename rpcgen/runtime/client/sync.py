"""The client's end of a connection, for threads: what generated clients call.

It encodes arguments and decodes results, each in the thread that calls. Who receives is decided in
``buck``, events are in ``events``, and a stream is in ``stream``.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rpcgen.runtime.client.buck import Buck, Waiter
from rpcgen.runtime.client.channel import close_fds
from rpcgen.runtime.client.events import Events, EventSubscription
from rpcgen.runtime.client.stream import SyncStream
from rpcgen.runtime.client_connection import ClientConnection
from rpcgen.runtime.errors import CallTimeout, LocalProtocolError, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from rpcgen.runtime.client_connection import PendingCall
    from rpcgen.runtime.errors import ConnectionClosed
    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.program import Procedure

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")


class Connection:
    """A connection to a server: a ``Caller``. Any number of threads may use it at once.

    Calls overlap; each thread gets its own reply. A call that is not answered in time costs nobody
    else anything; its reply is dropped when it comes. When the connection is lost, all that is
    under way fails at once, with the reason.

    An exception that a signal handler raises, such as KeyboardInterrupt, ends a call that waits and
    leaves the connection as it is. In the microseconds in which a packet is put together or taken
    apart it would leave half of one behind: then it closes the connection.

    A connection belongs to the process that opened it: after ``fork`` it is the parent's.

    Args:
        stream: connected; closed with the connection.
        limits: what is accepted and sent.
        keepalive: seconds of silence before the server is asked for a sign of life, and how many
            questions may go without an answer; None never asks.
        strict: close at what libvirt's own client closes at although it could be passed over.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        limits: Limits,
        keepalive: tuple[float, int] | None = None,
        strict: bool = False,
    ) -> None:
        self._stream = stream
        self._core = ClientConnection(
            limits, passes_fds=stream.passes_fds, strict=strict, room=stream.room
        )
        self._events = Events(limits.events, limits.event_bytes)
        self._buck = Buck(self._core, stream, self._events.take, self._events.end)
        if keepalive is not None:
            self.start_keepalive(*keepalive)

    @property
    def identity(self) -> Identity:
        """Who is on the other end.

        Raises:
            ConnectionClosed: the connection is closed, and nobody has asked before.
        """
        return self._stream.identity

    @property
    def closed(self) -> ConnectionClosed | None:
        """Why the connection is closed; None while it is not."""
        return self._core.closed

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._core.closed is None

    def call(self, procedure: Procedure[A, R], argument: A, timeout: float | None, /) -> R:
        """Call and wait for the result.

        Args:
            timeout: seconds; None waits as long as the connection lives.

        Raises:
            XdrEncodeError: the argument is not what the procedure takes; nothing was sent.
            RemoteError: what the server says instead of a result.
            CallTimeout: no answer in time.
            ConnectionClosed: the connection was lost, or closed before.
            XdrDecodeError, RemoteProtocolError: the reply is not one; the connection goes on.
        """
        if procedure.fds_out:
            value, fds = self.call_with_fds(procedure, argument, (), timeout)
            close_fds(fds)
            return value
        payload = procedure.encode_argument(argument)
        begin = partial(self._core.call, procedure, payload)
        result: R = self._finished(begin, timeout).result()
        return result

    def call_with_fds(
        self,
        procedure: Procedure[A, R],
        argument: A,
        fds: Sequence[int],
        timeout: float | None,
        /,
    ) -> tuple[R, list[int]]:
        """The same with descriptors: those given stay the caller's, those returned become so.

        Descriptors that come with the reply of a procedure without ``fds_out`` are closed.

        Raises:
            LocalProtocolError: descriptors cannot travel here, too many, or one is not open.
        """
        payload = procedure.encode_argument(argument)
        begin = partial(self._call_with_fds, procedure, payload, self._duplicated(fds))
        call = self._finished(begin, timeout)
        try:
            result: R = call.result()
            assert call.packet is not None  # noqa: S101  (it has a result)
        except BaseException:
            self._buck.run(partial(self._forget, call))
            raise
        return result, call.packet.fds

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
        /,
    ) -> SyncStream[T]:
        """Call, and keep the stream that belongs to the call.

        Args:
            reply: makes of the call's result what the stream shows of it.
            timeout: seconds for the call, and for each wait on the stream.
        """
        payload = procedure.encode_argument(argument)
        sparse = bool(getattr(argument, "flags", 0) & procedure.sparse_flag)
        call = self._finished(partial(self._open, procedure, payload, sparse), timeout)
        stream = call.stream
        assert stream is not None  # noqa: S101  (it opens one)
        try:
            return SyncStream(self._buck, stream, reply(call.result()), timeout)
        except BaseException:
            self._buck.run(partial(self._forget, call))
            raise

    def subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object], /
    ) -> EventSubscription[A]:
        """Call a handler for every message of an event, on a thread of its own.

        One thread serves all handlers of the connection, in the order in which events came. A
        handler may call back; what it raises is logged. At most ``Limits.events`` events wait for
        it. When this side closes the connection, no handler is called any more.

        Raises:
            ConnectionClosed: there will be none.
        """
        return self._buck.run(partial(self._subscribe, procedure, handler))

    def on_close(self, callback: Callable[[ConnectionClosed], object], /) -> None:
        """Call back once with the reason, on the thread of events, behind the last of them.

        The callback is called soon if the connection is closed already.
        """
        self._buck.run(partial(self._on_close, callback))

    def start_keepalive(self, interval: float, count: int) -> None:
        """Ask the server for signs of life, and answer it also while nobody calls.

        Args:
            interval: seconds of silence before a question; 0 or less stops asking.
            count: questions that may go without an answer before the connection is closed.
        """
        self._buck.run(partial(self._buck.start_keepalive, interval, count))

    def wrap(self, layer: Callable[[ByteStream], ByteStream]) -> None:
        """Have all bytes from now on go through a layer around the stream, with the same descriptor.

        Raises:
            LocalProtocolError: calls or streams are under way.
            RemoteProtocolError: the server has sent something that belongs into it.
            ConnectionClosed: the connection is closed.
        """
        self._buck.run(partial(self._wrap, layer))

    def close(self) -> None:
        """Close the connection: whoever waits is told at once. May be called from any thread."""
        self._buck.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _finished(self, begin: Callable[[], PendingCall], timeout: float | None) -> PendingCall:
        """Begin a call, and wait until it is done."""
        deadline = None if timeout is None else time.monotonic() + timeout
        waiter = Waiter()
        call: PendingCall | None = None

        def start() -> None:
            nonlocal call
            call = begin()
            call.waiter = waiter

        try:
            is_done = self._buck.wait(start, waiter, deadline)
            assert call is not None  # noqa: S101  (started)
            if is_done:
                return call
            raise CallTimeout(f"{call.procedure.name}: no answer in {timeout} seconds")
        except BaseException:
            if call is not None:
                self._buck.run(partial(self._forget, call))
            raise

    # With the lock held

    def _wrap(self, layer: Callable[[ByteStream], ByteStream]) -> None:
        if self._core.calls:
            raise LocalProtocolError("a layer cannot begin while calls are under way")
        stream = layer(self._stream)
        self._core.change_over(stream.room)
        self._stream = self._buck.channel.stream = stream

    def _call_with_fds(
        self, procedure: Procedure[Any, Any], payload: bytes, fds: list[int]
    ) -> PendingCall:
        if procedure.fds_out:
            # From now on: the reply may come when nobody waits for it any more.
            self._buck.channel.takes_fds = self._stream.passes_fds
        try:
            return self._core.call(procedure, payload, fds)
        except RpcError:
            close_fds(fds)
            raise

    def _open(self, procedure: Procedure[Any, Any], payload: bytes, sparse: bool) -> PendingCall:
        call = self._core.open_stream(procedure, payload, sparse=sparse)
        assert call.stream is not None  # noqa: S101  (it opens one)
        call.stream.owner = []  # of those who wait for something to happen to it
        self._stream.expect_bulk()
        return call

    def _forget(self, call: PendingCall) -> None:
        call.waiter = None
        self._core.forget(call)
        if call.packet is not None:
            close_fds(call.packet.fds)
        if call.stream is not None:
            self._buck.abort(call.stream)

    def _subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object]
    ) -> EventSubscription[A]:
        subscription = self._events.subscribe(procedure, handler)
        self._buck.watch_over()
        return subscription

    def _on_close(self, callback: Callable[[ConnectionClosed], object]) -> None:
        self._events.on_close(callback)
        self._buck.watch_over()

    def _duplicated(self, fds: Sequence[int]) -> list[int]:
        if fds and not self._stream.passes_fds:
            raise LocalProtocolError("descriptors cannot travel on this connection")
        copies: list[int] = []
        for fd in fds:
            try:
                copies.append(os.dup(fd))
            except OSError as error:
                close_fds(copies)
                raise LocalProtocolError(
                    f"descriptor {fd} cannot be sent: {error.strerror}"
                ) from error
        return copies
