"""From a call to its handler, on the loop, on a worker, or as a stream, and back with the answer."""

from __future__ import annotations

import contextvars
import inspect
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from rpcgen.runtime.message import rpc_error
from rpcgen.runtime.program import DispatchTable, Route
from rpcgen.runtime.server.answers import answer_to, arguments_of, outcome
from rpcgen.runtime.server.call import HandledCall
from rpcgen.runtime.server.steps import Steps
from rpcgen.runtime.server.streaming import Streaming
from rpcgen.runtime.server.traffic import close_fds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from rpcgen.runtime.access.guard import Guard
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.server.loop import Loop
    from rpcgen.runtime.server.session import Session
    from rpcgen.runtime.server.workers import StreamThreads, Workers
    from rpcgen.runtime.server_connection import IncomingCall, Programs


class Place(Enum):
    """Where a handler runs."""

    LOOP = "the event loop"
    WORKER = "a worker"
    THREAD = "a thread of its own"


class Method(Route):
    """A procedure, the handler that answers it, and where that runs."""

    __slots__ = ("guard", "is_urgent", "place")

    def __init__(
        self, procedure: Procedure[Any, Any], handler: Callable[..., Any], *, has_workers: bool
    ) -> None:
        super().__init__(procedure, handler)
        self.guard: Guard | None = None
        self.is_urgent = procedure.priority == "high"
        if procedure.nonblocking or _is_async(handler):
            self.place = Place.LOOP
        elif procedure.stream is not None:
            self.place = Place.THREAD
        else:
            self.place = Place.WORKER if has_workers else Place.LOOP


def programs_of(
    servers: Iterable[object], *, has_workers: bool, guard: Guard | None = None
) -> Programs:
    """What servers offer.

    Args:
        guard: stands before the handlers.

    Raises:
        TypeError: one is no instance of a generated server class.
        ValueError: two offer the same version of the same program, or a procedure does not say
            what the guard has to know.
    """
    found: dict[tuple[int, int], Mapping[int, Route]] = {}
    for server in servers:
        table = getattr(server, "DISPATCH", None)
        if not isinstance(table, DispatchTable):
            raise TypeError(f"{server!r} is no instance of a generated server class")
        key = (table.program.number, table.program.version)
        if key in found:
            raise ValueError(f"{table.program!r} is offered twice")
        methods = {
            number: Method(route.procedure, route.handler, has_workers=has_workers)
            for number, route in table.routes(server).items()
        }
        if guard is not None:
            _protect(methods.values(), guard, table)
        found[key] = methods
    return found


def _protect(methods: Iterable[Method], guard: Guard, table: DispatchTable) -> None:
    from rpcgen.runtime.access.policy import constants_beside

    constants = constants_beside(table.base.__module__)
    for method in methods:
        method.guard = guard
        method.handler = guard.protect(method.procedure, method.handler, constants)


class Dispatcher:
    """Has calls answered.

    Handlers see the context variables that were set where the server was started. What one call
    sets is not seen by another.

    Args:
        workers: None if plain handlers run on the loop.

    Attributes:
        steps: what runs on the loop.
    """

    def __init__(self, loop: Loop, workers: Workers | None, threads: StreamThreads) -> None:
        self._loop = loop
        self._workers = workers
        self._context = contextvars.copy_context()
        self.steps = Steps(loop.asyncio, self._context)
        self._streaming = Streaming(loop, self.steps, threads, self._context)

    def dispatch(self, session: Session, call: IncomingCall) -> None:
        """Have a call answered, at once or later."""
        method = call.route
        assert isinstance(method, Method)  # noqa: S101  (the engine made the table)
        if call.stream is not None:
            session.traffic.requests += 1
            self._streaming.serve(session, call, on_loop=method.place is Place.LOOP)
        elif method.place is Place.WORKER and self._workers is not None:
            session.traffic.requests += 1
            number = self._workers.submit(
                partial(self._serve_on_worker, session, call), urgent=method.is_urgent
            )
            session.waiting[call] = partial(self._withdraw, call, number)
        else:
            self._serve_on_loop(session, call)

    def _serve_on_loop(self, session: Session, call: IncomingCall) -> None:
        found = self.steps.run(_handle, (session, call), partial(self._finish, session, call))
        if found is None:
            session.traffic.requests += 1
        else:
            self._finish(session, call, *found, at_once=True)

    def _finish(
        self,
        session: Session,
        call: IncomingCall,
        result: Any,
        failure: BaseException | None,
        *,
        at_once: bool = False,
    ) -> None:
        if self.steps.has_cancelled(failure):
            failure = rpc_error("the server has stopped")
        answer = answer_to(call, result, failure)
        if call.fds:
            close_fds(call.fds)
        session.answer(call, answer, at_once=at_once)

    def _serve_on_worker(self, session: Session, call: IncomingCall) -> None:
        result, failure = outcome(self._context.copy().run, _handle, session, call)
        if hasattr(type(result), "__await__"):
            self._loop.post(partial(self._await, session, call, result))
            return
        answer = answer_to(call, result, failure)
        if call.fds:
            close_fds(call.fds)
        self._loop.post(partial(session.answer, call, answer))

    def _withdraw(self, call: IncomingCall, number: int) -> None:
        """Nobody waits for the answer any more: do not begin."""
        if self._workers is not None and self._workers.withdraw(number):
            close_fds(call.fds)

    def _await(self, session: Session, call: IncomingCall, result: Any) -> None:
        """Wait on the loop for what a plain handler returned."""
        done = partial(self._finish, session, call)
        found = self.steps.run(_itself, (result,), done)
        if found is not None:
            done(*found)


def _handle(session: Session, call: IncomingCall) -> Any:
    return call.route.handler(HandledCall(session, call), *arguments_of(call))


def _itself(value: Any) -> Any:
    return value


def _is_async(handler: Callable[..., Any]) -> bool:
    while isinstance(handler, partial):
        handler = handler.func
    return inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)
