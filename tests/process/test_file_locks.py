"""Locks on files: the kernel decides who waits, and POSIX's traps are shut inside one process."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest
from process.kit import Other, is_waited_for, run, until

from rpcgen.runtime.process import LockBusy, ProcessError, file_lock, lock_file, lock_range
from rpcgen.runtime.process.locks import holder


def locked(path: Path, more: str = "") -> str:
    """What another process runs to lock a file, without waiting."""
    return f"lock = lock_file({str(path)!r}, wait=False{more})"


def is_busy(answer: object) -> bool:
    """Whether another process was told that the lock is held by this one."""
    return isinstance(answer, str) and answer.startswith("LockBusy:") and str(os.getpid()) in answer


# Between processes


def test_an_exclusive_lock_keeps_everybody_out(path: Path, other: Other) -> None:
    with file_lock(path) as lock:
        assert lock.is_held()
        assert is_busy(other.ask(locked(path)))
        assert is_busy(other.ask(locked(path, ", shared=True")))
    assert other.ask(locked(path)) is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_shared_lock_lets_others_share(path: Path, other: Other) -> None:
    with file_lock(path, shared=True):
        assert is_busy(other.ask(locked(path)))
        assert other.ask(locked(path, ", shared=True")) is None


def test_the_holder_is_named(path: Path, other: Other) -> None:
    assert other.ask(locked(path)) is None
    with pytest.raises(LockBusy, match=f"{path}: locked by process {other.pid}") as caught:
        lock_file(path, wait=False)
    assert (caught.value.path, caught.value.pid) == (str(path), other.pid)


@pytest.mark.parametrize("timeout", ["None", "30"])
def test_who_waits_gets_it_after_the_holder(path: Path, other: Other, timeout: str) -> None:
    with file_lock(path):
        other.tell(f"lock = lock_file({str(path)!r}, timeout={timeout})")
    assert other.answer() is None
    assert not other.ask("lock.release()")
    with file_lock(path, wait=False):
        pass


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_a_killed_holder_leaves_nothing(path: Path, other: Other, timeout: float | None) -> None:
    assert other.ask(locked(path)) is None
    other.kill()
    with file_lock(path, timeout=timeout):
        pass


@pytest.mark.parametrize("timeout", [0.0, 0.02, -1.0])
def test_waiting_has_an_end(path: Path, other: Other, timeout: float) -> None:
    assert other.ask(locked(path)) is None
    with pytest.raises(LockBusy), file_lock(path, timeout=timeout):
        pass
    assert other.ask("lock.is_held()") is True


def test_a_file_that_was_replaced_meanwhile_is_locked_anew(path: Path, other: Other) -> None:
    with file_lock(path):
        other.tell(f"lock = lock_file({str(path)!r})")
        until(lambda: is_waited_for(path))
        path.unlink()
        path.touch()
    assert other.answer() is None
    assert other.ask("os.fstat(lock.fd).st_ino") == path.stat().st_ino


def test_waiting_for_each_other_is_an_error(tmp_path: Path, other: Other) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert other.ask(locked(theirs)) is None
    with file_lock(ours):
        other.tell(f"second = lock_file({str(ours)!r})")
        until(lambda: is_waited_for(ours))
        with pytest.raises(ProcessError, match=f"{theirs}: waiting would be a deadlock"):
            lock_file(theirs)
    assert other.answer() is None


def test_locks_of_open_file_descriptions_conflict(path: Path, other: Other) -> None:
    lock = f"fcntl.fcntl(file, {fcntl.F_OFD_SETLK}, bytes.fromhex({FLOCK_WRITE.hex()!r})) and None"
    assert other.ask(f"file = open({str(path)!r}, 'w')") is None
    assert other.ask(lock) is None
    with pytest.raises(LockBusy, match="another process") as caught, file_lock(path, wait=False):
        pass
    assert caught.value.pid is None  # the kernel does not tell
    with pytest.raises(LockBusy), file_lock(path, timeout=0.02):
        pass


FLOCK_WRITE = fcntl.F_WRLCK.to_bytes(2, "little") + bytes(30)


def test_an_upgrade_needs_everybody_else_gone(path: Path, other: Other) -> None:
    lock = lock_file(path, shared=True, flags=os.O_RDWR)
    assert other.ask(locked(path, ", shared=True")) is None
    with pytest.raises(LockBusy):
        lock.change(shared=False, wait=False)
    assert lock.is_shared
    assert lock.is_held()
    assert other.ask("lock.release()") is None
    lock.change(shared=False)
    assert is_busy(other.ask(locked(path, ", shared=True")))
    lock.change(shared=True)
    assert other.ask(locked(path, ", shared=True")) is None
    lock.release()
    with pytest.raises(ProcessError, match="not locked any more"):
        lock.change(shared=False)


def test_who_is_interrupted_while_it_waits_leaves_nothing(path: Path, other: Other) -> None:
    assert other.ask("import signal; before = os.listdir('/proc/self/fd')") is None
    assert other.ask("old = signal.signal(signal.SIGUSR1, signal.default_int_handler)") is None
    with file_lock(path):
        other.tell(f"try: lock_file({str(path)!r})\nexcept KeyboardInterrupt: pass")
        until(lambda: is_waited_for(path))
        os.kill(other.pid, signal.SIGUSR1)
        assert other.answer() is None
        assert other.ask("os.listdir('/proc/self/fd') == before") is True
    assert other.ask(locked(path)) is None


@pytest.mark.parametrize("wait", [True, False])
def test_an_error_of_the_kernel_is_told_as_it_is(
    path: Path, wait: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "lockf", refuse)
        with pytest.raises(OSError, match="No locks available"):
            lock_file(path, wait=wait)
    assert os.listdir("/proc/self/fd") == before
    with file_lock(path, wait=False):
        pass


# Ranges


def test_ranges_are_apart(path: Path, other: Other) -> None:
    with path.open("wb") as file, lock_range(file.fileno(), start=10, length=5) as ten:
        with lock_range(file.fileno(), start=20):
            for start, is_free in ((9, True), (10, False), (14, False), (15, True), (1000, False)):
                answer = other.ask(locked(path, f", start={start}, length=1"))
                assert (answer is None) is is_free
                other.ask("lock.release()")
        assert other.ask(locked(path, ", start=20")) is None
        assert ten.is_held()
        assert other.ask("lock.release()") is None
        ten.release()
        assert not ten.is_held()
        assert other.ask(locked(path)) is None


def test_who_is_in_the_way(path: Path, other: Other) -> None:
    assert other.ask(locked(path, ", shared=True, start=3, length=2")) is None
    with path.open() as file:
        assert holder(file.fileno(), start=4) == other.pid
        assert holder(file.fileno(), start=4, shared=True) is None
        assert holder(file.fileno(), start=5) is None


def test_a_range_is_locked_once(path: Path) -> None:
    with path.open("wb") as file, lock_range(file.fileno(), start=10, length=5):
        for start, length in ((10, 5), (14, 0), (0, 11), (0, 0)):
            with pytest.raises(ProcessError, match="a part of the range is locked already"):
                lock_range(file.fileno(), start=start, length=length)
        lock_range(file.fileno(), length=10).release()


# Inside one process


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_a_second_handle_is_refused_and_costs_nothing(
    path: Path, other: Other, wait: bool, shared: bool
) -> None:
    linked = path.with_name("linked")
    with file_lock(path, shared=shared) as lock:
        linked.hardlink_to(path)  # the file counts, not its name
        for name in (path, linked):
            with pytest.raises(LockBusy, match=f"{name}: locked by process {os.getpid()}"):
                lock_file(name, shared=shared, wait=wait)
        assert lock.is_held()
        assert is_busy(other.ask(locked(path)))


def test_a_second_descriptor_is_refused(path: Path) -> None:
    with file_lock(path), path.open("rb+") as file, pytest.raises(LockBusy, match="descriptor"):
        lock_range(file.fileno(), start=100)


def test_another_descriptor_closed_is_noticed(path: Path, other: Other) -> None:
    with file_lock(path) as lock:
        path.read_bytes()
        assert not lock.is_held()
        assert other.ask(locked(path)) is None


def test_a_descriptor_closed_by_others_is_forgotten(path: Path) -> None:
    file = path.open("wb")
    lost = lock_range(file.fileno())
    file.close()
    with file_lock(path, wait=False) as lock:
        lost.release()
        assert lock.is_held()


def test_a_released_lock_is_not_released_again(path: Path) -> None:
    lock = lock_file(path)
    lock.release()
    again = lock_file(path)
    lock.release()
    assert again.is_held()
    again.release()


def test_a_lock_that_nobody_refers_to_is_held(path: Path, other: Other) -> None:
    kept = lock_file(path).fd
    assert is_busy(other.ask(locked(path)))
    os.close(kept)


FORK = """
import os, sys
from rpcgen.runtime.process import LockBusy, file_lock, lock_file, lock_range
def child(function):
    if (pid := os.fork()) == 0:
        os._exit(0 if function() else 1)
    assert os.waitpid(pid, 0)[1] == 0
def refused(path):
    try:
        lock_file(path, wait=False)
    except LockBusy as error:
        return error.pid == os.getppid()
path = sys.argv[1]
with file_lock(path) as lock, open(path + "2", "wb") as file, lock_range(file.fileno()) as part:
    child(lambda: not lock.is_held() and not part.is_held() and not lock.is_current())
    child(lambda: (lock.release(), part.release()) and refused(path) and refused(path + "2"))
    assert lock.is_held() and part.is_held()
"""


def test_a_forked_child_holds_nothing_and_takes_nothing_away(path: Path) -> None:
    run(FORK, path)


# Files


def test_a_relative_path_outlasts_a_change_of_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with file_lock(path.name) as lock:
        monkeypatch.chdir("/")
        assert lock.is_current()
        path.unlink()
        assert not lock.is_current()
    assert not lock.is_current()


def test_only_a_regular_file_is_locked(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProcessError, match="pipe: expected a regular file"):
        lock_file(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        lock_file(tmp_path)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        lock_file(tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        lock_file(tmp_path / "nothing", create=False)
    with pytest.raises(FileNotFoundError):
        lock_file(tmp_path / "no" / "folder")


def test_nothing_is_left_open_of_what_failed(path: Path, other: Other) -> None:
    assert other.ask(locked(path)) is None
    before = os.listdir("/proc/self/fd")
    with pytest.raises(LockBusy):
        lock_file(path, wait=False)
    assert os.listdir("/proc/self/fd") == before


def test_a_lock_is_not_inherited_by_programs(path: Path) -> None:
    with file_lock(path) as lock:
        assert not os.get_inheritable(lock.fd)
