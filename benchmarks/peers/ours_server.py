"""Our server: ``python -m benchmarks.peers.ours_server async|plain|nonblocking asyncio|uvloop SOCKET``.

It answers what the load and our client workers ask for, with values that were made before: what is measured is the way
there and back.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from importlib import import_module

from benchmarks.peers.packets import complete, pieces
from benchmarks.peers.wire_load import INFO
from libvirt_rpc.remote_protocol.program import REMOTE_PROC_DOMAIN_GET_INFO
from libvirt_rpc.remote_protocol.server import RemoteServer
from libvirt_rpc.remote_protocol.types import (
    RemoteDomainGetInfoRet,
    RemoteNonnullDomain,
    RemoteNonnullStoragePool,
    RemoteNonnullStorageVol,
)
from rpcgen.runtime import Call, Server, StreamCall
from rpcgen.runtime.xdr import Buffer


class Session(RemoteServer):
    """What both kinds share: opening, and finding the volume."""

    async def connect_open(self, call: Call, name: str | None, flags: int) -> None:
        """Every name is welcome."""
        del call, name, flags

    async def storage_pool_lookup_by_name(self, call: Call, name: str) -> RemoteNonnullStoragePool:
        """There is one of every name."""
        del call
        return RemoteNonnullStoragePool(name, bytes(16))

    async def storage_vol_lookup_by_name(
        self, call: Call, pool: RemoteNonnullStoragePool, name: str
    ) -> RemoteNonnullStorageVol:
        """The same."""
        del call
        return RemoteNonnullStorageVol(pool.name, name, name)


class Plain(Session):
    """Handlers that run on workers, where nothing else is said."""

    def domain_get_info(self, call: Call, dom: RemoteNonnullDomain) -> RemoteDomainGetInfoRet:
        """What is always the same."""
        del call, dom
        return INFO

    def storage_vol_download(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> Iterator[Buffer]:
        """As many zeros as are wanted."""
        del call, vol, offset, flags
        yield from pieces(length)

    def storage_vol_upload(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> None:
        """Count what comes."""
        del vol, offset, flags
        for chunk in call.stream:
            length -= len(chunk)
        complete(length)


class Asynchronous(Session):
    """The same on the event loop."""

    async def domain_get_info(self, call: Call, dom: RemoteNonnullDomain) -> RemoteDomainGetInfoRet:
        """What is always the same."""
        del call, dom
        return INFO

    async def storage_vol_download(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> AsyncIterator[Buffer]:
        """As many zeros as are wanted."""
        del call, vol, offset, flags
        for piece in pieces(length):
            yield piece

    async def storage_vol_upload(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> None:
        """Count what comes."""
        del vol, offset, flags
        async for chunk in call.stream:
            length -= len(chunk)
        complete(length)


def main(handlers: str, loop: str, path: str) -> None:
    """Serve until told to end."""
    if handlers == "nonblocking":
        REMOTE_PROC_DOMAIN_GET_INFO.nonblocking = True  # as @nonblocking in the .x does
    program = Asynchronous() if handlers == "async" else Plain()
    factory = import_module("uvloop").new_event_loop if loop == "uvloop" else None
    Server([program], listen=[f"unix://{path}"], loop_factory=factory).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
