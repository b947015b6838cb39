"""The real virsh against the embedded hypervisor; what it prints, against the real daemon's test driver.

A session is what one virsh process is told: it finds the same host here and there.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from helpers import require
from hypervisor.sessions import FILES, SESSIONS
from hypervisor.terminal import Terminal, at_a_terminal
from interop.daemons import DEADLINE, PATH, Libvirtd, virsh

from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.runtime import Call, Server, StreamCall

PARSER: Final = re.compile(r"error: \(\w+_definition\):.*\n.*\n-*\^\n")
"""What is wrong with XML that is not well-formed: each parser says it in its own words."""

VARYING: Final = re.compile(
    r"CPU time: .*\n" r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000" r"|<creationTime>\d+"
)
"""Times."""

UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KNOWN: Final = {"6695eb01-f6a4-8304-79aa-97f2502e193f"} | {
    found[0] for text in FILES.values() for found in UUID.finditer(text)
}
"""The others are made up by the daemon, each time it starts."""


class Watched(Hypervisor):
    """Says when somebody waits for events or sits at the console, and what is typed there."""

    def __init__(self) -> None:
        super().__init__()
        self.has_subscriber = threading.Event()
        self.has_console = threading.Event()
        self.typed = b""

    def connect_domain_event_callback_register_any(
        self, call: Call, event_id: int, dom: RemoteNonnullDomain | None
    ) -> int:
        number = super().connect_domain_event_callback_register_any(call, event_id, dom)
        self.has_subscriber.set()
        return number

    async def domain_open_console(
        self, call: StreamCall[None], dom: RemoteNonnullDomain, dev_name: str | None, flags: int
    ) -> AsyncIterator[bytes]:
        self.has_console.set()
        async for data in super().domain_open_console(call, dom, dev_name, flags):
            self.typed += data
            yield data


class Running:
    """A hypervisor that listens.

    Attributes:
        uri: for libvirt's clients.
    """

    def __init__(self, hypervisor: Watched, uri: str) -> None:
        self.hypervisor = hypervisor
        self.uri = uri

    def virsh(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run virsh on it."""
        return virsh(self.uri, *arguments)

    def at_a_terminal(self, *arguments: str) -> AbstractContextManager[Terminal]:
        """Run virsh where it can talk to a person."""
        return at_a_terminal(["virsh", "-c", self.uri, *arguments], PATH)

    def said(self, *commands: str) -> str:
        """What a session prints that has no errors."""
        done = self.virsh("; ".join(commands))
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture
def running() -> Iterator[Running]:
    """A new hypervisor."""
    require(shutil.which("virsh"), "not installed: virsh")
    hypervisor = Watched()
    with (
        TemporaryDirectory(prefix="rpc") as folder,  # short: the path of a socket has 107 bytes
        Server([hypervisor], listen=[f"unix://{folder}/s"]),
    ):
        yield Running(hypervisor, f"test+unix:///default?socket={folder}/s")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with all files."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def script(commands: Sequence[str], files: Path) -> str:
    """A session as one argument; what a command prints stands behind its echo."""
    lines = []
    for number, command in enumerate(commands):
        filled = re.sub(r"\{(.*?)\}", lambda name: str(files / name[1]), command)
        lines += [f"echo -- {number}", filled]
    return "; ".join(lines)


def steady(text: str) -> str:
    """What must be the same on both sides."""
    text = VARYING.sub("", PARSER.sub("error: not well-formed\n", text))
    return UUID.sub(lambda uuid: uuid[0] if uuid[0] in KNOWN else "made up", text)


@pytest.mark.parametrize("name", SESSIONS)
def test_it_prints_what_the_test_driver_makes_it_print(
    name: str, running: Running, libvirtd: Libvirtd, files: Path
) -> None:
    session = script(SESSIONS[name], files)
    ours, theirs = running.virsh(session), libvirtd.virsh(session)
    assert steady(ours.stdout).splitlines() == steady(theirs.stdout).splitlines()
    assert steady(ours.stderr).splitlines() == steady(theirs.stderr).splitlines()
    assert ours.returncode == theirs.returncode


def test_the_sessions_use_many_commands() -> None:
    commands = {command.split()[0] for session in SESSIONS.values() for command in session}
    assert len(commands) >= 80


def test_a_read_only_client_may_only_look(
    running: Running, libvirtd: Libvirtd, files: Path
) -> None:
    session = script(
        [
            *("list", "dumpxml test", "dumpxml --security-info test", "destroy test"),
            *("define {web.xml}", "snapshot-create test", "net-destroy default", "net-list"),
            *("pool-destroy default-pool", "vol-list default-pool", "net-define {network.xml}"),
            *("screenshot test {shot}", "undefine test", "setmem test 1024", "vcpucount test"),
        ],
        files,
    )
    ours, theirs = (virsh(one.uri, "--readonly", session) for one in (running, libvirtd))
    assert (ours.stdout, ours.stderr) == (theirs.stdout, theirs.stderr)


def test_another_driver_is_not_there(running: Running, libvirtd: Libvirtd) -> None:
    ours, theirs = (
        virsh(one.uri.replace("test+", "nothing+"), "list") for one in (running, libvirtd)
    )
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)


# Where the test driver has other rules than libvirt's other drivers, or none


def test_a_running_transient_domain_cannot_be_undefined(running: Running, files: Path) -> None:
    running.said(f"create {files / 'web.xml'}", "undefine test")
    for domain in ("web", "2", "11111111-2222-3333-4444-555555555555", "test"):
        done = running.virsh("undefine", domain)
        assert done.returncode == 1
        assert "Requested operation is not valid: cannot undefine transient domain" in done.stderr
    assert running.said("list --all --name").split() == ["test", "web"]


def test_the_record_of_a_snapshot_is_not_the_snapshot(running: Running, tmp_path: Path) -> None:
    record = tmp_path / "record.xml"
    running.said("snapshot-create-as test one", "snapshot-create-as test two", "destroy test")
    record.write_text(running.said("snapshot-dumpxml test two"))
    running.said("snapshot-delete test two --metadata")
    assert running.said("snapshot-list test --name").split() == ["one"]
    assert running.said("snapshot-current test --name").split() == ["one"]
    running.said(f"snapshot-create test --redefine {record}", "snapshot-revert test two")
    assert running.said("domstate --reason test").strip() == "running (from snapshot)"
    assert running.said("snapshot-list test --tree").split() == ["one", "|", "+-", "two"]

    running.said("snapshot-delete test two", f"snapshot-create test --redefine {record}")
    done = running.virsh("snapshot-revert", "test", "two")
    assert "operation failed: the disks hold no snapshot 'two'" in done.stderr


def test_undefining_would_strand_records(running: Running) -> None:
    running.said("snapshot-create-as test one", "destroy test")
    done = running.virsh("undefine", "test")
    assert "cannot delete inactive domain with 1 snapshots" in done.stderr
    running.said("snapshot-delete test one --metadata", "undefine test")
    assert running.said("list --all --name").strip() == ""


def test_a_paused_start(running: Running, files: Path) -> None:
    running.said(f"define {files / 'web.xml'}", "start web --paused")
    assert running.said("domstate --reason web").strip() == "paused (user)"


def test_volumes_are_resized_and_wiped(running: Running) -> None:
    running.said("vol-create-as default-pool v 10M --allocation 0")
    running.said("vol-resize --pool default-pool v 30M", "vol-wipe --pool default-pool v")
    assert "30.00 MiB" in running.said("vol-info --pool default-pool v")
    done = running.virsh("vol-resize", "--pool", "default-pool", "v", "3M")
    assert "Can't shrink capacity below current capacity" in done.stderr
    running.said("vol-resize --pool default-pool v 3M --shrink")
    assert "3.00 MiB" in running.said("vol-info --physical --pool default-pool v")


# Streams


def sparse_file(path: Path) -> bytes:
    """A file of a few MiB with holes before, between and behind its data."""
    with path.open("wb") as file:
        file.seek(1 << 20)
        file.write(bytes(range(256)) * 1200)
        file.seek(3 << 20)
        file.write(b"x" * 300_000)
        file.truncate(5 << 20)
    return path.read_bytes()


def stored(path: Path) -> int:
    """Bytes that a file takes of its disk."""
    return path.stat().st_blocks * 512


@pytest.mark.parametrize("up", ["", "--sparse"])
@pytest.mark.parametrize("down", ["", "--sparse"])
def test_volumes_travel(running: Running, tmp_path: Path, up: str, down: str) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    data = sparse_file(source)
    running.said(
        "vol-create-as default-pool v 5M --allocation 0",
        f"vol-upload {up} --pool default-pool v {source}",
        f"vol-download {down} --pool default-pool v {back}",
    )
    assert back.read_bytes() == data
    if up and down and stored(source) < 2 << 20:
        assert stored(back) < 2 << 20
        assert "5.00 MiB" not in running.said("vol-info --pool default-pool v").split("Alloc")[1]


def test_part_of_a_volume_travels(running: Running, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(b"0123456789")
    running.said(
        "vol-create-as default-pool v 1000",
        f"vol-upload --pool default-pool v {source} --offset 500 --length 10",
        f"vol-download --pool default-pool v {back} --offset 498 --length 8",
    )
    assert back.read_bytes() == b"\0\x00012345"


def test_a_file_that_is_larger_than_its_volume(running: Running, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(2000))
    running.said("vol-create-as default-pool v 1000")
    done = running.virsh("vol-upload", "--pool", "default-pool", "v", source)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert running.said("vol-delete --pool default-pool v")


def test_a_screenshot(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "shot.png"
    assert "with type of image/png" in running.said(f"screenshot test {path}")
    picture = path.read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")


# What needs a terminal


def test_the_console_echoes(running: Running) -> None:
    with running.at_a_terminal("console", "test") as terminal:
        terminal.read_until(b"Escape character is ^]")
        terminal.read_until(b"\n")
        assert running.hypervisor.has_console.wait(DEADLINE)
        terminal.type(b"login: root\r")
        terminal.read_until(b"login: root\r")
        terminal.type(b"\x1d")
        assert terminal.process.wait(DEADLINE) == 0
    assert running.hypervisor.typed == b"login: root\r"


def test_events_are_told_while_they_happen(running: Running, files: Path) -> None:
    with running.at_a_terminal("event", "--loop", "--event", "lifecycle") as terminal:
        assert running.hypervisor.has_subscriber.wait(DEADLINE)
        running.said(
            *("suspend test", "resume test", "snapshot-create-as test one", "shutdown test"),
            *("snapshot-revert test one --paused", f"define {files / 'web.xml'}"),
            *("domrename web site", "undefine site"),
        )
        told = terminal.read_until(b"'site': Undefined Removed").decode()
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until(b"events received: 9")
        assert terminal.process.wait(DEADLINE) == 0
    assert re.findall(r"event 'lifecycle' for domain '(.*?)': (.*?)\r?$", told, re.MULTILINE) == [
        ("test", "Suspended Paused"),
        ("test", "Resumed Unpaused"),
        ("test", "Stopped Shutdown"),
        ("test", "Started Snapshot"),
        ("test", "Suspended Snapshot"),
        ("web", "Defined Added"),
        ("web", "Undefined Renamed"),
        ("site", "Defined Renamed"),
        ("site", "Undefined Removed"),
    ]
