"""What the model calls a thing, as it travels, and back."""

from __future__ import annotations

from libvirt_rpc.remote_protocol.types import (
    RemoteNonnullDomain,
    RemoteNonnullDomainSnapshot,
    RemoteNonnullNetwork,
    RemoteNonnullStoragePool,
    RemoteNonnullStorageVol,
)
from rpcgen.examples.hypervisor.model.events import DomainRef, Ref
from rpcgen.examples.hypervisor.model.volumes import VolumeRef


def domain_out(ref: DomainRef) -> RemoteNonnullDomain:
    """A domain, to a client."""
    return RemoteNonnullDomain(ref.name, ref.uuid, ref.id)


def domain_in(dom: RemoteNonnullDomain) -> DomainRef:
    """A domain, from a client; what it says of name and id may be old."""
    return DomainRef(dom.name, bytes(dom.uuid), dom.id)


def snapshot_out(name: str, dom: RemoteNonnullDomain) -> RemoteNonnullDomainSnapshot:
    """A snapshot, to the client who named the domain."""
    return RemoteNonnullDomainSnapshot(name, dom)


def network_out(ref: Ref) -> RemoteNonnullNetwork:
    """A network, to a client."""
    return RemoteNonnullNetwork(ref.name, ref.uuid)


def pool_out(ref: Ref) -> RemoteNonnullStoragePool:
    """A pool, to a client."""
    return RemoteNonnullStoragePool(ref.name, ref.uuid)


def volume_out(ref: VolumeRef) -> RemoteNonnullStorageVol:
    """A volume, to a client."""
    return RemoteNonnullStorageVol(ref.pool, ref.name, ref.key)


def volume_in(vol: RemoteNonnullStorageVol) -> VolumeRef:
    """A volume, from a client."""
    return VolumeRef(vol.pool, vol.name, vol.key)
