"""Servers that die with unread calls: the connection is reset, and what they had sent lies before that."""

from __future__ import annotations

import asyncio
import select
import struct

import pytest
from client.aio_peer import DEADLINE, DOUBLE, connected, every_loop

from rpcgen.runtime.errors import ConnectionClosed


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
