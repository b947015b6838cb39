"""Our pidfiles and those of libvirt's daemons: each keeps the other out, and each leaves nothing in the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers import require
from interop.daemons import DEADLINE, NOBODY, PATH, Daemon, Libvirtd, Virtlockd, running
from process.kit import has_ended

from rpcgen.runtime.process import (
    Pidfile,
    PidfileBusy,
    force_cleanup,
    pidfile,
    read_pidfile,
    read_pidfile_if_alive,
    read_pidfile_if_locked,
)

KINDS: list[type[Daemon]] = [Libvirtd, Virtlockd]


@pytest.mark.parametrize("kind", KINDS)
def test_a_daemon_keeps_us_out_until_it_dies(kind: type[Daemon]) -> None:
    with running(kind) as daemon:
        path = daemon.folder / "pid"
        with pytest.raises(PidfileBusy, match=f"{path}: held by process {daemon.pid} ") as caught:
            Pidfile.acquire(path)
        assert caught.value.command
        assert kind.PROGRAM in caught.value.command
        assert read_pidfile(path) == read_pidfile_if_locked(path) == daemon.pid
        assert read_pidfile_if_alive(path, shutil.which(kind.PROGRAM, path=PATH)) == daemon.pid
        os.kill(daemon.pid, signal.SIGKILL)
        assert has_ended(daemon.pid)
        assert read_pidfile(path) == daemon.pid  # stale
        with pidfile(path):
            assert read_pidfile_if_locked(path) == os.getpid()


@pytest.mark.parametrize("kind", KINDS)
def test_a_daemon_is_ended_by_its_pidfile(kind: type[Daemon]) -> None:
    with running(kind) as daemon:
        force_cleanup(daemon.folder / "pid")
        assert has_ended(daemon.pid, 0)
        assert not (daemon.folder / "pid").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_we_keep_a_daemon_out(kind: type[Daemon]) -> None:
    require(shutil.which(kind.PROGRAM, path=PATH), f"not installed: {kind.PROGRAM}")
    with TemporaryDirectory(prefix="rpc") as name:
        folder = Path(name)
        with pidfile(folder / "pid") as held:
            hand_over(folder)
            code, said = start(kind, folder)
            assert code == 1  # VIR_DAEMON_ERR_PIDFILE
            assert f"Failed to acquire pid file '{folder}/pid': Resource temporarily" in said
            assert read_pidfile(held.path) == os.getpid()
            assert held.is_held()


def hand_over(folder: Path) -> None:
    """Make a folder's files the daemon's: it must fail for no other reason than the lock."""
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)


def start(kind: type[Daemon], folder: Path) -> tuple[int, str]:
    """Start a session's daemon, which must end by itself: its code and what it says."""
    command = ["setpriv", "--pdeathsig", "TERM"]
    if os.geteuid() == 0:
        command += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = subprocess.run(
        [*command, kind.PROGRAM, "-p", folder / "pid"],
        env={"PATH": PATH, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    return done.returncode, done.stderr
