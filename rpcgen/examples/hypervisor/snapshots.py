"""Snapshots: taking and deleting them, going back to them, and their family."""

from __future__ import annotations

from collections.abc import Callable

from libvirt_rpc.remote_protocol.types import (
    RemoteDomainListAllSnapshotsRet,
    RemoteDomainSnapshotListAllChildrenRet,
    RemoteNonnullDomain,
    RemoteNonnullDomainSnapshot,
)
from rpcgen.examples.hypervisor.handlers import Handlers, T, some
from rpcgen.examples.hypervisor.model import capture
from rpcgen.examples.hypervisor.model.flags import (
    DomainXml,
    SnapshotCreate,
    SnapshotDelete,
    SnapshotList,
    SnapshotRevert,
)
from rpcgen.examples.hypervisor.model.snapshots import Snapshots
from rpcgen.examples.hypervisor.wire import domain_in, snapshot_out
from rpcgen.runtime import Call


class SnapshotHandlers(Handlers):
    """The snapshots of domains."""

    def domain_snapshot_create_xml(
        self, call: Call, dom: RemoteNonnullDomain, xml_desc: str, flags: int
    ) -> RemoteNonnullDomainSnapshot:
        host = self.host(call)
        wanted = self.flags(call, SnapshotCreate, flags)
        return snapshot_out(capture.take(host.domains, domain_in(dom), xml_desc, wanted), dom)

    def domain_snapshot_delete(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int
    ) -> None:
        wanted = self.flags(call, SnapshotDelete, flags)
        self._ask(call, snap.dom, lambda snapshots: snapshots.delete(snap.name, wanted))

    def domain_revert_to_snapshot(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int
    ) -> None:
        host = self.host(call)
        wanted = self.flags(call, SnapshotRevert, flags)
        capture.revert(host.domains, domain_in(snap.dom), snap.name, wanted)

    # One snapshot

    def domain_snapshot_lookup_by_name(
        self, call: Call, dom: RemoteNonnullDomain, name: str, flags: int
    ) -> RemoteNonnullDomainSnapshot:
        self.no_flags(call, flags)
        record = self._ask(call, dom, lambda snapshots: snapshots.get(name))
        return snapshot_out(record.name, dom)

    def domain_snapshot_get_xml_desc(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int
    ) -> str:
        self.flags(call, DomainXml, flags)
        return self._ask(call, snap.dom, lambda snapshots: snapshots.get(snap.name)).xml()

    def domain_snapshot_get_parent(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int
    ) -> RemoteNonnullDomainSnapshot:
        self.no_flags(call, flags)
        parent = self._ask(call, snap.dom, lambda snapshots: snapshots.get_parent(snap.name))
        return snapshot_out(parent.name, snap.dom)

    def domain_snapshot_current(
        self, call: Call, dom: RemoteNonnullDomain, flags: int
    ) -> RemoteNonnullDomainSnapshot:
        self.no_flags(call, flags)
        current = self._ask(call, dom, lambda snapshots: snapshots.get_current())
        return snapshot_out(current.name, dom)

    def domain_has_current_snapshot(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> int:
        self.no_flags(call, flags)
        return self._ask(call, dom, lambda snapshots: int(snapshots.current is not None))

    def domain_snapshot_is_current(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int
    ) -> int:
        self.no_flags(call, flags)
        return self._ask(
            call,
            snap.dom,
            lambda snapshots: int(snapshots.get(snap.name).name == snapshots.current),
        )

    def domain_snapshot_has_metadata(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int
    ) -> int:
        self.no_flags(call, flags)
        return self._ask(call, snap.dom, lambda snapshots: int(bool(snapshots.get(snap.name))))

    # Lists

    def domain_list_all_snapshots(
        self, call: Call, dom: RemoteNonnullDomain, need_results: int, flags: int
    ) -> RemoteDomainListAllSnapshotsRet:
        names = self._listed(call, dom, flags)
        found = [snapshot_out(name, dom) for name in names]
        return RemoteDomainListAllSnapshotsRet(some(found, need_results), len(found))

    def domain_snapshot_num(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> int:
        return len(self._listed(call, dom, flags))

    def domain_snapshot_list_names(
        self, call: Call, dom: RemoteNonnullDomain, maxnames: int, flags: int
    ) -> list[str]:
        return self._listed(call, dom, flags)[: max(0, maxnames)]

    def domain_snapshot_list_all_children(
        self, call: Call, snapshot: RemoteNonnullDomainSnapshot, need_results: int, flags: int
    ) -> RemoteDomainSnapshotListAllChildrenRet:
        names = self._listed_below(call, snapshot, flags)
        found = [snapshot_out(name, snapshot.dom) for name in names]
        return RemoteDomainSnapshotListAllChildrenRet(some(found, need_results), len(found))

    def domain_snapshot_num_children(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int
    ) -> int:
        return len(self._listed_below(call, snap, flags))

    def domain_snapshot_list_children_names(
        self, call: Call, snap: RemoteNonnullDomainSnapshot, maxnames: int, flags: int
    ) -> list[str]:
        return self._listed_below(call, snap, flags)[: max(0, maxnames)]

    def _listed(self, call: Call, dom: RemoteNonnullDomain, flags: int) -> list[str]:
        wanted = self.flags(call, SnapshotList, flags)
        return self._ask(call, dom, lambda snapshots: snapshots.listed(wanted))

    def _listed_below(self, call: Call, snap: RemoteNonnullDomainSnapshot, flags: int) -> list[str]:
        wanted = self.flags(call, SnapshotList, flags)
        return self._ask(
            call, snap.dom, lambda snapshots: snapshots.listed_below(snap.name, wanted)
        )

    def _ask(self, call: Call, dom: RemoteNonnullDomain, question: Callable[[Snapshots], T]) -> T:
        """Ask the snapshots of a domain, while nobody changes them."""
        with self.host(call).domains.locked(domain_in(dom)) as domain:
            return question(domain.snapshots)
