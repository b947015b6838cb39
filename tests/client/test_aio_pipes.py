"""Pipes on streams of the asyncio client: those that give or take nothing keep nobody from going."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import BinaryIO

import pytest
from client.aio_peer import DEADLINE, DOWN, UP, Flags, Peer, connected, every_loop
from peers import open_fds

from rpcgen.runtime.client.aio_stream import AsyncStream
from rpcgen.runtime.streams import Stream

DATA = bytes(range(256)) * 4096
"""1 MiB: more than a pipe takes."""


@asynccontextmanager
async def uploading() -> AsyncIterator[tuple[AsyncStream[None], Stream, Peer]]:
    """Both ends of a stream to the server."""
    async with connected() as (connection, peer):
        stream: AsyncStream[None] = connection.open_stream(UP, Flags(0), lambda _: None, None)
        yield stream, await entered(stream, peer), peer


@asynccontextmanager
async def downloading(*, is_ended: bool) -> AsyncIterator[tuple[AsyncStream[int], Peer]]:
    """A stream to the client that has brought data and, between it, a hole."""
    async with connected() as (connection, peer):
        stream: AsyncStream[int] = connection.open_stream(DOWN, Flags(1), int, None)
        theirs = await entered(stream, peer)
        theirs.sparse = True
        theirs.send(DATA)
        theirs.send_hole(len(DATA))
        theirs.send(b"end")
        if is_ended:
            theirs.send_end()
        peer.flush()
        yield stream, peer


async def entered(stream: AsyncStream[int] | AsyncStream[None], peer: Peer) -> Stream:
    entering = asyncio.create_task(stream.__aenter__())
    call = await peer.call()
    assert call.stream is not None
    peer.reply(call, 0 if call.route.procedure is DOWN else None)
    await entering
    return call.stream


def received(theirs: Stream) -> bytes:
    pieces = []
    while (item := theirs.take()) is not None:
        assert isinstance(item, bytes)
        pieces.append(item)
    return b"".join(pieces)


async def full(fd: int) -> None:
    """Wait until a pipe takes nothing any more."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    async with asyncio.timeout(DEADLINE):
        while await asyncio.to_thread(poll.poll, 0):
            pass


async def cancelled(task: asyncio.Task[int]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def nobody_inside() -> None:
    """Wait until no thread works on a file any more."""
    async with asyncio.timeout(DEADLINE):
        while "rpcgen file" in [thread.name for thread in threading.enumerate()]:
            await asyncio.sleep(0)


# Who gives nothing


@every_loop
@pytest.mark.parametrize("buffering", [-1, 0])
async def test_a_cancelled_upload_leaves_a_silent_pipe_alone(buffering: int) -> None:
    async with uploading() as (stream, theirs, peer):
        out, into = os.pipe()
        before = open_fds()
        other = os.dup(out)
        with open(out, "rb", buffering) as file:
            task = asyncio.create_task(stream.upload(file))
            os.write(into, b"first")
            await peer.until(lambda: theirs.queued)
            assert received(theirs) == b"first"
            await cancelled(task)
        await nobody_inside()
        os.write(into, b"second")
        assert os.read(other, 10) == b"second"
        os.close(other)
        assert open_fds() == before - {str(out)}
        os.close(into)
        await stream.abort()


@every_loop
async def test_what_a_buffer_has_is_sent_before_what_comes() -> None:
    async with uploading() as (stream, theirs, peer):
        out, into = os.pipe()
        with open(out, "rb") as file:
            os.write(into, b"head, one, ")
            assert file.read(6) == b"head, "
            os.write(into, b"two")
            os.close(into)
            assert await stream.upload(file) == 8
        await peer.until(lambda: theirs.queued)
        assert received(theirs) == b"one, two"
        await stream.abort()


# Who takes nothing


@every_loop
@pytest.mark.parametrize("buffering", [-1, 0])
async def test_a_cancelled_download_leaves_a_full_pipe_alone(buffering: int) -> None:
    async with downloading(is_ended=False) as (stream, _):
        out, into = os.pipe()
        before = open_fds()
        with open(into, "wb", buffering) as file:
            task = asyncio.create_task(stream.download(file))
            await full(into)
            await cancelled(task)
            await nobody_inside()
        assert open_fds() == before - {str(into)}
        with open(out, "rb") as end:
            assert DATA.startswith(end.read())
        await stream.abort()


@every_loop
@pytest.mark.parametrize("buffering", [-1, 0])
async def test_a_pipe_gets_everything_in_order(buffering: int) -> None:
    async with downloading(is_ended=True) as (stream, _):
        out, into = os.pipe()
        with open(out, "rb") as end, open(into, "wb", buffering) as file:
            file.write(b"head")
            reading = asyncio.create_task(asyncio.to_thread(end.read))
            progress: list[int] = []
            size = 2 * len(DATA) + 3
            assert await stream.download(file, progress=progress.append) == size
            assert progress == sorted(progress)
            assert progress[-1] == size
            await nobody_inside()
            file.close()
            assert await reading == b"head" + DATA + bytes(len(DATA)) + b"end"
        await stream.abort()


@every_loop
async def test_a_pipe_without_a_reader_aborts_the_download() -> None:
    async with downloading(is_ended=False) as (stream, _):
        out, into = os.pipe()
        with open(into, "wb") as file:
            task = asyncio.create_task(stream.download(file))
            await full(into)
            os.close(out)
            with pytest.raises(BrokenPipeError):
                await task
        await stream.abort()


# The end of the process


class Stuck(io.RawIOBase):
    """A file that is no pipe, and gives nothing for ever."""

    def readable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        threading.Event().wait()
        raise AssertionError("nobody sets it")


def say_that_it_waits() -> None:
    sys.stdout.write("waits\n")
    sys.stdout.flush()


async def waiting_upload(file: BinaryIO) -> None:
    async with uploading() as (stream, _, _):
        with file:
            task = asyncio.create_task(stream.upload(file))
            for _turn in range(10):
                await asyncio.sleep(0)
            say_that_it_waits()
            await task


async def waiting_download() -> None:
    async with downloading(is_ended=False) as (stream, _):
        _, into = os.pipe()
        with open(into, "wb") as file:
            task = asyncio.create_task(stream.download(file))
            await full(into)
            say_that_it_waits()
            await task


@pytest.mark.parametrize(
    "main",
    [
        'waiting_upload(open(os.pipe()[0], "rb"))',
        "waiting_upload(pipes.Stuck())",
        "waiting_download()",
    ],
)
def test_an_interrupt_ends_the_process(main: str) -> None:
    program = f"import asyncio, os, client.test_aio_pipes as pipes\nasyncio.run(pipes.{main})"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waits\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    assert errors.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT
