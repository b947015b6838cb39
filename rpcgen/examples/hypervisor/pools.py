"""Storage pools."""

from __future__ import annotations

from libvirt_rpc.remote_protocol.types import (
    RemoteConnectListAllStoragePoolsRet,
    RemoteNonnullStoragePool,
    RemoteNonnullStorageVol,
    RemoteStoragePoolGetInfoRet,
    RemoteStoragePoolListAllVolumesRet,
)
from rpcgen.examples.hypervisor.handlers import Handlers, shown, some
from rpcgen.examples.hypervisor.model.errors import invalid_argument
from rpcgen.examples.hypervisor.model.flags import (
    Define,
    PoolBuild,
    PoolCreate,
    PoolDelete,
    PoolList,
    PoolXml,
)
from rpcgen.examples.hypervisor.model.limits import POOL_CAPACITY
from rpcgen.examples.hypervisor.model.pool import PoolDefinition
from rpcgen.examples.hypervisor.model.volumes import VolumeRef
from rpcgen.examples.hypervisor.wire import pool_out, volume_out
from rpcgen.runtime import Call


class PoolHandlers(Handlers):
    """The lives of pools."""

    # Looking up

    def storage_pool_lookup_by_name(self, call: Call, name: str) -> RemoteNonnullStoragePool:
        return pool_out(self.host(call).pools.by_name(name))

    def storage_pool_lookup_by_uuid(self, call: Call, uuid: bytes) -> RemoteNonnullStoragePool:
        return pool_out(self.host(call).pools.by_uuid(uuid))

    def storage_pool_lookup_by_volume(
        self, call: Call, vol: RemoteNonnullStorageVol
    ) -> RemoteNonnullStoragePool:
        return pool_out(self.host(call).pools.by_name(vol.pool))

    def storage_pool_lookup_by_target_path(self, call: Call, path: str) -> RemoteNonnullStoragePool:
        return pool_out(self.host(call).pools.by_path(path))

    def connect_list_all_storage_pools(
        self, call: Call, need_results: int, flags: int
    ) -> RemoteConnectListAllStoragePoolsRet:
        found = self._pools(call, self.flags(call, PoolList, flags))
        return RemoteConnectListAllStoragePoolsRet(some(found, need_results), len(found))

    def connect_num_of_storage_pools(self, call: Call) -> int:
        return len(self._pools(call, PoolList.ACTIVE))

    def connect_list_storage_pools(self, call: Call, maxnames: int) -> list[str]:
        found = self._pools(call, PoolList.ACTIVE)
        return [pool.name for pool in found][: max(0, maxnames)]

    def connect_num_of_defined_storage_pools(self, call: Call) -> int:
        return len(self._pools(call, PoolList.INACTIVE))

    def connect_list_defined_storage_pools(self, call: Call, maxnames: int) -> list[str]:
        found = self._pools(call, PoolList.INACTIVE)
        return [pool.name for pool in found][: max(0, maxnames)]

    def storage_pool_list_all_volumes(
        self, call: Call, pool: RemoteNonnullStoragePool, need_results: int, flags: int
    ) -> RemoteStoragePoolListAllVolumesRet:
        self.no_flags(call, flags)
        found = [volume_out(volume) for volume in self._volumes(call, pool)]
        return RemoteStoragePoolListAllVolumesRet(some(found, need_results), len(found))

    def storage_pool_num_of_volumes(self, call: Call, pool: RemoteNonnullStoragePool) -> int:
        return len(self._volumes(call, pool))

    def storage_pool_list_volumes(
        self, call: Call, pool: RemoteNonnullStoragePool, maxnames: int
    ) -> list[str]:
        return [volume.name for volume in self._volumes(call, pool)][: max(0, maxnames)]

    def _pools(self, call: Call, flags: PoolList) -> list[RemoteNonnullStoragePool]:
        found = self.host(call).pools.listed(flags)
        return [pool_out(pool) for pool in shown(call, found)]

    def _volumes(self, call: Call, pool: RemoteNonnullStoragePool) -> list[VolumeRef]:
        return shown(call, self.host(call).pools.volumes(pool.uuid))

    # Definitions and states

    def storage_pool_define_xml(self, call: Call, xml: str, flags: int) -> RemoteNonnullStoragePool:
        host = self.host(call)
        self.flags(call, Define, flags)
        return pool_out(host.pools.define(PoolDefinition.parse(xml)))

    def storage_pool_create_xml(self, call: Call, xml: str, flags: int) -> RemoteNonnullStoragePool:
        host = self.host(call)
        self.flags(call, PoolCreate, flags)
        return pool_out(host.pools.create(PoolDefinition.parse(xml)))

    def storage_pool_undefine(self, call: Call, pool: RemoteNonnullStoragePool) -> None:
        self.host(call).pools.undefine(pool.uuid)

    def storage_pool_build(self, call: Call, pool: RemoteNonnullStoragePool, flags: int) -> None:
        host = self.host(call)
        self.flags(call, PoolBuild, flags)
        host.pools.build(pool.uuid)

    def storage_pool_delete(self, call: Call, pool: RemoteNonnullStoragePool, flags: int) -> None:
        host = self.host(call)
        self.flags(call, PoolDelete, flags)
        host.pools.erase(pool.uuid)

    def storage_pool_create(self, call: Call, pool: RemoteNonnullStoragePool, flags: int) -> None:
        host = self.host(call)
        self.flags(call, PoolCreate, flags)
        host.pools.start(pool.uuid)

    def storage_pool_destroy(self, call: Call, pool: RemoteNonnullStoragePool) -> None:
        self.host(call).pools.stop(pool.uuid)

    def storage_pool_refresh(self, call: Call, pool: RemoteNonnullStoragePool, flags: int) -> None:
        host = self.host(call)
        self.no_flags(call, flags)
        host.pools.refresh(pool.uuid)

    # What a pool is like

    def storage_pool_get_info(
        self, call: Call, pool: RemoteNonnullStoragePool
    ) -> RemoteStoragePoolGetInfoRet:
        with self.host(call).pools.locked(pool.uuid) as found:
            return RemoteStoragePoolGetInfoRet(
                found.state, POOL_CAPACITY, found.allocation, found.available
            )

    def storage_pool_get_xml_desc(
        self, call: Call, pool: RemoteNonnullStoragePool, flags: int
    ) -> str:
        host = self.host(call)
        self.flags(call, PoolXml, flags)
        with host.pools.locked(pool.uuid) as found:
            return found.xml()

    def storage_pool_is_active(self, call: Call, pool: RemoteNonnullStoragePool) -> int:
        with self.host(call).pools.locked(pool.uuid) as found:
            return int(found.is_active)

    def storage_pool_is_persistent(self, call: Call, pool: RemoteNonnullStoragePool) -> int:
        with self.host(call).pools.locked(pool.uuid) as found:
            return int(found.is_persistent)

    def storage_pool_get_autostart(self, call: Call, pool: RemoteNonnullStoragePool) -> int:
        with self.host(call).pools.locked(pool.uuid) as found:
            return int(found.autostart)

    def storage_pool_set_autostart(
        self, call: Call, pool: RemoteNonnullStoragePool, autostart: int
    ) -> None:
        with self.host(call).pools.locked(pool.uuid) as found:
            if not found.is_persistent:
                raise invalid_argument("pool has no config file")
            found.autostart = bool(autostart)
