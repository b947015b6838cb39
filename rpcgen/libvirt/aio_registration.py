"""What is on every connection of a session until it is cancelled: event handlers, for asyncio.

``registration`` is the same for threads. Whether messages go to a handler or to who iterates is
the business of ``AsyncEvents``, which outlives the connections that feed it.
"""

from __future__ import annotations

from asyncio import Lock
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from logging import getLogger
from typing import Any, Generic, TypeVar

from rpcgen.libvirt.events import event_of
from rpcgen.runtime.client.aio_events import AsyncEvents, Backlog, SizedHandler
from rpcgen.runtime.errors import TransportError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.stubs import AsyncCaller, AsyncSubscription

M = TypeVar("M")

_log = getLogger(__name__)


class AsyncSubscribed(Generic[M]):
    """Every message of an event, without a word to the server: an ``AsyncSubscription``.

    Args:
        message: what brings the event.
        events: what takes the messages.
        forget: told when it is cancelled.
    """

    def __init__(
        self,
        message: Procedure[M, None],
        events: AsyncEvents[M],
        forget: Callable[[AsyncSubscribed[M]], object],
    ) -> None:
        self._message = message
        self._events = events
        self._forget = forget
        self._subscription: AsyncSubscription[M] | None = None
        self._is_cancelled = False

    def attach(self, connection: AsyncCaller) -> None:
        """Take messages from this connection."""
        deliver = SizedHandler(self._events.deliver)
        self._subscription = connection.subscribe(self._message, deliver)

    def cancel(self) -> None:
        """Stop: the handler is not called again, and the iteration ends."""
        self._events.cancel()
        if self._subscription is not None:
            self._subscription.cancel()
        if not self._is_cancelled:
            self._is_cancelled = True
            self._forget(self)

    def __aiter__(self) -> AsyncIterator[M]:
        return aiter(self._events)


class AsyncRegistration(Generic[M]):
    """Events of one object, or of all: for a handler, and for who iterates.

    It is like a subscription of ``rpcgen.runtime``, except that the server has to be told of its
    end. On a lost connection without ``reconnect``, iterating raises ConnectionClosed.

    Args:
        message: what brings the event.
        about: the object; None for all.
        events: what takes the messages.
        forget: told when it is cancelled.
    """

    def __init__(
        self,
        message: Procedure[M, None],
        about: object,
        events: AsyncEvents[M],
        forget: Callable[[AsyncRegistration[M]], object],
    ) -> None:
        self._message = message
        self._about = about
        self._events = events
        self._forget = forget
        self._lock = Lock()
        self._entry: _Entry | None = None
        self._is_cancelled = False

    async def attach(self, connection: AsyncCaller, timeout: float | None) -> None:
        """Register on a connection.

        Raises:
            RemoteError: the server refuses.
        """
        async with self._lock:
            if not self._is_cancelled:
                entry = _Entry(connection, self._message, self._events.deliver)
                await entry.register(self._about, timeout)
                self._entry = entry

    async def cancel(self, *, timeout: float | None = None) -> None:
        """Stop: no event is delivered any more, whatever comes of telling the server.

        Args:
            timeout: seconds for that.

        Raises:
            RemoteError: the server knows nothing of the registration.
        """
        self._events.cancel()
        async with self._lock:
            was_cancelled, self._is_cancelled = self._is_cancelled, True
            entry, self._entry = self._entry, None
        if not was_cancelled:
            self._forget(self)
        if entry is not None:
            await entry.deregister(timeout)

    def __aiter__(self) -> AsyncIterator[M]:
        return aiter(self._events)


class _Entry:
    """A registration on one connection, which names it by a callbackID of its own."""

    def __init__(
        self,
        connection: AsyncCaller,
        message: Procedure[Any, None],
        deliver: Callable[[Any, int], object],
    ) -> None:
        self._family, self._event_id = event_of(message)
        self._connection = connection
        self._deliver = deliver
        self._callback_id: int | None = None
        self._early: Backlog[Any] = Backlog()
        self._subscription = connection.subscribe(message, SizedHandler(self._take))

    async def register(self, about: object, timeout: float | None) -> None:
        argument = self._family.registration(self._event_id, about)
        try:
            reply = await self._connection.call(self._family.register, argument, timeout)
        except BaseException:
            self._subscription.cancel()
            raise
        self._callback_id = reply.callback_id
        if self._early.lost:
            # Whose they were is not known: EventsLost would frighten those who lost none.
            _log.warning("%d events were dropped: the registration took long", self._early.lost)
        while self._early:
            self._take(*self._early.take())

    async def deregister(self, timeout: float | None) -> None:
        """A connection that is lost has forgotten the registration by itself."""
        self._subscription.cancel()
        assert self._callback_id is not None  # noqa: S101  (it was registered)
        argument = self._family.deregistration(self._callback_id)
        with suppress(TransportError):
            await self._connection.call(self._family.deregister, argument, timeout)

    def _take(self, message: Any, size: int) -> None:
        if self._callback_id is None:
            # An event may overtake the reply that tells whose it is.
            self._early.put(message, size)
        elif message.callback_id == self._callback_id:
            self._deliver(message, size)
