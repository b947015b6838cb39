"""Streams of the asyncio client: data both ways, flow control, and every way to end."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from client.aio_peer import (
    DEADLINE,
    DOUBLE,
    DOWN,
    UP,
    Flags,
    Peer,
    channel_of,
    connected,
    every_loop,
)

from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.client.aio_stream import AsyncStream
from rpcgen.runtime.errors import (
    CallTimeout,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    XdrDecodeError,
    XdrEncodeError,
)
from rpcgen.runtime.limits import OUTBOX_HIGH, Limits
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Hole, Stream

PACKET = 4096
"""Bytes of data in a packet of these tests."""

SMALL = Limits(stream_window=8 * PACKET, stream_packet=PACKET)


def down(connection: AsyncConnection, flags: int = 0) -> AsyncStream[int]:
    return connection.open_stream(DOWN, Flags(flags), lambda reply: reply * 2, None)


def up(connection: AsyncConnection, flags: int = 0) -> AsyncStream[None]:
    return connection.open_stream(UP, Flags(flags), lambda reply: reply, None)


async def accept(peer: Peer) -> Stream:
    """Answer the call that opens a stream."""
    call = await peer.call()
    peer.reply(call, 21 if call.route.procedure is DOWN else None)
    assert call.stream is not None
    return call.stream


def confirm(peer: Peer, stream: Stream) -> None:
    stream.send_ok()
    peer.core.finished(stream)
    peer.flush()


async def finished(peer: Peer, stream: Stream) -> bytes:
    """What the client sent until it finished, which is confirmed."""
    await peer.until(lambda: stream.state is StreamState.FINISHING)
    confirm(peer, stream)
    return everything(stream)


def everything(stream: Stream) -> bytes:
    found = b""
    while (item := stream.take()) is not None:
        found += bytes(item.length) if isinstance(item, Hole) else item
    return found


async def aborted(peer: Peer, stream: Stream) -> None:
    """The client gives up."""
    await peer.until(lambda: stream.state is StreamState.ABORTED)


async def is_over(connection: AsyncConnection) -> None:
    """Nothing is left of streams, here or on the way, and calls work."""
    async with asyncio.timeout(DEADLINE):
        while channel_of(connection).core.streams:
            await asyncio.sleep(0)
    assert channel_of(connection)._is_reading


@every_loop
async def test_a_download_gives_what_the_server_sends() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            stream = await accept(peer)
            for part in (b"one", b"two", b"three"):
                stream.send(part)
            stream.send_end()
            peer.flush()
            assert await finished(peer, stream) == b""

        serving = asyncio.create_task(serve())
        async with down(connection) as stream:
            assert stream.reply == 42
            assert await stream.read(2) == b"on"
            assert await stream.read() == b"e"
            assert [chunk async for chunk in stream] == [b"two", b"three"]
            assert await stream.read() == b""
        await serving
        await is_over(connection)


@every_loop
async def test_an_upload_sends_what_it_is_given_in_packets_that_fit() -> None:
    async with connected(SMALL) as (connection, peer):
        data = bytes(range(256)) * 100
        buffer = bytearray(b"before")

        async def serve() -> bytes:
            return await finished(peer, await accept(peer))

        serving = asyncio.create_task(serve())
        async with up(connection) as stream:
            await stream.write(data)
            await stream.write(buffer)
            buffer[:] = b"behind"
            await stream.write(memoryview(data)[:10])
            await stream.write(b"")
        assert await serving == data + b"before" + data[:10]
        await is_over(connection)


@every_loop
async def test_data_goes_both_ways_at_once() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            stream = await accept(peer)
            for _ in range(100):
                await peer.until(lambda: stream.queued)
                stream.send(everything(stream))
                peer.flush()
            await finished(peer, stream)

        serving = asyncio.create_task(serve())
        async with down(connection) as stream:
            for number in range(100):
                reading = asyncio.create_task(stream.read())
                await stream.write(b"line %d" % number)
                assert await reading == b"line %d" % number
        await serving


@every_loop
async def test_data_may_overtake_the_reply() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            call = await peer.call()
            assert call.stream is not None
            call.stream.state = StreamState.OPEN
            call.stream.send(b"early")
            call.stream.state = StreamState.OPENING
            peer.reply(call, 21)
            await finished(peer, call.stream)

        serving = asyncio.create_task(serve())
        async with down(connection) as stream:
            assert await stream.read() == b"early"
        await serving


# Flow control


@every_loop
async def test_a_slow_reader_stops_the_connection_and_loses_nothing() -> None:
    async with connected(SMALL) as (connection, peer):
        data = bytes(range(256)) * 16 * 500

        async def serve() -> None:
            stream = await accept(peer)
            for start in range(0, len(data), PACKET):
                stream.send(data[start : start + PACKET])
            stream.send_end()
            peer.flush()
            await finished(peer, stream)

        serving = asyncio.create_task(serve())
        channel = channel_of(connection)
        pauses, found = 0, b""
        async with down(connection) as stream:
            (queue,) = channel.core.streams.values()
            while chunk := await stream.read():
                found += chunk
                assert queue.queued <= SMALL.stream_window + PACKET + 64
                if len(found) % (40 * PACKET) == 0:
                    async with asyncio.timeout(DEADLINE):
                        while channel._is_reading and not queue.ended:
                            await asyncio.sleep(0)
                    pauses += not channel._is_reading
        assert found == data
        assert pauses > 5
        await serving
        await is_over(connection)


async def fill(peer: Peer, connection: AsyncConnection, stream: Stream) -> None:
    """Send until the client does not read any more."""
    channel = channel_of(connection)
    while channel._is_reading:
        stream.send(bytes(PACKET))
        peer.flush()
        await asyncio.sleep(0)


@every_loop
async def test_a_call_is_answered_although_a_stream_is_full() -> None:
    async with connected(SMALL) as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        theirs = await accept(peer)
        stream = await entering
        await fill(peer, connection, theirs)
        theirs.send(bytes(20 * PACKET))
        call = asyncio.create_task(connection.call(DOUBLE, 4, None))
        peer.reply(await peer.call(), 8)
        assert await call == 8
        await fill(peer, connection, theirs)
        await stream.abort()
        await is_over(connection)


@every_loop
async def test_ending_a_full_stream_does_not_need_its_data_to_be_read() -> None:
    async with connected(SMALL) as (connection, peer):
        for how in ("finish", "abort", "cancel"):
            entering = asyncio.create_task(down(connection).__aenter__())
            theirs = await accept(peer)
            stream = await entering
            await fill(peer, connection, theirs)
            if how == "finish":
                ending = asyncio.create_task(stream.finish())
                await finished(peer, theirs)
                await ending
            elif how == "abort":
                await stream.abort()
            else:
                await stream.__aexit__(asyncio.CancelledError, asyncio.CancelledError(), None)
            await is_over(connection)


@every_loop
async def test_another_stream_can_be_ended_while_one_is_full() -> None:
    async with connected(SMALL) as (connection, peer):
        streams = []
        for _ in range(2):
            entering = asyncio.create_task(down(connection).__aenter__())
            streams.append((await accept(peer), await entering))
        (full, one), (theirs, two) = streams
        await fill(peer, connection, full)
        finishing = asyncio.create_task(two.finish())
        await finished(peer, theirs)
        await finishing
        await one.abort()
        await is_over(connection)


@every_loop
async def test_a_stream_that_nobody_reads_while_a_call_waits_is_given_up() -> None:
    limits = Limits(stream_window=PACKET, stream_packet=PACKET, stream_overflow=20 * PACKET)
    async with connected(limits) as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        theirs = await accept(peer)
        stream = await entering
        call = asyncio.create_task(connection.call(DOUBLE, 4, None))
        answered = await peer.call()
        for _ in range(30):
            theirs.send(bytes(PACKET))
        peer.flush()
        await aborted(peer, theirs)
        peer.reply(answered, 8)
        assert await call == 8
        assert channel_of(connection)._is_reading
        with pytest.raises(RemoteProtocolError, match="wait unread: it was given up"):
            await stream.read()
        with pytest.raises(RemoteProtocolError, match="wait unread: it was given up"):
            await stream.finish()
        await is_over(connection)


@every_loop
async def test_writing_waits_while_the_server_does_not_read() -> None:
    async with connected() as (connection, peer):
        entering = asyncio.create_task(up(connection).__aenter__())
        theirs = await accept(peer)
        stream = await entering
        peer.stop_reading()
        outbox = channel_of(connection).core.outbox
        data = bytes(3 * OUTBOX_HIGH)
        writing = asyncio.create_task(stream.write(data))
        async with asyncio.timeout(DEADLINE):
            while outbox.size < OUTBOX_HIGH:
                await asyncio.sleep(0)
        assert outbox.size < OUTBOX_HIGH + 300_000
        peer.read()
        await writing
        while outbox:
            await asyncio.sleep(0)
        peer.stop_reading()
        await stream.write(bytes(OUTBOX_HIGH))
        buffer = bytearray(b"before" * 100)
        await stream.write(buffer)
        buffer[:] = b"behind" * 100
        peer.read()
        ending = asyncio.create_task(stream.finish())
        assert await finished(peer, theirs) == data + bytes(OUTBOX_HIGH) + b"before" * 100
        await ending


@every_loop
async def test_a_server_that_is_not_read_is_not_taken_for_dead() -> None:
    async with connected(SMALL, keepalive=(0.005, 1)) as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        theirs = await accept(peer)
        stream = await entering
        await fill(peer, connection, theirs)
        before = peer.received
        async with asyncio.timeout(DEADLINE):
            while peer.received < before + 10 * 28:
                await asyncio.sleep(0)
        assert connection.closed is None
        connection.start_keepalive(0, 0)
        await stream.abort()


# Ending


@every_loop
async def test_a_refused_call_opens_nothing() -> None:
    async with connected() as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        peer.core.fail(await peer.call(), RemoteError(50, "no such volume"))
        peer.flush()
        with pytest.raises(RemoteError, match="no such volume"):
            await entering
        await is_over(connection)


@every_loop
async def test_a_reply_that_cannot_be_decoded_aborts_the_stream() -> None:
    async with connected() as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        call = await peer.call()
        peer.core.reply(call, b"")
        peer.flush()
        with pytest.raises(XdrDecodeError):
            await entering
        assert call.stream is not None
        await aborted(peer, call.stream)
        await is_over(connection)


@every_loop
async def test_a_stream_that_opens_too_late_is_aborted() -> None:
    async with connected() as (connection, peer):
        stream = connection.open_stream(DOWN, Flags(0), int, 0.001)
        with pytest.raises(CallTimeout, match="TEST_DOWN"):
            await stream.__aenter__()
        late = await accept(peer)
        await aborted(peer, late)
        await is_over(connection)


@every_loop
@pytest.mark.parametrize("first", ["reply", "cancellation"])
async def test_a_cancelled_entry_aborts_the_stream(first: str) -> None:
    async with connected() as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        call = await peer.call()
        if first == "cancellation":
            entering.cancel()
        peer.reply(call, 21)
        channel_of(connection)._readable()
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert call.stream is not None
        await aborted(peer, call.stream)
        await is_over(connection)


@every_loop
async def test_an_exception_in_the_block_aborts() -> None:
    async with connected() as (connection, peer):

        async def use() -> None:
            async with up(connection) as stream:
                await stream.write(b"half")
                raise KeyError("mine")

        using = asyncio.create_task(use())
        theirs = await accept(peer)
        await aborted(peer, theirs)
        with pytest.raises(KeyError, match="mine"):
            await using
        await is_over(connection)


@every_loop
@pytest.mark.parametrize("where", ["read", "write", "finish"])
async def test_a_cancellation_aborts(where: str) -> None:
    async with connected() as (connection, peer):

        async def use() -> None:
            async with up(connection) as stream:
                if where == "read":
                    await stream.read()
                elif where == "write":
                    await stream.write(bytes(20 * OUTBOX_HIGH))

        using = asyncio.create_task(use())
        theirs = await accept(peer)
        if where == "write":
            peer.stop_reading()
            outbox = channel_of(connection).core.outbox
            while outbox.size < OUTBOX_HIGH:
                await asyncio.sleep(0)
        elif where == "finish":
            await peer.until(lambda: theirs.state is StreamState.FINISHING)
        else:
            (queue,) = channel_of(connection).core.streams.values()
            while queue.state is not StreamState.OPEN:
                await asyncio.sleep(0)
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        peer.read()
        await aborted(peer, theirs)
        await is_over(connection)


@every_loop
async def test_leaving_early_finishes() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            stream = await accept(peer)
            stream.send(bytes(1_000_000))
            peer.flush()
            await finished(peer, stream)

        serving = asyncio.create_task(serve())
        async with down(connection) as stream:
            async for chunk in stream:
                assert chunk
                break
        await serving
        await is_over(connection)


@every_loop
async def test_an_error_of_the_server_is_raised_by_reading_and_by_finishing() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            stream = await accept(peer)
            stream.send(b"some")
            stream.send_error(RemoteError(38, "disk gone", domain=18, int1=5).payload())
            peer.flush()

        serving = asyncio.create_task(serve())
        stream = await down(connection).__aenter__()
        await serving
        await is_over(connection)
        for ending in (stream.read(), stream.finish(), stream.__aexit__(None, None, None)):
            with pytest.raises(RemoteError, match="disk gone") as caught:
                await ending
            error = caught.value
            assert (error.code, error.domain, error.int1) == (38, 18, 5)


@every_loop
async def test_an_error_of_the_server_wakes_who_writes() -> None:
    async with connected() as (connection, peer):
        entering = asyncio.create_task(up(connection).__aenter__())
        theirs = await accept(peer)
        stream = await entering
        peer.stop_reading()
        writing = asyncio.create_task(stream.write(bytes(20 * OUTBOX_HIGH)))
        outbox = channel_of(connection).core.outbox
        while outbox.size < OUTBOX_HIGH:
            await asyncio.sleep(0)
        theirs.send_error(RemoteError(38, "disk full").payload())
        peer.flush()
        with pytest.raises(RemoteError, match="disk full"):
            await writing
        with pytest.raises(RemoteError, match="disk full"):
            await stream.write(b"more")
        await stream.abort()
        peer.read()


@every_loop
async def test_what_came_before_the_connection_was_lost_can_be_read() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            stream = await accept(peer)
            stream.send(b"some")
            peer.flush()
            peer.close()

        serving = asyncio.create_task(serve())
        stream = await down(connection).__aenter__()
        await serving
        assert await stream.read() == b"some"
        for ending in (stream.read(), stream.write(b"x"), stream.finish()):
            with pytest.raises(ConnectionClosed, match="the server closed the connection"):
                await ending


@every_loop
async def test_closing_the_connection_wakes_who_waits_on_a_stream() -> None:
    async with connected() as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        await accept(peer)
        stream = await entering
        reading = asyncio.create_task(stream.read())
        await asyncio.sleep(0)
        await connection.close()
        with pytest.raises(ConnectionClosed, match="by this side"):
            await reading
        await stream.abort()


@every_loop
async def test_what_is_not_allowed_is_said() -> None:
    async with connected() as (connection, peer):
        with pytest.raises(XdrEncodeError):
            down(connection, "x")  # type: ignore[arg-type]
        stream = down(connection)
        with pytest.raises(LocalProtocolError, match="was not entered"):
            await stream.read()
        with pytest.raises(LocalProtocolError, match="was not entered"):
            assert stream.reply
        entering = asyncio.create_task(stream.__aenter__())
        theirs = await accept(peer)
        await entering
        with pytest.raises(LocalProtocolError, match="entered before"):
            await stream.__aenter__()
        with pytest.raises(LocalProtocolError, match="holes are not allowed"):
            await stream.write_hole(5)
        with pytest.raises(ValueError, match="size 0"):
            await stream.read(0)
        await stream.abort()
        await aborted(peer, theirs)
        with pytest.raises(LocalProtocolError, match="the stream is aborted"):
            await stream.read()
        with pytest.raises(LocalProtocolError, match="the stream is aborted"):
            await stream.write(b"x")
        with pytest.raises(LocalProtocolError, match="was aborted"):
            await stream.finish()
        await stream.abort()
        await stream.__aexit__(None, None, None)


@every_loop
async def test_a_stream_may_be_ended_within_its_block() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            await aborted(peer, await accept(peer))
            await finished(peer, await accept(peer))

        serving = asyncio.create_task(serve())
        async with up(connection) as stream:
            await stream.abort()
        async with up(connection) as stream:
            await stream.finish()
            await stream.finish()
        await serving


@every_loop
async def test_what_was_not_read_is_gone_when_the_stream_is_finished() -> None:
    async with connected() as (connection, peer):
        entering = asyncio.create_task(down(connection).__aenter__())
        theirs = await accept(peer)
        stream = await entering
        theirs.send(b"data")
        theirs.send(b"more")
        peer.flush()
        assert await stream.read(1) == b"d"
        finishing = asyncio.create_task(stream.finish())
        await finished(peer, theirs)
        await finishing
        with pytest.raises(LocalProtocolError, match="reading, but the stream is finished"):
            await stream.read()


# Holes


@every_loop
async def test_holes_arrive_as_such_or_as_zeros() -> None:
    async with connected() as (connection, peer):

        async def serve() -> None:
            for _ in range(3):
                stream = await accept(peer)
                stream.sparse = True
                stream.send(b"data")
                stream.send_hole(1_000_000)
                stream.send(b"end")
                stream.send_end()
                peer.flush()
                await finished(peer, stream)

        serving = asyncio.create_task(serve())
        async with down(connection, 1) as stream:
            assert await stream.read(1) == b"d"
            sections = [section async for section in stream.sections()]
            assert sections == [b"ata", Hole(1_000_000), b"end"]
        async with down(connection, 1) as stream:
            chunks = [chunk async for chunk in stream]
            assert b"".join(chunks) == b"data" + bytes(1_000_000) + b"end"
            assert max(map(len, chunks)) < 300_000
        async with down(connection) as stream:
            with pytest.raises(RemoteProtocolError, match="a hole in a stream"):
                await stream.read()
            await stream.abort()
        serving.cancel()
        await asyncio.wait([serving])


@every_loop
async def test_holes_are_sent_where_the_flags_ask_for_them() -> None:
    async with connected() as (connection, peer):

        async def serve() -> bytes:
            call = await peer.call()
            assert call.stream is not None
            call.stream.sparse = True
            peer.reply(call, None)
            return await finished(peer, call.stream)

        serving = asyncio.create_task(serve())
        async with up(connection, 1) as stream:
            await stream.write(b"data")
            await stream.write_hole(1000)
            await stream.write(b"end")
            with pytest.raises(LocalProtocolError, match="length 0"):
                await stream.write_hole(0)
        assert await serving == b"data" + bytes(1000) + b"end"


@every_loop
async def test_a_stream_that_never_opens_leaves_others_their_window() -> None:
    limits = Limits(stream_window=2 * PACKET, stream_packet=PACKET, stream_overflow=16 * PACKET)
    async with connected(limits) as (connection, peer):
        with pytest.raises(CallTimeout):
            await connection.open_stream(DOWN, Flags(0), int, 0).__aenter__()
        await peer.call()  # for ever
        stream = down(connection)
        entering = asyncio.create_task(stream.__aenter__())
        theirs = await accept(peer)
        await entering
        for _ in range(64):
            theirs.send(bytes(PACKET))
        theirs.send_end()
        peer.flush()
        found = 0
        while data := await stream.read(1024):
            found += len(data)
            await asyncio.sleep(0)
        assert found == 64 * PACKET
        await stream.abort()


@every_loop
async def test_a_timeout_that_is_none_leaves_no_stream_open() -> None:
    async with connected() as (connection, peer):
        stream = connection.open_stream(DOWN, Flags(0), int, cast("float", "soon"))
        with pytest.raises(TypeError):
            await stream.__aenter__()
        await aborted(peer, await accept(peer))
        await stream.abort()
        assert not channel_of(connection).core.streams
