"""The storage pools of a host, and the ways to their volumes.

Every method takes the lock for as long as it lasts; ``locked`` and ``locked_volume`` give it
to others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.catalogue import Catalogue
from rpcgen.examples.hypervisor.model.errors import (
    LibvirtError,
    invalid_argument,
    invalid_operation,
)
from rpcgen.examples.hypervisor.model.events import (
    PoolChange,
    PoolLifecycle,
    PoolRefreshed,
    Publish,
    Ref,
)
from rpcgen.examples.hypervisor.model.flags import PoolList, VolumeResize
from rpcgen.examples.hypervisor.model.identity import uuid_text
from rpcgen.examples.hypervisor.model.limits import OBJECTS_MAX, STORED_MAX
from rpcgen.examples.hypervisor.model.pool import Pool, PoolDefinition
from rpcgen.examples.hypervisor.model.sparse import Budget
from rpcgen.examples.hypervisor.model.volumes import (
    Volume,
    VolumeRef,
    VolumeRequest,
    copied,
    new_volume,
    not_enough_space,
)

E = VirErrorNumber
_FROM: Final = VirErrorDomain.VIR_FROM_STORAGE


class Pools:
    """All pools of a host.

    Args:
        publish: is told of what happens to them.
    """

    def __init__(self, publish: Publish) -> None:
        self._all: Catalogue[Pool] = Catalogue("pool", _FROM)
        self._publish = publish
        self._budget = Budget(STORED_MAX)

    # Looking up

    def by_name(self, name: str) -> Ref:
        """The pool of that name.

        Raises:
            LibvirtError: there is none (VIR_ERR_NO_STORAGE_POOL).
        """
        with self._all.lock:
            return self._by_name(name).ref

    def by_uuid(self, uuid: bytes) -> Ref:
        """The pool with that UUID; errors as with ``by_name``."""
        with self.locked(uuid) as pool:
            return pool.ref

    def by_path(self, path: str) -> Ref:
        """The pool whose volumes are in that folder; errors as with ``by_name``."""
        with self._all.lock:
            folder = path.rstrip("/")
            pools = (pool for pool in self._all if pool.definition.path == folder)
            return _found(next(pools, None), f"target path '{path}'").ref

    def listed(self, flags: PoolList) -> list[Ref]:
        """Those that the filters let through."""
        with self._all.lock:
            return [pool.ref for pool in self._all if pool.is_listed(flags)]

    @contextmanager
    def locked(self, uuid: bytes) -> Iterator[Pool]:
        """A pool, for as long as the block lasts; errors as with ``by_name``."""
        with self._all.lock:
            yield _found(self._all.by_uuid(uuid), f"uuid '{uuid_text(uuid)}'")

    @contextmanager
    def locked_volume(self, ref: VolumeRef) -> Iterator[Volume]:
        """A volume, for as long as the block lasts.

        Raises:
            LibvirtError: it, or its pool, is not there, or the pool is not active.
        """
        with self._all.lock:
            yield self._by_name(ref.pool).volume(ref.name)

    def volume_by_name(self, uuid: bytes, name: str) -> VolumeRef:
        """The volume of that name in a pool; errors as with ``locked_volume``."""
        with self.locked(uuid) as pool:
            return _volume_ref(pool, pool.volume(name))

    def volume_by_path(self, path: str, what: str) -> VolumeRef:
        """The volume with that path in an active pool; errors as with ``locked_volume``.

        Args:
            what: "path" or "key", which are the same.
        """
        with self._all.lock:
            for pool in self._all:
                for volume in pool.volumes.values() if pool.is_active else ():
                    if volume.path == path:
                        return _volume_ref(pool, volume)
        detail = f"no storage vol with matching {what} '{path}'"
        raise LibvirtError(E.VIR_ERR_NO_STORAGE_VOL, detail)

    def volumes(self, uuid: bytes) -> list[VolumeRef]:
        """The volumes of an active pool.

        Raises:
            LibvirtError: it is not there, or is not active.
        """
        with self.locked(uuid) as pool:
            pool.check_active()
            return [_volume_ref(pool, volume) for volume in pool.volumes.values()]

    # Pools

    def define(self, definition: PoolDefinition) -> Ref:
        """Make a pool persistent, or change what it is made of.

        Raises:
            LibvirtError: name, UUID or folder are another's, or volumes are in its old folder.
        """
        with self._all.lock:
            pool = self._admit(definition, is_persistent=True)
            self._tell(pool, PoolChange.DEFINED)
            return pool.ref

    def create(self, definition: PoolDefinition) -> Ref:
        """Start a pool that is not kept; errors as with ``define`` and ``start``."""
        with self._all.lock:
            pool = self._admit(definition, is_persistent=False)
            self.start(pool.uuid)
            return pool.ref

    def start(self, uuid: bytes) -> None:
        """Make the volumes of a pool reachable.

        Raises:
            LibvirtError: it is not there, or is active already.
        """
        with self.locked(uuid) as pool:
            pool.check_inactive()
            pool.is_active = True
            self._tell(pool, PoolChange.STARTED)

    def stop(self, uuid: bytes) -> None:
        """Make the volumes of a pool unreachable.

        Raises:
            LibvirtError: it is not there, is not active, or a stream uses a volume.
        """
        with self.locked(uuid) as pool:
            pool.check_active()
            pool.check_unused()
            pool.is_active = False
            if not pool.is_persistent:
                self._forget(pool)
            self._tell(pool, PoolChange.STOPPED)

    def undefine(self, uuid: bytes) -> None:
        """Forget a pool and its volumes.

        Raises:
            LibvirtError: it is not there, or is active.
        """
        with self.locked(uuid) as pool:
            pool.check_inactive()
            self._forget(pool)
            self._tell(pool, PoolChange.UNDEFINED)

    def build(self, uuid: bytes) -> None:
        """Make the folder; errors as with ``undefine``."""
        with self.locked(uuid) as pool:
            pool.check_inactive()
            self._tell(pool, PoolChange.CREATED)

    def erase(self, uuid: bytes) -> None:
        """Delete the folder with all volumes; errors as with ``undefine``."""
        with self.locked(uuid) as pool:
            pool.check_inactive()
            _discard_volumes(pool)
            self._tell(pool, PoolChange.DELETED)

    def refresh(self, uuid: bytes) -> None:
        """Look for volumes again.

        Raises:
            LibvirtError: it is not there, or is not active.
        """
        with self.locked(uuid) as pool:
            pool.check_active()
            self._publish(PoolRefreshed(pool.ref))

    # Volumes

    def create_volume(
        self, uuid: bytes, request: VolumeRequest, like: VolumeRef | None = None
    ) -> VolumeRef:
        """Make a volume, of zeros or with the content of another.

        Raises:
            LibvirtError: there is one of that name, no space, or no such other volume.
        """
        with self.locked(uuid) as pool:
            pool.check_active()
            if request.name in pool.volumes:
                raise LibvirtError(E.VIR_ERR_OPERATION_FAILED, "storage vol already exists")
            if len(pool.volumes) >= OBJECTS_MAX:
                detail = f"the pool has {OBJECTS_MAX} volumes already"
                raise LibvirtError(E.VIR_ERR_OPERATION_FAILED, detail)
            volume = self._new_volume(pool, request, like)
            pool.volumes[volume.name] = volume
            return _volume_ref(pool, volume)

    def delete_volume(self, ref: VolumeRef) -> None:
        """Delete a volume.

        Raises:
            LibvirtError: it is not there, or a stream uses it.
        """
        with self._all.lock:
            pool = self._by_name(ref.pool)
            volume = pool.volume(ref.name)
            volume.check_unused()
            volume.content.discard()
            del pool.volumes[volume.name]

    def resize_volume(self, ref: VolumeRef, capacity: int, flags: VolumeResize) -> None:
        """Make a volume larger, or smaller if the flags say so.

        Args:
            capacity: bytes; how many more or less, if the flags say so.

        Raises:
            LibvirtError: it is not there, in use, would become smaller, or there is no space.
        """
        with self.locked_volume(ref) as volume:
            volume.check_unused()
            size = _new_capacity(volume.capacity, capacity, flags)
            more = size - volume.allocation if flags & VolumeResize.ALLOCATE else 0
            if more > self._by_name(ref.pool).available:
                raise not_enough_space(ref.name)
            volume.content.resize(size)
            volume.reserved = size if more > 0 else min(volume.reserved, size)

    def _new_volume(self, pool: Pool, request: VolumeRequest, like: VolumeRef | None) -> Volume:
        folder, free = pool.definition.path, pool.available
        if like is None:
            return new_volume(request, folder, free, self._budget)
        with self.locked_volume(like) as original:
            return copied(original, request, folder, free, self._budget)

    def _admit(self, definition: PoolDefinition, *, is_persistent: bool) -> Pool:
        pool = self._all.place_for(definition.name, definition.uuid)
        self._check_folder(definition)
        if pool is None:
            pool = Pool(definition, is_persistent=is_persistent)
            self._all.add(pool)
        elif pool.is_active and not is_persistent:
            raise invalid_operation(f"pool is already active as '{pool.name}'", _FROM)
        elif pool.definition.path != definition.path:
            pool.check_inactive()
        pool.definition = definition
        pool.is_persistent |= is_persistent
        return pool

    def _check_folder(self, definition: PoolDefinition) -> None:
        for other in self._all:
            if other.uuid != definition.uuid and other.definition.path == definition.path:
                detail = f"Storage source conflict with pool: '{other.name}'"
                raise LibvirtError(E.VIR_ERR_OPERATION_FAILED, detail, _FROM)

    def _by_name(self, name: str) -> Pool:
        return _found(self._all.by_name(name), f"name '{name}'")

    def _forget(self, pool: Pool) -> None:
        _discard_volumes(pool)
        self._all.discard(pool)

    def _tell(self, pool: Pool, change: PoolChange) -> None:
        self._publish(PoolLifecycle(pool.ref, change))


def _new_capacity(old: int, capacity: int, flags: VolumeResize) -> int:
    shrinks = bool(flags & VolumeResize.SHRINK)
    if flags & VolumeResize.DELTA:
        capacity = old - capacity if shrinks else old + capacity
    if capacity < 0 or (capacity < old and not shrinks):
        detail = (
            "Can't shrink capacity below current capacity unless shrink flag explicitly specified"
        )
        raise invalid_argument(detail, _FROM)
    return capacity


def _discard_volumes(pool: Pool) -> None:
    for volume in pool.volumes.values():
        volume.content.discard()
    pool.volumes.clear()


def _volume_ref(pool: Pool, volume: Volume) -> VolumeRef:
    return VolumeRef(pool.name, volume.name, volume.path)


def _found(pool: Pool | None, what: str) -> Pool:
    if pool is None:
        raise LibvirtError(E.VIR_ERR_NO_STORAGE_POOL, f"no storage pool with matching {what}")
    return pool
