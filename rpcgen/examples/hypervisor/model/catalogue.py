"""A list of objects, none of which shares its name or its UUID with another.

Domains, networks and pools are kept in one each. Its lock is the lock of all that is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import RLock
from typing import Final, Generic, Protocol, TypeVar

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.identity import uuid_text
from rpcgen.examples.hypervisor.model.limits import OBJECTS_MAX


class Named(Protocol):
    """What can be listed."""

    @property
    def name(self) -> str:
        """Unique in its catalogue; may change while the lock is held."""

    @property
    def uuid(self) -> bytes:
        """Unique in its catalogue; never changes."""


T = TypeVar("T", bound=Named)


class Catalogue(Generic[T]):
    """Objects by UUID, in the order in which they came.

    Args:
        label: what errors call one of them.
        domain: who reports that one stands in the way.

    Attributes:
        lock: to be held by whoever looks at the objects or changes them.
    """

    def __init__(self, label: str, domain: VirErrorDomain) -> None:
        self.lock: Final = RLock()
        self._label = label
        self._domain = domain
        self._items: dict[bytes, T] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._items.values()))

    def by_uuid(self, uuid: bytes) -> T | None:
        """The object with that UUID."""
        return self._items.get(uuid)

    def by_name(self, name: str) -> T | None:
        """The object with that name."""
        return next((item for item in self._items.values() if item.name == name), None)

    def place_for(self, name: str, uuid: bytes) -> T | None:
        """What a definition with that name and UUID would replace; None if it is new.

        Raises:
            LibvirtError: the name or the UUID is another's, or the list is full.
        """
        found = self.by_uuid(uuid)
        if found and found.name != name:
            self._fail(f"'{found.name}' is already defined with uuid {uuid_text(uuid)}")
        other = self.by_name(name)
        if other and other.uuid != uuid:
            self._fail(f"'{name}' already exists with uuid {uuid_text(other.uuid)}")
        if not found and len(self._items) >= OBJECTS_MAX:
            self._fail(f"'{name}' is one more than {OBJECTS_MAX}")
        return found

    def add(self, item: T) -> None:
        """List an object for which ``place_for`` has found a place."""
        self._items[item.uuid] = item

    def discard(self, item: T) -> None:
        """Forget an object."""
        self._items.pop(item.uuid, None)

    def _fail(self, text: str) -> None:
        code = VirErrorNumber.VIR_ERR_OPERATION_FAILED
        raise LibvirtError(code, f"{self._label} {text}", self._domain)
