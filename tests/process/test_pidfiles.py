"""Pidfiles: one holder at a time, whoever dies when; what is read of them is true."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from process.kit import IMPORT, ROOT, Other, another, has_ended, is_waited_for, run, until

from rpcgen.runtime.process import (
    Pidfile,
    PidfileBusy,
    ProcessError,
    force_cleanup,
    pidfile,
    pidfile_path,
    read_pidfile,
    read_pidfile_if_alive,
    read_pidfile_if_locked,
)


def acquire(path: Path, more: str = "") -> str:
    """What another process runs to acquire a pidfile."""
    return f"held = Pidfile.acquire({str(path)!r}{more})"


# One at a time


def test_it_is_there_while_it_is_held(path: Path) -> None:
    before = os.umask(0o022)
    try:
        with pidfile(path) as held:
            assert path.read_bytes() == str(os.getpid()).encode()  # no newline
            assert path.stat().st_mode & 0o777 == 0o644
            assert held.pid == os.getpid()
            assert not os.get_inheritable(held.fd)
    finally:
        os.umask(before)
    assert not path.exists()


def test_the_holder_is_named(path: Path, other: Other) -> None:
    assert other.ask(acquire(path)) is None
    with pytest.raises(PidfileBusy, match=f"x.pid: held by process {other.pid} ") as caught:
        Pidfile.acquire(path)
    assert caught.value.pid == other.pid
    assert caught.value.command
    assert caught.value.command.startswith(sys.executable)
    assert read_pidfile(path) == other.pid
    assert other.ask("held.is_held()") is True


def test_who_waits_gets_it(path: Path, other: Other) -> None:
    with pidfile(path):
        other.tell(acquire(path, ", wait=True"))
    assert other.answer() is None
    assert read_pidfile_if_locked(path) == other.pid
    with pytest.raises(PidfileBusy), pidfile(path, wait=True, timeout=0.02):
        pass


def test_a_killed_holder_leaves_nothing_to_clean_up(path: Path, other: Other) -> None:
    assert other.ask(acquire(path)) is None
    other.kill()
    assert read_pidfile(path) == other.pid
    assert read_pidfile_if_locked(path) is None
    with pidfile(path) as held:
        assert read_pidfile_if_locked(path) == os.getpid()
        assert held.is_held()


@pytest.mark.parametrize("content", ["", "4194305", "no pid", "1" * 100_000])
def test_whatever_was_in_it_is_gone(path: Path, content: str) -> None:
    path.write_text(content)
    with pidfile(path):
        assert read_pidfile(path) == os.getpid()


@pytest.mark.parametrize("kind", ["calm", "disturbed"])
def test_200_race_and_die(kind: str, tmp_path: Path) -> None:
    counts = json.loads(
        run((ROOT / "tests/process/race.py").read_text(), tmp_path, "200", "3", kind)
    )
    assert counts["wrong"] == 0
    assert counts["killed"] > 10
    assert counts["left"] > 10
    assert counts["killed"] + counts["left"] == 200
    assert counts["acquired"] > 100


SWEEP = """
import os, signal, sys
from rpcgen.runtime.process import pidfile, read_pidfile_if_locked
path = sys.argv[1]
def die_at(number):
    left = number
    def trace(frame, event, _):
        nonlocal left
        if "process" not in frame.f_code.co_filename:
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
number = status = 0
while status or not number:
    if (pid := os.fork()) == 0:
        die_at(number)
        with pidfile(path):
            pass
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL)
    if os.path.exists(path):
        assert read_pidfile_if_locked(path) is None
    if number % 2:  # every other one finds what is left by the one before
        with pidfile(path):
            assert read_pidfile_if_locked(path) == os.getpid()
    number += 1
print(number)
"""


def test_it_may_be_killed_at_any_line(path: Path) -> None:
    assert int(run(SWEEP, path)) > 60


# Inside one process


def test_it_is_held_once_in_a_process(path: Path) -> None:
    with pidfile(path) as held:
        with pytest.raises(PidfileBusy, match=f"held by process {os.getpid()}"):
            Pidfile.acquire(path, wait=True)
        assert held.is_held()


def test_our_own_reading_does_not_lose_it(path: Path, other: Other) -> None:
    with pidfile(path) as held:
        assert read_pidfile(path) == os.getpid()
        assert read_pidfile_if_alive(path) == os.getpid()
        assert read_pidfile_if_locked(path) == os.getpid()
        assert held.is_held()
        answer = other.ask(acquire(path))
        assert answer.startswith(f"PidfileBusy: {path}: held by process {os.getpid()} (")


def test_it_is_removed_after_a_change_of_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with pidfile(path.name) as held:
        monkeypatch.chdir("/")
        assert held.is_held()
    assert not path.exists()


def test_losing_it_is_noticed(path: Path) -> None:
    with pidfile(path) as held:
        path.read_bytes()
        assert not held.is_held()
    assert not path.exists()
    with pidfile(path) as held:
        path.unlink()
        assert not held.is_held()


def test_a_file_of_somebody_else_is_not_removed(path: Path, other: Other) -> None:
    with pidfile(path):
        path.unlink()
        assert other.ask(acquire(path)) is None
    assert read_pidfile_if_locked(path) == other.pid
    assert other.ask("held.is_held()") is True


FORK = """
import os, sys
from rpcgen.runtime.process import PidfileBusy, pidfile
with pidfile(sys.argv[1]) as held:
    if (pid := os.fork()) == 0:
        assert not held.is_held()
        try:
            with pidfile(sys.argv[1]):
                sys.exit(1)
        except PidfileBusy as busy:
            sys.exit(busy.pid != os.getppid())  # leaves the block of its parent
    assert os.waitpid(pid, 0)[1] == 0
    assert held.is_held()
    if (pid := os.fork()) == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        os.read(int(sys.argv[2]), 1)
        os._exit(0)
    os._exit(0)
"""


def test_a_forked_child_neither_removes_nor_keeps_it(path: Path) -> None:
    reads, writes = os.pipe()
    script = FORK, str(path), str(reads)
    command = [sys.executable, "-c", *script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=[reads])
    with process:
        assert process.stdout
        child = int(process.stdout.readline())
        assert process.wait() == 0
        os.close(reads)
        assert not has_ended(child, 0)
        with pidfile(path):  # though the child lives
            pass
        os.close(writes)
    assert has_ended(child)


def test_released_twice_is_released_once(path: Path) -> None:
    first = Pidfile.acquire(path)
    first.release()
    with pidfile(path) as second:
        first.release()
        assert second.is_held()


def test_what_cannot_be_written_is_not_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            Pidfile.acquire(path)
    assert not path.exists()
    with pidfile(path):
        pass


def test_without_permission_to_remove_it_is_left_empty(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    held = Pidfile.acquire(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        held.release()
    assert path.read_text() == ""
    with pidfile(path):
        pass


def test_links_are_not_followed(tmp_path: Path, path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("text")
    path.symlink_to(precious)
    with pytest.raises(OSError, match="symbolic link"):
        Pidfile.acquire(path)
    assert precious.read_text() == "text"


# Paths


def test_where_the_system_has_it() -> None:
    assert pidfile_path("lockd", privileged=True) == "/run/lockd.pid"
    assert pidfile_path("d", privileged=True, state_directory="/var/run") == "/var/run/d.pid"


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("XDG_RUNTIME_DIR", "run"), ("XDG_CACHE_HOME", "cache"), ("HOME", "home/.cache")],
)
def test_where_a_user_has_it(
    variable: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "relative, so ignored")
    monkeypatch.setenv(variable, str(tmp_path / Path(folder).parts[0]))
    path = Path(pidfile_path("lockd", privileged=False, folder="libvirt"))
    assert path == tmp_path / folder / "libvirt" / "lockd.pid"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with pidfile(path):
        pass


def test_no_folder_on_the_way_is_anybody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "a/b"))
    before = os.umask(0)
    try:
        pidfile_path("x", privileged=False, folder="c")
    finally:
        os.umask(before)
    for folder in ("a", "a/b", "a/b/c"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "relative")
    with pytest.raises(ProcessError, match="expected a folder of the user's"):
        pidfile_path("x", privileged=False)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/x", "a\0b"])
def test_a_program_has_a_plain_name(name: str) -> None:
    with pytest.raises(ProcessError, match="expected the name of a program"):
        pidfile_path(name)


# Reading


@pytest.mark.parametrize(
    ("content", "pid"), [("123", 123), ("123\n", 123), ("7 \t rest", 7), ("0", 0)]
)
def test_a_pid_is_read(path: Path, content: str, pid: int) -> None:
    path.write_text(content)
    assert read_pidfile(path) == pid


@pytest.mark.parametrize("content", ["", "\n", " 123", "-1", "+1", "12x", "0x10", "\u0664", "1_0"])
def test_what_is_no_pid_is_refused(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ProcessError, match="expected a pid, got"):
        read_pidfile(path)


@pytest.mark.parametrize("content", ["2147483648", "9" * 40, "9" * 64, "9" * 5000])
def test_a_pid_is_not_too_large(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ProcessError, match="no pid is as large as"):
        read_pidfile(path)


def test_none_is_an_error_to_read_and_fine_to_clean_up(path: Path) -> None:
    for read in (read_pidfile, read_pidfile_if_alive, read_pidfile_if_locked):
        with pytest.raises(FileNotFoundError):
            read(path)
    force_cleanup(path)


def test_only_the_living_are_alive(path: Path, other: Other) -> None:
    path.write_text(str(other.pid))
    assert read_pidfile_if_alive(path) == other.pid
    assert read_pidfile_if_locked(path) is None
    os.kill(other.pid, signal.SIGKILL)
    assert has_ended(other.pid)
    assert read_pidfile_if_alive(path) is None  # though not reaped yet
    other.kill()
    assert read_pidfile_if_alive(path) is None
    path.write_text("0")
    assert read_pidfile_if_alive(path) is None


@pytest.fixture
def binary(tmp_path: Path) -> Iterator[Path]:
    """A program of our own, which is in the pidfile while it runs."""
    binary = tmp_path / "program"
    shutil.copy("/bin/cat", binary)
    with subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        # Popen returns when exec closes its pipe, a moment before there is a command line.
        process.stdin.write(b"started\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"started\n"
        (tmp_path / "x.pid").write_text(str(process.pid))
        yield binary


def test_a_program_is_known_by_its_file(path: Path, binary: Path) -> None:
    pid = read_pidfile(path)
    assert read_pidfile_if_alive(path, binary) == pid
    link = binary.with_name("link")
    link.symlink_to(binary)
    assert read_pidfile_if_alive(path, link) == pid
    renamed = binary.rename(binary.with_name("renamed"))
    assert read_pidfile_if_alive(path, renamed) == pid
    with pytest.raises(ProcessError, match=f"process {pid} is not {binary} but {binary}"):
        read_pidfile_if_alive(path, binary)


def test_an_upgrade_makes_no_other_program(path: Path, binary: Path) -> None:
    pid = read_pidfile(path)
    binary.unlink()
    assert read_pidfile_if_alive(path, binary) == pid
    shutil.copy("/bin/echo", binary)
    assert read_pidfile_if_alive(path, binary) == pid
    with pytest.raises(ProcessError, match="is not /bin/cat but"):
        read_pidfile_if_alive(path, "/bin/cat")


def test_a_name_may_end_like_that_of_a_deleted_file(path: Path, tmp_path: Path) -> None:
    binary = tmp_path / "program (deleted)"
    shutil.copy("/bin/cat", binary)
    with subprocess.Popen([binary], stdin=subprocess.PIPE) as process:
        path.write_text(str(process.pid))
        shutil.copy("/bin/cat", tmp_path / "program")
        assert read_pidfile_if_alive(path, binary) == process.pid
        with pytest.raises(ProcessError, match="is not"):
            read_pidfile_if_alive(path, tmp_path / "program")


def test_nothing_is_cut_off_where_nothing_was_deleted(path: Path, tmp_path: Path) -> None:
    binary = tmp_path / "program0123456789"
    shutil.copy("/bin/cat", binary)
    (tmp_path / "program").touch()
    with subprocess.Popen([binary], stdin=subprocess.PIPE) as process:
        path.write_text(str(process.pid))
        with pytest.raises(ProcessError, match="is not"):
            read_pidfile_if_alive(path, tmp_path / "program")


# Cleaning up


def test_a_stale_one_is_removed(path: Path) -> None:
    path.write_text(str(os.getpid()))
    force_cleanup(path)
    assert not path.exists()


def test_the_holder_is_ended(path: Path, other: Other) -> None:
    assert other.ask(acquire(path)) is None
    force_cleanup(path)
    assert has_ended(other.pid, 0)
    assert not path.exists()


def test_the_holder_counts_and_not_what_is_written(path: Path, other: Other) -> None:
    assert other.ask(acquire(path)) is None
    with another() as bystander:
        path.write_text(str(bystander.pid))
        assert read_pidfile_if_locked(path) == other.pid
        force_cleanup(path)
        assert bystander.ask("1") == 1
    assert has_ended(other.pid, 0)


def test_what_is_written_ends_nobody_if_the_kernel_does_not_tell(path: Path, other: Other) -> None:
    lock = fcntl.F_WRLCK.to_bytes(2, "little") + bytes(30)  # of the open file description
    assert other.ask(f"import fcntl; file = open({str(path)!r}, 'w')") is None
    assert other.ask(f"fcntl.fcntl(file, {fcntl.F_OFD_SETLK}, {lock!r}) and None") is None
    with another() as bystander:
        path.write_text(str(bystander.pid))
        with pytest.raises(PidfileBusy):
            force_cleanup(path)
        assert bystander.ask("1") == 1
    assert path.exists()


def test_nobody_ends_itself(path: Path) -> None:
    with pidfile(path) as held:
        with pytest.raises(PidfileBusy):
            force_cleanup(path)
        assert held.is_held()


def test_a_new_instance_is_left_alone(path: Path, other: Other) -> None:
    with another(IMPORT, acquire(path)):
        other.tell(acquire(path, ", wait=True"))
        until(lambda: is_waited_for(path))
        with suppress(PidfileBusy):  # if the new one was faster
            force_cleanup(path)
    assert other.answer() is None
    assert read_pidfile_if_locked(path) == other.pid
