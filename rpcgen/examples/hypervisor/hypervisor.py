"""The whole server: every area's handlers, around one host."""

from __future__ import annotations

from rpcgen.examples.hypervisor.domains import DomainHandlers
from rpcgen.examples.hypervisor.guests import GuestHandlers
from rpcgen.examples.hypervisor.machine import MachineHandlers
from rpcgen.examples.hypervisor.networks import NetworkHandlers
from rpcgen.examples.hypervisor.parameters import ParameterHandlers
from rpcgen.examples.hypervisor.pools import PoolHandlers
from rpcgen.examples.hypervisor.session import SessionHandlers
from rpcgen.examples.hypervisor.snapshots import SnapshotHandlers
from rpcgen.examples.hypervisor.streams import StreamHandlers
from rpcgen.examples.hypervisor.subscriptions import SubscriptionHandlers
from rpcgen.examples.hypervisor.volumes import VolumeHandlers


class Hypervisor(
    SessionHandlers,
    MachineHandlers,
    DomainHandlers,
    GuestHandlers,
    ParameterHandlers,
    SnapshotHandlers,
    NetworkHandlers,
    PoolHandlers,
    VolumeHandlers,
    StreamHandlers,
    SubscriptionHandlers,
):
    """A hypervisor in memory, for ``Server([Hypervisor()], listen=[...])``.

    It starts with the running domain ``test``, the network ``default`` and the pool
    ``default-pool``, as libvirt's test driver does, and forgets everything at its end. Clients
    open ``test:///default``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._host.populate()
