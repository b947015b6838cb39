"""The real daemons that other tests talk to: they start, do not meet, work, and leave nothing behind."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop import daemons
from interop.daemons import (
    DEADLINE,
    WAYS,
    Daemon,
    Libvirtd,
    Pool,
    Virtlockd,
    Virtlogd,
    Way,
    directory_pool,
    running,
)

KINDS: list[tuple[type[Daemon], Way]] = [
    *((Libvirtd, way) for way in WAYS),
    (Virtlockd, WAYS[0]),
    (Virtlogd, WAYS[0]),
]


@pytest.fixture(params=WAYS)
def another(request: pytest.FixtureRequest, libvirtd: Libvirtd) -> Iterator[Libvirtd]:
    """A libvirtd beside the one that everybody uses."""
    with running(Libvirtd, request.param) as daemon:
        assert daemon.socket != libvirtd.socket
        yield daemon


def test_two_at_once_have_their_own_domains(libvirtd: Libvirtd, another: Libvirtd) -> None:
    assert libvirtd.virsh("list", "--name").stdout.split() == ["test"]
    assert another.virsh("list", "--name").stdout.split() == ["test"]
    assert (another.folder / "pid").read_text() == str(another.pid)


def test_storage_takes_and_gives_back(another: Libvirtd, tmp_path: Path) -> None:
    with directory_pool(another) as pool:
        content = os.urandom(1_000_000)
        (tmp_path / "up").write_bytes(content)
        for command in (
            ("vol-create-as", pool.name, "disk", str(len(content))),
            ("vol-upload", "disk", tmp_path / "up", "--pool", pool.name),
            ("vol-download", "disk", tmp_path / "down", "--pool", pool.name),
        ):
            done = another.virsh(*command, uri=pool.uri)
            assert done.returncode == 0, done.stderr
        assert (pool.folder / "disk").read_bytes() == content
        assert (tmp_path / "down").read_bytes() == content
    assert not pool.folder.exists()


def test_a_pool_starts_empty(storage_pool: Pool, libvirtd: Libvirtd) -> None:
    listed = libvirtd.virsh("vol-list", storage_pool.name, uri=storage_pool.uri)
    assert listed.stdout.splitlines()[2:] == [""]


def test_lock_and_log_daemons_run_beside_others(virtlockd: Virtlockd, virtlogd: Virtlogd) -> None:
    for shared in (virtlockd, virtlogd):
        with running(type(shared)) as other:
            assert other.admin_socket.is_socket()
            assert shared.admin_socket.is_socket()
            assert other.folder != shared.folder


@pytest.mark.parametrize(("kind", "way"), KINDS)
def test_nothing_is_left_of_it(kind: type[Daemon], way: Way) -> None:
    with running(kind, way) as daemon:
        end = os.pidfd_open(daemon.pid)
        assert not ended(end, within=0)
    assert ended(end, within=0)
    os.close(end)
    assert not daemon.folder.exists()


STARTER = """
import sys
from interop.daemons import Libvirtd, running
with running(Libvirtd, sys.argv[1]) as daemon:
    print(daemon.pid, daemon.folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("libvirtd")  # there is one
def test_it_ends_with_whoever_started_it(way: Way) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, way],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with starter:
        assert starter.stdout
        pid, folder = starter.stdout.readline().split()
        end = os.pidfd_open(int(pid))
        starter.kill()
    assert ended(end, within=DEADLINE)
    os.close(end)
    shutil.rmtree(folder)


def test_one_that_does_not_start_fails_with_its_log() -> None:
    start = running(Libvirtd, max_clients="many")
    with pytest.raises(pytest.fail.Exception, match=r"(?s)does not start.*max_clients"), start:
        pass


def test_one_that_is_not_there_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "PATH", "")
    monkeypatch.delenv("RPCGEN_REQUIRE_INTEROP", raising=False)
    start = running(Virtlockd)
    with pytest.raises(pytest.skip.Exception, match="not installed: virtlockd"), start:
        pass


def ended(pidfd: int, within: float) -> bool:
    """Whether a process has ended, or does so within some seconds."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(within * 1000))
