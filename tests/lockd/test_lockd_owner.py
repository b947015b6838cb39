"""A process that leaves with leases is made to end, and no other."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from lockd.actors import Connected, Process

from rpcgen.examples.lockd import owner
from rpcgen.examples.lockd.daemon import server_of
from rpcgen.examples.lockd.owner import OwnerProcess
from rpcgen.examples.lockd.service import LockService


def test_a_deaf_owner_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "STEPS", ((signal.SIGTERM, 0.01), (signal.SIGKILL, 30.0)))
    with server_of(LockService(), [f"unix://{tmp_path}/s"]) as server:
        guest = Process(server.addresses[0], deaf=True)
        assert guest.do("register", "guest", 1, -1) is None
        assert guest.do("acquire_resource", "", f"{tmp_path}/r", 2) is None
        guest.leave()
        assert guest.end() == -signal.SIGKILL
        guest.close()
        assert not (tmp_path / "r").exists()


def test_owners_can_be_spared(tmp_path: Path) -> None:
    left: list[OwnerProcess] = []
    service = LockService(owner_left=left.append)
    with server_of(service, [f"unix://{tmp_path}/s"]) as server:
        guest = Process(server.addresses[0])
        assert guest.do("register", "guest", 1, -1) is None
        for _ in range(2):
            assert guest.do("acquire_resource", "", f"{tmp_path}/r", 3) is None
        guest.leave()
        assert guest.lives()
        guest.close()
    # All of its shared leases are gone, not one of each resource.
    assert [one.pid for one in left] == [guest.pid]
    assert service.lockspaces.save().default.leases == []
    assert not (tmp_path / "r").exists()


def test_the_daemon_does_not_end_itself(tmp_path: Path) -> None:
    left: list[OwnerProcess] = []
    with (
        server_of(LockService(owner_left=left.append), [f"unix://{tmp_path}/s"]) as server,
        Connected(server.addresses[0]) as own,
    ):
        assert own.do("register", "self", 1, os.getpid()) is None
        assert own.do("acquire_resource", "", f"{tmp_path}/r", 2) is None
    assert [one.pid for one in left] == [os.getpid()]
    assert not left[0].end()


def test_who_has_the_pid_later_is_not_meant() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
    try:
        process = OwnerProcess(pid)
        process._started = 1  # as if another one had had it before
        assert process.end()
        assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is None
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_dead_have_ended() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    process = OwnerProcess(pid)
    os.waitpid(pid, 0)
    assert process.end()
