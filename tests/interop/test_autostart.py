"""A user's libvirtd that is started by the first client, ours or virsh."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from helpers import require
from interop.daemons import DEADLINE, NOBODY, PATH
from process.kit import has_ended
from wire_cases import PING, PONG, Reply, header_of
from wire_replay import exchange

from rpcgen import libvirt
from rpcgen.libvirt.autostart import dial


class User(NamedTuple):
    """An ordinary user, whose libvirtd does not run yet."""

    environ: dict[str, str]
    socket: str
    prefix: list[str]
    """What stands before a command to run it as that user, if we are root."""


@pytest.fixture
def user() -> Iterator[User]:
    """One with folders of its own."""
    program = shutil.which("libvirtd", path=PATH)
    require(program and shutil.which("virsh"), "not installed: libvirtd, virsh")
    with TemporaryDirectory(prefix="rpc") as name:
        folder = Path(name)
        prefix = []
        if os.geteuid() == 0:
            prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        (folder / "bin").mkdir()
        (folder / "bin/libvirtd").write_text(f"""#!/bin/sh
export LIBVIRT_LOG_OUTPUTS=1:file:{folder}/log
test $(id -u) -eq 0 && exec {" ".join(prefix)} {program} "$@"
exec {program} "$@"
""")
        (folder / "bin/libvirtd").chmod(0o755)
        (folder / "run/libvirt").mkdir(parents=True)
        for path in (folder, *folder.rglob("*")):
            if prefix:
                os.chown(path, NOBODY, NOBODY)
        environ = {
            "PATH": PATH,
            "HOME": name,
            "XDG_RUNTIME_DIR": f"{name}/run",
            "LIBVIRTD_PATH": f"{name}/bin",
            "LC_ALL": "C.UTF-8",
        }
        yield User(environ, f"{name}/run/libvirt/libvirt-sock", prefix)
        if (folder / "log").exists():  # shown if the test fails
            sys.stdout.write((folder / "log").read_text())


def virsh(user: User) -> subprocess.CompletedProcess[str]:
    """Have virsh connect to the user's libvirtd."""
    return subprocess.run(
        [*user.prefix, "virsh", "-c", "secret:///session", "uri"],
        env=user.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )


def pid_of_the_daemon(user: User) -> int:
    """Of the one that answers us."""
    stream = dial(user.socket, "libvirtd", environ=user.environ, timeout=DEADLINE)
    pid = stream.identity.pid
    assert pid
    try:
        with socket.socket(fileno=stream.detach()) as connection:
            connection.settimeout(DEADLINE)
            exchange(connection, PING, Reply(header_of(PONG)))
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    return pid


@pytest.mark.parametrize("first", ["ours", "virsh"])
def test_the_first_client_starts_it_and_the_other_finds_it(first: str, user: User) -> None:
    if first == "virsh":
        assert virsh(user).returncode == 0
    pid = pid_of_the_daemon(user)
    try:
        assert not Path(user.socket).with_name("libvirtd.lock").exists()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert command[1:2] == [b"--timeout=120"]
        done = virsh(user)
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "secret:///session", "")
        assert pid_of_the_daemon(user) == pid
    finally:
        os.kill(pid, signal.SIGTERM)
        assert has_ended(pid)


def test_a_session_starts_it(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)  # ours, where that user may not write
    for name, value in user.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)  # root has no daemon of its own
    with libvirt.open("test+unix:///default", timeout=DEADLINE) as session:
        pid = pid_of_the_daemon(user)
        try:
            assert session.remote.domain_lookup_by_name("test").name == "test"
        finally:
            os.kill(pid, signal.SIGTERM)
            assert has_ended(pid)
