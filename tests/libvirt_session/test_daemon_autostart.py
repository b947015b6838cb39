"""A user's daemon that its first client starts: played by a script that says who it is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic

import pytest
from process.kit import DEADLINE, another, has_ended, is_waited_for, until
from wire_cases import PING, PONG

from rpcgen.libvirt import autostart
from rpcgen.libvirt.autostart import _STARTER, daemon_of, dial, dial_async, reach, reach_async
from rpcgen.libvirt.sockets import address
from rpcgen.libvirt.uri import parse
from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.interfaces import ByteStream
from rpcgen.runtime.process import lock_file
from rpcgen.runtime.transport.address import Address
from rpcgen.runtime.transport.stream import SocketStream

FAKE = """#!{python} -IS
import json, os, socket, sys
folder = os.environ["XDG_RUNTIME_DIR"]
facts = dict(argv=sys.argv, env=dict(os.environ), cwd=os.getcwd(), null=os.path.realpath("/dev/fd/1"))
facts.update(pid=os.getpid(), leads=os.getsid(0) == os.getpid(), session=os.getsid(0))
with open(folder + "/started", "a") as file:
    print(json.dumps(facts), file=file)
open(folder + "/go").close()  # until the test lets it
listening = socket.socket(socket.AF_UNIX)
listening.bind(folder + "/libvirt/libvirt-sock")
listening.listen()
connections = []
while True:
    connection, _ = listening.accept()
    if not connections:
        assert connection.recv(28, socket.MSG_WAITALL) == bytes.fromhex("{ping}")
        connection.send(bytes.fromhex("{pong}"))
    connection.send(b"%8d" % os.getpid())
    connections.append(connection)
"""
"""The client that starts it asks whether it is there; others may come while nobody listens yet."""


class Place:
    """Where a user's daemons are.

    Attributes:
        folder: XDG_RUNTIME_DIR.
        socket: the daemon's.
        environ: the user's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "run"
        self.program = folder / "bin/libvirtd"
        self.program.parent.mkdir()
        self.folder.mkdir()
        self.go = self.folder / "go"
        os.mkfifo(self.go)
        self.write(FAKE.format(python=sys.executable, ping=PING.hex(), pong=PONG.hex()))
        self.socket = str(self.folder / "libvirt/libvirt-sock")
        self.lock = self.folder / "libvirt/libvirtd.lock"
        self.environ = {
            "XDG_RUNTIME_DIR": str(self.folder),
            "LIBVIRTD_PATH": str(self.program.parent),
            "HOME": "/nowhere",
            "SECRET": "not for daemons",
        }

    def write(self, script: str) -> None:
        """Have another program as the daemon."""
        self.program.write_text(script)
        self.program.chmod(0o700)

    def let_go(self) -> None:
        """Wait until a daemon runs, and let it listen."""
        self.go.open("w").close()

    def started(self) -> list[dict[str, object]]:
        """What each daemon that was started says of itself."""
        path = self.folder / "started"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def place() -> Iterator[Place]:
    """One with a script for a daemon, which ends with the test."""
    with TemporaryDirectory(prefix="rpc") as folder:
        place = Place(Path(folder))
        yield place
        for one in place.started():
            pid = one["pid"]
            assert isinstance(pid, int)
            os.kill(pid, signal.SIGKILL)
            assert has_ended(pid)


def said(stream: ByteStream) -> int:
    """The pid that a daemon tells."""
    with socket.socket(fileno=stream.detach()) as connected:
        connected.settimeout(DEADLINE)
        return int(connected.recv(8, socket.MSG_WAITALL))


def test_a_daemon_is_started_as_libvirt_starts_it(place: Place) -> None:
    letting = Thread(target=place.let_go, daemon=True)
    letting.start()
    stream = dial(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)
    letting.join()
    pid = said(stream)
    (facts,) = place.started()
    environment = {"HOME": "/nowhere", "XDG_RUNTIME_DIR": str(place.folder), "LC_ALL": "C"}
    assert facts["argv"] == [str(place.program), "--timeout=120"]
    assert facts["env"] == environment
    assert (facts["pid"], facts["cwd"], facts["null"]) == (pid, "/", "/dev/null")
    assert facts["leads"] is False
    assert facts["session"] != os.getsid(0)
    assert stat.S_IMODE((place.folder / "libvirt").stat().st_mode) == 0o700
    assert not place.lock.exists()
    # Another client finds it, and starts nothing.
    assert said(dial(place.socket, "none", environ=place.environ, timeout=DEADLINE)) == pid
    assert len(place.started()) == 1


def test_clients_that_come_at_once_start_one_daemon(place: Place) -> None:
    prepare = (
        "from rpcgen.libvirt import autostart",
        "autostart.ATTEMPTS = 1_000_000",  # the test takes its time
        f"environ = {place.environ!r}",
        f"def go(): return autostart.dial({place.socket!r}, 'libvirtd', environ=environ)",
    )
    with another(*prepare) as one, another(*prepare) as two:
        for other in (one, two):
            other.tell("go().identity.pid")
        until(lambda: place.lock.exists() and is_waited_for(place.lock))
        place.let_go()
        pids = {one.answer(), two.answer()}
    assert pids == {facts["pid"] for facts in place.started()}
    assert len(place.started()) == 1
    assert not place.lock.exists()


def test_threads_that_come_at_once_start_one_daemon(place: Place) -> None:
    async def both() -> list[ByteStream]:
        clients = [dial_async(place.socket, "libvirtd", environ=place.environ) for _ in range(2)]
        *streams, _ = await asyncio.gather(*clients, asyncio.to_thread(place.let_go))
        return [one for one in streams if one is not None]

    pids = {said(stream) for stream in asyncio.run(both())}
    assert pids == {facts["pid"] for facts in place.started()}
    assert len(place.started()) == 1


def test_a_socket_that_was_left_behind_is_no_daemon(place: Place) -> None:
    os.makedirs(os.path.dirname(place.socket))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(place.socket)
    place.write("#!/bin/sh\nexit 6\n")
    with pytest.raises(ConnectError, match="libvirtd was started and has ended: exit code 6"):
        dial(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\nexit 3\n", "libvirtd was started and has ended: exit code 3"),
        ("#!/bin/sh\nkill -9 $$\n", "libvirtd was started and has ended: killed by signal 9"),
        ("#!/bin/sh\nseq 9 >&2; exit 4\n", "was started and has ended: exit code 4: 7; 8; 9$"),
        ("#!/nowhere\n", "cannot run /.*/bin/libvirtd: No such file or directory$"),
        ("#!/bin/sh\nexit 0\n", "cannot connect: libvirtd was started and "),
    ],
)
def test_a_daemon_that_fails_is_named_with_its_end(
    script: str, why: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write(script)
    if "exit 0" in script:
        monkeypatch.setattr(autostart, "ATTEMPTS", 3)
    with pytest.raises(ConnectError, match=why) as caught:
        dial(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)
    assert f"unix://{place.socket}" in str(caught.value)
    assert not place.lock.exists()


LISTENING = """#!{python} -IS
import os, select, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind({path!r})
listening.listen()
"""


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ("sys.exit('no drivers')", "libvirtd was started and has ended: exit code 1: no drivers$"),
        ("os.unlink({path!r})", "libvirtd was started and has ended: exit code 0$"),
    ],
)
def test_a_daemon_that_listens_and_fails_is_not_there(then: str, why: str, place: Place) -> None:
    """libvirt's daemons do so if a driver cannot be set up; who waits to be accepted is cut off."""
    place.lock.parent.mkdir()
    script = f"{LISTENING}select.select([listening], [], [])\n{then}\n"
    place.write(script.format(python=sys.executable, path=place.socket))
    with pytest.raises(ConnectError, match=why):
        dial(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)


def test_what_answers_otherwise_is_no_daemon(place: Place) -> None:
    place.lock.parent.mkdir()
    script = f"{LISTENING}listening.accept()[0].send(bytes(28))\nos.unlink({{path!r}})\n"
    place.write(script.format(python=sys.executable, path=place.socket))
    with pytest.raises(ConnectError, match=r"was started and has ended: exit code 0$"):
        dial(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)


def test_a_daemon_that_does_not_answer_is_waited_for_up_to_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ConnectError, match="cannot connect: timed out"):
        autostart._answers(SocketStream(ours), Address("unix", path="/s"), monotonic() + 0.02)
    assert ours.fileno() == -1


def test_a_daemon_may_say_any_amount(place: Place) -> None:
    many = (
        "import os\ntry:\n    while True: os.write(2, b'x' * 9999)\nexcept PermissionError: pass\n"
    )
    place.write(place.program.read_text().replace("import json", f"{many}import json", 1))
    letting = Thread(target=place.let_go, daemon=True)
    letting.start()
    stream = dial(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)
    letting.join()
    said(stream)


def test_one_that_has_ended_well_may_go_on_in_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autostart, "ATTEMPTS", 2)
    command = [sys.executable, "-c", "import sys; print('it has ended', file=sys.stderr)"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as starter:
        starter.wait(DEADLINE)
        with pytest.raises(ConnectError, match=r"cannot connect: it has ended$"):
            autostart._call(Address("unix", path="/nowhere/s"), "libvirtd", starter, None)


def test_without_sealed_memory_its_words_are_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autostart, "_STARTER", f"import os\ndel os.memfd_create{_STARTER}")
    place.write("#!/bin/sh\necho words >&2; exit 4\n")
    with pytest.raises(ConnectError, match=r"was started and has ended: exit code 4$"):
        dial(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)


def test_a_daemon_that_is_not_installed_is_named(place: Place) -> None:
    with pytest.raises(ConnectError, match="there is no virtnoned in PATH to start"):
        dial(place.socket, "virtnoned", environ={"PATH": "/bin"}, timeout=DEADLINE)


def test_it_is_looked_for_in_path(place: Place) -> None:
    place.write("#!/bin/sh\nexit 7\n")
    with pytest.raises(ConnectError, match="exit code 7"):
        dial(place.socket, "libvirtd", environ={"PATH": str(place.program.parent)})


def test_one_folder_of_daemons_goes_before_the_other(place: Place) -> None:
    environ = {**place.environ, "VIRTD_PATH": "/nowhere"}
    with pytest.raises(ConnectError, match="cannot run /nowhere/libvirtd: No such file"):
        dial(place.socket, "libvirtd", environ=environ, timeout=DEADLINE)


def test_another_error_than_that_nobody_listens_starts_nothing(place: Place) -> None:
    path = f"{place.folder}/go"  # no folder
    with pytest.raises(ConnectError, match="Not a directory"):
        dial(f"{path}/libvirt-sock", "libvirtd", environ=place.environ, timeout=DEADLINE)
    assert place.started() == []


def test_a_folder_that_cannot_be_made_is_said(place: Place) -> None:
    path = "/proc/nowhere/libvirt/libvirt-sock"
    with pytest.raises(ConnectError, match="cannot start libvirtd: /proc/nowhere: No such file"):
        dial(path, "libvirtd", environ=place.environ, timeout=DEADLINE)


@pytest.mark.parametrize("timeout", [0.0, 0.02])
def test_waiting_for_the_one_who_starts_it_has_an_end(timeout: float, place: Place) -> None:
    place.lock.parent.mkdir()
    with another("from rpcgen.runtime.process import lock_file") as other:
        assert other.ask(f"lock = lock_file({str(place.lock)!r})") is None
        with pytest.raises(ConnectError, match=f"timed out|locked by process {other.pid}"):
            dial(place.socket, "libvirtd", environ=place.environ, timeout=timeout)
        assert place.lock.exists()
    assert place.started() == []


def test_a_thread_that_starts_it_is_waited_for_up_to_the_deadline(place: Place) -> None:
    with autostart._threads, pytest.raises(ConnectError, match="another thread is starting it"):
        dial(place.socket, "libvirtd", environ=place.environ, timeout=0.02)


def test_a_dial_that_is_cancelled_leaves_no_connection(place: Place) -> None:
    async def give_up() -> None:
        dialling = asyncio.create_task(
            dial_async(place.socket, "libvirtd", environ=place.environ, timeout=DEADLINE)
        )
        with await asyncio.to_thread(place.go.open, "w"):  # the daemon runs
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling

    asyncio.run(give_up())  # a socket that nobody closes is an error here
    with lock_file(place.lock, wait=False):
        assert len(place.started()) == 1


@pytest.mark.parametrize(
    ("uri", "environ", "uid", "daemon"),
    [
        ("", {}, 1000, "libvirtd"),
        ("qemu:///session", {}, 1000, "libvirtd"),
        ("qemu:///session", {"LIBVIRT_AUTOSTART": "1"}, 1000, "libvirtd"),
        ("qemu:///session?mode=direct", {}, 1000, "virtqemud"),
        ("test+unix:///default", {}, 1000, "libvirtd"),
        ("qemu:///session", {"LIBVIRT_AUTOSTART": "0"}, 1000, None),
        ("qemu:///session?socket=/s", {}, 1000, None),
        ("qemu:///system", {}, 1000, None),
        ("qemu:///session", {}, 0, None),
        ("qemu+tcp://h/session", {}, 1000, None),
        ("qemu+ssh://h/session", {}, 1000, None),
    ],
)
def test_only_a_users_own_daemon_is_started(
    uri: str, environ: dict[str, str], uid: int, daemon: str | None
) -> None:
    parsed = parse(uri)
    where = address(parsed, environ={"XDG_RUNTIME_DIR": "/run/x"}, uid=uid)
    assert daemon_of(parsed, where, environ=environ, uid=uid) == daemon


def test_what_is_not_to_be_started_is_reached_by_its_address() -> None:
    assert reach("tcp://h:1", None) == "tcp://h:1"
    assert asyncio.run(reach_async("tcp://h:1", None)) == "tcp://h:1"


def test_what_is_to_be_started_is_reached_by_a_stream(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    letting = Thread(target=place.let_go, daemon=True)
    letting.start()
    one = reach(f"unix://{place.socket}", "libvirtd", DEADLINE)
    letting.join()
    two = asyncio.run(reach_async(f"unix://{place.socket}", "libvirtd", DEADLINE))
    assert not isinstance(one, str)
    assert not isinstance(two, str)
    assert said(one) == said(two)
