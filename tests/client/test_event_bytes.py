"""Events that nobody takes: how many bytes of them wait, of both clients and of sessions."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, cast

import peers
import pytest
from client.aio_peer import NEWS, connected, every_loop, raw
from wire_cases import PAYLOAD, header_of

from libvirt_rpc.remote_protocol.program import REMOTE_PROC_DOMAIN_EVENT_CALLBACK_LIFECYCLE
from rpcgen.libvirt.aio_registration import AsyncRegistration, AsyncSubscribed
from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.client.aio_events import AsyncEventRouter, AsyncEvents, SizedHandler
from rpcgen.runtime.client.events import Events
from rpcgen.runtime.errors import ConnectionClosed, EventsLost
from rpcgen.runtime.limits import EVENT_BYTES_MAX, Limits
from rpcgen.runtime.message import MESSAGE, Packet
from rpcgen.runtime.program import VOID, Procedure, Program
from rpcgen.runtime.streams import ITEM_OVERHEAD
from rpcgen.runtime.stubs import AsyncCaller

MIB = 1 << 20
FLOOD = 80
ROOM = EVENT_BYTES_MAX // (MIB + ITEM_OVERHEAD)
"""Events of 1 MiB that may wait."""

NUMBER = ITEM_OVERHEAD + 4
"""What an event of ``NEWS`` counts for."""

BULK: Procedure[bytes, None] = Procedure(
    Program("BULK_V1", 0x20F1_1E55, 1),
    1,
    "BULK",
    "bulk",
    (bytes, lambda data, at: (bytes(data[at:]), len(data))),
    VOID,
    event=True,
)


def flood(peer: peers.Peer) -> None:
    """Send events of 1 MiB that begin with their number."""
    for number in range(FLOOD):
        peer.send_event(BULK, bytes([number]) + bytes(MIB - 1))


def news(number: int) -> Packet:
    data = raw(5, NEWS.encode_argument(number), kind=MESSAGE)
    return Packet(header_of(data), data[PAYLOAD:], [])


async def waiting(events: AsyncEvents[int], count: int) -> tuple[int, list[int]]:
    """How many were lost, and those that came after."""
    with pytest.raises(EventsLost) as caught:
        await anext(events)
    return caught.value.lost, [await anext(events) for _ in range(count)]


def test_some_bytes_may_wait() -> None:
    assert Limits().event_bytes == EVENT_BYTES_MAX
    assert Limits(event_bytes=1).event_bytes == 1
    with pytest.raises(ValueError, match="limit event_bytes: expected a positive number"):
        Limits(event_bytes=0)


# Threads


def test_64_mebibytes_wait_for_a_slow_handler(caplog: pytest.LogCaptureFixture) -> None:
    with peers.pair() as (connection, peer):
        begun, go_on = threading.Event(), threading.Event()
        seen: SimpleQueue[int] = SimpleQueue()

        def handler(data: bytes) -> None:
            begun.set()
            go_on.wait(peers.DEADLINE)
            seen.put(data[0])

        connection.subscribe(BULK, handler)
        peer.send_event(BULK, b"\xff")
        assert begun.wait(peers.DEADLINE)
        flood(peer)
        peer.check_alive()  # by then all have been received
        go_on.set()
        found = [seen.get(timeout=peers.DEADLINE) for _ in range(ROOM + 1)]
        assert found == [0xFF, *range(FLOOD - ROOM, FLOOD)]
    (record,) = caplog.records
    assert record.getMessage() == f"{FLOOD - ROOM} events were dropped: handlers are too slow"


def test_a_connection_has_a_limit_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with peers.pair(Limits(event_bytes=3 * (ITEM_OVERHEAD + 8))) as (connection, peer):
        begun, go_on = threading.Event(), threading.Event()
        seen: SimpleQueue[int] = SimpleQueue()

        def handler(number: int) -> None:
            begun.set()
            go_on.wait(peers.DEADLINE)
            seen.put(number)

        connection.subscribe(peers.TICK, handler)
        peer.send_event(peers.TICK, 0)
        assert begun.wait(peers.DEADLINE)
        for number in range(1, 10):
            peer.send_event(peers.TICK, number)
        peer.check_alive()
        go_on.set()
        assert [seen.get(timeout=peers.DEADLINE) for _ in range(4)] == [0, 7, 8, 9]
    assert [record.getMessage() for record in caplog.records] == [
        "6 events were dropped: handlers are too slow"
    ]


def test_an_event_that_waits_alone_may_have_any_size() -> None:
    events = Events(100, byte_limit=1)
    begun, go_on = threading.Event(), threading.Event()
    seen: SimpleQueue[int] = SimpleQueue()

    def handler(number: int) -> None:
        begun.set()
        go_on.wait(peers.DEADLINE)
        seen.put(number)

    events.subscribe(NEWS, handler)
    events.take(news(0))
    assert begun.wait(peers.DEADLINE)
    for number in range(1, 5):
        events.take(news(number))
    go_on.set()
    assert [seen.get(timeout=peers.DEADLINE) for _ in range(2)] == [0, 4]
    events.take(news(5))
    assert seen.get(timeout=peers.DEADLINE) == 5
    assert seen.empty()
    events.end(ConnectionClosed("over", 0))


# asyncio


@every_loop
async def test_64_mebibytes_wait_for_who_iterates() -> None:
    with peers.connected() as (stream, peer):
        async with AsyncConnection(stream, limits=Limits()) as connection:
            events = connection.subscribe(BULK, None)
            await asyncio.to_thread(flood, peer)
            await asyncio.to_thread(peer.check_alive)
            with pytest.raises(EventsLost) as caught:
                await anext(events)
            assert caught.value.lost == FLOOD - ROOM
            left = [(await anext(events))[0] for _ in range(ROOM)]
            assert left == [*range(FLOOD - ROOM, FLOOD)]


@every_loop
async def test_bytes_that_were_taken_make_room() -> None:
    router = AsyncEventRouter(asyncio.get_running_loop(), 100, 4 * NUMBER)
    events = router.subscribe(NEWS, None)
    for number in range(4):
        router.take(news(number))
    assert [await anext(events) for _ in range(2)] == [0, 1]
    for number in range(4, 7):
        router.take(news(number))
    assert await waiting(events, 4) == (1, [3, 4, 5, 6])


@every_loop
async def test_an_event_that_waits_alone_for_who_iterates_may_have_any_size() -> None:
    router = AsyncEventRouter(asyncio.get_running_loop(), 100, 1)
    events = router.subscribe(NEWS, None)
    router.take(news(1))
    assert await anext(events) == 1
    router.take(news(2))
    router.take(news(3))
    assert await waiting(events, 1) == (1, [3])


@every_loop
async def test_bytes_wait_for_a_slow_coroutine() -> None:
    loop = asyncio.get_running_loop()
    found: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: found.append(context["exception"]))
    router = AsyncEventRouter(loop, 100, 4 * NUMBER)
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def handle(number: int) -> None:
        begun.set()
        await go_on.wait()
        seen.append(number)
        if number == 9:
            done.set()

    router.subscribe(NEWS, handle)
    for number in range(10):
        router.take(news(number))
    await begun.wait()
    go_on.set()
    await done.wait()
    assert seen == [0, 6, 7, 8, 9]
    (error,) = found
    assert isinstance(error, EventsLost)
    assert error.lost == 5


@every_loop
async def test_a_connection_on_a_loop_has_a_limit_of_its_own() -> None:
    async with connected(Limits(event_bytes=4 * NUMBER)) as (connection, peer):
        events = connection.subscribe(NEWS, None)
        last = asyncio.Event()
        connection.subscribe(NEWS, lambda number: last.set() if number == 9 else None)
        peer.news(*range(10))
        await last.wait()
        assert await waiting(events, 4) == (6, [6, 7, 8, 9])


# Sessions: what one connection brings waits in a queue that outlives it


@every_loop
async def test_bytes_wait_for_a_subscriber_of_a_session() -> None:
    async with connected() as (connection, peer):
        router = AsyncEventRouter(asyncio.get_running_loop(), 100, 4 * NUMBER)
        events = router.subscribe(NEWS, None)
        AsyncSubscribed(NEWS, events, lambda _: None).attach(connection)
        last = asyncio.Event()
        connection.subscribe(NEWS, lambda number: last.set() if number == 9 else None)
        peer.news(*range(10))
        await last.wait()
        assert await waiting(events, 4) == (6, [6, 7, 8, 9])


class Line:
    """A connection whose server sends events before it answers a registration."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._handler: SizedHandler[Any]

    def subscribe(self, _: object, handler: Callable[[Any], object]) -> None:
        assert isinstance(handler, SizedHandler)
        self._handler = handler

    async def call(self, *_: object) -> SimpleNamespace:
        for number in self._numbers:
            self._handler.deliver(SimpleNamespace(callback_id=7, number=number), MIB)
        return SimpleNamespace(callback_id=7)


@every_loop
async def test_bytes_wait_for_the_answer_to_a_registration(
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = REMOTE_PROC_DOMAIN_EVENT_CALLBACK_LIFECYCLE
    router = AsyncEventRouter(asyncio.get_running_loop(), FLOOD, FLOOD * 2 * MIB)
    events = router.subscribe(message, None)
    registration = AsyncRegistration(message, None, events, lambda _: None)
    with caplog.at_level(logging.WARNING):
        await registration.attach(cast("AsyncCaller", Line(*range(FLOOD))), None)
    found = [cast("Any", await anext(events)).number for _ in range(ROOM)]
    assert found == [*range(FLOOD - ROOM, FLOOD)]
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{FLOOD - ROOM} events were dropped: the registration took long"
    )
