"""The client's end of a connection, for asyncio: what generated clients call.

It encodes arguments and decodes results; bytes travel in ``aio_channel``, events in
``aio_events``, and a stream is in ``aio_stream``.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.client.aio_channel import Channel, close_all, close_fds
from rpcgen.runtime.client.aio_events import AsyncEventRouter, AsyncEvents
from rpcgen.runtime.client.aio_stream import AsyncStream
from rpcgen.runtime.client_connection import ClientConnection
from rpcgen.runtime.errors import ConnectionClosed, LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from rpcgen.runtime.interfaces import ByteStream, Identity
    from rpcgen.runtime.limits import Limits
    from rpcgen.runtime.program import Procedure

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

_CLIENT: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


class AsyncConnection:
    """A connection to a server: an ``AsyncCaller``. To be made, and used, on one running loop.

    Calls overlap, and those of one turn of the loop leave together. A call that is cancelled or
    not answered in time costs nobody else anything; its reply is dropped when it comes. When the
    connection is lost, all that is under way fails at once, with the reason.

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
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._router = AsyncEventRouter(self._loop, limits.events, limits.event_bytes)
        self._callbacks: list[Callable[[ConnectionClosed], object]] = []
        core = ClientConnection(
            limits, passes_fds=stream.passes_fds, strict=strict, room=stream.room
        )
        if keepalive is not None:
            core.start_keepalive(*keepalive, self._loop.time())
        self._channel = Channel(core, stream, self._loop, self._router.take, self._end)

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
        return self._channel.core.closed

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._channel.core.closed is None

    async def call(self, procedure: Procedure[A, R], argument: A, timeout: float | None, /) -> R:
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
            value, fds = await self.call_with_fds(procedure, argument, (), timeout)
            close_all(fds)
            return value
        call = self._channel.call(procedure, self._encode(procedure, argument))
        await self._channel.wait(call, timeout)
        result: R = call.result()
        return result

    async def call_with_fds(
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
        payload = self._encode(procedure, argument)
        call = self._channel.call(procedure, payload, self._duplicated(fds))
        await self._channel.wait(call, timeout)
        try:
            result: R = call.result()
        except BaseException:
            close_fds(call)
            raise
        assert call.packet is not None  # noqa: S101  (it has a result)
        return result, call.packet.fds

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
        /,
    ) -> AsyncStream[T]:
        """A stream, whose call is made when its block is entered.

        Args:
            reply: makes of the call's result what the stream shows of it.
            timeout: seconds for the call. What the stream does later is limited by
                ``asyncio.timeout``.

        Raises:
            XdrEncodeError: the argument is not what the procedure takes.
        """
        payload = self._encode(procedure, argument)
        sparse = bool(getattr(argument, "flags", 0) & procedure.sparse_flag)
        return AsyncStream(self._channel, procedure, payload, sparse, reply, timeout)

    def subscribe(
        self, procedure: Procedure[A, None], handler: Callable[[A], object] | None, /
    ) -> AsyncEvents[A]:
        """Deliver every message of an event to a handler, and to who iterates.

        Raises:
            ConnectionClosed: there will be none.
        """
        return self._router.subscribe(procedure, handler)

    def on_close(self, callback: Callable[[ConnectionClosed], object], /) -> None:
        """Call back once with the reason, when the connection is closed; soon if it is."""
        if self.closed is None:
            self._callbacks.append(callback)
        else:
            self._loop.call_soon(callback, self.closed)

    def start_keepalive(self, interval: float, count: int) -> None:
        """Ask the server for signs of life.

        Args:
            interval: seconds of silence before a question; 0 or less stops asking.
            count: questions that may go without an answer before the connection is closed.
        """
        self._channel.start_keepalive(interval, count)

    def wrap(self, layer: Callable[[ByteStream], ByteStream]) -> None:
        """Have all bytes from now on go through a layer around the stream, with the same descriptor.

        Raises:
            LocalProtocolError: calls or streams are under way.
            RemoteProtocolError: the server has sent something that belongs into it.
            ConnectionClosed: the connection is closed.
        """
        core = self._channel.core
        if core.calls:
            raise LocalProtocolError("a layer cannot begin while calls are under way")
        stream = layer(self._stream)
        core.change_over(stream.room)
        self._stream = self._channel.stream = stream

    async def close(self) -> None:
        """Close the connection, and wait until handlers of events have ended: they are cancelled.

        A handler that closes it, itself or in a task that it has started, goes on.
        """
        self._channel.shut("the connection was closed by this side", _CLIENT)
        if asyncio.get_running_loop() is self._loop:
            await self._router.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _encode(self, procedure: Procedure[A, Any], argument: A) -> bytes:
        if asyncio.get_running_loop() is not self._loop:
            raise LocalProtocolError("the connection belongs to another event loop")
        return procedure.encode_argument(argument)

    def _duplicated(self, fds: Sequence[int]) -> list[int]:
        if fds and not self._stream.passes_fds:
            raise LocalProtocolError("descriptors cannot travel on this connection")
        copies: list[int] = []
        try:
            for fd in fds:
                copies.append(os.dup(fd))
        except OSError as error:
            close_all(copies)
            raise LocalProtocolError(f"descriptor {fd} cannot be sent: {error.strerror}") from error
        return copies

    def _end(self, closed: ConnectionClosed) -> None:
        self._router.end(closed)
        for callback in self._callbacks:
            self._loop.call_soon(callback, closed)
