"""The volumes of a storage pool: their definitions and their contents.

Whoever calls holds the lock of ``Pools``, where the pool is listed.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model import documents
from rpcgen.examples.hypervisor.model.documents import attribute_at, put, text_at
from rpcgen.examples.hypervisor.model.errors import LibvirtError, invalid_operation
from rpcgen.examples.hypervisor.model.identity import check_name
from rpcgen.examples.hypervisor.model.sizes import scaled
from rpcgen.examples.hypervisor.model.sparse import Budget, DiskFullError, SparseBytes

E = VirErrorNumber
_FROM: Final = VirErrorDomain.VIR_FROM_STORAGE


class VolumeRef(NamedTuple):
    """A volume as others see it; its key is its path."""

    pool: str
    name: str
    key: str


class VolumeRequest(NamedTuple):
    """What a client says of a volume that is to be made.

    Attributes:
        capacity: bytes; None if it is that of the volume that is copied.
        allocation: bytes that are set aside.
    """

    name: str
    capacity: int | None
    allocation: int | None
    kind: str


def parse(xml: str) -> VolumeRequest:
    """What a client says.

    Raises:
        LibvirtError: it is not well-formed, or does not make a volume.
    """
    root = documents.parse(xml, "storage_volume_definition", "volume", _FROM)
    name = text_at(root, "name")
    if not name:
        raise LibvirtError(E.VIR_ERR_XML_ERROR, "missing volume name element", _FROM)
    return VolumeRequest(
        check_name(name, _FROM),
        _size(root, "capacity"),
        _size(root, "allocation"),
        attribute_at(root, "target/format", "type") or "raw",
    )


def _size(root: Element, tag: str) -> int | None:
    text = text_at(root, tag)
    if not text:
        return None
    number = documents.number(text)
    if number is None:
        raise LibvirtError(E.VIR_ERR_XML_ERROR, f"malformed {tag} element", _FROM)
    return scaled(number, attribute_at(root, tag, "unit"))


class Volume:
    """A volume.

    Attributes:
        name: unique in its pool.
        path: unique on the host; also its key.
        kind: the format of what is said to be in it.
        reserved: bytes set aside, whether they are used or not.
        content: what is in it.
        users: streams that read or write it.
    """

    def __init__(self, name: str, path: str, kind: str, content: SparseBytes) -> None:
        self.name = name
        self.path = path
        self.kind = kind
        self.reserved = 0
        self.content = content
        self.users = 0

    @property
    def capacity(self) -> int:
        """Bytes that it can hold."""
        return self.content.size

    @property
    def allocation(self) -> int:
        """Bytes that it takes of its pool."""
        return max(self.reserved, min(self.content.stored, self.content.size))

    def xml(self) -> str:
        """Its description."""
        root = Element("volume", type="file")
        put(root, "name", self.name)
        put(root, "key", self.path)
        put(root, "capacity", str(self.capacity), unit="bytes")
        put(root, "allocation", str(self.allocation), unit="bytes")
        target = put(root, "target")
        put(target, "path", self.path)
        put(target, "format", type=self.kind)
        return documents.write(root)

    def check_unused(self) -> None:
        """Refuse what would pull it away under a stream."""
        if self.users:
            raise invalid_operation(f"volume '{self.name}' is still in use.", _FROM)


def new_volume(request: VolumeRequest, folder: str, free: int, budget: Budget) -> Volume:
    """A volume of zeros.

    Args:
        folder: of its pool.
        free: bytes that the pool has left.

    Raises:
        LibvirtError: there is no capacity, or not as much space.
    """
    if request.capacity is None:
        raise LibvirtError(E.VIR_ERR_XML_ERROR, "missing capacity element", _FROM)
    reserved = request.capacity if request.allocation is None else request.allocation
    if reserved > free:
        raise not_enough_space(request.name)
    content = SparseBytes(request.capacity, budget)
    volume = Volume(request.name, f"{folder}/{request.name}", request.kind, content)
    volume.reserved = reserved
    return volume


def copied(
    original: Volume, request: VolumeRequest, folder: str, free: int, budget: Budget
) -> Volume:
    """A volume with the content of another, and no smaller; errors as with ``new_volume``."""
    capacity = max(original.capacity, request.capacity or 0)
    volume = new_volume(request._replace(capacity=capacity), folder, free, budget)
    try:
        volume.content.copy(original.content)
    except DiskFullError:
        volume.content.discard()
        raise not_enough_space(request.name) from None
    return volume


def not_enough_space(name: str) -> LibvirtError:
    """The pool, or the memory behind it, is full."""
    detail = f"Not enough free space in pool for volume '{name}'"
    return LibvirtError(E.VIR_ERR_INTERNAL_ERROR, detail)
