"""Files on streams of the asyncio client: holes both ways, progress, and what a cancellation leaves alone."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from client.aio_peer import DEADLINE, DOWN, UP, Flags, Peer, channel_of, connected, every_loop

from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.client.aio_stream import AsyncStream
from rpcgen.runtime.limits import STREAM_PACKET_MAX, Limits
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Hole, Stream

DATA = bytes(range(256)) * 4096
HOLE = 8 * 1024 * 1024


async def down(connection: AsyncConnection, peer: Peer) -> tuple[AsyncStream[int], Stream]:
    """Both ends of a sparse stream to the client."""
    stream = connection.open_stream(DOWN, Flags(1), int, None)
    return stream, await opened(stream, peer, 1)


async def up(
    connection: AsyncConnection, peer: Peer, flags: int = 1
) -> tuple[AsyncStream[None], Stream]:
    """Both ends of a stream to the server, sparse by default."""
    stream: AsyncStream[None] = connection.open_stream(UP, Flags(flags), lambda _: None, None)
    return stream, await opened(stream, peer, flags)


async def opened(stream: AsyncStream[int] | AsyncStream[None], peer: Peer, flags: int) -> Stream:
    entering = asyncio.create_task(stream.__aenter__())
    call = await peer.call()
    assert call.stream is not None
    call.stream.sparse = bool(flags)
    peer.reply(call, 0 if call.route.procedure is DOWN else None)
    await entering
    return call.stream


def sections(stream: Stream) -> list[bytes | Hole]:
    """What came, runs of data joined."""
    found: list[bytes | Hole] = []
    while (item := stream.take()) is not None:
        if found and isinstance(item, bytes) and isinstance(found[-1], bytes):
            found[-1] += item
        else:
            found.append(item)
    return found


async def ended(stream: AsyncStream[None], theirs: Stream, peer: Peer) -> list[bytes | Hole]:
    """Finish, and return what the server got."""
    finishing = asyncio.create_task(stream.finish())
    await peer.until(lambda: theirs.state is StreamState.FINISHING)
    theirs.send_ok()
    peer.core.finished(theirs)
    peer.flush()
    await finishing
    return sections(theirs)


@every_loop
async def test_a_download_keeps_holes(tmp_path: Path) -> None:
    async with connected() as (connection, peer):
        stream, theirs = await down(connection, peer)
        theirs.send(DATA)
        theirs.send_hole(HOLE)
        theirs.send(b"end")
        theirs.send_hole(HOLE)
        theirs.send_end()
        peer.flush()
        progress: list[int] = []
        size = len(DATA) + HOLE + 3 + HOLE
        with (tmp_path / "file").open("w+b") as file:
            assert await stream.download(file, progress=progress.append) == size
            assert progress == sorted(progress)
            assert progress[-1] == size
            assert (tmp_path / "file").stat().st_size == size
            assert file.seek(0, os.SEEK_HOLE) == len(DATA)
            file.seek(0)
            assert file.read() == DATA + bytes(HOLE) + b"end" + bytes(HOLE)
        await stream.abort()


@every_loop
async def test_an_upload_finds_holes(tmp_path: Path) -> None:
    async with connected() as (connection, peer):
        with (tmp_path / "file").open("w+b") as file:
            file.write(b"skipped")
            file.write(DATA[7:])
            file.truncate(len(DATA) + HOLE)
            file.seek(len(DATA) + HOLE)
            file.write(DATA)
            for flags in (1, 0):
                file.seek(7)
                stream, theirs = await up(connection, peer, flags)
                progress: list[int] = []
                size = 2 * len(DATA) + HOLE - 7
                assert await stream.upload(file, progress=progress.append) == size
                assert progress == sorted(progress)
                assert progress[-1] == size
                found = await ended(stream, theirs, peer)
                if flags:
                    assert found == [DATA[7:], Hole(HOLE), DATA]
                else:
                    assert found == [DATA[7:] + bytes(HOLE) + DATA]


@every_loop
async def test_what_is_piped_in_is_sent_before_the_next_comes() -> None:
    async with connected() as (connection, peer):
        stream, theirs = await up(connection, peer)
        out, into = os.pipe()
        with open(out, "rb") as file:
            uploading = asyncio.create_task(stream.upload(file))
            for piece in (b"one", b"two"):
                os.write(into, piece)
                await peer.until(lambda: theirs.queued)
                assert sections(theirs) == [piece]
            os.close(into)
            assert await uploading == 6
        assert await ended(stream, theirs, peer) == []


@every_loop
async def test_a_file_that_cannot_be_read_aborts_the_upload() -> None:
    class Broken(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            raise OSError(f"no more, not even {size}")

    async with connected() as (connection, peer):
        stream, theirs = await up(connection, peer)
        with pytest.raises(OSError, match="no more"):
            await stream.upload(Broken(b"data"))
        await stream.__aexit__(None, None, None)
        await peer.until(lambda: theirs.state is StreamState.ABORTED)


class Gate(io.RawIOBase):
    """A file that blocks in ``write`` until it is let go."""

    def __init__(self, *, is_on_disk: bool) -> None:
        super().__init__()
        self._is_on_disk = is_on_disk
        self.is_waiting = threading.Event()
        self.may_go = threading.Event()
        self.content = b""

    def seekable(self) -> bool:
        return self._is_on_disk

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.is_waiting.set()
        assert self.may_go.wait(20)
        self.content += bytes(cast("bytes", data))
        return len(cast("bytes", data))


@every_loop
@pytest.mark.parametrize("is_on_disk", [True, False])
async def test_a_cancelled_download_leaves_files_on_disk_alone_and_does_not_wait_for_others(
    is_on_disk: bool,
) -> None:
    loop = asyncio.get_running_loop()
    async with connected() as (connection, peer):
        stream, theirs = await down(connection, peer)
        theirs.send(b"data")
        peer.flush()
        gate = Gate(is_on_disk=is_on_disk)
        downloading = asyncio.create_task(stream.download(cast("BinaryIO", gate)))
        await loop.run_in_executor(None, gate.is_waiting.wait, 20)
        downloading.cancel()
        if is_on_disk:
            for _ in range(10):
                await asyncio.sleep(0)
            assert not downloading.done()
            gate.may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await downloading
        assert gate.content == (b"data" if is_on_disk else b"")
        gate.may_go.set()
        await stream.abort()


@every_loop
async def test_files_of_many_packets_go_both_ways(tmp_path: Path) -> None:
    async with connected(Limits(stream_window=2 * STREAM_PACKET_MAX)) as (connection, peer):
        data = os.urandom(9 * STREAM_PACKET_MAX + 5)
        (tmp_path / "one").write_bytes(data)
        stream, theirs = await up(connection, peer)
        with (tmp_path / "one").open("rb") as file:
            assert await stream.upload(file) == len(data)
        assert await ended(stream, theirs, peer) == [data]
        back, theirs = await down(connection, peer)
        theirs.send(data)
        theirs.send_end()
        peer.flush()
        async with asyncio.timeout(DEADLINE):
            while channel_of(connection)._is_reading:
                await asyncio.sleep(0)
        with (tmp_path / "two").open("wb") as file:
            assert await back.download(file) == len(data)
            assert (tmp_path / "two").read_bytes() == data
        await back.abort()
