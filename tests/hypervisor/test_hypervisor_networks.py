"""Networks: up and down, kept or not, and who is told."""

from __future__ import annotations

from hypervisor.hosts import UUID, Watched, refusal

from rpcgen.examples.hypervisor.model.events import NetworkChange, NetworkLifecycle, Ref
from rpcgen.examples.hypervisor.model.flags import NetworkList
from rpcgen.examples.hypervisor.model.identity import parse_uuid
from rpcgen.examples.hypervisor.model.networks import NetworkDefinition

ID = parse_uuid(UUID) or b""
REF = Ref("lan", ID)
OTHER = "11111111-2222-3333-4444-666666666666"


def definition(name: str = "lan", uuid: str = UUID, extra: str = "") -> NetworkDefinition:
    return NetworkDefinition.parse(
        f"<network><name>{name}</name><uuid>{uuid}</uuid>{extra}</network>"
    )


def test_a_network_comes_and_goes() -> None:
    host = Watched()
    networks = host.networks
    assert networks.define(definition()) == REF
    networks.start(ID)
    assert networks.listed(NetworkList.ACTIVE) == [REF]
    networks.stop(ID)
    assert networks.listed(NetworkList.INACTIVE | NetworkList.PERSISTENT) == [REF]
    networks.undefine(ID)
    assert networks.listed(NetworkList(0)) == []
    assert host.happened() == [
        NetworkLifecycle(REF, NetworkChange(number)) for number in (0, 2, 3, 1)
    ]


def test_a_transient_network_ends_when_it_goes_down() -> None:
    host = Watched()
    assert host.networks.create(definition()) == REF
    assert host.networks.listed(NetworkList.TRANSIENT) == [REF]
    host.networks.stop(ID)
    assert host.networks.listed(NetworkList(0)) == []


def test_a_transient_network_can_be_made_persistent() -> None:
    host = Watched()
    host.networks.create(definition())
    host.networks.define(definition(extra="<bridge name='br1'/>"))
    host.networks.stop(ID)
    with host.networks.locked(ID) as network:
        assert network.definition.bridge == "br1"


def test_refusals() -> None:
    host = Watched()
    networks = host.networks
    missing = f"Network not found: no network with matching uuid '{UUID}'"
    for act in (networks.start, networks.stop, networks.undefine, networks.by_uuid):
        assert refusal(43, act, ID) == missing
    assert "with matching name 'lan'" in refusal(43, networks.by_name, "lan")
    networks.define(definition())
    assert "is not active" in refusal(55, networks.stop, ID)
    networks.start(ID)
    assert "Network 'lan' is already running" in refusal(55, networks.start, ID)
    assert "Network 'lan' is still running" in refusal(55, networks.undefine, ID)
    message = refusal(55, lambda: networks.create(definition()))
    assert "network is already active as 'lan'" in message
    message = refusal(9, lambda: networks.define(definition(uuid=OTHER)))
    assert message == f"operation failed: network 'lan' already exists with uuid {UUID}"
    message = refusal(9, lambda: networks.define(definition("wan")))
    assert message == f"operation failed: network 'lan' is already defined with uuid {UUID}"
    assert networks.listed(NetworkList(0)) == [REF]


def test_filters() -> None:
    host = Watched()
    host.networks.define(definition())
    short = host.networks.create(definition("short", OTHER))
    with host.networks.locked(ID) as network:
        network.autostart = True
    assert host.networks.listed(NetworkList.AUTOSTART) == [REF]
    assert host.networks.listed(NetworkList.NO_AUTOSTART | NetworkList.ACTIVE) == [short]
    assert host.networks.listed(NetworkList.AUTOSTART | NetworkList.ACTIVE) == []
