"""Locks on files, and on ranges of bytes in them, between processes (``fcntl``, ``F_SETLK``).

These are POSIX's locks, as libvirt takes them, and not Linux's locks of open file descriptions
(``F_OFD_SETLK``). Both conflict with each other, but a POSIX lock ends with the process that took
it, even if a forked child lives on, and the kernel tells whose it is. What is dangerous about
them inside one process is kept in check by ``handles``.

Threads are not kept apart by them: a second lock on the same file in one process is refused.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import struct
import time
from contextlib import contextmanager

from rpcgen.runtime.errors import LockBusy, ProcessError
from rpcgen.runtime.process import handles, proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from rpcgen.runtime.process.handles import Handle

_FLOCK: Final = struct.Struct("@hhqqi0q")  # l_type, l_whence, l_start, l_len, l_pid
_BUSY: Final = (errno.EACCES, errno.EAGAIN)

PAUSE_MIN: Final = 0.001
PAUSE_MAX: Final = 0.05
"""Seconds between two tries of a lock that is waited for up to a deadline, from first to last.

The kernel has no such wait. The end of the holder wakes at once, whatever the pause.
"""


class RangeLock:
    """A range of bytes that is locked, on a descriptor of the caller's.

    Attributes:
        fd: the descriptor; it must stay open, and every other one on the same file in this
            process must too, until the lock is not needed any more.
        start: its first byte.
        length: its bytes; 0 is up to the end of the file, however long that gets.
        is_shared: others may have it shared as well.
    """

    __slots__ = ("_handle", "_pid", "fd", "is_shared", "length", "start")

    def __init__(self, handle: Handle, start: int, length: int, *, is_shared: bool) -> None:
        self.fd = handle.fd
        self.start = start
        self.length = length
        self.is_shared = is_shared
        self._handle: Handle | None = handle
        self._pid = os.getpid()

    def change(self, *, shared: bool, wait: bool = True, timeout: float | None = None) -> None:
        """Make an exclusive lock shared, or the other way round. On failure it is as it was.

        Raises:
            LockBusy: others have it.
            ProcessError: it is not held any more, or waiting would be a deadlock.
        """
        if self._lost:
            raise ProcessError(f"{self._name}: not locked any more")
        range_ = (self.start, self.length)
        _take(self.fd, self._name, *range_, shared, _deadline(wait, timeout))
        self.is_shared = shared

    def is_held(self) -> bool:
        """Whether the kernel knows of the lock.

        It does not if some other code of this process has closed a descriptor on the same file,
        nor in a forked child. Without ``/proc`` only the latter is seen.
        """
        if self._lost:
            return False
        try:
            with open(f"/proc/self/fdinfo/{self.fd}") as file:
                return any(line.startswith("lock:") and "POSIX" in line for line in file)
        except FileNotFoundError:
            return True

    def release(self) -> None:
        """Unlock; more than once, or in a forked child, does nothing."""
        handle, self._handle = self._handle, None
        if handle is None or self._pid != os.getpid() or not handles.is_open(handle):
            return
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_UN, self.length, self.start)
        finally:
            handles.unclaim(handle, self.start, _end(self.start, self.length))

    @property
    def _lost(self) -> bool:
        return self._handle is None or self._pid != os.getpid()

    @property
    def _name(self) -> str:
        return f"descriptor {self.fd}"

    def __enter__(self) -> RangeLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class FileLock(RangeLock):
    """A file that is locked, and open for that.

    Attributes:
        path: its path, absolute: the process may change its folder.
    """

    __slots__ = ("path",)

    def __init__(
        self, path: str, handle: Handle, start: int, length: int, *, is_shared: bool
    ) -> None:
        super().__init__(handle, start, length, is_shared=is_shared)
        self.path = path

    @property
    def _name(self) -> str:
        return self.path

    def is_open(self) -> bool:
        """Whether this process has not released it yet."""
        return not self._lost

    def is_current(self) -> bool:
        """Whether the path still leads to the file that is locked, by this process."""
        if self._lost:  # the descriptor is closed, and its number may be another file's
            return False
        try:
            return handles.key_of(os.stat(self.path)) == handles.key_of(os.fstat(self.fd))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Close the file, which unlocks it. The file stays: who waits for its lock waits for this file."""
        if not self._lost and self._handle is not None:
            handles.close(self._handle)
        self._handle = None


@contextmanager
def file_lock(
    path: str | os.PathLike[str],
    *,
    shared: bool = False,
    wait: bool = True,
    timeout: float | None = None,
) -> Iterator[FileLock]:
    """Lock a whole file for the length of a block, and make it (mode 0600) if it is not there.

    Args:
        shared: others may lock it shared at the same time.
        wait: for others who have it; otherwise it is an error at once.
        timeout: seconds to wait at most; None for ever.

    Raises:
        LockBusy: another process has it, for too long if it was waited for; or this process has,
            whatever ``wait`` says.
        ProcessError: no regular file, or waiting would be a deadlock.
        OSError: the file cannot be opened.
    """
    lock = lock_file(path, shared=shared, wait=wait, timeout=timeout)
    try:
        yield lock
    finally:
        lock.release()


def lock_file(
    path: str | os.PathLike[str],
    *,
    shared: bool = False,
    wait: bool = True,
    timeout: float | None = None,
    start: int = 0,
    length: int = 0,
    create: bool = True,
    mode: int = 0o600,
    flags: int = 0,
) -> FileLock:
    """The same without a block, for one range, and with more to say about how the file is opened.

    The lock is held until it is released or the process ends, even if nobody refers to it.

    Args:
        start: first byte.
        length: bytes; 0 is up to the end.
        create: make the file if it is not there.
        mode: its permissions then, less the umask.
        flags: for ``os.open``, beside what locking takes.
    """
    name, deadline = absolute(path), _deadline(wait, timeout)
    flags |= os.O_RDONLY if shared else os.O_RDWR  # what the kernel asks for
    while True:
        handle = handles.open_file(name, flags, mode=mode, create=create)
        try:
            _claim(handle.fd, name, start, length, shared, deadline)
            lock = FileLock(name, handle, start, length, is_shared=shared)
            # Whoever had it before may have unlinked it, and somebody else made another.
            if lock.is_current():
                return lock
        except BaseException:
            handles.close(handle)
            raise
        lock.release()


def inherit_lock(
    path: str | os.PathLike[str], fd: int, *, start: int = 0, length: int = 0, shared: bool = False
) -> FileLock:
    """A lock of ``lock_file`` after ``exec``, which keeps locks of descriptors that stay open.

    Args:
        fd: its descriptor, which is closed with it.

    Raises:
        LockBusy: the kernel says that somebody else has it, or this process has by another handle.
        OSError: there is no such descriptor.
    """
    name = absolute(path)
    handle = handles.adopt(fd, name)
    try:
        _claim(fd, name, start, length, shared, -math.inf)
    except BaseException:
        handles.close(handle)
        raise
    return FileLock(name, handle, start, length, is_shared=shared)


def absolute(path: str | os.PathLike[str]) -> str:
    """A path that leads to the same file from any folder; links in it are left to the kernel."""
    name = os.fspath(path)
    return name if os.path.isabs(name) or not name else os.path.join(os.getcwd(), name)


def lock_range(
    fd: int,
    *,
    start: int = 0,
    length: int = 0,
    shared: bool = False,
    wait: bool = True,
    timeout: float | None = None,
) -> RangeLock:
    """Lock a range of bytes on a descriptor (``virFileLock``); a context manager that unlocks it.

    The descriptor must be open for reading (shared) or writing (exclusive). It may lock several
    ranges that do not overlap.

    Args:
        start: first byte, from the start of the file.
        length: bytes; 0 is up to the end of the file.
        shared: others may have the range shared at the same time.
        wait: for others who have it; otherwise it is an error at once.
        timeout: seconds to wait at most; None for ever.

    Raises:
        LockBusy: another process has a part of it, or this one locks the file through another
            descriptor.
        ProcessError: a part of it is locked already, or waiting would be a deadlock.
        OSError: the descriptor is closed, or not open for that.
    """
    name, deadline = f"descriptor {fd}", _deadline(wait, timeout)
    handle = _claim(fd, name, start, length, shared, deadline)
    return RangeLock(handle, start, length, is_shared=shared)


def holder(fd: int, *, start: int = 0, length: int = 0, shared: bool = False) -> int | None:
    """Who keeps this process from locking a range.

    Returns:
        Its pid; 0 if the kernel does not tell (a lock of an open file description, a process that
        cannot be seen from here); None if nobody does.
    """
    kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
    asked = _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)
    found, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return None if found == fcntl.F_UNLCK else max(pid, 0)


def _claim(
    fd: int, name: str, start: int, length: int, shared: bool, deadline: float | None
) -> Handle:
    end = _end(start, length)
    handle = handles.claim(fd, name, start, end)
    try:
        _take(fd, name, start, length, shared, deadline)
    except BaseException:
        handles.unclaim(handle, start, end)
        raise
    return handle


def _take(
    fd: int, name: str, start: int, length: int, shared: bool, deadline: float | None
) -> None:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    if deadline is None:
        _try(fd, name, kind, start, length)
        return
    pause = PAUSE_MIN
    while not _try(fd, name, kind | fcntl.LOCK_NB, start, length):
        left = deadline - time.monotonic()
        pid = holder(fd, start=start, length=length, shared=shared)
        if left <= 0:
            raise LockBusy(name, pid or None)
        if pid is not None:
            _rest(pid, min(pause, left))
            pause = min(2 * pause, PAUSE_MAX)


def _try(fd: int, name: str, kind: int, start: int, length: int) -> bool:
    try:
        fcntl.lockf(fd, kind, length, start)
    except OSError as error:
        if error.errno == errno.EDEADLK:
            reason = "waiting would be a deadlock: the holder waits for a lock of this process"
            raise ProcessError(f"{name}: {reason}") from error
        if error.errno not in _BUSY:
            raise
        return False
    return True


def _rest(pid: int, seconds: float) -> None:
    if not pid or proc.wait_for_end(pid, seconds):
        # Unknown, or dead; the kernel may take a moment to free the locks of the dead.
        time.sleep(min(seconds, PAUSE_MIN) if pid else seconds)


def _deadline(wait: bool, timeout: float | None) -> float | None:
    """When to give up; None for never."""
    if not wait:
        return -math.inf
    return None if timeout is None else time.monotonic() + timeout


def _end(start: int, length: int) -> float:
    return start + length if length else math.inf
