"""Sockets that were passed: taken over by name, and refused for what the contract forbids."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from process.kit import DEADLINE, ROOT

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.activation import Activation, activation

FIRST = 700
"""Where these tests put what is passed: 3 is pytest's."""


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """Two UNIX listeners and a TCP one, as descriptors from ``FIRST`` on."""
    listeners = [listener(tmp_path / "a"), listener(tmp_path / "b"), tcp_listener()]
    for number, one in enumerate(listeners, FIRST):
        os.dup2(one.fileno(), number)
    yield listeners
    for number, one in enumerate(listeners, FIRST):
        one.close()
        close_if_open(number)


def listener(path: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.bind(str(path))
    one.listen()
    return one


def tcp_listener() -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen()
    return one


def close_if_open(fd: int) -> None:
    if is_open(fd):
        os.close(fd)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def variables(**changes: str | None) -> dict[str, str]:
    """What systemd sets for three sockets, with changes; None for a variable that is missing."""
    usual = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "3",
        "LISTEN_FDNAMES": "x.socket:x.socket:x-tcp.socket",
        "OTHER": "stays",
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def take(environ: dict[str, str]) -> Activation:
    found = activation(environ, first=FIRST)
    assert found
    return found


def test_sockets_have_their_names(passed: list[socket.socket]) -> None:
    environ = variables()
    with take(environ) as found:
        assert environ == {"OTHER": "stays"}
        assert list(found.names) == ["x.socket", "x-tcp.socket"]
        unix = found.claim("x.socket")
        assert [one.getsockname() for one in unix] == [one.getsockname() for one in passed[:2]]
        assert [one.fileno() for one in unix] == [FIRST, FIRST + 1]
        assert list(found.names) == ["x-tcp.socket"]
        (tcp,) = found.claim("x-tcp.socket")
        assert (tcp.family, tcp.getsockname()) == (socket.AF_INET, passed[2].getsockname())
        found.check_complete()
    for one in (*unix, tcp):
        assert not one.get_inheritable()
        one.close()


def test_a_claimed_socket_accepts(passed: list[socket.socket]) -> None:
    with take(variables()) as found:
        (tcp,) = found.claim("x-tcp.socket")
    with tcp, socket.create_connection(tcp.getsockname()) as client, tcp.accept()[0] as server:
        client.sendall(b"x")
        assert server.recv(1) == b"x"


def test_a_name_that_was_not_passed_gives_none(passed: list[socket.socket]) -> None:
    with take(variables()) as found:
        assert found.claim("x-tls.socket") == []


def test_what_nobody_claims_is_an_error_and_closed(passed: list[socket.socket]) -> None:
    with take(variables(LISTEN_FDNAMES="a:b:c")) as found:
        for one in found.claim("b"):
            one.close()
        with pytest.raises(ProcessError, match=r"nothing here serves: a, c$"):
            found.check_complete()
    assert not is_open(FIRST)
    assert not is_open(FIRST + 2)
    found.check_complete()


@pytest.mark.parametrize(
    "changes",
    [
        {"LISTEN_PID": None},
        {"LISTEN_PID": "1"},
        {"LISTEN_PID": "text"},
        {"LISTEN_PID": ""},
        {"LISTEN_FDS": None},
        {"LISTEN_FDS": "text"},
        {"LISTEN_FDS": "-1"},
        {"LISTEN_FDS": "0"},
        {"LISTEN_FDS": "9" * 5000},
        {"LISTEN_FDS": "٣"},
    ],
)
def test_it_is_not_activation(changes: dict[str, str | None], passed: list[socket.socket]) -> None:
    environ = variables(**changes)
    assert activation(environ, first=FIRST) is None
    assert environ == {"OTHER": "stays"}  # it is not for children either
    assert os.get_inheritable(FIRST) is True  # whosever it is


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (None, "0: None"),
        ("a:b", "2: 'a:b'"),
        ("a:b:c:d", "4: 'a:b:c:d'"),
        ("", "1: ''"),
    ],
)
def test_every_socket_must_have_a_name(
    names: str | None, words: str, passed: list[socket.socket]
) -> None:
    environ = variables(LISTEN_FDNAMES=names)
    said = rf"^LISTEN_FDNAMES: expected a name for each of LISTEN_FDS=3, got {words}$"
    with pytest.raises(ProcessError, match=said):
        activation(environ, first=FIRST)
    assert environ == {"OTHER": "stays"}


def test_a_descriptor_must_be_open(passed: list[socket.socket]) -> None:
    os.close(FIRST + 2)
    with pytest.raises(ProcessError, match=r"^x-tcp.socket: descriptor 702 is no socket: Bad file"):
        activation(variables(), first=FIRST)
    assert not is_open(FIRST)


def test_a_descriptor_must_be_a_socket(passed: list[socket.socket]) -> None:
    with Path(os.devnull).open() as file:
        os.dup2(file.fileno(), FIRST + 1)
    with pytest.raises(ProcessError, match=r"^x.socket: descriptor 701 is no socket: Socket oper"):
        activation(variables(), first=FIRST)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_must_listen(kind: socket.SocketKind, passed: list[socket.socket]) -> None:
    one, other = socket.socketpair(type=kind)
    with one, other:
        os.dup2(one.fileno(), FIRST)
        with pytest.raises(ProcessError, match=r"x.socket: expected a stream .* descriptor 700 \("):
            activation(variables(), first=FIRST)


PARENT = """
import os, socket, sys
listeners = [socket.socket(socket.AF_UNIX) for _ in sys.argv[3:]]
for path, one in zip(sys.argv[3:], listeners):
    one.bind(path)
    one.listen()
spare = [os.dup(one.fileno()) for one in listeners]
for number, fd in enumerate(spare, 3):
    os.dup2(fd, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(spare)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.executable, [sys.executable, "-W", "error", "-c", sys.argv[1]])
"""
"""What a service manager does between fork and exec (``sd_listen_fds(3)``)."""

DAEMON = """
import os, subprocess, sys
from rpcgen.runtime.process.activation import activation
with activation() as found:
    for name in found.names:
        for one in found.claim(name):
            print(name, one.fileno(), one.getsockname())
            one.close()
    found.check_complete()
print(subprocess.check_output(["env"], text=True).count("LISTEN_"))
"""


def test_it_does_as_a_service_manager_expects(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in "abc"]
    done = subprocess.run(
        [sys.executable, "-c", PARENT, DAEMON, "x:y:x", *paths],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        cwd=ROOT,
    )
    assert done.stderr == ""
    assert done.stdout == f"x 3 {paths[0]}\nx 5 {paths[2]}\ny 4 {paths[1]}\n0\n"
