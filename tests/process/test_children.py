"""Children that hold a pidfile: from before their program runs, until it ends, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from process.kit import has_ended, run

from rpcgen.runtime.process import (
    PidfileBusy,
    ProcessError,
    pidfile,
    read_pidfile,
    read_pidfile_if_alive,
    read_pidfile_if_locked,
    start_with_pidfile,
)


@contextmanager
def cat(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child that ends with its input."""
    with start_with_pidfile(path, ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        yield child


def test_a_child_holds_it_until_it_ends(path: Path) -> None:
    with cat(path) as child:
        assert read_pidfile(path) == read_pidfile_if_locked(path) == child.pid
        assert read_pidfile_if_alive(path, "/bin/cat") == child.pid
        with pytest.raises(PidfileBusy, match=f"held by process {child.pid} "):
            start_with_pidfile(path, ["true"])
        assert child.communicate(b"text")[0] == b"text"
    assert child.returncode == 0
    assert read_pidfile_if_locked(path) is None
    with pidfile(path):
        pass


def test_a_killed_child_leaves_nothing_to_clean_up(path: Path) -> None:
    with cat(path) as child:
        child.kill()
        child.wait()
        with pidfile(path):
            pass


def test_it_is_held_before_the_program_runs(path: Path, tmp_path: Path) -> None:
    seen: list[object] = []

    def prepare(pid: int) -> None:
        seen.extend((pid, read_pidfile_if_locked(path), (tmp_path / "ran").exists()))

    command = ["touch", str(tmp_path / "ran")]
    with start_with_pidfile(path, command, prepare=prepare) as child:
        assert child.wait() == 0
    assert seen == [child.pid, child.pid, False]
    assert (tmp_path / "ran").exists()


def test_what_is_not_prepared_is_not_run(path: Path, tmp_path: Path) -> None:
    pids = []

    def prepare(pid: int) -> None:
        pids.append(pid)
        raise LookupError

    before = os.listdir("/proc/self/fd")
    with pytest.raises(LookupError):
        start_with_pidfile(path, ["touch", tmp_path / "ran"], prepare=prepare)
    assert has_ended(pids[0], 0)
    assert not (tmp_path / "ran").exists()
    assert not path.exists()
    assert os.listdir("/proc/self/fd") == before


def test_what_is_in_the_way_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no/folder"):
        start_with_pidfile(tmp_path / "no/folder", ["true"])
    os.mkfifo(path)
    with pytest.raises(ProcessError, match="expected a regular file"):
        start_with_pidfile(path, ["true"])


def test_a_child_that_is_killed_too_early_is_an_error(path: Path) -> None:
    def prepare(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert has_ended(pid)

    with pytest.raises(OSError, match="Broken pipe"):
        start_with_pidfile(path, ["true"], prepare=prepare)
    assert read_pidfile_if_locked(path) is None


def test_without_an_interpreter_there_is_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ProcessError, match="expected a Python interpreter"):
        start_with_pidfile(path, ["true"])


def test_it_runs_as_if_it_had_been_started_at_once(path: Path, tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "LC_CTYPE": "C", "A": "1"}
    # dash, so that no interpreter of Python changes what is to be seen
    command = ["sh", "-c", "env | sort; pwd; grep -E 'Sig(Ign|Blk)' /proc/self/status"]
    plain = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, check=True)
    with start_with_pidfile(path, command, env=env, cwd=tmp_path, stdout=subprocess.PIPE) as child:
        assert child.communicate()[0] == plain.stdout


def test_its_own_children_do_not_hold_it(path: Path) -> None:
    command = ["sh", "-c", "sleep 1000 >/dev/null & echo $!"]
    with start_with_pidfile(path, command, stdout=subprocess.PIPE) as child:
        grandchild = int(child.communicate()[0])
    try:
        assert read_pidfile_if_locked(path) is None
        assert not has_ended(grandchild, 0)
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_a_relative_path_is_the_parents(path: Path) -> None:
    run(
        """
import os, sys
from rpcgen.runtime.process import read_pidfile_if_locked, start_with_pidfile
os.chdir(sys.argv[1])
with start_with_pidfile("child.pid", ["cat"], cwd="/", stdin=-1) as child:
    assert read_pidfile_if_locked("child.pid") == child.pid
""",
        path.parent,
    )
