"""Storage volumes, without the streams into and out of them."""

from __future__ import annotations

from typing import Final

from libvirt_rpc.remote_protocol.types import (
    RemoteNonnullStoragePool,
    RemoteNonnullStorageVol,
    RemoteStorageVolGetInfoFlagsRet,
    RemoteStorageVolGetInfoRet,
)
from rpcgen.examples.hypervisor.handlers import Handlers
from rpcgen.examples.hypervisor.model import volumes
from rpcgen.examples.hypervisor.model.flags import (
    VolumeCreate,
    VolumeDelete,
    VolumeInfo,
    VolumeResize,
)
from rpcgen.examples.hypervisor.wire import volume_in, volume_out
from rpcgen.runtime import Call

_FILE: Final = 0
"""VIR_STORAGE_VOL_FILE."""


class VolumeHandlers(Handlers):
    """The lives of volumes."""

    def storage_vol_lookup_by_name(
        self, call: Call, pool: RemoteNonnullStoragePool, name: str
    ) -> RemoteNonnullStorageVol:
        return volume_out(self.host(call).pools.volume_by_name(pool.uuid, name))

    def storage_vol_lookup_by_key(self, call: Call, key: str) -> RemoteNonnullStorageVol:
        return volume_out(self.host(call).pools.volume_by_path(key, "key"))

    def storage_vol_lookup_by_path(self, call: Call, path: str) -> RemoteNonnullStorageVol:
        return volume_out(self.host(call).pools.volume_by_path(path, "path"))

    def storage_vol_create_xml(
        self, call: Call, pool: RemoteNonnullStoragePool, xml: str, flags: int
    ) -> RemoteNonnullStorageVol:
        host = self.host(call)
        self.flags(call, VolumeCreate, flags)
        return volume_out(host.pools.create_volume(pool.uuid, volumes.parse(xml)))

    def storage_vol_create_xml_from(
        self,
        call: Call,
        pool: RemoteNonnullStoragePool,
        xml: str,
        clonevol: RemoteNonnullStorageVol,
        flags: int,
    ) -> RemoteNonnullStorageVol:
        host = self.host(call)
        self.flags(call, VolumeCreate, flags)
        request, like = volumes.parse(xml), volume_in(clonevol)
        return volume_out(host.pools.create_volume(pool.uuid, request, like))

    def storage_vol_delete(self, call: Call, vol: RemoteNonnullStorageVol, flags: int) -> None:
        host = self.host(call)
        self.flags(call, VolumeDelete, flags)
        host.pools.delete_volume(volume_in(vol))

    def storage_vol_wipe(self, call: Call, vol: RemoteNonnullStorageVol, flags: int) -> None:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.pools.locked_volume(volume_in(vol)) as volume:
            volume.check_unused()
            volume.content.discard()

    def storage_vol_resize(
        self, call: Call, vol: RemoteNonnullStorageVol, capacity: int, flags: int
    ) -> None:
        host = self.host(call)
        wanted = self.flags(call, VolumeResize, flags)
        host.pools.resize_volume(volume_in(vol), capacity, wanted)

    def storage_vol_get_info(
        self, call: Call, vol: RemoteNonnullStorageVol
    ) -> RemoteStorageVolGetInfoRet:
        with self.host(call).pools.locked_volume(volume_in(vol)) as volume:
            return RemoteStorageVolGetInfoRet(_FILE, volume.capacity, volume.allocation)

    def storage_vol_get_info_flags(
        self, call: Call, vol: RemoteNonnullStorageVol, flags: int
    ) -> RemoteStorageVolGetInfoFlagsRet:
        host = self.host(call)
        wanted = self.flags(call, VolumeInfo, flags)
        with host.pools.locked_volume(volume_in(vol)) as volume:
            is_physical = wanted & VolumeInfo.PHYSICAL
            size = volume.capacity if is_physical else volume.allocation
            return RemoteStorageVolGetInfoFlagsRet(_FILE, volume.capacity, size)

    def storage_vol_get_path(self, call: Call, vol: RemoteNonnullStorageVol) -> str:
        with self.host(call).pools.locked_volume(volume_in(vol)) as volume:
            return volume.path

    def storage_vol_get_xml_desc(self, call: Call, vol: RemoteNonnullStorageVol, flags: int) -> str:
        host = self.host(call)
        self.no_flags(call, flags)
        with host.pools.locked_volume(volume_in(vol)) as volume:
            return volume.xml()
