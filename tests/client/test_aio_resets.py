"""Servers that die with unread calls: the connection is reset, and what they had sent lies before that."""

from __future__ import annotations

import asyncio
import select
import struct
from contextlib import suppress

import pytest
from client.aio_peer import DEADLINE, DOUBLE, DOWN, Flags, channel_of, connected, every_loop

from rpcgen.runtime.client.aio_stream import AsyncStream
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.limits import Limits


@every_loop
async def test_a_call_that_is_not_answered_any_more() -> None:
    async with connected() as (connection, peer):
        peer.stop_reading()
        call = asyncio.create_task(connection.call(DOUBLE, 1, None))
        while not select.select([peer.stream.fileno()], [], [], 0)[0]:
            await asyncio.sleep(0)
        # Half of an answer and the reset come together: nobody reads in between.
        peer.stream.send([struct.pack(">I", 32)])
        peer.close()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(call, DEADLINE)


@every_loop
@pytest.mark.parametrize("is_told", [False, True])
async def test_what_waits_behind_a_full_stream_is_read_to_its_end(is_told: bool) -> None:
    overflow = 1_000_000 if is_told else 30_000
    limits = Limits(stream_window=8_000, stream_packet=500, stream_overflow=overflow)
    async with connected(limits) as (connection, peer):
        stream: AsyncStream[int] = connection.open_stream(DOWN, Flags(0), int, None)
        entering = asyncio.create_task(stream.__aenter__())
        call = await peer.call()
        assert call.stream is not None
        peer.reply(call)
        await entering
        for _ in range(200):
            call.stream.send(bytes(500))
        peer.flush()
        assert not peer.core.outbox
        if is_told:  # by what it sends itself
            while channel_of(connection)._is_reading:
                await asyncio.sleep(0)
        peer.close()
        if is_told:
            await stream.write(b"more")
        found = 0
        with suppress(ConnectionClosed):
            async for data in stream:
                found += len(data)
                await asyncio.sleep(0)
        assert found == 100_000
