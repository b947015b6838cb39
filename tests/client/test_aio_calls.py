"""Calls of the asyncio client: who gets which reply, and what ends a call without one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from client.aio_peer import (
    DOUBLE,
    PASS,
    Peer,
    channel_of,
    connected,
    every_loop,
    raw,
)

from rpcgen.examples.filer.bindings.filer.client import AsyncFilerV1Client
from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.errors import (
    CallTimeout,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    XdrDecodeError,
    XdrEncodeError,
)
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import ERROR, REPLY, RemoteError
from rpcgen.runtime.transport.stream import SocketStream
from rpcgen.runtime.xdr import Buffer


async def doubled(connection: AsyncConnection, number: int) -> int:
    return await connection.call(DOUBLE, number, None)


async def works(connection: AsyncConnection, peer: Peer) -> None:
    """A connection still carries calls."""
    call = asyncio.create_task(doubled(connection, 21))
    peer.reply(await peer.call(), 42)
    assert await call == 42


@every_loop
async def test_replies_in_any_order_find_their_calls() -> None:
    async with connected() as (connection, peer):
        results = asyncio.gather(*(doubled(connection, number) for number in range(300)))
        calls = [await peer.call() for _ in range(300)]
        random.Random(1).shuffle(calls)  # noqa: S311  (any order will do)
        for call in calls:
            peer.reply(call, 2 * int.from_bytes(call.payload, "big"))
        assert await results == [2 * number for number in range(300)]


class Counting(SocketStream):
    """Counts what is written at a time."""

    __slots__ = ("packets",)

    def __init__(self, stream: SocketStream) -> None:
        super().__init__(stream._socket)
        self.packets: list[int] = []

    def send(self, buffers: Sequence[Buffer]) -> int:
        self.packets.append(len(buffers))
        return super().send(buffers)


@every_loop
async def test_calls_of_one_turn_leave_together_and_a_lone_one_at_once() -> None:
    async with connected(wrap=Counting) as (connection, peer):
        sizes = connection._stream.packets  # type: ignore[attr-defined]
        serving = asyncio.create_task(peer.serve())
        for number in range(3):
            assert await doubled(connection, number) == 2 * number
        assert sizes == [1, 1, 1]
        await asyncio.gather(*(doubled(connection, number) for number in range(50)))
        assert sizes[3:] == [1, 49]
        # A lone call is one, too, while another takes its time.
        slow = connection.call_with_fds(PASS, 1, (), None)
        slow.send(None)
        assert await doubled(connection, 2) == 4
        written = len(sizes)
        lone = doubled(connection, 3)
        lone.send(None)
        assert len(sizes) == written + 1
        slow.close()
        lone.close()
        await connection.close()
        await serving


@every_loop
async def test_an_error_is_for_its_call_alone_and_has_all_fields() -> None:
    async with connected() as (connection, peer):
        one = asyncio.create_task(doubled(connection, 1))
        two = asyncio.create_task(doubled(connection, 2))
        first, second = await peer.call(), await peer.call()
        peer.core.fail(first, RemoteError(42, "gone", domain=10, str1="%s", int1=5))
        peer.reply(second, 4)
        with pytest.raises(RemoteError, match="gone") as caught:
            await one
        error = caught.value
        assert (error.code, error.domain, error.str1, error.int1) == (42, 10, "%s", 5)
        assert await two == 4


@every_loop
async def test_a_reply_that_is_none_costs_its_call_alone() -> None:
    async with connected() as (connection, peer):
        calls = [asyncio.create_task(doubled(connection, number)) for number in range(4)]
        for _ in calls:
            await peer.call()
        peer.send(
            raw(1, b"\0\0", kind=REPLY, serial=0),
            raw(2, b"\0\0\0\1", kind=REPLY, serial=1),
            raw(1, b"\0\0\0\1", kind=REPLY, serial=2, status=7),
            raw(1, b"\0\0\0\6", kind=REPLY, serial=3),
        )
        results = await asyncio.gather(*calls, return_exceptions=True)
        kinds = [XdrDecodeError, RemoteProtocolError, RemoteProtocolError, int]
        assert [type(result) for result in results] == kinds
        await works(connection, peer)


@every_loop
async def test_an_error_that_cannot_be_decoded_costs_its_call_alone() -> None:
    async with connected() as (connection, peer):
        call = asyncio.create_task(doubled(connection, 1))
        await peer.call()
        peer.send(raw(1, b"\0\0", kind=REPLY, status=ERROR))
        with pytest.raises(XdrDecodeError):
            await call
        await works(connection, peer)


@every_loop
async def test_what_cannot_be_encoded_is_not_sent() -> None:
    async with connected(Limits(message=30, stream_packet=6)) as (connection, _):
        with pytest.raises(XdrEncodeError, match="expected an int"):
            await connection.call(DOUBLE, "1", None)  # type: ignore[misc]
        with pytest.raises(LocalProtocolError, match="does not fit a packet of 30"):
            await doubled(connection, 1)
        channel = channel_of(connection)
        assert not channel.core.calls
        assert not channel.core.outbox


@every_loop
async def test_a_cancelled_call_leaves_the_connection_and_its_late_reply_is_dropped() -> None:
    async with connected() as (connection, peer):
        call = asyncio.create_task(doubled(connection, 1))
        late = await peer.call()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not channel_of(connection).core.calls
        peer.reply(late, 2)
        await works(connection, peer)
        assert channel_of(connection).core.dropped == 1


@every_loop
async def test_a_call_that_is_cancelled_before_it_runs_is_not_made() -> None:
    async with connected() as (connection, peer):
        call = asyncio.create_task(doubled(connection, 1))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await works(connection, peer)
        assert peer.received == 32


@every_loop
async def test_a_reply_and_a_cancellation_in_the_same_turn_are_a_cancellation() -> None:
    async with connected() as (connection, peer):
        for cancelled_first in (False, True):
            call = asyncio.create_task(doubled(connection, 1))
            late = await peer.call()
            peer.reply(late, 2)
            if cancelled_first:
                call.cancel()
            channel_of(connection)._readable()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await works(connection, peer)


@every_loop
async def test_a_call_without_an_answer_in_time_fails_and_its_late_reply_is_dropped() -> None:
    async with connected() as (connection, peer):
        with pytest.raises(CallTimeout, match=r"TEST_DOUBLE: no answer within 0\.001") as one:
            await connection.call(DOUBLE, 1, 0.001)
        assert isinstance(one.value, TimeoutError)
        peer.reply(await peer.call(), 2)
        await works(connection, peer)
        assert channel_of(connection).core.dropped == 1


@every_loop
async def test_a_call_that_is_answered_in_time_leaves_no_timer() -> None:
    async with connected() as (connection, peer):
        call = asyncio.create_task(connection.call(DOUBLE, 1, 3600.0))
        peer.reply(await peer.call(), 2)
        assert await call == 2


@every_loop
@pytest.mark.parametrize(
    "garbage",
    [
        b"\0\0\0\3",
        b"\0\0\0\x1b",
        b"\xff\xff\xff\xff",
        b"\2\0\0\5",
        raw(2, b"\0\0\0\1", kind=5) + b"x",
        raw(2, b"\0\0\0\x21", kind=5),
        raw(2, b"\0\0", kind=5),
    ],
    ids=["3 bytes", "27 bytes", "4 GiB", "one too many", "no descriptor", "33 of them", "how many"],
)
async def test_lost_boundaries_fail_all_calls_at_once(garbage: bytes) -> None:
    async with connected() as (connection, peer):
        calls = [asyncio.create_task(doubled(connection, number)) for number in range(3)]
        for _ in calls:
            await peer.call()
        peer.send(garbage)
        for call in calls:
            with pytest.raises(ConnectionClosed) as caught:
                await call
            assert caught.value.reason == 0
            assert isinstance(caught.value.__cause__, RemoteProtocolError)
        with pytest.raises(ConnectionClosed):
            await doubled(connection, 1)
        await peer.gone()


@every_loop
@pytest.mark.parametrize("rest", [b"", b"\0\0\0\x20half"])
async def test_a_server_that_dies_fails_all_calls_at_once(rest: bytes) -> None:
    reasons: list[ConnectionClosed] = []
    async with connected() as (connection, peer):
        connection.on_close(reasons.append)
        calls = [asyncio.create_task(doubled(connection, number)) for number in range(3)]
        answered = await peer.call()
        await peer.call()
        await peer.call()
        peer.reply(answered, 0)
        peer.send(rest)
        peer.close()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[0] == 0
        for lost in results[1:]:
            assert isinstance(lost, ConnectionClosed)
            assert lost.reason == 1
            assert ("in the middle of a packet" in str(lost)) is bool(rest)
        assert results[1] is not results[2]
        assert [type(reason) for reason in reasons] == [ConnectionClosed]
    assert len(reasons) == 1


@every_loop
async def test_what_a_server_said_before_it_went_still_counts() -> None:
    async with connected() as (connection, peer):
        call = asyncio.create_task(doubled(connection, 1))
        peer.reply(await peer.call(), 2)
        peer.close()
        # Nothing has been read yet; this one finds that nobody takes it.
        with pytest.raises(ConnectionClosed):
            await doubled(connection, 2)
        assert await call == 2


@every_loop
async def test_everything_arrives_byte_by_byte() -> None:
    async with connected() as (connection, peer):
        calls = [asyncio.create_task(doubled(connection, number)) for number in range(2)]
        one, two = await peer.call(), await peer.call()
        peer.core.reply(two, b"\0\0\0\2")
        peer.core.fail(one, RemoteError(1, "no"))
        data = b"".join(bytes(part) for part in peer.core.outbox.batch())
        peer.core.outbox.release_fds()
        for place in range(len(data)):
            peer.send(data[place : place + 1])
            await asyncio.sleep(0)
            channel_of(connection)._readable()
        assert await calls[1] == 2
        with pytest.raises(RemoteError, match="no"):
            await calls[0]


@every_loop
async def test_packets_that_no_server_sends_are_passed_over() -> None:
    async with connected() as (connection, peer):
        peer.send(raw(1, serial=9, kind=REPLY), raw(1), raw(3, kind=3), raw(1, kind=77))
        await works(connection, peer)
        assert channel_of(connection).core.dropped == 4


@every_loop
async def test_generated_clients_call_through_it() -> None:
    async with connected() as (connection, _):
        with pytest.raises(RemoteError, match="unknown program: 552672848, version 1"):
            await AsyncFilerV1Client(connection).remove("x")


@every_loop
async def test_a_strict_client_closes_at_what_libvirts_closes_at() -> None:
    async with connected(strict=True) as (connection, peer):
        call = asyncio.create_task(doubled(connection, 1))
        await peer.call()
        peer.send(raw(1, serial=9, kind=REPLY))
        with pytest.raises(ConnectionClosed, match="serial 9: nobody waits"):
            await call
