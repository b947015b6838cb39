"""``python -m rpcgen.examples.hypervisor``: it says where it is, answers, and ends when it is told to."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rpcgen.examples.hypervisor.__main__ import _uri

DEADLINE = 30.0
"""Seconds for what takes one."""

AUTH_LIST = bytes.fromhex("0000001c 20008086 00000001 00000042 00000000 00000000 00000000")
NO_AUTHENTICATION = bytes.fromhex(
    "00000024 20008086 00000001 00000042 00000001 00000000 00000000 00000001 00000000"
)


@contextmanager
def hypervisor(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and the address in what it says."""
    command = [sys.executable, "-m", "rpcgen.examples.hypervisor", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("virsh -c 'test+"), line
            yield process, line.split("'")[1]
        finally:
            process.kill()


def asked(connection: socket.socket) -> bytes:
    """The answer to the first question of every client."""
    connection.settimeout(DEADLINE)
    connection.sendall(AUTH_LIST)
    return connection.recv(len(NO_AUTHENTICATION), socket.MSG_WAITALL)


def test_on_a_socket_of_its_own() -> None:
    with hypervisor() as (process, uri):
        path = Path(uri.partition("?socket=")[2])
        assert path.is_socket()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            assert asked(connection) == NO_AUTHENTICATION
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0
    assert not path.parent.exists()


def test_where_it_is_told_to_listen() -> None:
    with hypervisor("--listen", "tcp://127.0.0.1:0") as (process, uri):
        host, _, port = uri.removeprefix("test+tcp://").removesuffix("/default").partition(":")
        with socket.create_connection((host, int(port)), DEADLINE) as connection:
            assert asked(connection) == NO_AUTHENTICATION
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0


@pytest.mark.parametrize(
    ("address", "pkipath", "uri"),
    [
        ("tcp://0.0.0.0:1", None, "test+tcp://localhost:1/default"),
        ("tcp://[::]:1", "pki", "test+tcp://localhost:1/default"),
        ("tcp://[::1]:1", None, "test+tcp://[::1]:1/default"),
        ("tls://0.0.0.0:1", None, "test+tls://localhost:1/default"),
        ("tls://10.0.0.1:1", "/my pki", "test+tls://10.0.0.1:1/default?pkipath=/my%20pki"),
        ("tls://:1", "../p", f"test+tls://localhost:1/default?pkipath={Path.cwd().parent}/p"),
        ("unix:///a'b", None, "test+unix:///default?socket=/a%27b"),
    ],
)
def test_where_a_client_finds_it(address: str, pkipath: str | None, uri: str) -> None:
    assert _uri(address, pkipath) == uri


def test_plain_tcp_and_users_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "users").touch()
    options = ["--listen", "tcp://127.0.0.1:0", "--users", str(tmp_path / "users")]
    command = [sys.executable, "-m", "rpcgen.examples.hypervisor", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "use tls:// or unix:// with --users" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["unix:///no/such/folder/socket", "nowhere"])
def test_where_it_cannot_listen(address: str) -> None:
    command = [sys.executable, "-m", "rpcgen.examples.hypervisor", "--listen", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("python -m rpcgen.examples.hypervisor: ")
    assert len(done.stderr.splitlines()) == 1


def test_with_certificates_and_users(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="not installed: cryptography")
    pytest.importorskip("scramp", reason="not installed: scramp")
    from pki import write_both

    from rpcgen import libvirt
    from rpcgen.runtime import AuthError
    from rpcgen.runtime.auth.mechanism import Secret
    from rpcgen.runtime.auth.users import UserStore

    write_both(tmp_path / "pki")
    UserStore(tmp_path / "users").add("fred", Secret("secret"))
    files = ("--pkipath", f"{tmp_path}/pki", "--users", f"{tmp_path}/users")
    answers = {"user": "fred", "password": "secret"}
    with hypervisor("--listen", "tls://127.0.0.1:0", *files) as (process, uri):
        with libvirt.open(uri, ask=lambda question: answers[question.kind]) as session:
            assert session.remote.connect_get_type() == "TEST"
        with pytest.raises(AuthError, match="the server wants a user name and a password: none in"):
            libvirt.open(uri)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0


@pytest.mark.parametrize("option", [["--users", "/nonexistent"], ["--pkipath", "/nonexistent"]])
def test_files_that_are_not_there(option: list[str]) -> None:
    command = [sys.executable, "-m", "rpcgen.examples.hypervisor", "--listen", "tls://127.0.0.1:0"]
    done = subprocess.run(
        [*command, *option], capture_output=True, text=True, check=False, timeout=DEADLINE
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
