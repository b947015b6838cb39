"""Sessions where the server asks polkit who may come: ours with libvirtd, virsh's and ours with our server."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from interop.buses import authority_on_a_bus
from interop.daemons import DEADLINE, PATH, Libvirtd, running
from libvirt_session.guarded import guarded, uri

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.client import RemoteClient
from libvirt_rpc.remote_protocol.types import RemoteAuthType
from rpcgen import libvirt
from rpcgen.libvirt import Authentication
from rpcgen.runtime import connect
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.message import RemoteError


@pytest.fixture(scope="module")
def bus() -> Iterator[str]:
    with authority_on_a_bus() as address:
        yield address


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rpc") as name:  # short: the path of a socket has 107 bytes
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def being(user: str) -> Iterator[None]:
    """Be another user to those whom this process connects to."""
    os.seteuid(pwd.getpwnam(user).pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def type_for(user: str, uri: str) -> str:
    """What a session of a user is told."""
    with being(user):
        session = libvirt.open(uri, timeout=DEADLINE)
    with session:
        return session.remote.connect_get_type()


@pytest.fixture
def libvirtd(bus: str, folder: Path) -> Iterator[Libvirtd]:
    """One that asks polkit."""
    script = folder / "libvirtd"
    script.write_text(f'#!/bin/sh\nexec env DBUS_SYSTEM_BUS_ADDRESS={bus} libvirtd "$@"\n')
    script.chmod(0o755)
    kind: type[Libvirtd] = type("Asking", (Libvirtd,), {"PROGRAM": str(script)})
    with running(kind, "system", auth_unix_rw="polkit", unix_sock_rw_perms="0777") as libvirtd:
        for place in (libvirtd.folder, *libvirtd.socket.parents[:2]):
            place.chmod(0o755)
        yield libvirtd


def test_our_sessions_with_libvirtd(libvirtd: Libvirtd) -> None:
    assert type_for("nobody", libvirtd.uri) == "TEST"
    assert type_for("root", libvirtd.uri) == "TEST"
    with pytest.raises(AuthError, match="access denied by policy") as caught:
        type_for("daemon", libvirtd.uri)
    assert isinstance(caught.value.__cause__, RemoteError)
    assert caught.value.__cause__.code == VirErrorNumber.VIR_ERR_AUTH_FAILED


def virsh_of(user: str, where: str) -> subprocess.CompletedProcess[str]:
    ids = pwd.getpwnam(user)
    change = ["setpriv", f"--reuid={ids.pw_uid}", f"--regid={ids.pw_gid}", "--clear-groups"]
    return subprocess.run(
        [*change, "virsh", "-c", where, "list", "--all", "--name"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        env={"PATH": PATH, "HOME": os.devnull, "LC_ALL": "C.UTF-8"},
    )


def authenticate(user: str, address: str) -> None:
    """Only connect as a user: the server in this process is to be root again."""
    with being(user):
        connection = connect(address)
    with connection:
        remote = RemoteClient(connection)
        if remote.auth_list() == [RemoteAuthType.REMOTE_AUTH_POLKIT]:
            remote.auth_polkit()
        remote.connect_open("test:///default")


def test_our_server(bus: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
    with guarded(folder, Authentication(unix="polkit"), mode=0o777):
        for user in ("nobody", "root"):
            authenticate(user, f"unix://{folder}/s")
            done = virsh_of(user, uri(folder))
            assert (done.returncode, done.stdout.split()) == (0, ["test"]), done.stderr
        done = virsh_of("daemon", uri(folder))
        assert done.returncode == 1
        assert "access denied by policy" in done.stderr
        with pytest.raises(RemoteError, match="access denied by policy"):
            authenticate("daemon", f"unix://{folder}/s")
