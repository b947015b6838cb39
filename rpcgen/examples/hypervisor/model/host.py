"""A host and all that is on it."""

from __future__ import annotations

from rpcgen.examples.hypervisor.model import defaults
from rpcgen.examples.hypervisor.model.definition import Definition
from rpcgen.examples.hypervisor.model.domains import Domains
from rpcgen.examples.hypervisor.model.events import Publish
from rpcgen.examples.hypervisor.model.flags import DomainStart
from rpcgen.examples.hypervisor.model.lifecycle import RunningReason
from rpcgen.examples.hypervisor.model.networks import NetworkDefinition, Networks
from rpcgen.examples.hypervisor.model.pool import PoolDefinition
from rpcgen.examples.hypervisor.model.pools import Pools


class Host:
    """A host.

    Args:
        publish: is told of what happens on it.

    Attributes:
        domains, networks, pools: what is on it, each with a lock of its own.
    """

    def __init__(self, publish: Publish) -> None:
        self.domains = Domains(publish)
        self.networks = Networks(publish)
        self.pools = Pools(publish)

    def populate(self) -> None:
        """Add what libvirt's test driver has at first, all of it active."""
        domain = self.domains.define(Definition.parse(defaults.DOMAIN))
        self.domains.start(domain, DomainStart(0))
        with self.domains.locked(domain) as running:
            running.reason = RunningReason.UNKNOWN
        self.networks.start(self.networks.define(NetworkDefinition.parse(defaults.NETWORK)).uuid)
        self.pools.start(self.pools.define(PoolDefinition.parse(defaults.POOL)).uuid)
