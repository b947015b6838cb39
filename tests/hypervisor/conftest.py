"""A hypervisor, a client that has opened it, and the domain that is there from the start."""

from __future__ import annotations

import pytest
from hypervisor.calls import Client

from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen.examples.hypervisor.hypervisor import Hypervisor


@pytest.fixture
def hypervisor() -> Hypervisor:
    return Hypervisor()


@pytest.fixture
def client(hypervisor: Hypervisor) -> Client:
    return Client(hypervisor)


@pytest.fixture
def test(client: Client) -> RemoteNonnullDomain:
    """The domain that is there from the start."""
    found: RemoteNonnullDomain = client("domain_lookup_by_name", "test").dom
    return found
