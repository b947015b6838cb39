"""One storage pool: its definition, its state and its volumes.

Whoever calls holds the lock of ``Pools``, where it is listed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Self
from xml.etree.ElementTree import Element

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model import documents
from rpcgen.examples.hypervisor.model.documents import put, text_at
from rpcgen.examples.hypervisor.model.errors import LibvirtError, invalid_operation
from rpcgen.examples.hypervisor.model.events import Ref
from rpcgen.examples.hypervisor.model.flags import PoolList, passes
from rpcgen.examples.hypervisor.model.identity import check_name, new_uuid, parse_uuid, uuid_text
from rpcgen.examples.hypervisor.model.limits import POOL_CAPACITY
from rpcgen.examples.hypervisor.model.volumes import Volume

E = VirErrorNumber
FROM: Final = VirErrorDomain.VIR_FROM_STORAGE
_ORDER: Final = documents.ranks(
    "name", "uuid", "capacity", "allocation", "available", "features", "source", "target"
)
_OTHER_TYPES: Final = frozenset(
    {
        *("fs", "netfs", "logical", "disk", "iscsi", "iscsi-direct", "scsi", "mpath", "rbd"),
        *("sheepdog", "gluster", "zfs", "vstorage"),
    }
)


class PoolState(IntEnum):
    """What a pool does (virStoragePoolState)."""

    INACTIVE = 0
    RUNNING = 2


class PoolDefinition:
    """What a pool is made of.

    Attributes:
        root: its ``<pool>``, in libvirt's form, without sizes.
        name, uuid: unique on the host.
        path: the folder that its volumes claim to be in; unique, too.
    """

    def __init__(self, root: Element) -> None:
        self.root = root
        self.name = text_at(root, "name")
        self.uuid = parse_uuid(text_at(root, "uuid")) or bytes(16)
        self.path = text_at(root, "target/path").rstrip("/")

    @classmethod
    def parse(cls, xml: str) -> Self:
        """Read a description, and fill in what it leaves open.

        Raises:
            LibvirtError: it is not well-formed, or does not make a pool.
        """
        root = documents.parse(xml, "storage_pool_definition", "pool", FROM)
        _check_type(root.get("type"))
        name = text_at(root, "name")
        if not name:
            raise LibvirtError(E.VIR_ERR_XML_ERROR, "missing pool source name element", FROM)
        put(root, "name", check_name(name, FROM))
        text = text_at(root, "uuid")
        uuid = parse_uuid(text) if text else new_uuid()
        if uuid is None:
            raise LibvirtError(E.VIR_ERR_XML_ERROR, "malformed uuid element", FROM)
        put(root, "uuid", uuid_text(uuid))
        if not text_at(root, "target/path").startswith("/"):
            raise LibvirtError(E.VIR_ERR_XML_ERROR, "missing storage pool target path", FROM)
        if root.find("source") is None:
            put(root, "source")
        return cls(root)


def _check_type(kind: str | None) -> None:
    if kind is None:
        text = "Missing required attribute 'type' in element 'pool'"
    elif kind in _OTHER_TYPES:
        code = E.VIR_ERR_CONFIG_UNSUPPORTED
        raise LibvirtError(code, f"only pools of type 'dir' are available, not '{kind}'", FROM)
    else:
        text = f"Invalid value for attribute 'type' in element 'pool': '{kind}'."
    if kind != "dir":
        raise LibvirtError(E.VIR_ERR_XML_ERROR, text, VirErrorDomain.VIR_FROM_XML)


class Pool:
    """A pool.

    Attributes:
        definition: what it is made of.
        is_active: whether its volumes can be reached.
        is_persistent: whether it is kept when it is stopped.
        autostart: whether it starts with its host.
        volumes: by name.
    """

    def __init__(self, definition: PoolDefinition, *, is_persistent: bool) -> None:
        self.definition = definition
        self.is_active = False
        self.is_persistent = is_persistent
        self.autostart = False
        self.volumes: dict[str, Volume] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name

    @property
    def uuid(self) -> bytes:
        """16 bytes."""
        return self.definition.uuid

    @property
    def ref(self) -> Ref:
        """How others see it."""
        return Ref(self.name, self.uuid)

    @property
    def state(self) -> PoolState:
        """What it does."""
        return PoolState.RUNNING if self.is_active else PoolState.INACTIVE

    @property
    def allocation(self) -> int:
        """Bytes that its volumes take."""
        return sum(volume.allocation for volume in self.volumes.values())

    @property
    def available(self) -> int:
        """Bytes that it has left."""
        return max(0, POOL_CAPACITY - self.allocation)

    def volume(self, name: str) -> Volume:
        """A volume of an active pool.

        Raises:
            LibvirtError: the pool is not active, or has no such volume.
        """
        self.check_active()
        if name not in self.volumes:
            detail = f"no storage vol with matching name '{name}'"
            raise LibvirtError(E.VIR_ERR_NO_STORAGE_VOL, detail)
        return self.volumes[name]

    def check_active(self) -> None:
        """Refuse what needs volumes."""
        if not self.is_active:
            raise invalid_operation(f"storage pool '{self.name}' is not active")

    def check_inactive(self) -> None:
        """Refuse what would change the pool under its volumes."""
        if self.is_active:
            raise invalid_operation(f"storage pool '{self.name}' is active")

    def check_unused(self) -> None:
        """Refuse what would pull volumes away under a stream."""
        for volume in self.volumes.values():
            volume.check_unused()

    def xml(self) -> str:
        """Its description, with its sizes now."""
        root = Element("pool", dict(self.definition.root.attrib))
        root[:] = self.definition.root[:]
        put(root, "capacity", str(POOL_CAPACITY), unit="bytes")
        put(root, "allocation", str(self.allocation), unit="bytes")
        put(root, "available", str(self.available), unit="bytes")
        documents.arrange(root, _ORDER)
        return documents.write(root, expanded=frozenset({"source"}))

    def is_listed(self, flags: PoolList) -> bool:
        """Whether a list with these filters has it."""
        active, persistent, autostart = self.is_active, self.is_persistent, self.autostart
        return passes(
            flags,
            {PoolList.ACTIVE: active, PoolList.INACTIVE: not active},
            {PoolList.PERSISTENT: persistent, PoolList.TRANSIENT: not persistent},
            {PoolList.AUTOSTART: autostart, PoolList.NO_AUTOSTART: not autostart},
            {PoolList.DIR: True, PoolList.OTHER_TYPES: False},
        )
