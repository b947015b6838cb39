"""Events of the asyncio client: who is told, and what becomes of those that nobody takes.

Everything happens on the loop. Where packets come from, and when the connection ends, is told
from outside.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rpcgen.runtime.errors import EventsLost, XdrDecodeError, again

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Self, TypeAlias

    from rpcgen.runtime.errors import ConnectionClosed
    from rpcgen.runtime.message import Packet
    from rpcgen.runtime.program import Procedure

    Key: TypeAlias = tuple[int, int, int]

M = TypeVar("M")

_log: Final = logging.getLogger(__name__)


class AsyncEvents(Generic[M]):
    """The messages of one event, while it is subscribed to; made by ``AsyncConnection.subscribe``.

    A handler is called on the loop. If it returns a coroutine, that is run to its end before the
    handler is called again: messages are handled one by one, in their order. What a handler
    raises goes to the loop's exception handler.

    Iterating gives the messages that no other iteration has taken: without a handler from the
    beginning, with one from the first iteration on. It ends with ``cancel``, and raises
    ConnectionClosed at the end of the connection.

    At most ``Limits.events`` messages wait. Then the oldest are dropped, and EventsLost is raised
    where the next is asked for; who iterates anew goes on with that. For a handler, EventsLost
    goes to the loop's exception handler.
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
        self._backlog = _Backlog[M](router.limit) if handler is None else None
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

    def deliver(self, message: M) -> None:
        """Give a message to the handler and to who iterates."""
        if self._handling is not None:
            self._handling.expect(message)
        if self._backlog is not None:
            self._backlog.put(message)
            self._wake()

    def _wake(self) -> None:
        """Something happened that who iterates should see."""
        self._changed.set()
        self._changed.clear()

    def __aiter__(self) -> Self:
        if self._backlog is None and not self._is_cancelled:
            self._backlog = _Backlog(self._router.limit)
        return self

    async def __anext__(self) -> M:
        while (backlog := self._backlog) is not None:
            if backlog.lost:
                raise backlog.loss(self._procedure)
            if backlog.messages:
                return backlog.messages.popleft()
            if self._router.closed is not None:
                raise again(self._router.closed)
            await self._changed.wait()
        raise StopAsyncIteration


class _Backlog(Generic[M]):
    """Messages that wait, the newest of them."""

    def __init__(self, limit: int) -> None:
        self.messages: deque[M] = deque(maxlen=limit)
        self.lost = 0

    def put(self, message: M) -> None:
        if len(self.messages) == self.messages.maxlen:
            self.lost += 1
        self.messages.append(message)

    def loss(self, procedure: Procedure[Any, Any]) -> EventsLost:
        """The error that tells of it, once."""
        lost, self.lost = self.lost, 0
        return EventsLost(f"{procedure.name}: {lost} events came faster than they were taken", lost)


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
        self._backlog = _Backlog[M](router.limit)
        self._is_busy = False

    def stop(self) -> None:
        self._handler = None
        self._backlog.messages.clear()

    def expect(self, message: M) -> None:
        """Handle a message when those have gone on who were woken before it came."""
        self._router.loop.call_soon(self._take, message)

    def _take(self, message: M) -> None:
        if self._is_busy:
            self._backlog.put(message)
        else:
            self._handle(message)

    def _handle(self, message: M) -> None:
        if self._handler is None:
            return
        try:
            result = self._handler(message)
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
        while self._backlog.messages and not self._is_busy:
            self._handle(self._backlog.messages.popleft())

    def _report(self, error: Exception) -> None:
        self._router.loop.call_exception_handler(
            {"message": f"in a handler of {self._procedure.name}", "exception": error}
        )


class AsyncEventRouter:
    """Takes the events of one connection to those who subscribed to them.

    Attributes:
        loop: where handlers run.
        limit: messages that wait for one subscriber.
        closed: why there will be no more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.loop = loop
        self.limit = limit
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
            events.deliver(message)

    def run(self, coroutine: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run what a handler returned, and keep hold of it."""
        task = self.loop.create_task(coroutine)
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
        """Cancel what handlers do, and wait for its end; not for that of the caller."""
        for subscribed in self._subscribed.values():
            for events in subscribed:
                events._silence()
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
