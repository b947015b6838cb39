"""A volume while a stream reads or writes it: bytes and holes, from a position on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from os import strerror

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.errors import LibvirtError, invalid_argument
from rpcgen.examples.hypervisor.model.pools import Pools
from rpcgen.examples.hypervisor.model.sparse import DiskFullError
from rpcgen.examples.hypervisor.model.volumes import Volume, VolumeRef
from rpcgen.runtime.xdr import Buffer


class Transfer:
    """A position in a volume, which moves with what is read or written.

    Attributes:
        position: the next byte.
        end: where it must stop.
    """

    def __init__(
        self, pools: Pools, ref: VolumeRef, volume: Volume, position: int, end: int
    ) -> None:
        self._pools = pools
        self._ref = ref
        self._content = volume.content
        self.position = position
        self.end = end

    def write(self, data: Buffer) -> None:
        """Write at the position.

        Raises:
            LibvirtError: the volume ends, or there is no memory for it.
        """
        size = memoryview(data).nbytes
        with self._pools.locked_volume(self._ref):
            self._check_room(size)
            try:
                self._content.write(self.position, data)
            except DiskFullError:
                raise self._full() from None
        self.position += size

    def skip(self, length: int) -> None:
        """Write a hole at the position.

        Raises:
            LibvirtError: the volume ends.
        """
        with self._pools.locked_volume(self._ref):
            self._check_room(length)
            self._content.clear(self.position, length)
        self.position += length

    def read(self) -> Iterator[bytes | int]:
        """What there is from the position to the end: data, and the lengths of holes."""
        while self.position < self.end:
            with self._pools.locked_volume(self._ref):
                sections = self._content.sections(self.position, self.end - self.position)
                length, is_stored = next(sections)
                part = self._content.read(self.position, length) if is_stored else length
            self.position += length
            yield part

    def _check_room(self, size: int) -> None:
        if size > self.end - self.position:
            raise self._full()

    def _full(self) -> LibvirtError:
        return LibvirtError(
            VirErrorNumber.VIR_ERR_SYSTEM_ERROR,
            f"cannot write to volume '{self._ref.name}': {strerror(ENOSPC)}",
            VirErrorDomain.VIR_FROM_STREAMS,
            ENOSPC,
        )


@contextmanager
def transfer(pools: Pools, ref: VolumeRef, offset: int, length: int) -> Iterator[Transfer]:
    """Keep a volume in use for as long as the block lasts.

    Args:
        offset: the first byte.
        length: bytes that are allowed; 0 for all that there are.

    Raises:
        LibvirtError: there is no such volume, or no such byte.
    """
    with pools.locked_volume(ref) as volume:
        if offset > volume.capacity:
            detail = f"offset {offset} is behind the end of volume '{ref.name}'"
            raise invalid_argument(detail, VirErrorDomain.VIR_FROM_STORAGE)
        end = min(volume.capacity, offset + length) if length else volume.capacity
        volume.users += 1
    try:
        yield Transfer(pools, ref, volume, offset, end)
    finally:
        with pools.locked_volume(ref):
            volume.users -= 1
