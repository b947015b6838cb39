"""Which descriptor of this process locks which file.

A POSIX lock belongs to the process, not to the descriptor. So a second descriptor on the same
file gets every lock that the first one has, and closing either loses them all. The table here
lets one descriptor lock a file at a time, closes none that would cost somebody a lock, and starts
empty in a forked child, which inherits no locks.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from threading import Lock

from rpcgen.runtime.errors import LockBusy, ProcessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

    Key: TypeAlias = tuple[int, int]

_FLAGS: Final = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # so that no pipe keeps us waiting


class Handle:
    """The descriptor that locks a file.

    Attributes:
        key: device and inode of the file.
        is_owned: it was opened here, and is closed here.
        ranges: what is locked, or is being waited for: start and end, which is not included.
        parked: descriptors on the same file, to be closed together with this one.
    """

    __slots__ = ("fd", "is_owned", "key", "parked", "ranges")

    def __init__(self, fd: int, key: Key, *, is_owned: bool) -> None:
        self.fd = fd
        self.key = key
        self.is_owned = is_owned
        self.ranges: list[tuple[int, float]] = []
        self.parked: list[int] = []

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        close(self)


_guard = Lock()
_handles: dict[Key, Handle] = {}


def key_of(status: os.stat_result) -> Key:
    """What tells one file from another. An inode alone would not: each device counts its own."""
    return status.st_dev, status.st_ino


def open_file(path: str, flags: int, *, mode: int, create: bool) -> Handle:
    """Open a regular file for locking.

    Args:
        flags: ``O_RDWR``, and whatever else ``os.open`` takes, but not ``O_CREAT``.
        mode: permissions if it is created, less the umask.
        create: whether to create it.

    Raises:
        LockBusy: a descriptor of this process locks the file already.
        ProcessError: it is no regular file.
        OSError: it cannot be opened.
    """
    with _guard:
        _refuse_second(path)
        fd = _open(path, flags, mode, create=create)
        status = os.fstat(fd)
        key = key_of(status)
        # Only if the path has come to lead to that file since it was looked at.
        if (other := _live(key)) is not None:
            other.parked.append(fd)
            raise LockBusy(path, os.getpid())
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise ProcessError(f"{path}: expected a regular file")
        handle = _handles[key] = Handle(fd, key, is_owned=True)
        return handle


def close(handle: Handle) -> None:
    """Close what ``open_file`` has opened, and with it all locks on the file."""
    with _guard:  # no thread gets a lock in between, to lose it
        if _handles.get(handle.key) is handle:
            del _handles[handle.key]
            _close_all(handle)


def adopt(fd: int, name: str) -> Handle:
    """A handle of a descriptor that came through ``exec``; it is closed here from now on.

    Raises:
        LockBusy: another descriptor of this process locks the file.
        OSError: there is no such descriptor.
    """
    with _guard:
        key = key_of(os.fstat(fd))
        if _live(key) is not None:
            raise LockBusy(name, os.getpid())
        os.set_inheritable(fd, False)
        handle = _handles[key] = Handle(fd, key, is_owned=True)
        return handle


def claim(fd: int, name: str, start: int, end: float) -> Handle:
    """Enter a range that a descriptor, whoever opened it, is about to lock.

    Args:
        name: of the file, for errors.
        end: the byte behind the range.

    Raises:
        LockBusy: another descriptor of this process locks the file.
        ProcessError: the same one locks a part of this range: the kernel would merge the two.
    """
    with _guard:
        key = key_of(os.fstat(fd))
        handle = _live(key) or Handle(fd, key, is_owned=False)
        if handle.fd != fd:
            raise LockBusy(name, os.getpid())
        if any(start < theirs[1] and theirs[0] < end for theirs in handle.ranges):
            raise ProcessError(f"{name}: a part of the range is locked already")
        handle.ranges.append((start, end))
        _handles[key] = handle
        return handle


def unclaim(handle: Handle, start: int, end: float) -> None:
    """Strike a range out that is not locked any more."""
    with _guard:
        handle.ranges.remove((start, end))
        if not handle.ranges and not handle.is_owned and _handles.get(handle.key) is handle:
            del _handles[handle.key]
            _close_all(handle)


def is_open(handle: Handle) -> bool:
    """Whether the descriptor is still what it was: nobody has closed it."""
    with _guard:
        return _live(handle.key) is handle


@contextmanager
def peek(path: str) -> Iterator[tuple[int, bool]]:
    """A descriptor to read a file, and whether this process locks it.

    Nobody else gets a lock meanwhile: be quick.
    """
    with _guard:
        if (handle := _live(key_of(os.stat(path)))) is not None:
            yield handle.fd, True
            return
        fd = os.open(path, os.O_RDONLY | _FLAGS)
        try:
            yield fd, False
        finally:
            # The path may have come to lead to a file that this process locks.
            if (handle := _live(key_of(os.fstat(fd)))) is not None:
                handle.parked.append(fd)
            else:
                os.close(fd)


def _open(path: str, flags: int, mode: int, *, create: bool) -> int:
    while True:
        try:
            # Without O_CREAT at first: in a sticky folder the kernel forbids it for another
            # user's file (fs.protected_regular).
            return os.open(path, flags | _FLAGS)
        except FileNotFoundError:
            if not create:
                raise
        try:
            return os.open(path, flags | _FLAGS | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            if os.path.islink(path):  # to nowhere
                raise


def _refuse_second(path: str) -> None:
    try:
        key = key_of(os.stat(path))
    except FileNotFoundError:
        return
    if _live(key) is not None:
        raise LockBusy(path, os.getpid())


def _live(key: Key) -> Handle | None:
    """The handle of a file; one whose descriptor somebody has closed is forgotten."""
    handle = _handles.get(key)
    if handle is None:
        return None
    try:
        if key_of(os.fstat(handle.fd)) == key:
            return handle
    except OSError:  # no descriptor any more
        pass
    del _handles[key]
    for fd in handle.parked:
        os.close(fd)
    return None


def _close_all(handle: Handle) -> None:
    for fd in handle.parked:
        os.close(fd)
    if handle.is_owned:
        os.close(handle.fd)


def _start_anew() -> None:
    """In a forked child: the locks are the parent's, and closing here does not lose them."""
    global _guard  # noqa: PLW0603  (the old one may be held by a thread that is not here)
    _guard = Lock()
    for handle in _handles.values():
        _close_all(handle)
    _handles.clear()


os.register_at_fork(after_in_child=_start_anew)
