"""The snapshots of one domain: the tree of their records, and what lies in the disks.

The two are apart: a record can be dropped while its data stays, and be defined again. Whoever
calls holds the lock of the domains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from libvirt_rpc.libvirt_common.types import VirDomainState, VirErrorDomain, VirErrorNumber
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.errors import LibvirtError, invalid_argument
from rpcgen.examples.hypervisor.model.flags import SnapshotDelete, SnapshotList, passes
from rpcgen.examples.hypervisor.model.lifecycle import SHUTOFF
from rpcgen.examples.hypervisor.model.limits import OBJECTS_MAX
from rpcgen.examples.hypervisor.model.snapshot import Request, Snapshot

E = VirErrorNumber
_FROM: Final = VirErrorDomain.VIR_FROM_DOMAIN


class Data(NamedTuple):
    """What a snapshot leaves in the disks: the machine, and whether it ran."""

    definition: Definition
    state: VirDomainState


class Snapshots:
    """A tree of records, and the data by name.

    Attributes:
        records: by name, in the order in which they came.
        current: the one on which the next is taken, by name.
    """

    def __init__(self) -> None:
        self.records: dict[str, Snapshot] = {}
        self.current: str | None = None
        self._data: dict[str, Data] = {}

    def __bool__(self) -> bool:
        return bool(self.records)

    def get(self, name: str) -> Snapshot:
        """A record.

        Raises:
            LibvirtError: there is none (VIR_ERR_NO_DOMAIN_SNAPSHOT).
        """
        if name not in self.records:
            raise _missing(f"no domain snapshot with matching name '{name}'")
        return self.records[name]

    def get_current(self) -> Snapshot:
        """The record of the current one; errors as with ``get``."""
        if self.current is None:
            raise _missing("the domain does not have a current snapshot")
        return self.records[self.current]

    def get_parent(self, name: str) -> Snapshot:
        """The record of the one that it was taken on; errors as with ``get``."""
        parent = self.get(name).parent
        if parent is None:
            raise _missing(f"snapshot '{name}' does not have a parent")
        return self.records[parent]

    def data(self, name: str) -> Data:
        """What the disks hold of a snapshot.

        Raises:
            LibvirtError: nothing, although it may be on record.
        """
        if name not in self._data:
            detail = f"the disks hold no snapshot '{name}'"
            raise LibvirtError(E.VIR_ERR_OPERATION_FAILED, detail, _FROM)
        return self._data[name]

    # Taking and defining

    def take(
        self, request: Request, now: int, save: Callable[[], Data], *, recorded: bool = True
    ) -> str:
        """Take a snapshot, which becomes the current one.

        Nothing is listed before everything is made: what fails leaves no trace.

        Args:
            now: seconds since 1970; also the name of a snapshot that has none.
            save: writes into the disks, and may fail.
            recorded: whether a record is made.

        Returns:
            its name.

        Raises:
            LibvirtError: there is one of that name, or ``save`` failed.
        """
        name = request.name or str(now)
        parent = self.current  # before ``save``, which may take its time and change it
        self._check_free(name)
        data = save()
        record = Snapshot(name, request.description, parent, now, data.state, data.definition)
        self._data[name] = data
        if recorded:
            self.records[name] = record
            self.current = name
        return name

    def redefine(self, record: Snapshot, *, is_current: bool) -> None:
        """Put a record in, or in the place of another of its name.

        Raises:
            LibvirtError: its parent is not there, or would be its own descendant.
        """
        name, parent = record.name, record.parent
        if parent == name:
            raise invalid_argument(f"cannot set moment {name} as its own parent", _FROM)
        if parent is not None and parent not in self.records:
            raise invalid_argument(f"parent {parent} for moment {name} not found", _FROM)
        if parent is not None and name in self._line_of(parent):
            raise invalid_argument(f"parent {parent} would create cycle to {name}", _FROM)
        if name not in self.records:
            self._check_room()
        self.records[name] = record
        if is_current:
            self.current = name

    def _check_free(self, name: str) -> None:
        if name in self.records:
            detail = f"domain moment {name} already exists"
            raise LibvirtError(E.VIR_ERR_OPERATION_FAILED, detail, _FROM)
        self._check_room()

    def _check_room(self) -> None:
        if max(len(self.records), len(self._data)) >= OBJECTS_MAX:
            detail = f"the domain has {OBJECTS_MAX} snapshots already"
            raise LibvirtError(E.VIR_ERR_OPERATION_FAILED, detail, _FROM)

    def _line_of(self, name: str | None) -> Iterator[str]:
        """A snapshot, its parent, and so on to the root."""
        while name is not None:
            yield name
            name = self.records[name].parent

    # Deleting

    def delete(self, name: str, flags: SnapshotDelete) -> None:
        """Delete a snapshot, with its descendants or only these, or only what is on record.

        Without them, its children become its parent's.

        Raises:
            LibvirtError: there is no such record.
        """
        record = self.get(name)
        gone = [name, *self.descendants(name)]
        heir = record.parent
        if flags & SnapshotDelete.CHILDREN_ONLY:
            gone, heir = gone[1:], name
        elif not flags & SnapshotDelete.CHILDREN:
            gone = gone[:1]
            for child in self.children(name):
                self.records[child] = self.records[child]._replace(parent=record.parent)
        for one in gone:
            del self.records[one]
            if not flags & SnapshotDelete.METADATA_ONLY:
                self._data.pop(one, None)
        if self.current in gone:
            self.current = heir

    # Listing

    def children(self, name: str | None) -> list[str]:
        """The snapshots taken on one; on None, the roots."""
        return [one.name for one in self.records.values() if one.parent == name]

    def descendants(self, name: str | None) -> list[str]:
        """Its children and theirs, each behind its parent; of None, all."""
        children: dict[str | None, list[str]] = {}
        for record in self.records.values():
            children.setdefault(record.parent, []).append(record.name)
        found = list(children.get(name, ()))
        for one in found:  # grows while we go
            found += children.get(one, ())
        return found

    def listed(self, flags: SnapshotList) -> list[str]:
        """Those of a domain that the filters let through, each behind its parent."""
        is_roots_only = flags & SnapshotList.ROOTS_OR_DESCENDANTS
        return self._filter(self.children(None) if is_roots_only else self.descendants(None), flags)

    def listed_below(self, name: str, flags: SnapshotList) -> list[str]:
        """The children of one, or its descendants, that the filters let through.

        Raises:
            LibvirtError: there is no such record.
        """
        self.get(name)
        is_deep = flags & SnapshotList.ROOTS_OR_DESCENDANTS
        return self._filter(self.descendants(name) if is_deep else self.children(name), flags)

    def _filter(self, names: list[str], flags: SnapshotList) -> list[str]:
        parents = {record.parent for record in self.records.values()}
        return [name for name in names if self._is_listed(name, flags, name not in parents)]

    def _is_listed(self, name: str, flags: SnapshotList, is_leaf: bool) -> bool:
        is_inactive = self.records[name].state is SHUTOFF
        return passes(
            flags,
            {SnapshotList.METADATA: True, SnapshotList.NO_METADATA: False},
            {SnapshotList.LEAVES: is_leaf, SnapshotList.NO_LEAVES: not is_leaf},
            {
                SnapshotList.INACTIVE: is_inactive,
                SnapshotList.ACTIVE: not is_inactive,
                SnapshotList.DISK_ONLY: False,
            },
            {SnapshotList.INTERNAL: True, SnapshotList.EXTERNAL: False},
        )


def _missing(detail: str) -> LibvirtError:
    return LibvirtError(E.VIR_ERR_NO_DOMAIN_SNAPSHOT, detail)
