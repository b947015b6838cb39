"""The server of the soak: ``python -m benchmarks.soaking.server SOCKET``.

Handlers of all kinds, plain and async, quick and slow, that answer, fail, or return what cannot be sent. What is logged
without having been asked for ends on standard error.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Iterator

from benchmarks.soaking.patterns import (
    ASYNC,
    BROKEN,
    Checksum,
    Deliberate,
    content,
    domain,
    network,
)
from benchmarks.soaking.watch import TIDY, tidy
from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.server import RemoteServer
from libvirt_rpc.remote_protocol.types import (
    RemoteDomainEventLifecycleMsg,
    RemoteNonnullDomain,
    RemoteNonnullNetwork,
    RemoteNonnullStorageVol,
)
from rpcgen.runtime import Call, RemoteError, Server, StreamCall, StreamData


class Soaked(RemoteServer):
    """See ``loads`` for who calls what, and what is expected."""

    async def connect_open(self, call: Call, name: str | None, flags: int) -> None:
        """Every name is welcome."""
        del call, name, flags

    def domain_lookup_by_name(self, call: Call, name: str) -> RemoteNonnullDomain:
        """On a worker."""
        del call
        return domain(name)

    async def network_lookup_by_name(self, call: Call, name: str) -> RemoteNonnullNetwork:
        """On the loop, without a pause."""
        del call
        return network(name)

    async def network_lookup_by_uuid(self, call: Call, uuid: bytes) -> RemoteNonnullNetwork:
        """On the loop, with one."""
        del call
        await asyncio.sleep(0)
        return RemoteNonnullNetwork("", uuid)

    async def domain_get_xml_desc(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> str:
        """After ``flags`` milliseconds."""
        del call
        await asyncio.sleep(flags / 1000)
        return f"<domain>{dom.name}</domain>"

    def domain_get_os_type(self, call: Call, dom: RemoteNonnullDomain) -> str:
        """After a few milliseconds of a worker."""
        del call
        time.sleep(0.005)
        return dom.name

    def domain_create(self, call: Call, dom: RemoteNonnullDomain) -> None:
        """Send an event first."""
        message = RemoteDomainEventLifecycleMsg(dom, 2, 0)
        self.send_domain_event_callback_lifecycle(call.session, 0, message)

    def domain_destroy(self, call: Call, dom: RemoteNonnullDomain) -> None:
        """Answer with an error."""
        del call
        raise RemoteError(VirErrorNumber.VIR_ERR_NO_DOMAIN, dom.name)

    async def domain_reset(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        """Fail."""
        del call, flags
        raise Deliberate(dom.name)

    def domain_reboot(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> None:
        """The same on a worker."""
        del call, flags
        raise Deliberate(dom.name)

    def storage_vol_download(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> StreamData:
        """Plain or async, after the pool; whole or broken, after the volume."""
        del call, offset, flags
        pieces = _pieces(vol, length)
        return _async_pieces(pieces) if vol.pool == ASYNC else pieces

    def storage_vol_upload(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> Awaitable[None] | None:
        """The same."""
        del offset, flags
        if vol.pool == ASYNC:
            return _take_async(call, vol, length)
        check = Checksum(vol.key, length)
        for chunk in call.stream:
            _take(check, chunk, vol)
        _judge(check)
        return None


def _pieces(vol: RemoteNonnullStorageVol, length: int) -> Iterator[bytes]:
    left = length
    for piece in content(vol.key, length):
        yield piece
        left -= len(piece)
        if vol.name == BROKEN and left < length // 2:
            raise RemoteError(VirErrorNumber.VIR_ERR_OPERATION_ABORTED, vol.key)


async def _async_pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _take_async(call: StreamCall[None], vol: RemoteNonnullStorageVol, length: int) -> None:
    check = Checksum(vol.key, length)
    async for chunk in call.stream:
        _take(check, chunk, vol)
    _judge(check)


def _take(check: Checksum, chunk: bytes, vol: RemoteNonnullStorageVol) -> None:
    check.add(chunk)
    if vol.name == BROKEN:
        raise RemoteError(VirErrorNumber.VIR_ERR_OPERATION_ABORTED, vol.key)


def _judge(check: Checksum) -> None:
    if problem := check.problem():
        raise RemoteError(VirErrorNumber.VIR_ERR_INTERNAL_ERROR, problem)


def _was_not_asked_for(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], Deliberate))


def main(path: str) -> None:
    """Serve until told to end."""
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger().handlers[0].addFilter(_was_not_asked_for)
    signal.signal(TIDY, lambda *_: tidy())
    # A pool of one size: what grew once would not shrink, and could not be told from a leak.
    Server([Soaked()], listen=[f"unix://{path}"], min_workers=20, max_workers=20).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
