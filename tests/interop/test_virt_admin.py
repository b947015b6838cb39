"""Debian's virt-admin against a daemon of ours: what it shows is so, what it sets has its effect."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from daemon.served import PLUS
from daemon.starting import DEADLINE, SERVED, Started, daemon
from helpers import require
from interop.daemons import NOBODY, PATH, Daemon

from libvirt_rpc.admin_protocol.client import AdminClient
from libvirt_rpc.admin_protocol.types import (
    AdminNonnullServer,
    AdminTypedParam,
    AdminTypedParamValueVirTypedParamInt,
    AdminTypedParamValueVirTypedParamUint,
)
from rpcgen.runtime import ConnectionClosed, RemoteError, connect

SCHEME = "libvirtd+unix:///system"
"""Its name of a connection: the path of the socket is what counts."""


@dataclass
class Admin:
    """virt-admin, and whom it administers."""

    socket: Path
    user: int | None = None

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        before = []
        if self.user is not None:
            before = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return subprocess.run(
            [*before, "virt-admin", "-c", f"{SCHEME}?socket={self.socket}", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
            env={"PATH": PATH, "HOME": os.devnull, "LC_ALL": "C", "TZ": "UTC"},
        )

    def __call__(self, *arguments: str) -> str:
        """The output of a command that succeeds."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), (arguments, done.stderr)
        return done.stdout

    def table(self, *arguments: str) -> dict[str, str]:
        """The same as names and values."""
        return dict(re.findall(r"^(\w+)\s*: (.*)$", self(*arguments), re.MULTILINE))

    def error(self, *arguments: str) -> str:
        """What a command says that fails."""
        done = self.run(*arguments)
        assert done.returncode == 1, arguments
        return done.stderr.replace(str(self.socket), "SOCKET")


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Started]:
    """A daemon."""
    require(shutil.which("virt-admin"), "not installed: virt-admin")
    with daemon(tmp_path) as started:
        yield started


@pytest.fixture
def admin(one: Started) -> Admin:
    """Its administrator."""
    return Admin(one.folder / "a")


@contextmanager
def client(started: Started) -> Iterator[int]:
    """A client of the program, and its number."""
    with connect(started.address) as connection, started.administrator() as admin:
        assert connection.call(PLUS, 1, DEADLINE) == 2
        yield max(one.id for one in admin.server_list_clients(SERVED, 1).clients)


def test_servers(admin: Admin) -> None:
    assert re.findall(r"^ (\d+)\s+(\w+)$", admin("srv-list"), re.MULTILINE) == [
        ("0", "served"),
        ("1", "admin"),
    ]


def test_workers(admin: Admin) -> None:
    shown = admin.table("srv-threadpool-info", "served")
    assert shown == {
        "minWorkers": "5",
        "maxWorkers": "20",
        "nWorkers": "5",
        "freeWorkers": shown["freeWorkers"],
        "prioWorkers": "5",
        "jobQueueDepth": "0",
    }
    admin("srv-threadpool-set", "served", "--min-workers", "8", "--max-workers", "9")
    admin("srv-threadpool-set", "served", "--priority-workers", "6")
    shown = admin.table("srv-threadpool-info", "served")
    assert (shown["nWorkers"], shown["maxWorkers"], shown["prioWorkers"]) == ("8", "9", "6")


def test_clients_limits(one: Started, admin: Admin) -> None:
    command = ("--max-clients", "1", "--max-unauth-clients", "1")
    with client(one), connect(one.address) as second, ThreadPoolExecutor() as pool:
        assert second.call(PLUS, 1, DEADLINE) == 2
        admin("srv-clients-set", "served", *command)
        with connect(one.address) as third:
            waiting = pool.submit(third.call, PLUS, 2, DEADLINE)
            assert admin.table("srv-clients-info", "served") == {
                "nclients_max": "1",
                "nclients": "2",
                "nclients_unauth_max": "1",
                "nclients_unauth": "0",
            }
            assert not waiting.done()
            admin("srv-clients-set", "served", "--max-clients", "5")
            assert waiting.result(DEADLINE) == 3
    assert admin.table("srv-clients-info", "served")["nclients_max"] == "5"


def test_a_client(one: Started, admin: Admin) -> None:
    with client(one) as number:
        listed = admin("srv-clients-list", "served")
        assert re.findall(r"^ (\d+)\s+(\w+)\s+\d{4}-", listed, re.MULTILINE) == [
            (str(number), "unix")
        ]
        shown = admin.table("client-info", "served", str(number))
        assert shown.pop("unix_user_name")
        assert shown.pop("unix_group_name")
        assert shown == {
            "id": str(number),
            "connection_time": shown["connection_time"],
            "transport": "unix",
            "readonly": "no",
            "sock_addr": "127.0.0.1:0",
            "unix_user_id": str(os.geteuid()),
            "unix_group_id": str(os.getegid()),
            "unix_process_id": str(os.getpid()),
        }


def test_disconnecting_a_client(one: Started, admin: Admin) -> None:
    with connect(one.address) as kept, connect(one.address) as cut:
        assert kept.call(PLUS, 1, DEADLINE) == 2
        assert cut.call(PLUS, 1, DEADLINE) == 2
        assert admin("client-disconnect", "served", "2").strip() == ("Client '2' disconnected")
        with pytest.raises(ConnectionClosed):
            cut.call(PLUS, 1, DEADLINE)
        assert kept.call(PLUS, 1, DEADLINE) == 2
        error = "error: Client not found: No client with matching ID '2'\n"
        assert admin.error("client-info", "served", "2") == error


def test_logging(one: Started, admin: Admin) -> None:
    one.reload()
    assert "reloading" not in one.log.read_text()
    admin("daemon-log-filters", "--filters", "2:daemon 4:rpc")
    assert admin("daemon-log-filters").strip() == "Logging filters: 2:*daemon* 4:*rpc*"
    one.reload()
    assert one.log.read_text().count("reloading") == 1
    other = one.folder / "other"
    admin("daemon-log-outputs", "--outputs", f"1:file:{other}")
    assert admin("daemon-log-outputs").strip() == f"Logging outputs: 1:file:{other}"
    one.reload()
    assert one.log.read_text().count("reloading") == 1
    assert other.read_text().count("reloading") == 1


def test_the_timeout(one: Started, admin: Admin) -> None:
    admin("daemon-timeout", "--timeout", "1")
    assert one.ended() == 0


# Beside libvirt's own

REFUSED = [
    "srv-threadpool-info nowhere",
    "srv-threadpool-set {0} --min-workers 1000",
    "srv-threadpool-set {0} --min-workers 0 --max-workers 0",
    "srv-clients-set {0} --max-clients 1",
    "srv-clients-info nowhere",
    "client-info {0} 1000",
    "client-disconnect {0} 1000",
    "client-info nowhere 1",
    "server-update-tls {0}",
]


@pytest.mark.parametrize("command", REFUSED)
def test_refusals_are_libvirtds(command: str, admin: Admin, libvirtd: Daemon) -> None:
    theirs = administrator_of(libvirtd)
    ours = admin.error(*command.format("served").split())
    assert ours == theirs.error(*command.format("libvirtd").split())


def unsigned(**values: int) -> list[AdminTypedParam]:
    return [
        AdminTypedParam(name, AdminTypedParamValueVirTypedParamUint(value))
        for name, value in values.items()
    ]


INT = [AdminTypedParam("minWorkers", AdminTypedParamValueVirTypedParamInt(1))]

WRONG: list[tuple[str, tuple[Any, ...]]] = [
    ("connect_open", (1,)),
    ("connect_list_servers", (1, 1)),
    ("connect_lookup_server", ("nowhere",)),
    ("server_get_threadpool_parameters", (1,)),
    ("server_set_threadpool_parameters", (unsigned(nWorkers=1),)),
    ("server_set_threadpool_parameters", (unsigned(minWorkers=1) * 2,)),
    ("server_set_threadpool_parameters", (INT,)),
    ("server_set_threadpool_parameters", (unsigned(minWorkers=1000),)),
    ("server_set_threadpool_parameters", (unsigned(minWorkers=0, maxWorkers=0),)),
    ("server_get_client_limits", (1,)),
    ("server_set_client_limits", (unsigned(nclients=1),)),
    ("server_set_client_limits", (unsigned(nclients_max=1),)),
    ("server_list_clients", (1, 1)),
    ("server_lookup_client", (1000,)),
    ("server_update_tls_files", ()),
    ("connect_get_logging_filters", (1,)),
    ("connect_set_logging_outputs", (None, 1)),
    ("connect_set_daemon_timeout", (0, 1)),
]


def test_errors_are_libvirtds_in_all_fields(one: Started, libvirtd: Daemon) -> None:
    require(libvirtd.way == "system" or os.geteuid(), "root that may not mount starts it as nobody")
    with connect(f"unix://{libvirtd.admin_socket}") as connection, one.administrator() as ours:
        theirs = AdminClient(connection)
        for method, arguments in WRONG:
            real = fields(theirs, "libvirtd", method, arguments)
            assert fields(ours, SERVED.name, method, arguments) == real, (method, arguments)


def fields(admin: AdminClient, name: str, method: str, arguments: tuple[Any, ...]) -> object:
    """All fields of an error."""
    server = (AdminNonnullServer(name),) if method.startswith("server") else ()
    with pytest.raises(RemoteError) as caught:
        getattr(admin, method)(*server, *arguments, timeout=DEADLINE)
    return vars(caught.value)


SHAPES = ["srv-threadpool-info admin", "srv-clients-info admin", "srv-clients-list admin"]


@pytest.mark.parametrize("command", SHAPES)
def test_tables_are_like_virtlockds(command: str, admin: Admin, virtlockd: Daemon) -> None:
    theirs = administrator_of(virtlockd)
    ours, real = (re.sub(r"\d+", "N", one(*command.split())) for one in (admin, theirs))
    assert ours == real


def administrator_of(real: Daemon) -> Admin:
    is_nobodys = real.way == "session" and os.geteuid() == 0
    return Admin(real.admin_socket, NOBODY if is_nobodys else None)
