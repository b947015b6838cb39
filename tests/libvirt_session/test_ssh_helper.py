"""The helper on the far side of a tunnel: what it carries, how it ends, where it connects to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rpcgen.libvirt.sshhelper import HelperError, carry, main, place

DEADLINE = 20.0
MEBIBYTES = 8 << 20
"""More than the sockets and the helper keep."""


def read_all(one: socket.socket) -> bytes:
    found = bytearray()
    while data := one.recv(1 << 16):
        found += data
    return bytes(found)


def test_both_ways_at_once_when_neither_side_reads_before_it_has_written() -> None:
    near, near_far = socket.socketpair()
    far, far_near = socket.socketpair()
    for one in (near, far):
        one.settimeout(DEADLINE)
    carrying = threading.Thread(
        target=carry, args=(near_far.fileno(), near_far.fileno(), far_near.fileno())
    )
    carrying.start()
    sending = threading.Thread(target=near.sendall, args=(b"n" * MEBIBYTES,))
    answering = threading.Thread(target=far.sendall, args=(b"f" * MEBIBYTES,))
    sending.start()
    answering.start()
    for one, letter in ((near, b"f"), (far, b"n")):
        got = bytearray()
        while len(got) < MEBIBYTES:
            got += one.recv(1 << 16)
        assert got == letter * MEBIBYTES
    near.sendall(b"last words")
    near.shutdown(socket.SHUT_WR)
    carrying.join(DEADLINE)
    assert not carrying.is_alive()
    assert near_far.getblocking()
    far_near.close()
    assert read_all(far) == b"last words"
    for one in (near, near_far, far):
        one.close()


def test_who_is_to_hear_is_gone() -> None:
    near, near_far = socket.socketpair()
    far, far_near = socket.socketpair()
    near.sendall(b"x")
    far.close()
    carry(near_far.fileno(), near_far.fileno(), far_near.fileno())
    for one in (near, near_far, far_near):
        one.close()


def test_without_a_file_it_is_libvirts_daemon(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/r"}
    if os.geteuid() == 0:
        assert place("test:///default", readonly=True, environ=environ).endswith("-sock-ro")
    assert place("qemu:///system?socket=/s", readonly=False, environ=environ) == "unix:///s"


def test_a_file_names_the_socket(tmp_path: Path) -> None:
    (tmp_path / "rpcgen").mkdir()
    file = tmp_path / "rpcgen/ssh-helper.toml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    file.write_text('socket = "/a"\n')
    assert place("", readonly=True, environ=environ) == "unix:///a"
    file.write_text('socket = "/a"\nreadonly_socket = "/b"\n')
    assert place("", readonly=True, environ=environ) == "unix:///b"
    assert place("", readonly=False, environ=environ) == "unix:///a"


@pytest.mark.parametrize("text", ["socket =", "socket = 1", "other = '/s'", "", "\udcff"])
def test_a_file_that_says_something_else_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "rpcgen").mkdir()
    file = tmp_path / "rpcgen/ssh-helper.toml"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(HelperError, match=str(file)):
        place("", readonly=False, environ={"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("test:///default?socket=/nowhere/s", "unix:///nowhere/s: cannot connect: No such file"),
        ("test+tcp://localhost/default", "tcp://localhost:16509: expected a daemon"),
        ("::", "scheme of the libvirt URI"),
    ],
)
def test_nobody_to_connect_to(uri: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([uri]) == 1
    assert message in capsys.readouterr().err


def test_as_a_program(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.settimeout(DEADLINE)
        with subprocess.Popen(
            [sys.executable, "-m", "rpcgen.libvirt.sshhelper", f"test:///x?socket={tmp_path}/s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as helper:
            accepted, _ = listening.accept()
            with accepted:
                accepted.sendall(b"from the daemon")
                accepted.shutdown(socket.SHUT_WR)
                assert helper.stdout is not None
                assert helper.stdout.read() == b"from the daemon"
        assert helper.returncode == 0
