"""Events: who asked for which, in which form, and until when."""

from __future__ import annotations

from typing import Any

import pytest
from hypervisor.calls import Client, Session, refusal
from hypervisor.hosts import definition

from libvirt_rpc.libvirt_common.types import VirDomainEventID
from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.examples.hypervisor.model.errors import LibvirtError
from rpcgen.examples.hypervisor.model.limits import SUBSCRIPTIONS_MAX
from rpcgen.examples.hypervisor.registry import Family, Registry


def lifecycle(session: Session) -> list[tuple[str, Any]]:
    """What was told of lives: the form, and what happened to whom."""
    told = []
    for method, message in session.messages:
        body = getattr(message, "msg", message)
        told.append((method, (body.dom.name, body.event, body.detail)))
    session.messages.clear()
    return told


def test_events_in_both_forms(hypervisor: Hypervisor, test: RemoteNonnullDomain) -> None:
    old, new, deaf = (Client(hypervisor) for _ in range(3))
    assert old("connect_domain_event_register").cb_registered == 0
    assert new("connect_domain_event_callback_register_any", 0, None).callback_id == 0
    assert new("connect_domain_event_callback_register_any", 0, test).callback_id == 1
    deaf("domain_suspend", test)
    suspended = ("test", 3, 0)
    assert lifecycle(old.session) == [("domain_event_lifecycle", suspended)]
    assert [message.callback_id for _, message in new.session.messages] == [0, 1]
    assert lifecycle(new.session) == [("domain_event_callback_lifecycle", suspended)] * 2
    assert deaf.session.messages == []


def test_an_event_is_for_those_who_wait_for_that_domain(client: Client) -> None:
    other = client("domain_define_xml", definition().xml()).dom
    client("connect_domain_event_callback_register_any", 0, other)
    test = client("domain_lookup_by_name", "test").dom
    client("domain_suspend", test)
    client("domain_create", other)
    assert lifecycle(client.session) == [("domain_event_callback_lifecycle", ("web", 2, 0))]


def test_an_event_comes_until_it_is_not_wanted(client: Client, test: RemoteNonnullDomain) -> None:
    client("connect_domain_event_register")
    client("connect_domain_event_callback_register_any", 0, None)
    client("connect_domain_event_deregister")
    client("connect_domain_event_callback_deregister_any", 0)
    client("domain_suspend", test)
    assert client.session.messages == []
    assert refusal(client, "connect_domain_event_deregister").code == 1
    assert refusal(client, "connect_domain_event_callback_deregister_any", 0).code == 1
    assert client("connect_domain_event_callback_register_any", 0, None).callback_id == 1


def test_a_client_that_is_gone_is_told_nothing(
    hypervisor: Hypervisor, test: RemoteNonnullDomain
) -> None:
    gone = Client(hypervisor)
    gone("connect_domain_event_register")
    gone("connect_domain_event_callback_register_any", 0, None)
    gone.session.leave()
    Client(hypervisor)("domain_suspend", test)
    assert gone.session.messages == []


def test_who_subscribes_on_the_way_out_is_not_remembered(client: Client) -> None:
    client.session.leave()
    client("connect_domain_event_callback_register_any", 0, None)
    client("connect_domain_event_register")
    client("domain_suspend", client("domain_lookup_by_name", "test").dom)
    assert client.session.messages == []


def test_a_client_that_comes_and_goes_leaves_one_callback(client: Client) -> None:
    for number in range(3):
        client("connect_domain_event_callback_register_any", 0, None)
        client("connect_domain_event_callback_deregister_any", number)
    assert len(client.session.callbacks) == 1


def test_old_forms_by_number(client: Client, test: RemoteNonnullDomain) -> None:
    client("connect_domain_event_register_any", 1)
    assert "already registered" in str(
        refusal(client, "connect_domain_event_register_any", 1).message
    )
    client("domain_reboot", test, 0)
    assert [method for method, _ in client.session.messages] == ["domain_event_reboot"]
    client("connect_domain_event_deregister_any", 1)
    young = VirDomainEventID.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE
    for kind in (young, -1, 99):
        error = refusal(client, "connect_domain_event_register_any", int(kind))
        assert "unsupported domain event ID" in str(error.message)


def test_other_events_of_domains(client: Client, test: RemoteNonnullDomain) -> None:
    kinds = VirDomainEventID
    for kind in (kinds.VIR_DOMAIN_EVENT_ID_REBOOT, kinds.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE):
        client("connect_domain_event_callback_register_any", int(kind), None)
    client("domain_reboot", test, 0)
    client("domain_set_metadata", test, 1, "title", None, None, 0)
    (first, reboot), (second, change) = client.session.messages
    assert (first, reboot.callback_id) == ("domain_event_callback_reboot", 0)
    assert (second, change.callback_id) == ("domain_event_callback_metadata_change", 1)
    assert (change.type, change.nsuri) == (1, None)


def test_events_of_networks_and_pools(client: Client) -> None:
    net = client("network_lookup_by_name", "default").net
    pool = client("storage_pool_lookup_by_name", "default-pool").pool
    assert client("connect_network_event_register_any", 0, net).callback_id == 0
    assert client("connect_storage_pool_event_register_any", 0, None).callback_id == 1
    assert client("connect_storage_pool_event_register_any", 1, pool).callback_id == 2
    client("network_destroy", net)
    client("storage_pool_refresh", pool, 0)
    client("storage_pool_destroy", pool)
    told = [(method, message.callback_id) for method, message in client.session.messages]
    assert told == [
        ("network_event_lifecycle", 0),
        ("storage_pool_event_refresh", 2),
        ("storage_pool_event_lifecycle", 1),
    ]
    client("connect_network_event_deregister_any", 0)
    client("connect_storage_pool_event_deregister_any", 1)
    client("network_create", net)
    client("storage_pool_create", pool, 0)
    assert len(client.session.messages) == 3


@pytest.mark.parametrize("family", ["node_device", "secret"])
def test_events_that_never_happen(client: Client, family: str) -> None:
    register, deregister = (
        f"connect_{family}_event_{verb}_any" for verb in ("register", "deregister")
    )
    number = client(register, 0, None).callback_id
    client(deregister, number)
    assert refusal(client, deregister, number).code == 1
    assert refusal(client, register, 99, None).code == 1


def test_subscriptions_are_bounded() -> None:
    registry, session = Registry(), Session()
    for number in range(SUBSCRIPTIONS_MAX):
        assert registry.add(session, Family.DOMAIN, 0, None) == number
    with pytest.raises(LibvirtError, match="more than"):
        registry.add(session, Family.DOMAIN, 0, None)
    assert len(registry.wanting(Family.DOMAIN, 0, b"")) == SUBSCRIPTIONS_MAX
