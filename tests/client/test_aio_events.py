"""Events of the asyncio client: handlers, iteration, and what becomes of those that nobody takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from client.aio_peer import DOUBLE, NEWS, connected, every_loop, raw

from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.client.aio_events import AsyncEvents
from rpcgen.runtime.errors import ConnectionClosed, EventsLost
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import MESSAGE


class Seen(list[int]):
    """Collects, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = asyncio.Event()

    def append(self, number: int) -> None:
        super().append(number)
        self._changed.set()

    async def grown(self, size: int) -> list[int]:
        while len(self) < size:
            self._changed.clear()
            await self._changed.wait()
        return list(self)


def reported() -> list[BaseException]:
    """What the loop's exception handler is told from now on."""
    found: list[BaseException] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        assert "TEST_NEWS" in context["message"]
        found.append(context["exception"])

    asyncio.get_running_loop().set_exception_handler(note)
    return found


async def first(events: AsyncEvents[int], count: int) -> list[int]:
    return [await anext(events) for _ in range(count)]


@every_loop
async def test_each_handler_gets_each_message_in_order() -> None:
    async with connected() as (connection, peer):
        one, two = Seen(), Seen()
        connection.subscribe(NEWS, one.append)
        connection.subscribe(NEWS, two.append)
        peer.news(*range(500))
        assert await one.grown(500) == await two.grown(500) == list(range(500))


@every_loop
async def test_handlers_and_callers_go_on_in_the_order_of_the_packets() -> None:
    async with connected() as (connection, peer):
        seen = Seen()
        connection.subscribe(NEWS, seen.append)

        async def call(number: int) -> None:
            seen.append(await connection.call(DOUBLE, number, None))

        calls = [asyncio.create_task(call(number)) for number in range(2)]
        one, two = await peer.call(), await peer.call()
        peer.core.send_event(NEWS, NEWS.encode_argument(10))
        peer.core.reply(one, DOUBLE.encode_result(20))
        peer.core.send_event(NEWS, NEWS.encode_argument(30))
        peer.core.reply(two, DOUBLE.encode_result(40))
        peer.news(50)
        assert await seen.grown(5) == [10, 20, 30, 40, 50]
        await asyncio.gather(*calls)


@every_loop
async def test_a_coroutine_handles_one_message_after_the_other() -> None:
    async with connected() as (connection, peer):
        seen, gate = Seen(), asyncio.Semaphore(0)

        async def handle(number: int) -> None:
            seen.append(number)
            await gate.acquire()
            seen.append(-number)

        connection.subscribe(NEWS, handle)
        peer.news(1, 2, 3)
        assert await seen.grown(1) == [1]
        for _ in range(3):
            gate.release()
        assert await seen.grown(6) == [1, -1, 2, -2, 3, -3]
        peer.news(4)
        gate.release()
        assert (await seen.grown(8))[6:] == [4, -4]


@every_loop
async def test_a_handler_may_call_the_server() -> None:
    async with connected() as (connection, peer):
        seen = Seen()

        async def handle(number: int) -> None:
            seen.append(await connection.call(DOUBLE, number, None))

        connection.subscribe(NEWS, handle)
        serving = asyncio.create_task(peer.serve())
        peer.news(1, 2)
        assert await seen.grown(2) == [2, 4]
        await connection.close()
        await serving


@every_loop
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_handler_raises_is_reported_and_the_next_message_is_handled(
    is_async: bool,
) -> None:
    found = reported()
    async with connected() as (connection, peer):
        seen = Seen()

        def handle(number: int) -> None:
            seen.append(number)
            if number % 2:
                raise ValueError(number)

        async def handle_later(number: int) -> None:
            handle(number)

        connection.subscribe(NEWS, handle_later if is_async else handle)
        peer.news(1, 2, 3, 4)
        assert await seen.grown(4) == [1, 2, 3, 4]
        await asyncio.sleep(0)
    assert [error.args for error in found] == [(1,), (3,)]


@every_loop
async def test_a_cancelled_subscription_is_not_told_again() -> None:
    async with connected() as (connection, peer):
        seen, others = Seen(), Seen()

        def handle(number: int) -> None:
            seen.append(number)
            subscription.cancel()

        subscription = connection.subscribe(NEWS, handle)
        connection.subscribe(NEWS, others.append)
        peer.news(1, 2, 3)
        assert await others.grown(3) == [1, 2, 3]
        assert seen == [1]
        subscription.cancel()
        assert [number async for number in subscription] == []


@every_loop
async def test_messages_wait_for_who_iterates() -> None:
    async with connected() as (connection, peer):
        events = connection.subscribe(NEWS, None)
        peer.news(1, 2)
        assert await first(events, 2) == [1, 2]
        waiting = asyncio.create_task(first(events, 1))
        await asyncio.sleep(0)
        peer.news(3)
        assert await waiting == [3]
        waiting = asyncio.create_task(first(events, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        peer.news(4)
        assert await first(events, 1) == [4]


@every_loop
async def test_a_handler_and_an_iteration_both_get_what_comes() -> None:
    async with connected() as (connection, peer):
        seen = Seen()
        events = connection.subscribe(NEWS, seen.append)
        peer.news(1)
        await seen.grown(1)
        iterator = aiter(events)
        peer.news(2)
        assert await anext(iterator) == 2
        assert await seen.grown(2) == [1, 2]


@every_loop
async def test_cancelling_ends_an_iteration_that_waits() -> None:
    async with connected() as (connection, _):
        events = connection.subscribe(NEWS, None)

        async def collect() -> list[int]:
            return [number async for number in events]

        collecting = asyncio.create_task(collect())
        await asyncio.sleep(0)
        events.cancel()
        assert await collecting == []


@every_loop
async def test_an_iteration_gives_what_came_before_the_connection_was_lost() -> None:
    async with connected() as (connection, peer):
        events = connection.subscribe(NEWS, None)
        peer.news(1, 2)
        peer.close()
        with pytest.raises(ConnectionClosed, match="the server closed the connection") as lost:
            await first(events, 3)
        assert lost.value.reason == 1
        with pytest.raises(ConnectionClosed):
            await anext(events)


@every_loop
async def test_who_iterates_too_slowly_is_told_how_many_were_dropped() -> None:
    async with connected(Limits(events=4)) as (connection, peer):
        seen = Seen()
        events = connection.subscribe(NEWS, None)
        connection.subscribe(NEWS, seen.append)
        peer.news(*range(10))
        await seen.grown(10)
        with pytest.raises(EventsLost, match="TEST_NEWS: 6 events") as caught:
            await anext(events)
        assert caught.value.lost == 6
        assert await first(events, 4) == [6, 7, 8, 9]


@every_loop
async def test_a_coroutine_that_is_too_slow_is_reported() -> None:
    found = reported()
    async with connected(Limits(events=4)) as (connection, peer):
        seen, all_of_them, gate = Seen(), Seen(), asyncio.Event()

        async def handle(number: int) -> None:
            seen.append(number)
            await gate.wait()

        connection.subscribe(NEWS, handle)
        connection.subscribe(NEWS, all_of_them.append)
        peer.news(*range(10))
        await all_of_them.grown(10)
        gate.set()
        assert await seen.grown(5) == [0, 6, 7, 8, 9]
    (error,) = found
    assert isinstance(error, EventsLost)
    assert error.lost == 5


@every_loop
async def test_events_that_cannot_be_understood_are_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        async with connected() as (connection, peer):
            seen = Seen()
            connection.subscribe(NEWS, seen.append)
            peer.send(
                raw(5, b"\0\0", kind=MESSAGE),
                raw(77, b"\0\0\0\1", kind=MESSAGE),
                raw(5, b"\0\0\0\1", kind=MESSAGE, status=1),
                raw(5, b"\0\0\0\2", kind=MESSAGE, serial=5),
            )
            assert await seen.grown(1) == [2]
    (record,) = caplog.records
    assert "TEST_NEWS: an event was dropped: 'expected 4 bytes" in record.getMessage()


@every_loop
async def test_closing_cancels_what_handlers_do() -> None:
    ended: list[str] = []
    async with connected() as (connection, peer):
        started = asyncio.Event()

        async def handle(_: int) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        connection.subscribe(NEWS, handle)
        peer.news(1, 2, 3)
        await started.wait()
    assert ended == ["cancelled"]


@every_loop
async def test_a_handler_may_close_the_connection() -> None:
    async with connected() as (connection, peer):
        closed: asyncio.Future[AsyncConnection] = asyncio.get_running_loop().create_future()

        async def handle(number: int) -> None:
            await connection.close()
            closed.set_result(connection)

        connection.subscribe(NEWS, handle)
        peer.news(1, 2)
        assert (await closed).closed is not None
        await peer.gone()


async def in_a_task(closing: Coroutine[Any, Any, None]) -> None:
    await asyncio.shield(closing)  # who is cancelled here fails, and waits for nothing


async def in_a_task_of_a_task(closing: Coroutine[Any, Any, None]) -> None:
    await asyncio.shield(in_a_task(closing))


@pytest.mark.parametrize("close", [in_a_task, in_a_task_of_a_task])
@every_loop
async def test_a_handler_may_wait_for_a_task_that_closes_the_connection(
    close: Callable[[Coroutine[Any, Any, None]], Awaitable[object]],
) -> None:
    ended: list[str] = []
    async with connected() as (connection, peer):
        started, closed = asyncio.Event(), asyncio.Event()

        async def wait(_: int) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")

        async def handle(_: int) -> None:
            await started.wait()
            await close(connection.close())
            ended.append("closed")
            closed.set()

        connection.subscribe(NEWS, handle)
        connection.subscribe(NEWS, wait)
        peer.news(1)
        await closed.wait()
        assert ended == ["cancelled", "closed"]
        await peer.gone()
