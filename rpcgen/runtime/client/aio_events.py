"""Events of the asyncio client: who is told, and what becomes of those that nobody takes.

Everything happens on the loop. Where packets come from, and when the connection ends, is told
from outside.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextvars import ContextVar, copy_context
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rpcgen.runtime.errors import EventsLost, XdrDecodeError, again
from rpcgen.runtime.limits import EVENT_BYTES_MAX, EVENTS_MAX
from rpcgen.runtime.streams import ITEM_OVERHEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Self, TypeAlias

    from rpcgen.runtime.errors import ConnectionClosed
    from rpcgen.runtime.message import Packet
    from rpcgen.runtime.program import Procedure

    Key: TypeAlias = tuple[int, int, int]

M = TypeVar("M")

_log: Final = logging.getLogger(__name__)

_handler: Final[ContextVar[asyncio.Task[object] | None]] = ContextVar("handler", default=None)
"""The task of the handler that this is done for: tasks that a handler starts inherit it."""


class AsyncEvents(Generic[M]):
    """The messages of one event, while it is subscribed to; made by ``AsyncConnection.subscribe``.

    A handler is called on the loop. If it returns a coroutine, that is run to its end before the
    handler is called again: messages are handled one by one, in their order. What a handler
    raises goes to the loop's exception handler.

    Iterating gives the messages that no other iteration has taken: without a handler from the
    beginning, with one from the first iteration on. It ends with ``cancel``, and raises
    ConnectionClosed at the end of the connection.

    At most ``Limits.events`` messages wait, and ``Limits.event_bytes`` bytes of them. Then the
    oldest are dropped, and EventsLost is raised where the next is asked for; who iterates anew goes
    on with that. For a handler, EventsLost goes to the loop's exception handler.
    """

    def __init__(
        self,
        procedure: Procedure[M, None],
        handler: Callable[[M], object] | None,
        router: AsyncEventRouter,
    ) -> None:
        self._procedure = procedure
        self._router = router
        self._handling = None if handler is None else _Handling(procedure, handler, router)
        self._backlog: Backlog[M] | None = router.backlog() if handler is None else None
        self._changed = asyncio.Event()
        self._is_cancelled = False

    def cancel(self) -> None:
        """Stop: the handler is not called again, and iterating ends. What it does now it ends."""
        self._is_cancelled = True
        self._router.forget(self._procedure, self)
        self._backlog = None
        self._silence()
        self._wake()

    def _silence(self) -> None:
        """Do not call the handler again."""
        if self._handling is not None:
            self._handling.stop()

    def deliver(self, message: M, size: int) -> None:
        """Give a message to the handler and to who iterates.

        Args:
            size: bytes of it in its packet.
        """
        if self._handling is not None:
            self._handling.expect(message, size)
        if self._backlog is not None:
            self._backlog.put(message, size)
            self._wake()

    def _wake(self) -> None:
        """Something happened that who iterates should see."""
        self._changed.set()
        self._changed.clear()

    def __aiter__(self) -> Self:
        if self._backlog is None and not self._is_cancelled:
            self._backlog = self._router.backlog()
        return self

    async def __anext__(self) -> M:
        while (backlog := self._backlog) is not None:
            if backlog.lost:
                raise backlog.loss(self._procedure)
            if backlog:
                return backlog.take()[0]
            if self._router.closed is not None:
                raise again(self._router.closed)
            await self._changed.wait()
        raise StopAsyncIteration


class Backlog(Generic[M]):
    """Messages that wait, the newest of them.

    Args:
        limit: messages that wait before the oldest are dropped.
        byte_limit: the same in bytes.

    Attributes:
        lost: messages that were dropped and not told of.
    """

    def __init__(self, limit: int = EVENTS_MAX, byte_limit: int = EVENT_BYTES_MAX) -> None:
        self._limit = limit
        self._byte_limit = byte_limit
        self._waiting: deque[tuple[M, int]] = deque()
        self._bytes = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: M, size: int) -> None:
        """Keep a message that came in so many bytes."""
        self._waiting.append((message, size))
        self._bytes += ITEM_OVERHEAD + size
        while len(self) > self._limit or (len(self) > 1 and self._bytes > self._byte_limit):
            self.take()
            self.lost += 1

    def take(self) -> tuple[M, int]:
        """The oldest, and its bytes."""
        message, size = self._waiting.popleft()
        self._bytes -= ITEM_OVERHEAD + size
        return message, size

    def clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0

    def loss(self, procedure: Procedure[Any, Any]) -> EventsLost:
        """The error that tells of it, once."""
        lost, self.lost = self.lost, 0
        return EventsLost(f"{procedure.name}: {lost} events came faster than they were taken", lost)


class SizedHandler(Generic[M]):
    """A handler that is told the bytes of each message too, because it queues them elsewhere.

    Args:
        deliver: takes a message and its bytes, at once.
    """

    def __init__(self, deliver: Callable[[M, int], object]) -> None:
        self.deliver = deliver

    def __call__(self, message: M) -> object:
        return self.deliver(message, 0)


class _Handling(Generic[M]):
    """Calls a handler, for one message after the other."""

    def __init__(
        self,
        procedure: Procedure[M, None],
        handler: Callable[[M], object],
        router: AsyncEventRouter,
    ) -> None:
        self._procedure = procedure
        self._handler: Callable[[M], object] | None = handler
        self._router = router
        self._backlog: Backlog[M] = router.backlog()
        self._is_busy = False

    def stop(self) -> None:
        self._handler = None
        self._backlog.clear()

    def expect(self, message: M, size: int) -> None:
        """Handle a message when those have gone on who were woken before it came."""
        self._router.loop.call_soon(self._take, message, size)

    def _take(self, message: M, size: int) -> None:
        if self._is_busy:
            self._backlog.put(message, size)
        else:
            self._handle(message, size)

    def _handle(self, message: M, size: int) -> None:
        handler = self._handler
        if handler is None:
            return
        try:
            result = (
                handler.deliver(message, size)
                if isinstance(handler, SizedHandler)
                else handler(message)
            )
        except Exception as error:  # noqa: BLE001  (a handler may raise anything; others go on)
            self._report(error)
            return
        if iscoroutine(result):
            self._is_busy = True
            self._router.run(result).add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._report(error)
        if self._backlog.lost:
            self._report(self._backlog.loss(self._procedure))
        self._is_busy = False
        while self._backlog and not self._is_busy:
            self._handle(*self._backlog.take())

    def _report(self, error: Exception) -> None:
        self._router.loop.call_exception_handler(
            {"message": f"in a handler of {self._procedure.name}", "exception": error}
        )


class AsyncEventRouter:
    """Takes the events of one connection to those who subscribed to them.

    Attributes:
        loop: where handlers run.
        closed: why there will be no more.

    Args:
        limit: messages that wait for one subscriber.
        byte_limit: the same in bytes.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: int, byte_limit: int = EVENT_BYTES_MAX
    ) -> None:
        self.loop = loop
        self._limits = limit, byte_limit
        self.closed: ConnectionClosed | None = None
        self._subscribed: dict[Key, list[AsyncEvents[Any]]] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    def subscribe(
        self, procedure: Procedure[M, None], handler: Callable[[M], object] | None
    ) -> AsyncEvents[M]:
        if self.closed is not None:
            raise again(self.closed)
        events = AsyncEvents(procedure, handler, self)
        self._subscribed.setdefault(procedure.key, []).append(events)
        return events

    def backlog(self) -> Backlog[Any]:
        """A queue for one subscriber."""
        return Backlog(*self._limits)

    def forget(self, procedure: Procedure[Any, None], events: AsyncEvents[Any]) -> None:
        subscribed = self._subscribed.get(procedure.key, [])
        if events in subscribed:
            subscribed.remove(events)

    def take(self, packet: Packet) -> None:
        """Tell of an event; one that cannot be understood is nobody's."""
        header = packet.header
        subscribed = self._subscribed.get((header.prog, header.vers, header.proc))
        if not subscribed:
            return
        procedure = subscribed[0]._procedure
        try:
            message, _ = procedure.read_argument(packet.payload, 0)
        except XdrDecodeError as error:
            _log.warning("%s: an event was dropped: %r", procedure.name, str(error))
            return
        for events in subscribed:
            events.deliver(message, len(packet.payload))

    def run(self, coroutine: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run what a handler returned, and keep hold of it."""
        context = copy_context()
        task = self.loop.create_task(coroutine, context=context)
        context.run(_handler.set, task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def end(self, closed: ConnectionClosed) -> None:
        """The connection is closed."""
        self.closed = closed
        for subscribed in self._subscribed.values():
            for events in subscribed:
                events._wake()

    async def stop(self) -> None:
        """Cancel what handlers do, and wait for its end; not for the handler that wants it."""
        for subscribed in self._subscribed.values():
            for events in subscribed:
                events._silence()
        # That one may wait for a task of its own that is here.
        others = self._tasks - {asyncio.current_task(), _handler.get()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
