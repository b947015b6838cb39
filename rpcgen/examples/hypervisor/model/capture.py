"""Taking snapshots of domains, and going back to them."""

from __future__ import annotations

from time import time
from typing import Final

from libvirt_rpc.libvirt_common.types import VirDomainState, VirErrorDomain
from rpcgen.examples.hypervisor.model import snapshot
from rpcgen.examples.hypervisor.model.domain import Domain
from rpcgen.examples.hypervisor.model.domains import Domains
from rpcgen.examples.hypervisor.model.errors import bad_argument, invalid_operation
from rpcgen.examples.hypervisor.model.events import DomainRef
from rpcgen.examples.hypervisor.model.flags import SnapshotCreate, SnapshotRevert
from rpcgen.examples.hypervisor.model.lifecycle import PAUSED, RUNNING, SHUTOFF, Action
from rpcgen.examples.hypervisor.model.snapshots import Data

_REVERT: Final = {
    RUNNING: Action.REVERT_RUNNING,
    PAUSED: Action.REVERT_PAUSED,
    SHUTOFF: Action.REVERT_OFF,
}


def take(domains: Domains, ref: DomainRef, xml: str, flags: SnapshotCreate) -> str:
    """Take a snapshot, or put the record of an earlier one back.

    Returns:
        its name.

    Raises:
        LibvirtError: the description or the domain does not allow it; nothing has changed.
    """
    request = snapshot.parse(xml)
    with domains.locked(ref) as domain:
        if flags & SnapshotCreate.REDEFINE:
            earlier = domain.snapshots.records.get(request.name)
            record = snapshot.redefined(request, domain.inactive, earlier)
            is_current = bool(flags & SnapshotCreate.CURRENT)
            domain.snapshots.redefine(record, is_current=is_current)
            return record.name
        is_halted = bool(flags & SnapshotCreate.HALT)
        if is_halted and domain.config is None:
            raise invalid_operation("cannot halt after transient domain snapshot")
        recorded = not flags & SnapshotCreate.NO_METADATA
        name = domain.snapshots.take(request, int(time()), lambda: _save(domain), recorded=recorded)
        if is_halted and domain.is_active:
            domains.walk(domain, Action.REVERT_OFF)
        return name


def revert(domains: Domains, ref: DomainRef, name: str, flags: SnapshotRevert) -> None:
    """Make a domain what it was.

    Raises:
        LibvirtError: the domain or the snapshot is not there, or the domain cannot be inactive.
    """
    state = _wanted(flags)
    with domains.locked(ref) as domain:
        domain.snapshots.get(name)
        data = domain.snapshots.data(name)
        state = state or data.state
        definition = data.definition.copy()
        definition.rename(domain.name)  # which may be another than at that time
        if state is SHUTOFF and domain.config is None:
            detail = "transient domain needs to request run or pause to revert to inactive snapshot"
            raise invalid_operation(detail)
        if domain.config is not None:
            domain.config = definition.copy()
        domains.walk(domain, _REVERT[state], definition)
        domain.snapshots.current = name


def _wanted(flags: SnapshotRevert) -> VirDomainState | None:
    """The state that the caller wants, if not the snapshot's."""
    if flags & SnapshotRevert.RUNNING and flags & SnapshotRevert.PAUSED:
        text = "Flags '{0}_RUNNING' and '{0}_PAUSED' are mutually exclusive"
        raise bad_argument(
            "virDomainRevertToSnapshot",
            "ctl",
            text.format("VIR_DOMAIN_SNAPSHOT_REVERT"),
            VirErrorDomain.VIR_FROM_DOMAIN_SNAPSHOT,
        )
    if flags & SnapshotRevert.RUNNING:
        return RUNNING
    return PAUSED if flags & SnapshotRevert.PAUSED else None


def _save(domain: Domain) -> Data:
    """Write the machine into its disks."""
    return Data(domain.current.copy(), domain.state)
