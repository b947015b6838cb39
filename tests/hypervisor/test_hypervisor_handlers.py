"""Handlers without a server: who may do what, and what clients of every age ask."""

from __future__ import annotations

import pytest
from hypervisor.calls import Client, refusal

from libvirt_rpc.libvirt_common.types import VirErrorDomain
from libvirt_rpc.remote_protocol.program import REMOTE_PROGRAM
from libvirt_rpc.remote_protocol.server import RemoteServer
from libvirt_rpc.remote_protocol.types import (
    RemoteNonnullDomain,
    RemoteNonnullDomainSnapshot,
    RemoteNonnullNetwork,
    RemoteNonnullStoragePool,
    RemoteNonnullStorageVol,
    RemoteTypedParam,
    RemoteTypedParamValueVirTypedParamInt,
    RemoteTypedParamValueVirTypedParamUint,
)
from rpcgen.examples.hypervisor.handlers import changes
from rpcgen.examples.hypervisor.hypervisor import Hypervisor

READ_ONLY = 1


# The way in and out


def test_before_it_is_opened(hypervisor: Hypervisor) -> None:
    client = Client(hypervisor, is_open=False)
    assert client("auth_list").types == [0]
    assert client("connect_supports_feature", 10).supported == 1
    assert client.session.log == ["start keepalive"]
    for method, arguments in (("connect_supports_feature", (14,)), ("connect_get_type", ())):
        error = refusal(client, method, *arguments)
        assert (error.code, error.domain) == (1, VirErrorDomain.VIR_FROM_RPC)


def test_every_procedure_but_those_of_the_way_in_needs_it_open(hypervisor: Hypervisor) -> None:
    free = {"auth_list", "connect_supports_feature", "connect_open", "connect_close"}
    client = Client(hypervisor, is_open=False)
    dom = RemoteNonnullDomain("test", bytes(16), 1)
    objects = {
        "dom": dom,
        "snap": RemoteNonnullDomainSnapshot("one", dom),
        "snapshot": RemoteNonnullDomainSnapshot("one", dom),
        "net": RemoteNonnullNetwork("default", bytes(16)),
        "pool": RemoteNonnullStoragePool("default-pool", bytes(16)),
        "vol": RemoteNonnullStorageVol("default-pool", "v", "v"),
        "clonevol": RemoteNonnullStorageVol("default-pool", "v", "v"),
    }
    offered = [route.procedure for route in RemoteServer.DISPATCH.routes(hypervisor).values()]
    gated = [one for one in offered if one.method not in free and not one.stream]
    assert len(gated) > 120
    for procedure in gated:
        arguments = [objects.get(name, 0) for name in procedure.parameters or ()]
        assert refusal(client, procedure.method, *arguments).str2 == "connection not open"


@pytest.mark.parametrize(
    ("feature", "answer"), [(1, 0), (2, 0), (8, 1), (9, 1), (14, 1), (15, 1), (16, 1), (99, 0)]
)
def test_features(client: Client, feature: int, answer: int) -> None:
    assert client("connect_supports_feature", feature).supported == answer


@pytest.mark.parametrize("name", [None, "", "test:///default"])
def test_names_of_the_host(hypervisor: Hypervisor, name: str | None) -> None:
    client = Client(hypervisor, is_open=False)
    client("connect_open", name, 4)
    assert client("connect_get_uri").uri == "test:///default"
    assert client("connect_is_secure").secure == 1


def test_opening_twice_keeps_what_is_open(client: Client) -> None:
    assert refusal(client, "connect_open", "", READ_ONLY).code == 1
    assert client("connect_get_type").type == "TEST"
    assert refusal(client, "connect_open", "qemu:///system", 0).code == 1


def test_another_driver(hypervisor: Hypervisor) -> None:
    error = refusal(Client(hypervisor, is_open=False), "connect_open", "qemu:///system", 0)
    assert (error.code, error.str2) == (5, "qemu:///system")


def test_closing(client: Client) -> None:
    client("connect_close")
    assert client.session.log == ["close"]


def test_closing_is_asked_for_once_and_never_told(client: Client) -> None:
    client("connect_register_close_callback")
    client("connect_unregister_close_callback")
    client("connect_set_identity", [], 0)


def test_a_read_only_client_is_one_of_its_own(hypervisor: Hypervisor) -> None:
    reader, writer = Client(hypervisor, flags=READ_ONLY), Client(hypervisor)
    dom = reader("domain_lookup_by_name", "test").dom
    error = refusal(reader, "domain_destroy", dom)
    assert (error.code, error.str2) == (29, "read only access prevents virDomainDestroy")
    writer("domain_destroy", dom)
    assert reader("domain_is_active", dom).active == 0


@pytest.mark.parametrize(
    ("method", "does"),
    [
        ("connect_open", False),
        ("domain_is_active", False),
        ("connect_list_all_domains", False),
        ("domain_get_xml_desc", False),
        ("domain_set_memory_flags", True),
        ("domain_set_scheduler_parameters", True),
        ("domain_screenshot", True),
        ("storage_vol_download", True),
    ],
)
def test_what_changes_something(method: str, does: bool) -> None:
    rows = {row.method: row for row in REMOTE_PROGRAM.procedures.values()}
    assert changes(rows[method]) is does


def test_what_a_read_only_client_may_call(hypervisor: Hypervisor) -> None:
    offered = [route.procedure for route in RemoteServer.DISPATCH.routes(hypervisor).values()]
    words = {"create", "define", "undefine", "destroy", "delete", "set", "resume", "suspend"}
    words |= {"revert", "save", "start", "reboot", "reset", "shutdown", "rename", "upload"}
    allowed = [procedure.method for procedure in offered if not changes(procedure)]
    assert [name for name in allowed if words & set(name.split("_"))] == [
        "domain_has_managed_save_image",
    ]


def test_flags_that_are_not_known(client: Client, test: RemoteNonnullDomain) -> None:
    error = refusal(client, "domain_get_xml_desc", test, 1 << 20)
    assert error.message == "unsupported flags (0x100000) in function virDomainGetXMLDesc"
    assert (error.code, error.str1, error.str2) == (8, "virDomainGetXMLDesc", "flags")
    error = refusal(client, "domain_reset", test, 1)
    assert error.message == "unsupported flags (0x1) in function virDomainReset"


# Lists


def test_lists_have_a_length_without_their_members(client: Client) -> None:
    for method, members in (
        ("connect_list_all_domains", "domains"),
        ("connect_list_all_networks", "nets"),
        ("connect_list_all_storage_pools", "pools"),
    ):
        counted, full = client(method, 0, 0), client(method, 1, 0)
        assert (counted.ret, getattr(counted, members)) == (1, [])
        assert (full.ret, len(getattr(full, members))) == (1, 1)


def test_lists_of_old_clients(client: Client, test: RemoteNonnullDomain) -> None:
    assert client("connect_num_of_domains").num == 1
    assert client("connect_list_domains", 10).ids == [1]
    assert client("connect_list_domains", -1).ids == []
    client("domain_destroy", test)
    assert client("connect_num_of_defined_domains").num == 1
    assert client("connect_list_defined_domains", 10).names == ["test"]
    assert client("connect_num_of_networks").num == 1
    assert client("connect_list_networks", 10).names == ["default"]
    assert client("connect_num_of_defined_networks").num == 0
    assert client("connect_list_defined_networks", 10).names == []
    assert client("connect_num_of_storage_pools").num == 1
    assert client("connect_list_storage_pools", 10).names == ["default-pool"]
    assert client("connect_num_of_defined_storage_pools").num == 0
    assert client("connect_list_defined_storage_pools", 10).names == []
    pool = client("storage_pool_lookup_by_target_path", "/default-pool").pool
    client(
        "storage_vol_create_xml", pool, "<volume><name>v</name><capacity>9</capacity></volume>", 0
    )
    assert client("storage_pool_num_of_volumes", pool).num == 1
    assert client("storage_pool_list_volumes", pool, 10).names == ["v"]


def test_snapshots_of_old_clients(client: Client, test: RemoteNonnullDomain) -> None:
    for name in ("one", "two"):
        xml = f"<domainsnapshot><name>{name}</name></domainsnapshot>"
        snap = client("domain_snapshot_create_xml", test, xml, 0).snap
    parent = client("domain_snapshot_get_parent", snap, 0).snap
    assert parent.name == "one"
    assert client("domain_snapshot_num", test, 0).num == 2
    assert client("domain_snapshot_list_names", test, 1, 0).names == ["one"]
    assert client("domain_snapshot_num_children", parent, 0).num == 1
    assert client("domain_snapshot_list_children_names", parent, 9, 0).names == ["two"]
    assert client("domain_snapshot_list_all_children", parent, 0, 0).ret == 1
    assert client("domain_snapshot_is_current", snap, 0).current == 1
    assert client("domain_snapshot_is_current", parent, 0).current == 0
    assert client("domain_snapshot_has_metadata", snap, 0).metadata == 1
    assert client("domain_has_current_snapshot", test, 0).result == 1
    assert client("domain_snapshot_current", test, 0).snap.name == "two"


def test_maps_of_processors(client: Client, test: RemoteNonnullDomain) -> None:
    assert client("domain_get_vcpus", test, 9, 2).cpumaps == b"\xff\0\xff\0"
    assert client("domain_get_vcpu_pin_info", test, 1, 1, 0).cpumaps == b"\xff"
    assert client("domain_get_emulator_pin_info", test, 3, 0).cpumaps == b"\xff\0\0"
    assert client("domain_get_vcpus", test, -1, 2).info == []
    for length in (-1, 2**31 - 1):
        assert refusal(client, "domain_get_vcpus", test, 9, length).code == 8
        assert refusal(client, "domain_get_emulator_pin_info", test, length, 0).code == 8


# Typed parameters


def weight(value: int) -> RemoteTypedParam:
    return RemoteTypedParam("weight", RemoteTypedParamValueVirTypedParamUint(value))


def test_the_scheduler(client: Client, test: RemoteNonnullDomain) -> None:
    assert client("domain_get_scheduler_type", test).nparams == 1
    assert client("domain_get_scheduler_parameters", test, 1).params == [weight(50)]
    client("domain_set_scheduler_parameters_flags", test, [weight(70)], 1)
    assert client("domain_get_scheduler_parameters_flags", test, 1, 4).params == [weight(70)]
    client("domain_set_scheduler_parameters", test, [])
    assert client("domain_get_scheduler_parameters", test, 0).params == []


@pytest.mark.parametrize(
    ("param", "message"),
    [
        (RemoteTypedParam("w", RemoteTypedParamValueVirTypedParamUint(1)), "'w' not supported"),
        (
            RemoteTypedParam("weight", RemoteTypedParamValueVirTypedParamInt(1)),
            "'weight' is not an unsigned int",
        ),
    ],
)
def test_parameters_are_checked(
    client: Client, test: RemoteNonnullDomain, param: RemoteTypedParam, message: str
) -> None:
    error = refusal(client, "domain_set_scheduler_parameters", test, [weight(1), param])
    assert message in str(error.message)
    assert client("domain_get_scheduler_parameters", test, 1).params == [weight(50)]


def test_statistics_of_some(client: Client, test: RemoteNonnullDomain) -> None:
    (record,) = client("connect_get_all_domain_stats", [test], 0, 0).ret_stats
    assert [param.field for param in record.params] == ["state.state", "state.reason"]
    (record,) = client("connect_get_all_domain_stats", [], 2, 1).ret_stats
    assert record.params == []
    assert client("connect_get_all_domain_stats", [], 0, 2).ret_stats == []


# What the program says of us


def test_only_what_the_daemon_allows_before_authentication_is_marked() -> None:
    marked = {row.number for row in REMOTE_PROGRAM.procedures.values() if row.auth_none}
    assert marked == {66, 67, 68, 69, 70}
