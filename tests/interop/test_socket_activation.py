"""A program of ours under systemd's own parent for socket activation, which tells it what systemd does."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from helpers import require
from process.kit import DEADLINE, ROOT, has_ended, is_readable

from rpcgen.examples.filer.bindings.filer.client import FilerV1Client
from rpcgen.runtime import connect as connect_rpc

PARENT = "systemd-socket-activate"

DAEMON = """
import os, sys
from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.activation import activation
from rpcgen.runtime.process.notify import Notifier

def serve(found):
    services = {name: found.claim(name) for name in sys.argv[1:]}
    found.check_complete()
    with Notifier.from_environ() as notifier:
        notifier.ready("serving")
    (first, *_), *_ = services.values()
    client = first.accept()[0]
    shown = [(name, one.getsockname()) for name, all in services.items() for one in all]
    client.sendall(repr((shown, sorted(set(os.environ) & {"LISTEN_FDS", "LISTEN_PID"}))).encode())

try:
    with activation() as found:
        serve(found)
except ProcessError as error:
    print(error, file=sys.stderr)
    sys.exit(6)
"""
"""Serves the names that it is told, and tells its first client what it has."""

FILER = """
import sys
from rpcgen.examples.filer.server import Filer
from rpcgen.runtime import Server
from rpcgen.runtime.daemon import Daemon
from rpcgen.runtime.process.activation import activation

folder, state = sys.argv[1:]
sockets = []
if found := activation():
    with found:
        sockets = found.claim("filer.socket")
        found.check_complete()
Daemon({"filer": Server([Filer(folder)], listen=sockets)}, name="filer", state=state).run()
"""
"""A daemon of ours."""

CHILD = """
import os, sys
from rpcgen.runtime.process.activation import activation
pid = os.fork()
if pid:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print("activated:", activation(), file=sys.stderr)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short: the path of a socket has 107 bytes."""
    with TemporaryDirectory(prefix="rpc") as name:
        yield Path(name)


@contextmanager
def activated(
    source: str, *names: str, listen: list[str], options: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program under the parent; the program runs once somebody connects."""
    require(shutil.which(PARENT), f"not installed: {PARENT}")
    addresses = [word for one in listen for word in ("-l", one)]
    environment = [f"--setenv={name}" for name in ("PYTHONPATH", "PATH")]
    command = [PARENT, *addresses, *environment, *options, sys.executable, "-c", source, *names]
    # Without a buffer: what is readable is what has not been read.
    process = subprocess.Popen(command, bufsize=0, stderr=subprocess.PIPE, cwd=ROOT)
    with process:
        try:
            for _ in listen:
                assert "Listening on" in line_of(process)
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr
    assert is_readable(process.stderr.fileno(), DEADLINE)
    return process.stderr.readline().decode()


def said(process: subprocess.Popen[bytes]) -> str:
    """What the program said, which is to end by itself."""
    assert has_ended(process.pid)
    assert process.stderr
    return process.stderr.read().decode()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(DEADLINE)
    client.connect(str(path))
    return client


@pytest.mark.parametrize("form", ["path", "abstract"])
def test_sockets_are_taken_over_by_name(form: str, folder: Path) -> None:
    a, b, c = (folder / name for name in "abc")
    name = f"@{uuid4()}" if form == "abstract" else f"{folder}/notify"
    options = ("--fdname=x.socket:x-ro.socket:x.socket", f"--setenv=NOTIFY_SOCKET={name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(DEADLINE)
        listen = [str(a), str(b), str(c)]
        with activated(
            DAEMON, "x-ro.socket", "x.socket", listen=listen, options=options
        ) as process:
            with connect(b) as client:
                shown = client.makefile().read()
            assert manager.recv(1000) == b"READY=1\nSTATUS=serving"
            assert process.wait(DEADLINE) == 0
    services = [("x-ro.socket", str(b)), ("x.socket", str(a)), ("x.socket", str(c))]
    assert shown == repr((services, []))
    assert a.is_socket()  # it is the parent's


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "LISTEN_FDNAMES: expected a name for each of LISTEN_FDS=2, got 0: None\n"),
        (("--fdname=a:x",), "sockets were passed that nothing here serves: x\n"),
    ],
)
def test_what_is_not_named_or_not_served_is_refused(
    options: tuple[str, ...], words: str, folder: Path
) -> None:
    listen = [str(folder / "a"), str(folder / "x")]
    with activated(DAEMON, "a", listen=listen, options=options) as process:
        connect(folder / "a").close()
        assert said(process).endswith(words)
        assert process.wait(DEADLINE) == 6


def test_a_child_is_not_activated(folder: Path) -> None:
    with activated(CHILD, listen=[str(folder / "a")], options=("--fdname=a",)) as process:
        connect(folder / "a").close()
        assert said(process).endswith("activated: None\n")
        assert process.wait(DEADLINE) == 0


def test_a_connection_is_no_listener(folder: Path) -> None:
    options = ("--accept", "--fdname=a")
    with activated(DAEMON, "a", listen=[str(folder / "a")], options=options) as process:
        with connect(folder / "a") as client:
            assert client.recv(1) == b""
        while "expected" not in (line := line_of(process)):
            pass
        assert line.startswith("a: expected a stream socket that listens as descriptor 3 (a unit")


def test_a_daemon_serves_there_and_so_does_the_program_after_it(folder: Path) -> None:
    path, state = folder / "s", folder / "state"
    options = ("--fdname=filer.socket",)
    with activated(FILER, str(folder), str(state), listen=[str(path)], options=options) as process:
        with connect_rpc(f"unix://{path}") as connection:
            filer = FilerV1Client(connection)
            before = filer.list_folder("")
            for _ in range(3):
                process.send_signal(signal.SIGUSR1)
                assert filer.list_folder("") == before
            with connect_rpc(f"unix://{path}") as another:
                assert FilerV1Client(another).list_folder("") == before
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    assert path.is_socket()  # it is still the parent's
