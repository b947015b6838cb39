"""Processes that are ended, known by what they run, and started with a pidfile of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from process.kit import DEADLINE, another, has_ended, run

from rpcgen.runtime.process import (
    PidfileBusy,
    ProcessError,
    force_cleanup,
    is_alive,
    kill_painfully,
    pidfile,
    proc,
    read_pidfile,
    read_pidfile_if_locked,
    start_with_pidfile,
)

DEAF = ("import signal", "before = signal.signal(signal.SIGTERM, signal.SIG_IGN)")

SLEEPS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


# The end of a process


def test_sigterm_is_enough() -> None:
    with another() as other:
        assert kill_painfully(other.pid) is signal.SIGTERM
        assert not is_alive(other.pid)
    assert kill_painfully(other.pid) is None  # nobody is left


def test_who_is_deaf_gets_sigkill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "TERM_SECONDS", 0.01)
    with another(*DEAF) as other:
        assert kill_painfully(other.pid) is signal.SIGKILL
        assert not is_alive(other.pid)


def test_who_must_not_be_killed_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "UNFORCED_SECONDS", 0.01)
    with another(*DEAF) as other:
        with pytest.raises(ProcessError, match=f"process {other.pid} still lives"):
            kill_painfully(other.pid, force=False)
        assert is_alive(other.pid)


def test_who_is_not_confirmed_gets_no_signal() -> None:
    with another() as other:
        assert kill_painfully(other.pid, confirm=lambda: False) is None
        assert other.ask("1 + 1") == 2
        assert kill_painfully(other.pid, confirm=lambda: True) is signal.SIGTERM


@pytest.mark.parametrize("pid", [-1, 0, 1, proc.PID_MAX + 1])
def test_nobody_is_ended_by_a_pid_that_means_more(pid: int) -> None:
    with pytest.raises(ProcessError, match="cannot be ended: expected a pid from 2"):
        kill_painfully(pid)


def test_an_old_kernel_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: int) -> int:
        raise OSError(38, "Function not implemented")

    with another() as other, monkeypatch.context() as patched:
        patched.setattr(os, "pidfd_open", missing)
        assert is_alive(other.pid)
        assert kill_painfully(other.pid) is signal.SIGTERM
        assert not is_alive(other.pid)


# Children with a pidfile


def started(path: Path, **options: object) -> subprocess.Popen[bytes]:
    return start_with_pidfile(path, SLEEPS, stdin=subprocess.PIPE, **options)  # type: ignore[arg-type]


def ended(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=DEADLINE)
    return process.returncode


def test_a_child_holds_it_before_it_runs_and_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    seen: list[int | None] = []
    process = started(path, prepare=lambda pid: seen.extend([pid, read_pidfile_if_locked(path)]))
    assert seen == [process.pid] * 2
    assert read_pidfile(path) == read_pidfile_if_locked(path) == process.pid
    with pytest.raises(PidfileBusy, match=f"held by process {process.pid}"), pidfile(path):
        pass
    assert ended(process) == 0
    with pidfile(path):
        assert read_pidfile(path) == os.getpid()


def test_it_outlasts_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    source = (
        "import os, sys\n"
        "from subprocess import DEVNULL\n"
        "from rpcgen.runtime.process import start_with_pidfile\n"
        "null = {'stdout': DEVNULL, 'stderr': DEVNULL}\n"
        "process = start_with_pidfile(sys.argv[1], ['sleep', '60'], **null)\n"
        "print(process.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    pid = int(run(source, path))
    assert read_pidfile_if_locked(path) == pid
    force_cleanup(path)
    assert has_ended(pid)
    assert not path.exists()


def test_two_children_do_not_hold_it(tmp_path: Path) -> None:
    first = started(tmp_path / "pid")
    with pytest.raises(PidfileBusy, match=f"held by process {first.pid}"):
        started(tmp_path / "pid")
    assert ended(first) == 0


def failing(_: int) -> None:
    raise RuntimeError("not ready")


@pytest.mark.parametrize(
    ("command", "prepare", "error", "message"),
    [
        (["/no/such/program"], None, FileNotFoundError, "No such file"),
        (["nul\0"], None, ValueError, "null byte"),
        (SLEEPS, failing, RuntimeError, "not ready"),
    ],
)
def test_what_does_not_run_leaves_no_pidfile(
    tmp_path: Path,
    command: list[str],
    prepare: Callable[[int], object] | None,
    error: type[Exception],
    message: str,
) -> None:
    path = tmp_path / "pid"
    with pytest.raises(error, match=message):
        start_with_pidfile(path, command, prepare=prepare, stdin=subprocess.PIPE)
    assert not path.exists()


def test_a_pidfile_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file"):
        started(tmp_path / "none" / "pid")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        started(tmp_path / "folder")


def test_the_program_gets_the_environment_that_was_meant(tmp_path: Path) -> None:
    process = start_with_pidfile(
        tmp_path / "pid",
        [
            "/bin/sh",
            "-c",
            'echo "$PWD $A ${LC_CTYPE-none}"; trap - PIPE; kill -PIPE $$; echo lives',
        ],
        env={"A": "b"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    output, _ = process.communicate(timeout=DEADLINE)
    assert output.decode() == f"{tmp_path} b none\n"
    assert process.returncode == -signal.SIGPIPE  # not ignored, as Python does it for itself
