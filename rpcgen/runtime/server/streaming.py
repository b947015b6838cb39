"""Calls that open a stream: their handlers run on the loop or on threads of their own, until the end of the stream."""

from __future__ import annotations

import contextvars
from functools import partial
from typing import TYPE_CHECKING

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectionClosed, RpcError
from rpcgen.runtime.message import rpc_error
from rpcgen.runtime.server.answers import arguments_of, bad_result, error_for, outcome
from rpcgen.runtime.server.call import StreamingCall
from rpcgen.runtime.server.channel import Channel
from rpcgen.runtime.server.pump import pump, pump_async
from rpcgen.runtime.server.traffic import close_fds

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from rpcgen.runtime.message import RemoteError
    from rpcgen.runtime.server.answers import Outcome
    from rpcgen.runtime.server.loop import Loop
    from rpcgen.runtime.server.session import Session
    from rpcgen.runtime.server.steps import Steps
    from rpcgen.runtime.server.workers import StreamThreads
    from rpcgen.runtime.server_connection import IncomingCall

_CLIENT = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


class Streaming:
    """Has calls with streams answered, and their streams served."""

    def __init__(
        self, loop: Loop, steps: Steps, threads: StreamThreads, context: contextvars.Context
    ) -> None:
        self._loop = loop
        self._steps = steps
        self._threads = threads
        self._context = context

    def serve(self, session: Session, incoming: IncomingCall, *, on_loop: bool) -> None:
        """Have a handler serve the stream that a call opens."""
        assert incoming.stream is not None  # noqa: S101  (that is what brought it here)
        channel = Channel(session, incoming.stream, self._loop)
        call = StreamingCall(session, incoming, channel, self._loop)
        session.streaming += 1
        if on_loop:
            self._run_on_loop(call, partial(self._serve_on_loop, call))
        else:
            number = self._threads.submit(partial(self._run_on_thread, call))
            session.waiting[incoming] = partial(self._withdraw, call, number)

    def _withdraw(self, call: StreamingCall, number: int) -> None:
        """Nobody waits for the stream any more: do not begin."""
        if self._threads.withdraw(number):
            self._finish(call, None, call.channel.error)

    def _run_on_loop(self, call: StreamingCall, function: Callable[[], Any]) -> None:
        found = self._steps.run(function, (), partial(self._finish, call))
        if found is not None:
            self._finish(call, *found)

    async def _serve_on_loop(self, call: StreamingCall) -> None:
        await self._give(call, _handle(call))

    async def _give(self, call: StreamingCall, result: Any) -> None:
        """Send what the handler returned, wherever that has to be iterated."""
        if hasattr(type(result), "__await__"):
            result = await result
        if call.procedure.stream == "read":
            if hasattr(type(result), "__aiter__"):
                await pump_async(call, result)
            else:
                await self._on_thread(pump, call, result)
        call.begin()

    def _run_on_thread(self, call: StreamingCall) -> None:
        goes_on, failure = outcome(self._context.copy().run, self._serve_on_thread, call)
        if not goes_on:
            self._loop.post(partial(self._finish, call, None, failure))

    def _serve_on_thread(self, call: StreamingCall) -> bool:
        """Serve a stream; whether that goes on on the loop."""
        result = _handle(call)
        if hasattr(type(result), "__await__") or hasattr(type(result), "__aiter__"):
            self._loop.post(partial(self._run_on_loop, call, partial(self._give, call, result)))
            return True
        if call.procedure.stream == "read":
            pump(call, result)
        call.begin()
        return False

    async def _on_thread(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Run something that blocks on a thread, for a coroutine."""
        done: asyncio.Future[Outcome] = self._loop.asyncio.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            found = outcome(context.run, function, *arguments)
            self._loop.post(partial(_tell, done, found))

        self._threads.submit(work)
        _, failure = await done
        if failure is not None:
            raise failure

    def _finish(self, call: StreamingCall, _: object, failure: BaseException | None) -> None:
        """The handler has ended; on the loop."""
        call.session.streaming -= 1
        close_fds(call.fds)
        channel = call.channel
        if self._steps.has_cancelled(failure):
            failure = ConnectionClosed("the server has stopped", _CLIENT)
        # That a stream is broken needs not be told to those who broke it.
        if failure is None or (channel.error is not None and isinstance(failure, RpcError)):
            if not call.is_answered:
                call.refuse(rpc_error(str(channel.error)))
        elif call.is_answered:
            channel.fail(_error(call, failure))
        else:
            call.refuse(_error(call, failure))
        channel.done()


def _handle(call: StreamingCall) -> Any:
    arguments = arguments_of(call.incoming)
    call.channel.stream.sparse = _is_sparse(call, arguments)
    return call.incoming.route.handler(call, *arguments)


def _is_sparse(call: StreamingCall, arguments: tuple[Any, ...]) -> bool:
    """Whether the call's flags allow holes."""
    mask, names = call.procedure.sparse_flag, call.procedure.parameters
    if not mask:
        return False
    if names is None:
        return bool(getattr(arguments[0], "flags", 0) & mask)
    return "flags" in names and bool(arguments[names.index("flags")] & mask)


def _error(call: StreamingCall, failure: BaseException) -> RemoteError:
    if failure is call.refused:
        return bad_result(call.incoming, call.refused)
    return error_for(call.incoming, failure)


def _tell(future: asyncio.Future[Outcome], found: Outcome) -> None:
    if not future.done():
        future.set_result(found)
