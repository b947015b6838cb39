"""Descriptors with calls and replies of the asyncio client: none is lost, and none is left open."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from client.aio_peer import DOUBLE, PASS, Peer, channel_of, connected, every_loop, raw

from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.errors import (
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    XdrDecodeError,
)
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import REPLY, REPLY_WITH_FDS, RemoteError, count_of_fds
from rpcgen.runtime.transport.stream import SocketStream


@contextmanager
def pipe() -> Iterator[list[int]]:
    """Descriptors to pass; all others that are opened meanwhile must be closed."""
    files = list(os.pipe())
    before = len(os.listdir("/proc/self/fd"))
    yield files
    assert len(os.listdir("/proc/self/fd")) == before
    close(files)


def is_same(one: int, two: int) -> bool:
    return os.fstat(one).st_ino == os.fstat(two).st_ino


async def answer(peer: Peer, value: int, fds: list[int]) -> list[int]:
    """Answer a call; returns the descriptors that came with it, which the caller closes."""
    call = await peer.call()
    peer.reply(call, value, fds)
    return call.fds


def close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


@every_loop
async def test_descriptors_travel_both_ways() -> None:
    with pipe() as files:
        async with connected() as (connection, peer):
            answering = asyncio.create_task(answer(peer, 5, files))
            value, returned = await connection.call_with_fds(PASS, 4, files[:1], None)
            received = await answering
            assert value == 5
            assert is_same(received[0], files[0])
            assert [is_same(*pair) for pair in zip(returned, files, strict=True)] == [True, True]
            assert not any(os.get_inheritable(fd) for fd in returned)
            close(received + returned)
            answering = asyncio.create_task(answer(peer, 5, []))
            assert await connection.call_with_fds(PASS, 4, [], None) == (5, [])
            assert await answering == []


@every_loop
async def test_other_calls_go_on_around_descriptors() -> None:
    with pipe() as files:
        async with connected() as (connection, peer):
            passing = [
                asyncio.create_task(connection.call_with_fds(PASS, number, files, None))
                for number in range(10)
            ]
            calls = [
                asyncio.create_task(connection.call(DOUBLE, number, None)) for number in range(10)
            ]
            for _ in range(20):
                call = await peer.call()
                number, _ = call.route.procedure.read_argument(call.payload, 0)
                peer.reply(call, number, files[: len(call.fds)])
                close(call.fds)
            assert await asyncio.gather(*calls) == list(range(10))
            for number, (value, returned) in enumerate(await asyncio.gather(*passing)):
                assert value == number
                assert is_same(returned[1], files[1])
                close(returned)


@every_loop
async def test_descriptors_that_nobody_expects_are_closed() -> None:
    with pipe() as files:
        async with connected() as (connection, peer):
            waiting = asyncio.create_task(connection.call_with_fds(PASS, 1, [], None))
            first = await peer.call()
            call = asyncio.create_task(connection.call(DOUBLE, 4, None))
            await answer(peer, 8, files)
            assert await call == 8
            passing = asyncio.create_task(connection.call_with_fds(DOUBLE, 4, files, None))
            close(await answer(peer, 8, files))
            assert await passing == (8, [])
            call = asyncio.create_task(connection.call(PASS, 4, None))
            close(await answer(peer, 8, files))
            assert await call == 8
            peer.reply(first, 1)
            assert await waiting == (1, [])


@every_loop
@pytest.mark.parametrize("first", ["reply", "cancellation"])
async def test_descriptors_of_a_cancelled_call_are_closed(first: str) -> None:
    with pipe() as files:
        async with connected() as (connection, peer):
            call = asyncio.create_task(connection.call_with_fds(PASS, 1, files, None))
            late = await peer.call()
            if first == "cancellation":
                call.cancel()
                await asyncio.sleep(0)
            peer.reply(late, 1, files)
            for _ in range(3):
                channel_of(connection)._readable()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            close(late.fds)
            again = asyncio.create_task(connection.call(DOUBLE, 4, None))
            close(await answer(peer, 8, []))
            assert await again == 8
            assert not channel_of(connection).core.stray_fds


@every_loop
async def test_descriptors_behind_an_error_or_garbage_are_closed() -> None:
    with pipe() as files:
        async with connected() as (connection, peer):
            call = asyncio.create_task(connection.call_with_fds(PASS, 1, [], None))
            await peer.call()
            peer.send(raw(2, count_of_fds(1), kind=REPLY_WITH_FDS))
            peer.core.outbox.put_fd(os.dup(files[0]))
            peer.flush()
            with pytest.raises(XdrDecodeError):
                await call
            call = asyncio.create_task(connection.call_with_fds(PASS, 1, [], None))
            await peer.call()
            error = RemoteError(1, "no").payload()
            peer.send(raw(2, count_of_fds(1) + error, kind=REPLY_WITH_FDS, serial=1, status=1))
            peer.core.outbox.put_fd(os.dup(files[0]))
            peer.flush()
            with pytest.raises(RemoteError, match="no"):
                await call
            call = asyncio.create_task(connection.call_with_fds(PASS, 1, [], None))
            await peer.call()
            peer.core.outbox.put_fd(os.dup(files[0]))
            peer.send(raw(2, b"\0\0\0\1", kind=REPLY, serial=2))
            with pytest.raises(ConnectionClosed) as caught:
                await call
            assert isinstance(caught.value.__cause__, RemoteProtocolError)


@every_loop
async def test_descriptors_that_cannot_be_sent_are_closed() -> None:
    with pipe() as files:
        async with connected(Limits(fds=2)) as (connection, _):
            with pytest.raises(LocalProtocolError, match="3 descriptors exceed 2"):
                await connection.call_with_fds(PASS, 1, files[:1] * 3, None)
            with pytest.raises(LocalProtocolError, match="descriptor 9999 cannot be sent: Bad fi"):
                await connection.call_with_fds(PASS, 1, [files[0], 9999], None)


@every_loop
@pytest.mark.parametrize("by_server", [True, False])
async def test_descriptors_that_are_not_sent_before_the_end_are_closed(by_server: bool) -> None:
    with pipe() as files:
        async with connected() as (connection, peer):
            peer.stop_reading()
            calls = [
                asyncio.create_task(connection.call_with_fds(PASS, number, files, None))
                for number in range(2000)
            ]
            while not channel_of(connection)._is_writing:
                await asyncio.sleep(0)
            if by_server:
                peer.close()
            else:
                await connection.close()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(result) for result in results} == {ConnectionClosed}


@every_loop
async def test_where_descriptors_cannot_travel_none_is_sent() -> None:
    with pipe() as files:
        loop = asyncio.get_running_loop()
        with closing(socket.create_server(("127.0.0.1", 0))) as listening:
            one = socket.create_connection(listening.getsockname())
            two = Peer(SocketStream(listening.accept()[0]), Limits())
        async with AsyncConnection(
            SocketStream(one), limits=Limits(), keepalive=None, strict=False
        ) as connection:
            with pytest.raises(LocalProtocolError, match="cannot travel on this connection"):
                await connection.call_with_fds(PASS, 1, files, None)
            call = loop.create_task(connection.call_with_fds(PASS, 1, [], None))
            await answer(two, 2, [])
            assert await call == (2, [])
        two.close()
