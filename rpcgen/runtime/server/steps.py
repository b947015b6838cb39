"""Handlers on the event loop: the first step at once, the rest, if there is one, as a task.

Most coroutines end without ever waiting, and a task costs more than such a handler. But code asks
for the current task, to set a timeout or to group tasks, and may do so before it waits. So a task
is kept ready that lends its name to first steps: a coroutine that does not end in one becomes that
task's. Context variables that a first step sets are seen by the rest of it and by nobody else.

What is called, and what comes of it, is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable, Generator
    from typing import TypeAlias

    from rpcgen.runtime.server.answers import Outcome

    Done: TypeAlias = Callable[[Any, BaseException | None], object]

# Meant for those who make tasks of their own: "Extending" in asyncio's documentation.
_enter = asyncio.tasks._enter_task
_leave = asyncio.tasks._leave_task

_MARK: Final = "_asyncio_future_blocking"
"""The attribute by which futures and tasks agree that one is waited for."""


class _Suspended:
    """What a first step that does not end comes to: a coroutine, and what it waits for."""

    __slots__ = ("coroutine", "first")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first: Any) -> None:
        self.coroutine = coroutine
        self.first = first


class _Spare(Coroutine[Any, Any, None]):
    """A task, seen from inside: waits for a coroutine, and is that coroutine from then on.

    Tasks are content with whatever has the methods of a coroutine. So this one hears of being
    cancelled even before it has begun.

    Attributes:
        context: in which it runs, and so do the first steps to which it lends its name.
        pristine: what that was like when it was made.
        task: itself, seen from outside.
    """

    __slots__ = (
        "_coroutine",
        "_done",
        "_first",
        "_is_future",
        "_is_waiting",
        "_owner",
        "_parked",
        "context",
        "pristine",
        "task",
    )

    def __init__(self, owner: Steps, context: contextvars.Context) -> None:
        self._owner = owner
        self._parked = owner.loop.create_future()
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._is_waiting = False  # for what the coroutine waits for
        self.pristine = context
        self.context = context.copy()
        self.task = asyncio.Task(self, loop=owner.loop, context=self.context)

    def give(self, suspended: _Suspended, done: Done) -> None:
        """Be that coroutine."""
        self._coroutine, self._first = suspended.coroutine, suspended.first
        self._done = done
        # The mark says that a task is about to wait for it. That may take a while, and others
        # may wait for it meanwhile.
        self._is_future = getattr(self._first, _MARK, False)
        if self._is_future:
            setattr(self._first, _MARK, False)
        self._owner.running.add(self.task)
        if not self._parked.done():
            self._parked.set_result(None)

    # What a task asks of its coroutine

    def send(self, value: Any) -> Any:
        """Go on."""
        if self._coroutine is None:
            setattr(self._parked, _MARK, True)
            return self._parked
        if not self._is_waiting:
            return self._wait()
        return self._go_on(self._coroutine.send, value)

    def throw(self, error: Any, *_: object) -> Any:
        """Go on with an exception: the task was cancelled, or what it waits for raises."""
        if self._coroutine is None:
            raise error
        # Cancelling a task cancels what it waits for, and it would wait by now if it had run.
        if not self._is_waiting and self._is_future and self._first.cancel():
            return self._wait()
        self._is_waiting = True
        return self._go_on(self._coroutine.throw, error)

    def close(self) -> None:
        """End where it stands."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, None]:
        """No task asks for it, but what has none is no coroutine."""
        yield from ()

    def _wait(self) -> Any:
        self._is_waiting = True
        if self._is_future:
            setattr(self._first, _MARK, True)
        return self._first

    def _go_on(self, resume: Callable[[Any], Any], value: Any) -> Any:
        result, failure = None, None
        try:
            return resume(value)
        except StopIteration as stop:
            result = stop.value
        except BaseException as error:  # noqa: BLE001  (a handler's, and an answer)
            failure = error
        self._owner.forget(self.task)
        self._done(result, failure)
        raise StopIteration


class Steps:
    """Runs handlers on a loop.

    Attributes:
        loop: the loop.
        running: tasks of handlers that wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        self.loop = loop
        self.running: set[asyncio.Task[None]] = set()
        self._context = context
        self._spare: _Spare | None = None
        self._stopped: Callable[[], object] | None = None
        self._is_cancelled = False

    def run(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], done: Done
    ) -> Outcome | None:
        """Call a function, and await what it returns if that can be awaited; not within a task.

        Args:
            done: called with result and exception when it has waited.

        Returns:
            the same, if it does not have to wait, or None.
        """
        spare = self._spare or self._new_spare()
        result, failure = None, None
        _enter(self.loop, spare.task)
        try:
            result = spare.context.run(_first_step, function, arguments)
        except BaseException as error:  # noqa: BLE001  (a handler's, and an answer)
            failure = error
        _leave(self.loop, spare.task)
        if type(result) is _Suspended:
            self._spare = None
            spare.give(result, done)
            return None
        if spare.context != spare.pristine or spare.task.cancelling():
            self.close()
        return result, failure

    def stop(self, ended: Callable[[], object]) -> None:
        """Call back once no handler waits."""
        self._stopped = ended
        if not self.running:
            ended()

    def cancel(self) -> None:
        """Cancel all handlers that wait."""
        self._is_cancelled = True
        for task in list(self.running):
            task.cancel()

    def has_cancelled(self, failure: BaseException | None) -> bool:
        """Whether a handler failed because of that, and not for reasons of its own."""
        return self._is_cancelled and isinstance(failure, asyncio.CancelledError)

    def close(self) -> None:
        """Give up the task that is kept ready."""
        if self._spare is not None:
            self._spare.task.cancel()
            self._spare = None

    def forget(self, task: asyncio.Task[None]) -> None:
        """A task has ended."""
        self.running.discard(task)
        if self._stopped is not None and not self.running:
            self._stopped()

    def _new_spare(self) -> _Spare:
        self._spare = _Spare(self, self._context)
        return self._spare


def _first_step(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    result = function(*arguments)
    if type(result) is not CoroutineType:
        if not hasattr(type(result), "__await__"):
            return result
        result = _awaited(result)
    try:
        return _Suspended(result, result.send(None))
    except StopIteration as stop:
        return stop.value


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
