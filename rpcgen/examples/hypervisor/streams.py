"""What flows: contents of volumes, a screen, a console."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain, RemoteNonnullStorageVol
from rpcgen.examples.hypervisor.handlers import Handlers
from rpcgen.examples.hypervisor.model.errors import invalid_argument, invalid_operation
from rpcgen.examples.hypervisor.model.flags import ConsoleOpen, VolumeStream
from rpcgen.examples.hypervisor.model.lifecycle import RUNNING
from rpcgen.examples.hypervisor.model.screen import MIME, screenshot
from rpcgen.examples.hypervisor.model.transfer import transfer
from rpcgen.examples.hypervisor.wire import domain_in, volume_in
from rpcgen.runtime import Hole, StreamCall
from rpcgen.runtime.limits import STREAM_PACKET_MAX

_ZEROS: Final = bytes(STREAM_PACKET_MAX)


class StreamHandlers(Handlers):
    """The streams of volumes and domains."""

    def storage_vol_upload(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> None:
        host = self.host(call)
        self.flags(call, VolumeStream, flags)
        with transfer(host.pools, volume_in(vol), offset, length) as volume:
            for section in call.stream.sections():
                if isinstance(section, Hole):
                    volume.skip(section.length)
                else:
                    volume.write(section)

    def storage_vol_download(
        self,
        call: StreamCall[None],
        vol: RemoteNonnullStorageVol,
        offset: int,
        length: int,
        flags: int,
    ) -> Iterator[bytes | Hole]:
        host = self.host(call)
        is_sparse = self.flags(call, VolumeStream, flags) & VolumeStream.SPARSE
        with transfer(host.pools, volume_in(vol), offset, length) as volume:
            for section in volume.read():
                if isinstance(section, bytes):
                    yield section
                elif is_sparse:
                    yield Hole(section)
                else:
                    yield from _zeros(section)

    def domain_screenshot(
        self, call: StreamCall[str | None], dom: RemoteNonnullDomain, screen: int, flags: int
    ) -> Iterator[bytes]:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            if screen:
                raise invalid_argument(f"there is no screen {screen}")
            picture = screenshot(domain.name, is_running=domain.state is RUNNING)
        call.reply(MIME)
        yield picture

    async def domain_open_console(
        self,
        call: StreamCall[None],
        dom: RemoteNonnullDomain,
        dev_name: str | None,
        flags: int,
    ) -> AsyncIterator[bytes]:
        """Send back what comes: there is nobody else in the guest."""
        host = self.host(call)
        self.flags(call, ConsoleOpen, flags)
        with host.domains.locked(domain_in(dom)) as domain:
            if not domain.is_active:
                raise invalid_operation("domain is not running")
        async for data in call.stream:
            yield data


def _zeros(length: int) -> Iterator[bytes]:
    """A hole, for those who cannot take it as one."""
    while length > 0:
        yield _ZEROS[:length]
        length -= len(_ZEROS)
