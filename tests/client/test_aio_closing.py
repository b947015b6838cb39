"""How connections of the asyncio client end, and what is left of them: nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings

import pytest
from client.aio_peer import DEADLINE, DOUBLE, NEWS, channel_of, connected, every_loop

from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.errors import ConnectionClosed, LocalProtocolError
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.transport.dial import pair
from rpcgen.runtime.transport.stream import SocketStream


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def connection_over(stream: SocketStream) -> AsyncConnection:
    return AsyncConnection(stream, limits=Limits(), keepalive=None, strict=False)


@every_loop
async def test_closing_wakes_everyone_with_the_reason() -> None:
    reasons: list[ConnectionClosed] = []
    async with connected(keepalive=(3600.0, 5)) as (connection, peer):
        connection.on_close(reasons.append)
        call = asyncio.create_task(connection.call(DOUBLE, 1, None))
        event = asyncio.create_task(anext(aiter(connection.subscribe(NEWS, None))))
        await peer.call()
        await connection.close()
        for waiting in (call, event):
            with pytest.raises(ConnectionClosed, match="closed by this side") as caught:
                await waiting
            assert caught.value.reason == 3
        await peer.gone()
        await connection.close()
    assert connection.closed is not None
    assert reasons == [connection.closed]


@every_loop
async def test_a_closed_connection_takes_nothing() -> None:
    async with connected() as (connection, _):
        pass
    with pytest.raises(ConnectionClosed, match="closed by this side"):
        await connection.call(DOUBLE, 1, None)
    with pytest.raises(ConnectionClosed):
        connection.subscribe(NEWS, print)
    with pytest.raises(ConnectionClosed, match="has forgotten its peer"):
        connection.identity  # noqa: B018
    connection.start_keepalive(1.0, 5)
    late = asyncio.get_running_loop().create_future()
    connection.on_close(late.set_result)
    assert (await late).reason == 3


@every_loop
async def test_a_callback_that_fails_does_not_cost_the_others() -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: problems.append(context["exception"])
    )
    called = asyncio.Event()
    async with connected() as (connection, _):
        connection.on_close(lambda _: 1 // 0)
        connection.on_close(lambda _: called.set())
    await called.wait()
    assert [type(problem) for problem in problems] == [ZeroDivisionError]


@every_loop
async def test_what_interrupts_receiving_closes_the_connection() -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: problems.append(context["exception"])
    )
    async with connected() as (connection, peer):
        channel_of(connection)._take_event = lambda _: 1 // 0
        call = asyncio.create_task(connection.call(DOUBLE, 1, None))
        await peer.call()
        peer.news(1)
        with pytest.raises(ConnectionClosed, match="receiving was interrupted: ZeroDivision"):
            await call
        await peer.gone()
    assert [type(problem) for problem in problems] == [ZeroDivisionError]


@every_loop
async def test_a_thousand_connections_leave_the_descriptors_as_they_were() -> None:
    before = descriptors()
    for number in range(1000):
        async with connected() as (connection, peer):
            call = asyncio.create_task(connection.call(DOUBLE, number, None))
            answered = await peer.call()
            if number % 3 == 0:
                peer.reply(answered, number)
                assert await call == number
            elif number % 3 == 1:
                peer.close()
        await asyncio.gather(call, return_exceptions=True)
    assert descriptors() == before


def test_a_connection_is_for_one_loop() -> None:
    one, two = pair()

    async def make() -> AsyncConnection:
        return connection_over(one)

    async def use(connection: AsyncConnection) -> None:
        with pytest.raises(LocalProtocolError, match="another event loop"):
            await connection.call(DOUBLE, 1, None)
        await connection.close()

    connection = asyncio.run(make())
    asyncio.run(use(connection))
    assert connection.closed is not None
    assert one.fileno() == -1
    two.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_connection_whose_loop_is_gone_warns_and_frees_its_descriptor(loop: str) -> None:
    before = descriptors()
    one, two = pair()

    async def main() -> None:
        connection = connection_over(one)
        connection.start_keepalive(3600.0, 5)
        connection.subscribe(NEWS, print)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await connection.call(DOUBLE, 1, None)

    factory = None if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
        gc.collect()
    assert [str(one.message) for one in caught] == [f"unclosed connection to {two.identity}"]
    assert one.fileno() == -1
    two.close()
    assert descriptors() == before


def test_a_connection_needs_a_running_loop() -> None:
    one, two = pair()
    with pytest.raises(RuntimeError, match="no running event loop"):
        connection_over(one)
    one.close()
    two.close()


def test_a_keepalive_that_is_none_leaves_the_stream_alone() -> None:
    one, two = pair()

    async def main() -> None:
        with pytest.raises(ValueError, match="count -1"):
            AsyncConnection(one, limits=Limits(), keepalive=(1.0, -1), strict=False)

    asyncio.run(main())
    one.close()
    two.close()


@every_loop
async def test_a_ping_is_answered() -> None:
    async with connected() as (_, peer):
        peer.core.start_keepalive(1.0, 5, 0.0)
        assert peer.core.tick(1.0)
        peer.flush()
        async with asyncio.timeout(DEADLINE):
            while not peer.received:
                await asyncio.sleep(0)
        assert peer.received == 28


@every_loop
async def test_a_silent_server_is_asked_and_given_up() -> None:
    async with connected(keepalive=(0.01, 3)) as (connection, peer):
        peer.is_mute = True
        call = asyncio.create_task(connection.call(DOUBLE, 1, None))
        await peer.call()
        with pytest.raises(ConnectionClosed, match=r"no sign of life .* 0.04 sec") as caught:
            await call
        assert caught.value.reason == 2
        await peer.gone()
        assert peer.received == 32 + 3 * 28


@every_loop
async def test_a_server_that_answers_is_not_given_up() -> None:
    async with connected(keepalive=(0.005, 50)) as (connection, peer):
        async with asyncio.timeout(DEADLINE):
            while peer.received < 60 * 28:
                await asyncio.sleep(0)
        connection.start_keepalive(0, 0)
        assert connection.closed is None
        assert channel_of(connection).core.keepalive is None
