"""Sessions with a real libvirtd: its test driver's answers, errors and events, typed parameters, being thrown out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import pytest
from interop.daemons import DEADLINE, Libvirtd

from libvirt_rpc.admin_protocol.client import AdminClient
from libvirt_rpc.libvirt_common.types import (
    VirDomainEventID,
    VirDomainEventType,
    VirErrorDomain,
    VirErrorNumber,
)
from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen import libvirt
from rpcgen.libvirt import from_params, to_admin_params, to_params, types_of
from rpcgen.runtime import connect
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.message import RemoteError

LIFECYCLE = VirDomainEventID.VIR_DOMAIN_EVENT_ID_LIFECYCLE
FEATURES = {8, 9, 10, 14, 15, 16}
ACTIVE = 1


@contextmanager
def administering(libvirtd: Libvirtd) -> Iterator[AdminClient]:
    with connect(f"unix://{libvirtd.admin_socket}") as connection:
        admin = AdminClient(connection)
        admin.connect_open()
        yield admin
        admin.connect_close()


def throw_out_everybody(libvirtd: Libvirtd) -> None:
    """Have the daemon close the connections of all its clients."""
    with administering(libvirtd) as admin:
        server = admin.connect_lookup_server("libvirtd")
        for client in admin.server_list_clients(server, 1).clients:
            admin.client_close(client)


def the_domain(session: libvirt.Session) -> RemoteNonnullDomain:
    (domain,) = session.remote.connect_list_all_domains(1, ACTIVE).domains
    return domain


def test_a_session_of_threads(libvirtd: Libvirtd) -> None:
    events = Queue[Any]()
    with libvirt.open(libvirtd.uri, keepalive=(5, 5), timeout=DEADLINE) as session:
        domain = the_domain(session)
        assert session.features() == FEATURES
        session.on_domain_event(LIFECYCLE, events.put, domain)
        session.remote.domain_destroy(domain)
        message = events.get(timeout=DEADLINE).msg
        assert message.dom.uuid == domain.uuid
        assert message.event == VirDomainEventType.VIR_DOMAIN_EVENT_STOPPED


def test_a_session_of_asyncio(libvirtd: Libvirtd) -> None:
    async def main() -> None:
        async with libvirt.open_async(libvirtd.uri, keepalive=(5, 5)) as session:
            (domain,) = (await session.remote.connect_list_all_domains(1, ACTIVE)).domains
            assert await session.features() == FEATURES
            events = await session.on_domain_event(LIFECYCLE, domain=domain)
            await session.remote.domain_destroy(domain)
            message = (await anext(aiter(events))).msg
            assert message.dom.uuid == domain.uuid
            assert message.event == VirDomainEventType.VIR_DOMAIN_EVENT_STOPPED

    asyncio.run(asyncio.wait_for(main(), DEADLINE))


def test_the_daemon_chooses_a_driver(libvirtd: Libvirtd) -> None:
    with libvirt.open(f"remote+unix:///?socket={libvirtd.socket}&name=test:///default") as session:
        assert session.remote.connect_get_type() == "TEST"
    with pytest.raises(RemoteError) as caught:
        libvirt.open(libvirtd.through("nosuch:///system"))
    assert caught.value.code == VirErrorNumber.VIR_ERR_NO_CONNECT


def test_an_error_has_its_numbers(libvirtd: Libvirtd) -> None:
    with libvirt.open(libvirtd.uri) as session, pytest.raises(RemoteError) as caught:
        session.remote.domain_lookup_by_name("nobody")
    assert caught.value.code is VirErrorNumber.VIR_ERR_NO_DOMAIN
    assert caught.value.domain is VirErrorDomain.VIR_FROM_TEST
    assert caught.value.message == "Domain not found"


def test_programs_share_the_connection(libvirtd: Libvirtd) -> None:
    with libvirt.open(libvirtd.uri) as session:
        domain = the_domain(session)
        for call in (
            lambda: session.qemu.domain_agent_command(domain, "{}", 0, 0),
            lambda: session.lxc.domain_open_namespace(domain),
        ):
            with pytest.raises(RemoteError) as caught:
                call()
            assert caught.value.code == VirErrorNumber.VIR_ERR_NO_SUPPORT
        assert session.remote.connect_get_type() == "TEST"


def test_who_may_only_look(libvirtd: Libvirtd) -> None:
    with libvirt.open(libvirtd.uri, readonly=True) as session:
        domain = the_domain(session)
        with pytest.raises(RemoteError) as caught:
            session.remote.domain_destroy(domain)
    assert caught.value.code == VirErrorNumber.VIR_ERR_OPERATION_DENIED


def test_typed_parameters_of_a_domain(libvirtd: Libvirtd) -> None:
    with libvirt.open(libvirtd.uri) as session:
        remote, domain = session.remote, the_domain(session)
        count = remote.domain_get_scheduler_type(domain).nparams
        current = remote.domain_get_scheduler_parameters(domain, count)
        assert from_params(current) == {"weight": 50}
        remote.domain_set_scheduler_parameters(domain, to_params({"weight": 51}, types_of(current)))
        with pytest.raises(RemoteError) as caught:
            remote.domain_set_scheduler_parameters(domain, to_params({"weight": 51}))
        assert caught.value.code == VirErrorNumber.VIR_ERR_INVALID_ARG


def test_typed_parameters_of_the_daemon(libvirtd: Libvirtd) -> None:
    with administering(libvirtd) as admin:
        server = admin.connect_lookup_server("libvirtd")
        current = admin.server_get_client_limits(server)
        limits = from_params(current)
        assert limits["nclients_max"] == 5000
        wanted = {"nclients_max": 4999}
        admin.server_set_client_limits(server, to_admin_params(wanted, types_of(current)))
        changed = from_params(admin.server_get_client_limits(server))
        assert changed == limits | wanted
        admin.server_set_client_limits(
            server, to_admin_params({"nclients_max": 5000}, types_of(current))
        )


def test_a_session_of_threads_that_is_thrown_out_comes_back(libvirtd: Libvirtd) -> None:
    events, ends = Queue[Any](), Queue[Any]()
    with libvirt.open(libvirtd.uri, reconnect=True) as session:
        session.on_domain_event(LIFECYCLE, events.put)
        session.on_close(ends.put)
        throw_out_everybody(libvirtd)
        assert isinstance(ends.get(timeout=DEADLINE), ConnectionClosed)
        domain = the_domain(session)
        session.remote.domain_destroy(domain)
        assert events.get(timeout=DEADLINE).msg.dom.uuid == domain.uuid


def test_a_session_of_asyncio_that_is_thrown_out_comes_back(libvirtd: Libvirtd) -> None:
    async def main() -> None:
        async with libvirt.open_async(libvirtd.uri, reconnect=True) as session:
            events = await session.on_domain_event(LIFECYCLE)
            ends = asyncio.Queue[Any]()
            session.on_close(ends.put_nowait)
            await asyncio.to_thread(throw_out_everybody, libvirtd)
            assert isinstance(await ends.get(), ConnectionClosed)
            (domain,) = (await session.remote.connect_list_all_domains(1, ACTIVE)).domains
            await session.remote.domain_destroy(domain)
            assert (await anext(aiter(events))).msg.dom.uuid == domain.uuid

    asyncio.run(asyncio.wait_for(main(), DEADLINE))


def test_without_reconnect_that_is_the_end(libvirtd: Libvirtd) -> None:
    with libvirt.open(libvirtd.uri) as session:
        throw_out_everybody(libvirtd)
        with pytest.raises(ConnectionClosed):
            session.remote.connect_get_hostname()
