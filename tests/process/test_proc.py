"""What is found out about other processes on any kernel, and the steps by which they end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from process.kit import another

from rpcgen.runtime.process import command_of, is_alive, kill_painfully, proc, runs

SIGTERM, SIGKILL = signal.SIGTERM, signal.SIGKILL


@pytest.fixture(params=["pidfd", "pid"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel of today, or one without pidfds."""

    def refuse(pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    if request.param == "pid":
        monkeypatch.setattr(os, "pidfd_open", refuse)
        monkeypatch.setattr(proc, "INTERVAL", 0.001)
    return str(request.param)


@contextmanager
def child(source: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has run some code, and waits."""
    command = [sys.executable, "-ISc", f"import signal\n{source}\nprint(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_who_lives(kernel: str) -> None:
    with child() as process:
        assert is_alive(process.pid)
        assert is_alive(os.getpid())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(process.pid)  # a zombie
        process.wait()
        assert not is_alive(process.pid)
    for pid in (0, -1, -process.pid, proc.PID_MAX, proc.PID_MAX + 1):
        assert not is_alive(pid)


def test_a_thread_is_no_process() -> None:
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    assert thread.native_id
    try:
        assert not is_alive(thread.native_id)
        assert kill_painfully(thread.native_id) is None
    finally:
        leave.set()
        thread.join()


def test_somebody_elses_process_lives(monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_alive(os.getppid())


def test_an_error_of_the_kernel_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        is_alive(os.getpid())


def test_a_command_is_short_enough_for_a_message() -> None:
    with another("import os") as process:
        command = command_of(process.pid)
        assert command
        assert command.startswith(f"{sys.executable} -c ")
        assert len(command) == proc.COMMAND_MAX + len("...")
    assert command_of(process.pid) is None


def test_a_process_that_is_gone_runs_nothing() -> None:
    with child() as process:
        assert runs(process.pid, sys.executable)
        assert not runs(process.pid, "/no/such/program")
    with pytest.raises(FileNotFoundError):
        runs(process.pid, sys.executable)


# The end of a process


def test_no_descriptor_is_left(kernel: str) -> None:
    before = os.listdir("/proc/self/fd")
    assert is_alive(os.getpid())
    with child() as process:
        kill_painfully(process.pid)
    assert os.listdir("/proc/self/fd") == before


class Target:
    """A process that ends by one signal, or is gone before it."""

    def __init__(self, ends_by: int | None, gone_at: int | None = None) -> None:
        self.said: list[tuple[str, float]] = []
        self._ends_by = ends_by
        self._gone_at = gone_at

    def send(self, number: signal.Signals) -> None:
        if number == self._gone_at:
            raise ProcessLookupError
        self.said.append((number.name, 0))

    def wait(self, seconds: float) -> bool:
        self.said[-1] = (self.said[-1][0], seconds)
        return self.said[-1][0] == (self._ends_by and signal.Signals(self._ends_by).name)


@pytest.mark.parametrize(
    ("target", "force", "taken", "said"),
    [
        (Target(SIGTERM), True, SIGTERM, [("SIGTERM", 10)]),
        (Target(SIGKILL), True, SIGKILL, [("SIGTERM", 10), ("SIGKILL", 35)]),
        (Target(SIGTERM), False, SIGTERM, [("SIGTERM", 20)]),
        (Target(None, gone_at=SIGTERM), True, None, []),
        (Target(None, gone_at=SIGKILL), True, SIGTERM, [("SIGTERM", 10)]),
    ],
)
def test_the_steps(
    target: Target, force: bool, taken: int | None, said: list[tuple[str, float]]
) -> None:
    assert proc.end(target, force=force, extra=5) is taken
    assert target.said == said


def test_the_steps_have_an_end() -> None:
    with pytest.raises(TimeoutError):
        proc.end(Target(None), force=True)
