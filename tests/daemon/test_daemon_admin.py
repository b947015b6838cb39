"""The admin program: what it shows is so, what it sets has its effect, what it refuses changes nothing."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon.served import HELD, HOLD, PLUS
from daemon.starting import DEADLINE, SERVED, Started, daemon, numbers

from libvirt_rpc.admin_protocol.client import AdminClient
from libvirt_rpc.admin_protocol.types import (
    AdminNonnullClient,
    AdminNonnullServer,
    AdminTypedParam,
    AdminTypedParamValueVirTypedParamInt,
    AdminTypedParamValueVirTypedParamUint,
)
from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime import ConnectionClosed, RemoteError, connect
from rpcgen.runtime.client.sync import Connection

ADMIN = AdminNonnullServer("admin")
NOWHERE = AdminNonnullServer("nowhere")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A daemon for tests that leave it as it was."""
    with daemon(tmp_path_factory.mktemp("d")) as started:
        yield started


@pytest.fixture
def admin(one: Started) -> Iterator[AdminClient]:
    """Its administrator."""
    with one.administrator() as client:
        client.connect_open()
        yield client


def unsigned(**values: int) -> list[AdminTypedParam]:
    return [
        AdminTypedParam(name, AdminTypedParamValueVirTypedParamUint(value))
        for name, value in values.items()
    ]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline


# Looking


def test_its_servers(admin: AdminClient) -> None:
    listed = admin.connect_list_servers(1)
    assert ([server.name for server in listed.servers], listed.ret) == (["served", "admin"], 2)
    assert (admin.connect_list_servers(0).servers, admin.connect_list_servers(0).ret) == ([], 2)
    assert admin.connect_lookup_server("served") == SERVED
    assert admin.connect_get_lib_version() == 9_000_000


def test_its_socket_is_the_users_own(one: Started) -> None:
    assert stat.S_IMODE((one.folder / "a").stat().st_mode) == 0o700


def test_a_client_is_what_it_is(one: Started, admin: AdminClient) -> None:
    began = int(time.time())
    with connect(one.address) as connection:
        connection.call(PLUS, 1, DEADLINE)
        until(lambda: admin.server_list_clients(SERVED, 0).ret == 1)  # those of others have left
        (client,) = admin.server_list_clients(SERVED, 1).clients
        counted = admin.server_list_clients(SERVED, 0)
        assert (counted.clients, counted.ret) == ([], 1)
        assert (client.srv, client.transport) == (SERVED, 0)
        assert began <= client.timestamp <= int(time.time())
        assert admin.server_lookup_client(SERVED, client.id) == client
        facts = numbers(admin.client_get_info(client))
        assert facts.pop("unix_user_name")
        assert facts.pop("unix_group_name")
        assert facts == {
            "readonly": 0,
            "sock_addr": "127.0.0.1:0",
            "unix_user_id": os.geteuid(),
            "unix_group_id": os.getegid(),
            "unix_process_id": os.getpid(),
        }


def test_a_client_over_tcp(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = [f"tcp://127.0.0.1:{port}"]
    with (
        daemon(tmp_path, listen=listen) as started,
        started.administrator() as admin,
        connect(listen[0]) as connection,
    ):
        connection.call(PLUS, 1, DEADLINE)
        (client,) = admin.server_list_clients(SERVED, 1).clients
        assert client.transport == 1
        facts = numbers(admin.client_get_info(client))
        assert facts.keys() == {"readonly", "sock_addr"}
        assert facts["sock_addr"].startswith("127.0.0.1:")


# Workers


@contextmanager
def holding(started: Started, count: int) -> Iterator[None]:
    """Keep so many workers busy."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(count))
        clients = [stack.enter_context(connect(started.address)) for _ in range(count)]
        calls = [pool.submit(one.call, HOLD, None, DEADLINE) for one in clients]
        waiter = stack.enter_context(connect(started.address))
        for _ in range(count):
            waiter.call(HELD, None, DEADLINE)
        yield
        assert started.process.stdin
        started.process.stdin.write("x" * count)
        started.process.stdin.flush()
        for call in calls:
            call.result(DEADLINE)


def test_workers_are_what_was_set(tmp_path: Path) -> None:
    with daemon(tmp_path) as started, started.administrator() as admin:

        def pool() -> dict[str, Any]:
            return numbers(admin.server_get_threadpool_parameters(SERVED))

        begun = {
            "minWorkers": 5,
            "maxWorkers": 20,
            "nWorkers": 5,
            "freeWorkers": 5,
            "prioWorkers": 5,
            "jobQueueDepth": 0,
        }
        until(lambda: pool() == begun)
        others = threads(started) - 10

        def busy() -> int:
            now = pool()
            return int(now["nWorkers"] - now["freeWorkers"])

        with holding(started, 2):
            until(lambda: busy() == 2)
        given = unsigned(minWorkers=1, maxWorkers=2, prioWorkers=3)
        admin.server_set_threadpool_parameters(SERVED, given)
        until(lambda: (pool()["nWorkers"], pool()["prioWorkers"]) == (2, 3))
        until(lambda: threads(started) == others + 5)
        admin.server_set_threadpool_parameters(SERVED, unsigned(minWorkers=7, maxWorkers=9))
        assert pool()["nWorkers"] == 7
        with holding(started, 7):
            until(lambda: busy() == 7)
            assert pool()["nWorkers"] > 7  # another one has told that they are


def threads(started: Started) -> int:
    """What the system says."""
    return len(os.listdir(f"/proc/{started.process.pid}/task"))


# Clients' limits


def test_a_limit_keeps_clients_waiting(tmp_path: Path) -> None:
    with (
        daemon(tmp_path) as started,
        started.administrator() as admin,
        connect(started.address) as first,
    ):
        assert first.call(PLUS, 1, DEADLINE) == 2
        given = unsigned(nclients_max=1, nclients_unauth_max=1)
        admin.server_set_client_limits(SERVED, given)
        with connect(started.address) as second, ThreadPoolExecutor() as pool:
            waiting = pool.submit(second.call, PLUS, 2, DEADLINE)
            assert numbers(admin.server_get_client_limits(SERVED)) == {
                "nclients_max": 1,
                "nclients": 1,
                "nclients_unauth_max": 1,
                "nclients_unauth": 0,
            }
            assert not waiting.done()
            admin.server_set_client_limits(SERVED, unsigned(nclients_max=2))
            assert waiting.result(DEADLINE) == 3
            assert numbers(admin.server_get_client_limits(SERVED))["nclients"] == 2


def test_a_client_is_cut_off_whatever_it_does(one: Started, admin: AdminClient) -> None:
    with connect(one.address) as kept:
        kept.call(PLUS, 1, DEADLINE)
        before = {client.id for client in admin.server_list_clients(SERVED, 1).clients}
        with connect(one.address) as cut, ThreadPoolExecutor() as pool:
            call = pool.submit(cut.call, HOLD, None, DEADLINE)
            kept.call(HELD, None, DEADLINE)
            clients = admin.server_list_clients(SERVED, 1).clients
            (client,) = (each for each in clients if each.id not in before)
            admin.client_close(client)
            with pytest.raises(ConnectionClosed):
                call.result(DEADLINE)
        assert refused(admin.client_get_info, client) == VirErrorNumber.VIR_ERR_NO_CLIENT
        assert kept.call(PLUS, 1, DEADLINE) == 2
        assert one.process.stdin
        one.process.stdin.write("x")  # for the worker, whose client is gone
        one.process.stdin.flush()


def test_an_administrator_may_cut_itself_off(one: Started) -> None:
    with connect(one.admin_address) as connection:
        admin = AdminClient(connection)
        until(lambda: admin.server_list_clients(ADMIN, 0).ret == 1)
        (client,) = admin.server_list_clients(ADMIN, 1).clients
        admin.client_close(client)
        is_closed(connection)


def test_closing_is_answered_and_then_done(one: Started) -> None:
    with connect(one.admin_address) as connection:
        AdminClient(connection).connect_close()
        is_closed(connection)


def is_closed(connection: Connection) -> None:
    """Wait for the end of a connection."""
    ended = threading.Event()
    connection.on_close(lambda _: ended.set())
    assert ended.wait(DEADLINE)


# Logging, timeout, end


def test_log_filters_and_outputs(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with daemon(tmp_path) as started, started.administrator() as admin:
        assert admin.connect_get_logging_filters().filters is None
        admin.connect_set_logging_filters("1:rpc 4:noisy")
        filters = admin.connect_get_logging_filters()
        assert (filters.filters, filters.nfilters) == ("1:*rpc* 4:*noisy*", 2)
        admin.connect_set_logging_outputs(f"1:file:{other}")
        outputs = admin.connect_get_logging_outputs()
        assert (outputs.outputs, outputs.noutputs) == (f"1:file:{other}", 1)
        assert refused(admin.connect_set_logging_filters, "x") == 8
        assert refused(admin.connect_set_logging_outputs, "1:file:/none/x") == 38
        assert admin.connect_get_logging_outputs().outputs == f"1:file:{other}"
        assert other.exists()
        admin.connect_set_logging_filters(None)
        assert admin.connect_get_logging_filters().nfilters == 0


def test_a_timeout_ends_a_daemon_that_nobody_uses(tmp_path: Path) -> None:
    with daemon(tmp_path) as started:
        with started.administrator() as admin:
            admin.connect_set_daemon_timeout(1)
        assert started.ended() == 0


def test_it_can_be_shut_down(tmp_path: Path) -> None:
    with daemon(tmp_path) as started:
        with started.administrator() as admin:
            admin.connect_daemon_shutdown()
        assert started.ended() == 0


# What it refuses


def refused(method: Callable[..., object], *arguments: Any) -> int:
    with pytest.raises(RemoteError) as caught:
        method(*arguments, timeout=DEADLINE)
    return int(caught.value.code)


def test_what_there_is_not(admin: AdminClient) -> None:
    no_server, no_client = VirErrorNumber.VIR_ERR_NO_SERVER, VirErrorNumber.VIR_ERR_NO_CLIENT
    assert refused(admin.connect_lookup_server, "nowhere") == no_server
    assert refused(admin.server_get_threadpool_parameters, NOWHERE) == no_server
    assert refused(admin.server_update_tls_files, NOWHERE) == no_server
    assert refused(admin.server_lookup_client, SERVED, 10**9) == no_client
    gone = AdminNonnullClient(SERVED, 10**9, 0, 0)
    assert refused(admin.client_close, gone) == no_client
    assert refused(admin.client_close, AdminNonnullClient(NOWHERE, 1, 0, 0)) == no_server


def test_tls_files_that_there_are_not(admin: AdminClient) -> None:
    with pytest.raises(RemoteError, match="no tls service found"):
        admin.server_update_tls_files(SERVED)


def test_flags_that_there_are_not(admin: AdminClient) -> None:
    for call in (
        admin.connect_open,
        lambda flags: admin.connect_list_servers(1, flags),
        lambda flags: admin.connect_set_daemon_timeout(1, flags),
        lambda flags: admin.server_get_client_limits(SERVED, flags),
        lambda flags: admin.client_close(AdminNonnullClient(SERVED, 1, 0, 0), flags),
    ):
        with pytest.raises(RemoteError, match="unsupported flags"):
            call(2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (unsigned(nWorkers=1), "parameter 'nWorkers' not supported"),
        (unsigned(minWorkers=1) * 2, "parameter 'minWorkers' occurs multiple times"),
        (
            [AdminTypedParam("minWorkers", AdminTypedParamValueVirTypedParamInt(1))],
            "invalid type 'int' for parameter 'minWorkers', expected 'uint'",
        ),
        (unsigned(minWorkers=21), "minWorkers cannot be larger than maxWorkers"),
        (unsigned(minWorkers=0, maxWorkers=0), "from zero to non-zero and vice versa"),
        (unsigned(maxWorkers=5000), "expected at most 4096"),
    ],
)
def test_wrong_workers_change_nothing(
    admin: AdminClient, given: list[AdminTypedParam], message: str
) -> None:
    with pytest.raises(RemoteError, match=message):
        admin.server_set_threadpool_parameters(SERVED, given)
    pool = numbers(admin.server_get_threadpool_parameters(SERVED))
    assert (pool["minWorkers"], pool["maxWorkers"], pool["prioWorkers"]) == (5, 20, 5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (unsigned(nclients=1), "parameter 'nclients' not supported"),
        (unsigned(nclients_max=19), "must not be less than"),
        (unsigned(nclients_max=0, nclients_unauth_max=0), "expected max_clients >= 1"),
    ],
)
def test_wrong_limits_change_nothing(
    admin: AdminClient, given: list[AdminTypedParam], message: str
) -> None:
    before = numbers(admin.server_get_client_limits(SERVED))
    with pytest.raises(RemoteError, match=message):
        admin.server_set_client_limits(SERVED, given)
    assert numbers(admin.server_get_client_limits(SERVED)) == before
