"""State that a process leaves itself, and the program that takes it after ``exec``."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rpcgen.runtime.process import (
    ProcessError,
    execute,
    is_successor,
    load_state,
    pidfile,
    read_pidfile_if_locked,
    resume_signals,
    save_state,
)
from rpcgen.runtime.process import reexec as module

FIRST = """
import os, signal, sys
from rpcgen.runtime.process import Pidfile, execute, save_state
path, state, second = sys.argv[1:]
held = Pidfile.acquire(path)
read, write = os.pipe()
os.write(write, b"through")
save_state(state, {"pidfile": held.fd, "pipe": read})
print("first", os.getpid(), flush=True)
sys.stdin.readline()
print("buffered", end=" ")
execute([sys.executable, "-c", second, path, state], [held.fd, read])
"""

SECOND = """
import os, signal, sys
from rpcgen.runtime.process import Pidfile, SignalHandlers, load_state, resume_signals
path, state = sys.argv[1:]
left = load_state(state)
held = Pidfile.inherit(path, left["pidfile"])
assert held.is_held()
assert not os.get_inheritable(held.fd)
print("second", os.getpid(), os.read(left["pipe"], 9).decode(), os.path.exists(state), flush=True)
# Sent before there is a handler.
os.kill(os.getpid(), signal.SIGUSR1)
with SignalHandlers({signal.SIGUSR1: lambda record: print(record.number.name, flush=True)}) as ours:
    resume_signals()
    assert ours.wait(30) == 1
sys.stdin.readline()
held.release()
print("released", flush=True)
sys.stdin.readline()
"""


def test_pidfile_and_descriptors_go_through(tmp_path: Path) -> None:
    """The lock is held all the time, and lost when it is released and no sooner."""
    path, state = tmp_path / "pid", tmp_path / "state"
    command = [sys.executable, "-c", FIRST, str(path), str(state), SECOND]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def go_on() -> None:
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()

        assert other.stdout.readline() == f"first {other.pid}\n"
        assert os.stat(state).st_mode & 0o777 == 0o600
        go_on()
        assert other.stdout.readline() == f"buffered second {other.pid} through False\n"
        assert other.stdout.readline() == "SIGUSR1\n"
        assert read_pidfile_if_locked(path) == other.pid
        go_on()
        assert other.stdout.readline() == "released\n"
        with pidfile(path):
            pass
        go_on()
    assert other.returncode == 0


def test_state_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "state"
    assert load_state(path) is None
    save_state(path, {"old": 1})
    save_state(path, {"servers": {"é": [1, 2]}})
    assert json.loads(path.read_text())["magic"] == str(os.getpid())
    assert load_state(path) == {"servers": {"é": [1, 2]}, "magic": str(os.getpid())}
    assert os.listdir(tmp_path) == []
    assert load_state(path) is None


@pytest.mark.parametrize("kind", [str, int, type(None)])
def test_another_process_state_is_passed_over(
    tmp_path: Path, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state"
    magic = {str: "1", int: os.getpid()}.get(kind)  # a number is not its text
    path.write_text(json.dumps({"magic": magic}))
    with caplog.at_level(logging.WARNING):
        assert load_state(path) is None
    assert caplog.messages == [f"{path}: left by process {magic}, and not taken"]
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "no JSON: "),
        ("[1]", "expected an object"),
        ("[" * 200_000, "no JSON: "),
        (" " * (module.STATE_MAX + 1), f"longer than {module.STATE_MAX} bytes"),
    ],
)
def test_what_is_no_state_is_told_and_gone(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "state"
    path.write_text(text)
    with pytest.raises(ProcessError, match=problem):
        load_state(path)
    assert not path.exists()


def test_a_state_that_others_may_have_written_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(path, {})
    path.chmod(0o622)
    with pytest.raises(ProcessError, match="another user may have written it"):
        load_state(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ProcessError, match="expected a regular file"):
        load_state(path)
    path.unlink()
    path.symlink_to("/dev/null")
    with pytest.raises(OSError, match="symbolic links"):
        load_state(path)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        save_state(tmp_path / "none" / "state", {})
    (tmp_path / "state").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        save_state(tmp_path / "state", {})
    assert os.listdir(tmp_path) == ["state"]
    with pytest.raises(TypeError):
        save_state(tmp_path / "other", {"x": object()})
    assert os.listdir(tmp_path) == ["state"]


def test_what_cannot_be_executed_changes_nothing(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    read, write = os.pipe()
    with pytest.raises(ProcessError, match=r"none: cannot be executed: No such file"):
        execute([str(tmp_path / "none")], [read, write])
    assert not os.get_inheritable(read)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    resume_signals()
    for fd in (read, write):
        os.close(fd)
    with pytest.raises(ProcessError, match="cannot be executed: Bad file descriptor"):
        execute([sys.executable], [write])
    assert not is_successor()


def test_a_change_of_mind_at_the_last_moment() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    read, write = os.pipe()
    asked: list[bool] = []

    def unless() -> bool:
        asked.append(os.get_inheritable(read))
        return True

    execute([sys.executable, "--version"], [read, write], unless)
    assert asked == [True]
    assert not os.get_inheritable(read)
    assert not is_successor()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    for fd in (read, write):
        os.close(fd)
