"""The hypervisor with a policy: lists and events leave out what the client may not see."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from queue import Queue
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypervisor.hosts import definition

from libvirt_rpc.remote_protocol.client import RemoteClient
from libvirt_rpc.remote_protocol.server import RemoteServer
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import Procedure, Server, connect
from rpcgen.runtime.access import Rules

DEADLINE = 30.0
"""Seconds for what takes a moment."""

ALL = Rules({"default": "allow"})
BLIND = Rules({"default": "allow", "rules": [{"deny": ["*:getattr", "domain:read"]}]})
"""All is allowed, but to see what there is."""

FILTERED = [
    route.procedure
    for route in RemoteServer.DISPATCH.routes(Hypervisor()).values()
    if route.procedure.acl_filter
]
LISTS = [one for one in FILTERED if "event" not in one.method]


@pytest.fixture
def server() -> Iterator[Server]:
    with (
        TemporaryDirectory(prefix="rpc") as folder,  # short: the path of a socket has 107 bytes
        Server([Hypervisor()], listen=[f"unix://{folder}/s"], access=ALL) as server,
    ):
        yield server


@pytest.fixture
def remote(server: Server) -> Iterator[RemoteClient]:
    """A client that has opened the hypervisor, and found one of each kind that is off."""
    with connect(server.addresses[0]) as connection:
        client = RemoteClient(connection)
        client.connect_open("test:///default")
        client.domain_define_xml(definition().xml())
        client.network_define_xml("<network><name>lan</name></network>")
        client.storage_pool_define_xml(
            "<pool type='dir'><name>disks</name><target><path>/disks</path></target></pool>"
        )
        client.storage_vol_create_xml(
            client.storage_pool_lookup_by_name("default-pool"),
            "<volume><name>v</name><capacity>1</capacity></volume>",
        )
        yield client


def length(result: Any) -> int:
    """How many a list shows, or says that there are."""
    if isinstance(result, int):
        return result
    if isinstance(result, list):
        return len(result)
    (found,) = [one for one in map(result.__getattribute__, result.__slots__) if one != result.ret]
    assert result.ret == len(found)
    return len(found)


@pytest.mark.parametrize("procedure", LISTS, ids=lambda one: one.method)
def test_lists(server: Server, remote: RemoteClient, procedure: Procedure[Any, Any]) -> None:
    pool = remote.storage_pool_lookup_by_name("default-pool")
    values: dict[str, Any] = {"pool": pool, "doms": [], "stats": 0, "flags": 0}
    names = procedure.parameters or ()
    ask = partial(getattr(remote, procedure.method), *(values.get(name, 9) for name in names))
    assert length(ask()) > 0
    server.set_access(BLIND)
    assert length(ask()) == 0


def test_there_are_lists_of_every_kind() -> None:
    kinds = {filtered for one in LISTS for filtered in one.acl_filter}
    assert kinds == {"domain:getattr", "domain:read"} | {
        f"{kind}:getattr" for kind in ("network", "storage_pool", "storage_vol")
    }


def test_events_are_for_those_who_may_see_when_they_ask(
    server: Server, remote: RemoteClient
) -> None:
    test = remote.domain_lookup_by_name("test")
    heard: Queue[str] = Queue()
    remote.on_domain_event_lifecycle(lambda _: heard.put("old"))
    remote.on_domain_event_callback_lifecycle(lambda one: heard.put(f"new {one.callback_id}"))
    server.set_access(BLIND)
    remote.connect_domain_event_register()
    assert remote.connect_domain_event_callback_register_any(0, None) == 0
    server.set_access(ALL)
    assert remote.connect_domain_event_callback_register_any(0, None) == 1
    remote.domain_suspend(test)
    assert heard.get(timeout=DEADLINE) == "new 1"
    remote.connect_domain_event_deregister()
    remote.connect_domain_event_register()
    remote.domain_resume(test)
    assert {heard.get(timeout=DEADLINE) for _ in range(2)} == {"old", "new 1"}
    assert heard.empty()
