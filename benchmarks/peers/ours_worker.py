"""Our clients as workers: ``python -m benchmarks.peers.ours_worker sync|asyncio|uvloop calls|streams SOCKET NAME``.

NAME is what CONNECT_OPEN opens. The operations are those of ``libvirt_worker``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any, Final

from benchmarks.peers import worker
from benchmarks.peers.libvirtd import DOMAINS, NAME, POOL, VOLUME
from benchmarks.peers.packets import complete, pieces
from benchmarks.peers.worker import Operations
from libvirt_rpc.remote_protocol.client import AsyncRemoteClient, RemoteClient
from rpcgen.runtime import connect, connect_async

THREADS: Final = 8
IN_FLIGHT: Final = 64


# The sync client


def calls(remote: RemoteClient) -> Operations:
    """Operations against the test driver."""
    domain = remote.domain_lookup_by_name(NAME)
    pool = ThreadPoolExecutor(THREADS)

    def sequential(number: int) -> None:
        for _ in range(number):
            remote.domain_get_info(domain)

    def threads(number: int) -> None:
        list(pool.map(sequential, [number // THREADS] * THREADS))

    def listing(number: int) -> None:
        for _ in range(number):
            complete(DOMAINS - len(remote.connect_list_all_domains(1).domains))

    return {"sequential": sequential, "threads": threads, "list": listing}


def streams(remote: RemoteClient) -> Operations:
    """Operations against the storage driver."""
    volume = remote.storage_vol_lookup_by_name(remote.storage_pool_lookup_by_name(POOL), VOLUME)

    def download(size: int) -> None:
        left = size
        with remote.storage_vol_download(volume, 0, size) as stream:
            for chunk in stream:
                left -= len(chunk)
        complete(left)

    def upload(size: int) -> None:
        with remote.storage_vol_upload(volume, 0, size) as stream:
            for piece in pieces(size):
                stream.write(piece)

    return {"download": download, "upload": upload}


# The asyncio client

AsyncOperations = dict[str, Callable[[int], Coroutine[Any, Any, None]]]


async def async_calls(remote: AsyncRemoteClient) -> AsyncOperations:
    """Operations against the test driver."""
    domain = await remote.domain_lookup_by_name(NAME)

    async def sequential(number: int) -> None:
        for _ in range(number):
            await remote.domain_get_info(domain)

    async def in_flight(number: int) -> None:
        await asyncio.gather(*(sequential(number // IN_FLIGHT) for _ in range(IN_FLIGHT)))

    async def listing(number: int) -> None:
        for _ in range(number):
            complete(DOMAINS - len((await remote.connect_list_all_domains(1)).domains))

    return {"sequential": sequential, "in flight": in_flight, "list": listing}


async def async_streams(remote: AsyncRemoteClient) -> AsyncOperations:
    """Operations against the storage driver."""
    pool = await remote.storage_pool_lookup_by_name(POOL)
    volume = await remote.storage_vol_lookup_by_name(pool, VOLUME)

    async def download(size: int) -> None:
        left = size
        async with remote.storage_vol_download(volume, 0, size) as stream:
            async for chunk in stream:
                left -= len(chunk)
        complete(left)

    async def upload(size: int) -> None:
        async with remote.storage_vol_upload(volume, 0, size) as stream:
            for piece in pieces(size):
                await stream.write(piece)

    return {"download": download, "upload": upload}


def _serve_sync(what: str, address: str, name: str) -> None:
    with connect(address) as connection:
        remote = RemoteClient(connection)
        remote.connect_open(name)
        worker.serve({"calls": calls, "streams": streams}[what](remote))


def _serve_async(runner: asyncio.Runner, what: str, address: str, name: str) -> None:
    """Between operations the loop stands still, and nothing is measured."""

    async def opened(stack: AsyncExitStack) -> AsyncOperations:
        remote = AsyncRemoteClient(await stack.enter_async_context(connect_async(address)))
        await remote.connect_open(name)
        return await {"calls": async_calls, "streams": async_streams}[what](remote)

    def blocking(operation: Callable[[int], Coroutine[Any, Any, None]]) -> Callable[[int], object]:
        return lambda number: runner.run(operation(number))

    stack = AsyncExitStack()
    try:
        operations = runner.run(opened(stack))
        worker.serve({key: blocking(operation) for key, operation in operations.items()})
    finally:
        runner.run(stack.aclose())


def main(kind: str, what: str, path: str, name: str) -> None:
    """Connect, then do as told."""
    address = f"unix://{path}"
    if kind == "sync":
        _serve_sync(what, address, name)
        return
    factory = import_module("uvloop").new_event_loop if kind == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        _serve_async(runner, what, address, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
