"""A connection that is made anew when it is lost, for asyncio.

``restoring`` is the same for threads. Here a task restores it, whether or not somebody waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypeVar, cast

from rpcgen.libvirt.aio_registration import AsyncRegistration, AsyncSubscribed
from rpcgen.libvirt.times import Left, countdown
from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.client.aio_events import AsyncEventRouter
from rpcgen.runtime.errors import CallTimeout, ConnectionClosed, LocalProtocolError, TransportError
from rpcgen.runtime.limits import EVENTS_MAX
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import AsyncClientStream

A = TypeVar("A")
M = TypeVar("M")
R = TypeVar("R")
T = TypeVar("T")

_log = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[Left], Awaitable[AsyncConnection]]


class AsyncRestoringConnection:
    """An ``AsyncCaller`` whose calls go to the connection that there is, or wait for a new one.

    A call that was under way when the connection was lost has failed: only its caller knows
    whether it may be done twice. ``start`` makes the first connection.

    Args:
        connect: makes a connection that is ready for use.
        timeout: seconds for that, and for registering again; None without a limit.
        pauses: seconds before each attempt to make another one; without any, there is but one.
    """

    def __init__(self, connect: Connect, *, timeout: float | None, pauses: Sequence[float]) -> None:
        self._connect = connect
        self._timeout = timeout
        self._pauses = pauses
        self._subscribed: list[AsyncSubscribed[Any]] = []
        self._registered: list[AsyncRegistration[Any]] = []
        self._callbacks: list[Callable[[ConnectionClosed], object]] = [self._lost]
        self._router = AsyncEventRouter(asyncio.get_running_loop(), EVENTS_MAX)
        self._restoring: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._connection: AsyncConnection

    async def start(self) -> AsyncConnection:
        """Make the first connection."""
        await self._renew()
        return self._connection

    async def call(self, procedure: Procedure[A, R], argument: A, timeout: float | None) -> R:
        left = countdown(timeout)
        return await (await self._current(left)).call(procedure, argument, left())

    async def call_with_fds(
        self, procedure: Procedure[A, R], argument: A, fds: Sequence[int], timeout: float | None
    ) -> tuple[R, list[int]]:
        left = countdown(timeout)
        connection = await self._current(left)
        return await connection.call_with_fds(procedure, argument, fds, left())

    def open_stream(
        self,
        procedure: Procedure[A, R],
        argument: A,
        reply: Callable[[R], T],
        timeout: float | None,
    ) -> AsyncClientStream[T]:
        async def made() -> AsyncClientStream[T]:
            left = countdown(timeout)
            connection = await self._current(left)
            return connection.open_stream(procedure, argument, reply, left())

        return cast("AsyncClientStream[T]", _LateStream(made))

    def subscribe(
        self, procedure: Procedure[M, None], handler: Callable[[M], object] | None
    ) -> AsyncSubscribed[M]:
        events = self._router.subscribe(procedure, handler)
        subscribed = AsyncSubscribed(procedure, events, self._subscribed.remove)
        self._subscribed.append(subscribed)
        if self._connection.closed is None:
            subscribed.attach(self._connection)
        return subscribed

    async def register(
        self,
        message: Procedure[M, None],
        handler: Callable[[M], object] | None,
        about: object,
        timeout: float | None,
    ) -> AsyncRegistration[M]:
        """Register for events on this connection and on all that follow.

        Raises:
            RemoteError: the server refuses.
        """
        left = countdown(timeout)
        connection = await self._current(left)
        events = self._router.subscribe(message, handler)
        registration = AsyncRegistration(message, about, events, self._registered.remove)
        self._registered.append(registration)
        try:
            await registration.attach(connection, left())
        except BaseException:
            await registration.cancel()
            raise
        return registration

    def on_close(self, callback: Callable[[ConnectionClosed], object]) -> None:
        """Call back with the reason whenever a connection ends."""
        self._callbacks.append(callback)
        self._connection.on_close(callback)

    async def stop(self) -> tuple[AsyncConnection, list[AsyncRegistration[Any]]]:
        """Restore it no more; returns the last connection, and what is registered on it."""
        self._is_stopped = True
        if self._restoring is not None:
            self._restoring.cancel()
            await asyncio.wait([self._restoring])
        return self._connection, list(self._registered)

    async def close(self) -> None:
        """Close what ``stop`` has left open."""
        await self._connection.close()
        await self._router.stop()

    async def _current(self, left: Left) -> AsyncConnection:
        """The connection that there is, or a new one."""
        if self._connection.closed is None or not self._pauses or self._is_stopped:
            return self._connection
        task = self._begun()
        done, _ = await asyncio.wait([task], timeout=left())
        if not done:
            raise CallTimeout("the lost connection was not restored in time")
        if not task.cancelled():
            task.result()
        return self._connection

    def _begun(self) -> asyncio.Task[None]:
        """The task that restores the connection."""
        task = self._restoring
        if task is None or task.done():
            task = self._restoring = asyncio.create_task(self._restore())
            task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell who iterates over events, when nobody tries any longer."""
        if task.cancelled() or task.exception() is None:
            return
        _log.warning("the lost connection was not restored: %s", task.exception())
        closed = self._connection.closed
        assert closed is not None  # noqa: S101  (it was lost)
        self._router.end(closed)

    async def _restore(self) -> None:
        *early, last = self._pauses
        for pause in early:
            await asyncio.sleep(pause)
            with suppress(TransportError):
                return await self._renew()
        await asyncio.sleep(last)
        return await self._renew()

    async def _renew(self) -> None:
        left = countdown(self._timeout)
        connection = await self._connect(left)
        try:
            known = list(self._subscribed)
            for subscribed in known:
                subscribed.attach(connection)
            for registration in tuple(self._registered):
                await self._register_again(registration, connection, left)
            for subscribed in self._subscribed:  # more may have come meanwhile
                if subscribed not in known:
                    subscribed.attach(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        self._router.closed = None
        for callback in self._callbacks:
            connection.on_close(callback)

    async def _register_again(
        self, registration: AsyncRegistration[Any], connection: AsyncConnection, left: Left
    ) -> None:
        try:
            await registration.attach(connection, left())
        except RemoteError as error:
            _log.warning("not registered again after the connection was restored: %r", str(error))
            await registration.cancel()

    def _lost(self, closed: ConnectionClosed) -> None:
        if not self._pauses or self._is_stopped:
            self._router.end(closed)
        elif self._connection.closed is not None:  # nobody has been faster
            self._begun()


class _LateStream(Generic[T]):
    """A stream that is made when its block is entered, and is that stream from then on."""

    def __init__(self, made: Callable[[], Awaitable[AsyncClientStream[T]]]) -> None:
        self._made = made
        self._stream: AsyncClientStream[T] | None = None

    async def __aenter__(self) -> AsyncClientStream[T]:
        if self._stream is not None:
            raise LocalProtocolError("the stream was entered before")
        self._stream = await self._made()
        return await self._stream.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._entered().__aexit__(kind, error, traceback)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._entered())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entered(), name)

    def _entered(self) -> AsyncClientStream[T]:
        if self._stream is None:
            raise LocalProtocolError("the stream's block has not been entered")
        return self._stream
