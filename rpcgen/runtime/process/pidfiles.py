"""Pidfiles: one instance of a program, by a lock on byte 0 of a file that holds its pid.

The lock is the ownership; what is in the file is for people and for ``kill``. So a crash leaves
nothing to clean up: the kernel unlocks, and the next instance writes its own pid. libvirt's
daemons do the same, and ours and theirs keep each other out.

The module is not called ``pidfile``: a submodule of that name would hide the function in
``rpcgen.runtime.process``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

from rpcgen.runtime.errors import LockBusy, PidfileBusy, ProcessError
from rpcgen.runtime.process import handles, locks, proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

    from rpcgen.runtime.process.locks import FileLock

    Path: TypeAlias = str | os.PathLike[str]

STATE_DIRECTORY: Final = "/run"
"""Where the system's daemons have their pidfiles."""

MODE: Final = 0o644
"""Anybody may know who runs."""

CONTENT_MAX: Final = 64
"""Bytes to read of a pidfile: a pid has ten digits, and some programs write a newline."""


def pidfile_path(
    program: str,
    *,
    privileged: bool | None = None,
    folder: str = "",
    state_directory: str = STATE_DIRECTORY,
) -> str:
    """Where a program's pidfile belongs (``virPidFileConstructPath``).

    Args:
        program: its name.
        privileged: whether it is the system's; None for whether we are root. Otherwise it is the
            user's, in ``$XDG_RUNTIME_DIR``, or where that is not set in ``$XDG_CACHE_HOME`` or
            ``~/.cache``; folders that are not there are made, for their owner only (0700).
        folder: a folder within that, ``libvirt`` for its daemons of a user.
        state_directory: the system's.

    Raises:
        ProcessError: the name is none of a file, or the user has no home.
        OSError: the user's folder cannot be made.
    """
    if program in ("", ".", "..") or "/" in program or "\0" in program:
        raise ProcessError(f"expected the name of a program, got {program!r}")
    if privileged is None:
        privileged = os.geteuid() == 0
    if privileged:
        return os.path.join(state_directory, folder, f"{program}.pid")
    own = os.path.join(_runtime_directory(), folder).rstrip("/")
    _make_private(own)
    return os.path.join(own, f"{program}.pid")


def _runtime_directory() -> str:
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        # One that is not absolute is to be ignored (XDG Base Directory Specification).
        if os.path.isabs(value := os.environ.get(name, "")):
            return value
    cache = os.path.expanduser("~/.cache")
    if not os.path.isabs(cache):
        raise ProcessError("expected a folder of the user's in XDG_RUNTIME_DIR or HOME")
    return cache


def _make_private(folder: str) -> None:
    if not os.path.isdir(folder):
        _make_private(os.path.dirname(folder))
        with suppress(FileExistsError):  # made by somebody else meanwhile
            os.mkdir(folder, 0o700)


class Pidfile:
    """A pidfile that this process holds.

    It is held until ``release`` or the end of the process, even if nobody refers to it. A forked
    child does not hold it, and a daemon acquires it after its last fork.

    Attributes:
        path: where it is.
        pid: what is in it, the process that holds it.
    """

    __slots__ = ("_lock", "path", "pid")

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock
        self.path = lock.path
        self.pid = os.getpid()

    @classmethod
    def acquire(cls, path: Path, *, wait: bool = False, timeout: float | None = None) -> Pidfile:
        """Acquire it (``virPidFileAcquirePath``); ``pidfile`` does it for a block.

        Args:
            wait: until the holder, if there is one, has gone.
            timeout: seconds to wait at most; None for ever.

        Raises:
            PidfileBusy: somebody holds it; maybe this process, whatever ``wait`` says.
            ProcessError: no regular file.
            OSError: the file cannot be made or written, or the path is a symbolic link.
        """
        lock = _lock(path, wait=wait, timeout=timeout)
        try:
            os.ftruncate(lock.fd, 0)
            os.pwrite(lock.fd, str(os.getpid()).encode(), 0)
        except BaseException:
            try:
                _unlink(lock)
            finally:
                lock.release()
            raise
        return cls(lock)

    @classmethod
    def inherit(cls, path: Path, fd: int) -> Pidfile:
        """Go on holding it after ``exec``: the kernel keeps a process's locks while ``fd`` is open.

        Args:
            fd: the descriptor that had the lock, and was inheritable. It belongs to the pidfile.

        Raises:
            PidfileBusy: it has lost the lock to somebody else.
            OSError: there is no such descriptor.
        """
        try:
            lock = locks.inherit_lock(path, fd, length=1)
        except LockBusy as busy:
            raise _busy(busy) from None
        return cls(lock)

    @property
    def fd(self) -> int:
        """The descriptor that has the lock, close-on-exec."""
        return self._lock.fd

    def is_held(self) -> bool:
        """Whether the kernel still says so, and the path leads to it.

        It does not if some other code of this process has opened and closed the file, or
        somebody has removed it; nor in a forked child.
        """
        return self._lock.is_held() and self._lock.is_current()

    def release(self) -> None:
        """Remove the file and then unlock it; more than once, or in a forked child, does nothing.

        Where it cannot be removed, since privileges were dropped, it is left empty.
        """
        if not self._lock.is_open():
            return
        try:
            _unlink(self._lock)
        except PermissionError:
            os.ftruncate(self._lock.fd, 0)
        finally:
            self._lock.release()


@contextmanager
def pidfile(path: Path, *, wait: bool = False, timeout: float | None = None) -> Iterator[Pidfile]:
    """Hold a pidfile for the length of a block: only one process at a time is in it.

    Takes what ``Pidfile.acquire`` takes, and raises what that does.
    """
    held = Pidfile.acquire(path, wait=wait, timeout=timeout)
    try:
        yield held
    finally:
        held.release()


def read_pidfile(path: Path) -> int:
    """The pid in a pidfile, whether or not anybody holds it (``virPidFileReadPath``).

    Raises:
        ProcessError: something else is in it, or nothing.
        OSError: it cannot be read; FileNotFoundError where there is none.
    """
    with handles.peek(os.fspath(path)) as (fd, _):
        content = os.pread(fd, CONTENT_MAX, 0)
    words = content.split(None, 1)
    if not words or not words[0].isdigit() or not content.startswith(words[0]):
        raise ProcessError(f"{os.fspath(path)}: expected a pid, got {content!r}")
    if len(words[0]) > CONTENT_MAX // 2 or int(words[0]) > proc.PID_MAX:
        raise ProcessError(f"{os.fspath(path)}: no pid is as large as {words[0].decode()}")
    return int(words[0])


def read_pidfile_if_alive(path: Path, binary: Path | None = None) -> int | None:
    """The pid in a pidfile if that process lives, None if not (``virPidFileReadPathIfAlive``).

    Pids are used again: give ``binary``, or ask ``read_pidfile_if_locked``.

    Args:
        binary: the program that it must run; renamed, deleted and replaced ones are found out.

    Raises:
        ProcessError: another program has the pid, or no pid is in the file.
        OSError: the file cannot be read, or what the process runs.
    """
    pid = read_pidfile(path)
    if not proc.is_alive(pid):
        return None
    try:
        if binary is None or proc.runs(pid, binary):
            return pid
    except (FileNotFoundError, ProcessLookupError):
        if not proc.is_alive(pid):  # by now
            return None
        raise
    other = proc.command_of(pid) or "another program"
    raise ProcessError(f"{os.fspath(path)}: process {pid} is not {os.fspath(binary)} but {other}")


def read_pidfile_if_locked(path: Path) -> int | None:
    """The pid of who holds a pidfile, None if it is stale (``virPidFileReadPathIfLocked``).

    It only looks: nobody who acquires the file meanwhile is turned away.

    Raises:
        ProcessError: it is held, but neither kernel nor file tell by whom.
        OSError: it cannot be read; FileNotFoundError where there is none.
    """
    pid = _holder(path)
    return read_pidfile(path) if pid == 0 else pid


def force_cleanup(path: Path) -> None:
    """Remove a pidfile, and end who holds it (``virPidFileForceCleanupPath``).

    The holder gets SIGTERM, and SIGKILL if it has not gone 10 s later. It is who has the lock: what
    is written in the file ends nobody, since it may be another process's pid by now.

    Raises:
        PidfileBusy: it is this process's own, or the kernel does not tell whose, or a new instance
            has taken it.
        ProcessError: the holder cannot be ended.
        OSError: the file cannot be opened or removed, or the holder is another user's. None is fine.
    """
    with suppress(FileNotFoundError):
        try:
            lock = _lock(path, wait=False, timeout=None, create=False)
        except PidfileBusy as busy:
            pid = busy.pid
            if pid is None or pid == os.getpid():
                raise
            proc.kill_painfully(pid, confirm=lambda: _holder(path) == pid)
            lock = _lock(path, wait=False, timeout=None, create=False)
        try:
            _unlink(lock)
        finally:
            lock.release()


def _holder(path: Path) -> int | None:
    """Whom the kernel names; 0 if it does not tell, None if nobody holds it."""
    with handles.peek(os.fspath(path)) as (fd, is_ours):
        return os.getpid() if is_ours else locks.holder(fd, length=1)


def _lock(path: Path, *, wait: bool, timeout: float | None, create: bool = True) -> FileLock:
    """Lock byte 0, as libvirt does. Links are not followed: the file is going to be overwritten."""
    try:
        return locks.lock_file(
            path,
            wait=wait,
            timeout=timeout,
            length=1,
            create=create,
            mode=MODE,
            flags=os.O_NOFOLLOW,
        )
    except LockBusy as busy:
        raise _busy(busy) from None


def _busy(busy: LockBusy) -> PidfileBusy:
    pid = busy.pid or _recorded(busy.path)
    return PidfileBusy(busy.path, pid, proc.command_of(pid) if pid else None)


def _recorded(path: str) -> int | None:
    try:
        return read_pidfile(path) or None
    except (OSError, ProcessError):
        return None


def _unlink(lock: FileLock) -> None:
    """Remove the file that is locked, and none that somebody has put in its place."""
    if lock.is_current():
        with suppress(FileNotFoundError):
            os.unlink(lock.path)
