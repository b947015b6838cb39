"""What virtlockd leaves to itself on SIGUSR1: caught on its way, read and written by us, taken back by it."""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from helpers import require
from interop.daemons import DEADLINE, PATH, Virtlockd, running
from lockd.actors import Connected, Process
from lockd.test_lockd_reexec import running as ours_running

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.examples.lockd.saved import SavedClient, SavedLease, SavedLockd

BUSY = VirErrorNumber.VIR_ERR_RESOURCE_BUSY
SHARED, AUTOCREATE = 1, 2

STATES = (
    "/run/virtlockd-restart-exec.json",
    "$XDG_RUNTIME_DIR/libvirt/virtlockd-restart-exec.json",
)
"""Where the system's daemon writes it, and a user's."""

SCRIPT = """#!/bin/sh
for state in {states}; do test -e "$state" && break; done
cat "$state" >{folder}/caught
read anything <{folder}/go
cat {folder}/changed >"$state"
exec {virtlockd} "$@"
"""
"""What virtlockd executes in place of itself: between its two halves, the state is ours."""


@dataclass(frozen=True)
class Restarting:
    """A virtlockd that can be restarted with its state changed.

    Attributes:
        folder: for lock spaces, and for what passes between it and us.
    """

    daemon: Virtlockd
    folder: Path

    @property
    def address(self) -> str:
        return f"unix://{self.daemon.socket}"

    def restart(self, change: Callable[[bytes], bytes]) -> bytes:
        """Have it execute itself anew, with what ``change`` makes of its state; the state that it wrote."""
        caught = os.open(self.folder / "caught", os.O_RDONLY | os.O_NONBLOCK)
        go = os.open(self.folder / "go", os.O_RDWR)  # which does not wait for a reader
        try:
            os.kill(self.daemon.pid, signal.SIGUSR1)
            state = _read(caught)
            (self.folder / "changed").write_bytes(change(state))
            os.write(go, b"\n")
            with Connected(self.address) as new:
                act(new, "create_lockspace", "")  # answered by the new program
            return state
        finally:
            os.close(caught)
            os.close(go)


def _read(fd: int) -> bytes:
    """All that comes until its writer closes, after it has come at all."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    found = b""
    while True:
        assert poll.poll(DEADLINE * 1000), "virtlockd has not restarted"
        data = os.read(fd, 65536)
        if not data:
            return found
        found += data


@contextmanager
def restarting() -> Iterator[Restarting]:
    """A virtlockd whose program is replaced once it runs."""
    virtlockd = shutil.which("virtlockd", path=PATH)
    require(virtlockd, "not installed: virtlockd")
    assert virtlockd is not None
    with TemporaryDirectory(prefix="rpc") as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = folder / "virtlockd"
        program.symlink_to(virtlockd)
        kind: type[Virtlockd] = type("Replaced", (Virtlockd,), {"PROGRAM": str(program)})
        for pipe in ("caught", "go"):
            os.mkfifo(folder / pipe)
        with running(kind) as daemon:
            require(daemon.way == "system" or os.geteuid(), "it talks to its own user only")
            program.unlink()
            states = " ".join(f'"{one}"' for one in STATES)
            script = SCRIPT.format(
                states=states, folder=shlex.quote(name), virtlockd=shlex.quote(virtlockd)
            )
            program.write_text(script)
            program.chmod(0o755)
            yield Restarting(daemon, folder)


@pytest.fixture
def peer() -> Iterator[Restarting]:
    with restarting() as found:
        yield found


def rewritten(state: bytes) -> bytes:
    """A state, loaded and saved by us."""
    return SavedLockd.load(state).dump()


def without_names(state: bytes) -> bytes:
    """The older form, in which servers are a list without names; it knows no admin server."""
    found = json.loads(rewritten(state))
    found["server"] = {"servers": [found.pop("daemon")["servers"]["virtlockd"]]}
    return json.dumps(found).encode()


def single_server(state: bytes) -> bytes:
    """The oldest form, in which the only server stands for the daemon."""
    found = json.loads(rewritten(state))
    found["server"] = found.pop("daemon")["servers"]["virtlockd"]
    return json.dumps(found).encode()


FORMS = [bytes, rewritten, without_names, single_server]


@pytest.mark.parametrize("form", FORMS)
def test_leases_outlast_a_restart(peer: Restarting, form: Callable[[bytes], bytes]) -> None:
    def restart(guest: int) -> None:
        check_saved(SavedLockd.load(peer.restart(form)), peer, guest)

    hold_over_a_restart(peer.address, peer.folder, restart)


def test_leases_outlast_a_restart_of_ours_in_the_same_way(tmp_path: Path) -> None:
    with ours_running(tmp_path) as daemon:
        hold_over_a_restart(daemon.address, tmp_path, lambda _: daemon.restart())
        assert daemon.stop() == 0


def hold_over_a_restart(address: str, folder: Path, restart: Callable[[int], object]) -> None:
    """One script for both: leases before and after a restart, which is told the pid of an owner."""
    space, disk = str(folder / "space"), folder / "disk"
    disk.touch()
    with ExitStack() as stack:
        one, two = (stack.enter_context(Connected(address)) for _ in range(2))
        guest = Process(address)
        stack.callback(guest.close)
        act(one, "register", "one", 1, 1)
        act(two, "register", "two", 2, 2)
        act(guest, "register", "guest", 3, -1)
        act(one, "new", space)
        act(one, "acquire_resource", space, "alone", AUTOCREATE)
        act(one, "acquire_resource", space, "shared", SHARED | AUTOCREATE)
        act(two, "acquire_resource", space, "shared", SHARED)
        act(two, "acquire_resource", "", str(disk))
        act(guest, "acquire_resource", space, "own", AUTOCREATE)

        restart(guest.pid)

        for name in ("alone", "shared", "own"):
            refused(two, "acquire_resource", space, name, 0)
        refused(one, "acquire_resource", "", str(disk))
        guest.leave()
        assert guest.end() == -signal.SIGTERM
        act(one, "release_resource", space, "alone")
        for which in (one, two):
            act(which, "release_resource", space, "shared")
        act(two, "release_resource", "", str(disk))
        assert os.listdir(space) == []


def test_what_we_write_is_what_we_have_read(peer: Restarting) -> None:
    with Connected(peer.address) as one:
        act(one, "register", "one", 1, 1)
        act(one, "restrict")
        act(one, "create_lockspace", str(peer.folder / "empty"), code="VIR_ERR_OPERATION_DENIED")
        state = json.loads(peer.restart(bytes))
    assert SavedLockd.from_json(state).to_json() == state
    assert json.loads(SavedLockd.from_json(state).dump()) == state
    # The order of keys, too.
    assert json.dumps(SavedLockd.from_json(state).to_json()) == json.dumps(state)
    (client,) = SavedLockd.from_json(state).servers["virtlockd"].clients
    assert SavedClient.from_json(client.data).to_json() == client.data
    assert SavedClient.from_json(client.data).restricted


def check_saved(saved: SavedLockd, peer: Restarting, guest: int) -> None:
    """What we make of its state."""
    space, disk = str(peer.folder / "space"), str(peer.folder / "disk")
    assert saved.pid == peer.daemon.pid
    assert list(saved.servers) == ["admin", "virtlockd"]
    (held,) = saved.lockspaces.default.leases
    assert (held.name, held.path, held.flags, held.owners) == (disk, disk, 0, [2])
    (other,) = saved.lockspaces.others
    assert other.directory == space
    found = {one.name: one for one in other.leases}
    assert found == {
        name: SavedLease(name, f"{space}/{name}", found[name].fd, True, flags, owners)
        for name, flags, owners in (
            ("alone", AUTOCREATE, [1]),
            ("shared", SHARED | AUTOCREATE, [1, 2]),
            ("own", AUTOCREATE, [guest]),
        )
    }
    clients = [SavedClient.from_json(one.data) for one in saved.servers["virtlockd"].clients]
    assert {(one.owner_name, one.owner_pid, one.owner_id) for one in clients} == {
        ("one", 1, 1),
        ("two", 2, 2),
        ("guest", guest, 3),
    }


def act(who: Connected | Process, method: str, *arguments: Any, code: str | None = None) -> None:
    outcome = who.do(method, *arguments)
    assert (outcome and VirErrorNumber(outcome["code"]).name) == code


def refused(who: Connected | Process, method: str, *arguments: Any) -> None:
    act(who, method, *arguments, code=BUSY.name)
