"""Handlers on the loop: the first step without a task, the rest as the task that the first step saw."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from rpcgen.runtime.server.steps import Steps

STEPS = contextvars.ContextVar("STEPS", default="unset")

DEADLINE = 30.0


class Harness:
    """Runs functions on a loop, from a callback, as a server does it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.steps = Steps(loop, contextvars.Context())

    def run(self, *functions: Callable[[], Any]) -> list[Any]:
        """All of them in one callback; what each returned, or raised, in order."""
        return self.loop.run_until_complete(asyncio.wait_for(self._run(functions), DEADLINE))

    async def _run(self, functions: tuple[Callable[[], Any], ...]) -> list[Any]:
        results: list[asyncio.Future[Any]] = [self.loop.create_future() for _ in functions]
        self.loop.call_soon(self._start, functions, results)
        return [await one for one in results]

    def _start(
        self, functions: tuple[Callable[[], Any], ...], results: list[asyncio.Future[Any]]
    ) -> None:
        for function, result in zip(functions, results, strict=True):

            def done(value: Any, error: BaseException | None, result: Any = result) -> None:
                result.set_result(value if error is None else error)

            found = self.steps.run(function, (), done)
            if found is not None:
                done(*found)


@pytest.fixture(params=["asyncio", "uvloop"])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    factory = asyncio.new_event_loop
    if request.param == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        harness = Harness(runner.get_loop())
        yield harness
        assert harness.steps.running == set()
        harness.steps.close()


def test_results_without_and_with_waiting(harness: Harness) -> None:
    async def at_once() -> int:
        return 1

    async def later() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return 2

    def future() -> Awaitable[int]:
        return asyncio.ensure_future(later())

    assert harness.run(lambda: 0, at_once, later, future) == [0, 1, 2, 2]


def test_what_does_not_wait_makes_no_task(harness: Harness) -> None:
    async def tasks() -> set[Any]:
        return {asyncio.current_task()}

    first, second, third = harness.run(tasks, tasks, tasks)
    assert first == second == third
    assert len(first) == 1


def test_the_current_task_stays_the_same(harness: Harness) -> None:
    async def tasks() -> list[Any]:
        found = [asyncio.current_task()]
        await asyncio.sleep(0)
        found.append(asyncio.current_task())
        await asyncio.sleep(0.001)
        return [*found, asyncio.current_task()]

    some, others = harness.run(tasks, tasks)
    assert some[0] is some[1] is some[2] is not None
    assert others[0] is others[1] is others[2] is not some[0]


def test_a_plain_function_has_a_current_task_too(harness: Harness) -> None:
    ((task,),) = harness.run(lambda: [asyncio.current_task()])
    assert isinstance(task, asyncio.Task)


@pytest.mark.parametrize("seconds", [-1, 0, 0.001])
def test_a_timeout_that_begins_in_the_first_step(harness: Harness, seconds: float) -> None:
    async def patient() -> str:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            task = asyncio.current_task()
            assert task is not None
            return f"timed out, {task.cancelling()} cancellations left"
        return "not timed out"

    # The first of these finds a task that has not begun to run itself.
    assert harness.run(patient, patient) == ["timed out, 0 cancellations left"] * 2


def test_a_group_of_tasks_that_begins_in_the_first_step(harness: Harness) -> None:
    async def fails() -> None:
        raise ValueError("one of the group")

    async def group() -> str:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fails())
                await asyncio.Event().wait()
        except ExceptionGroup as errors:
            return str(errors.exceptions[0])
        return "not told"

    assert harness.run(group, group) == ["one of the group"] * 2


def test_several_may_wait_for_one_future(harness: Harness) -> None:
    future = harness.loop.create_future()

    async def waits() -> int:
        return int(await future)

    async def sets() -> None:
        future.set_result(3)

    assert harness.run(waits, waits, lambda: asyncio.ensure_future(waits()), sets) == [
        3,
        3,
        3,
        None,
    ]


def test_a_future_that_is_done_before_the_task_waits(harness: Harness) -> None:
    future = harness.loop.create_future()

    async def waits() -> int:
        return int(await future)

    assert harness.run(waits, lambda: future.set_result(4)) == [4, None]


def test_exceptions_before_and_after_waiting(harness: Harness) -> None:
    async def early() -> None:
        raise SystemExit(1)

    async def late() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    first, second = harness.run(early, late)
    assert isinstance(first, SystemExit)
    assert isinstance(second, KeyboardInterrupt)


def test_an_exception_of_the_future_reaches_the_coroutine(harness: Harness) -> None:
    future = harness.loop.create_future()

    async def waits() -> str:
        try:
            await future
        except ValueError as error:
            return str(error)
        return "nothing"

    assert harness.run(waits, lambda: future.set_exception(ValueError("it broke"))) == [
        "it broke",
        None,
    ]


def test_variables_of_a_first_step_are_its_own(harness: Harness) -> None:
    async def sets() -> str:
        STEPS.set("set")
        return STEPS.get()

    async def sets_and_waits() -> str:
        STEPS.set("kept")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return STEPS.get()

    async def gets() -> str:
        await asyncio.sleep(0)
        return STEPS.get()

    found = harness.run(sets, STEPS.get, sets_and_waits, STEPS.get, gets, sets, gets)
    assert found == ["set", "unset", "kept", "unset", "unset", "set", "unset"]


def test_cancelling_reaches_who_waits(harness: Harness) -> None:
    inner: list[asyncio.Task[Any]] = []

    async def waits() -> str:
        inner.append(asyncio.ensure_future(asyncio.Event().wait()))
        try:
            await inner[-1]
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    # At once, before the tasks have run, and when they wait themselves.
    assert harness.run(waits, waits, harness.steps.cancel) == ["cancelled", "cancelled", None]
    assert all(task.cancelled() for task in inner)

    async def cancels() -> None:
        while len(inner) < 3:  # the third is the next one's
            await asyncio.sleep(0)
        harness.steps.cancel()

    assert harness.run(waits, cancels)[0] == "cancelled"


def test_a_coroutine_that_cancels_itself(harness: Harness) -> None:
    async def cancels(*, waits: bool) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if waits:
            await asyncio.sleep(0)
        return "not cancelled"

    for _ in range(2):
        harness.run(lambda: "a task that has begun to wait")
        ended, cancelled, other = harness.run(
            lambda: cancels(waits=False), lambda: cancels(waits=True), lambda: "other"
        )
        assert ended == "not cancelled"
        assert isinstance(cancelled, asyncio.CancelledError)
        harness.run(lambda: "another")
        (cancelled,) = harness.run(lambda: cancels(waits=True))
        assert isinstance(cancelled, asyncio.CancelledError)
        assert other == "other"


def test_a_coroutine_may_refuse_to_be_cancelled(harness: Harness) -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "done all the same"

    assert harness.run(stubborn, harness.steps.cancel) == ["done all the same", None]


def test_tasks_that_wait_are_not_collected(harness: Harness) -> None:
    async def waits() -> str:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, lambda: future.set_result("there"))
        return str(await future)

    assert harness.run(waits, gc.collect)[0] == "there"


def test_the_end_is_told_once_nobody_waits(harness: Harness) -> None:
    gate = asyncio.Event()
    told: list[str] = []

    async def waits() -> bool:
        return await gate.wait()

    def stop() -> None:
        harness.steps.stop(lambda: told.append("ended"))
        assert told == []
        gate.set()

    harness.run(waits, stop)
    harness.run(lambda: asyncio.sleep(0))
    assert told[0] == "ended"
