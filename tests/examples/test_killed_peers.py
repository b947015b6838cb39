"""Peers that are killed: what is under way fails at once with the reason, and nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from server.kit import descriptors, is_listening, settle

from rpcgen.examples.filer.bindings.filer.client import AsyncFilerV1Client, FilerV1Client
from rpcgen.examples.filer.server import Filer
from rpcgen.runtime import ConnectionClosed, Server, connect, connect_async

DEADLINE = 30.0
"""Seconds after which something that happens at once has not happened."""

SIZE = 1 << 30
"""Bytes of a file that is one hole: more than any buffer between two processes."""

CLIENT = """
import sys
from rpcgen.examples.filer.bindings.filer.client import FilerV1Client
from rpcgen.runtime import connect

connection = connect(sys.argv[1])
filer = FilerV1Client(connection)
with filer.download("big") as down, filer.upload("new", False) as up:
    down.read()
    up.write(bytes(1_000_000))
    print("in the middle", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "big").open("wb") as file:
        file.truncate(SIZE)
    return root


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process of ours, which is killed at the latest when the block is left."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def server(root: Path, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own."""
    path = tmp_path / "s"
    address = f"unix://{path}"
    with started("-m", "rpcgen.examples.filer", os.fspath(root), address) as process:
        settle(lambda: is_listening(address))
        yield address, process


def test_a_server_that_is_killed_in_calls_of_threads(
    server: tuple[str, subprocess.Popen[str]],
) -> None:
    address, process = server
    before = descriptors()
    with connect(address) as connection, ThreadPoolExecutor(8) as threads:
        filer = FilerV1Client(connection)

        def downloads() -> None:
            with filer.download("big") as stream:
                stream.read()
                process.send_signal(signal.SIGSTOP)
                calls = [threads.submit(filer.list_folder, "") for _ in range(8)]
                settle(lambda: len(connection._core.calls) == 8)
                process.kill()
                errors = [call.exception(DEADLINE) for call in calls]
                assert [type(error) for error in errors] == [ConnectionClosed] * 8
                for _ in stream:
                    pass  # what came before still counts

        with pytest.raises(ConnectionClosed, match=r"connection lost|the server closed"):
            downloads()
        with pytest.raises(ConnectionClosed):
            filer.list_folder("")
    assert descriptors() == before


def test_a_server_that_is_killed_in_calls_of_tasks(
    server: tuple[str, subprocess.Popen[str]],
) -> None:
    address, process = server

    async def main() -> list[BaseException | object]:
        async with connect_async(address) as connection:
            filer = AsyncFilerV1Client(connection)
            await filer.list_folder("")
            process.send_signal(signal.SIGSTOP)
            calls = [asyncio.ensure_future(filer.list_folder("")) for _ in range(64)]
            while len(connection._channel.core.calls) < 64:
                await asyncio.sleep(0)
            process.kill()
            async with asyncio.timeout(DEADLINE):
                return await asyncio.gather(*calls, return_exceptions=True)

    before = descriptors()
    results = asyncio.run(main())
    assert len(results) == 64
    assert all(isinstance(result, ConnectionClosed) for result in results)
    assert descriptors() == before


def test_clients_that_are_killed_in_streams(root: Path, tmp_path: Path) -> None:
    with Server([Filer(root)], listen=[f"unix://{tmp_path / 's'}"]) as server:

        def some() -> None:
            with started("-c", CLIENT, server.addresses[0]) as client:
                assert client.stdout is not None
                assert client.stdout.readline() == "in the middle\n"
                assert server.statistics.clients == 1
                client.kill()
            settle(lambda: server.statistics.clients == 0)
            settle(lambda: server.statistics.stream_threads == 0)
            gc.collect()
            assert sorted(os.listdir(root)) == ["big"]  # no half of an upload

        some()
        before = descriptors(), len(gc.get_objects())
        for _ in range(3):
            some()
        assert descriptors() == before[0]
        assert len(gc.get_objects()) - before[1] < 200
