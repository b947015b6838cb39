"""Other processes: whether one lives, since when, what it runs, and how it is made to end.

Locks and pidfiles are not known here.
"""

from __future__ import annotations

import errno
import math
import os
import select
import signal
import time

from rpcgen.runtime.errors import ProcessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Protocol

    class Target(Protocol):
        """A process to signal and to wait for."""

        def send(self, number: signal.Signals) -> None:
            """Send a signal; ProcessLookupError if the process is gone."""

        def wait(self, seconds: float) -> bool:
            """Whether it has ended; waits up to so many seconds for that."""


PID_MAX: Final = 2**31 - 1
"""The largest ``pid_t``."""

TERM_SECONDS: Final = 10.0
"""How long a process may take over SIGTERM before it gets SIGKILL (``virProcessKillPainfully``)."""

KILL_SECONDS: Final = 30.0
"""How long it may take to vanish after SIGKILL: a device or file server may hold it."""

UNFORCED_SECONDS: Final = 15.0
"""How long a process that must not be killed may take over SIGTERM."""

INTERVAL: Final = 0.2
"""Seconds between two looks at a process on a kernel without pidfds (before 5.3)."""

COMMAND_MAX: Final = 200
"""Characters of a command line in a message: enough to know the program by."""

_STATE: Final = 0
_START_TIME: Final = 19
"""Fields of ``/proc/PID/stat``, counted from the first one behind the command, the third of all
(proc(5)).
"""

_DELETED: Final = " (deleted)"


def is_alive(pid: int) -> bool:
    """Whether a process lives. One that has ended and waits for its parent (a zombie) does not."""
    return 0 < pid <= PID_MAX and not wait_for_end(pid, 0)


def wait_for_end(pid: int, seconds: float) -> bool:
    """Whether a process has ended; waits up to so many seconds for that."""
    try:
        target = _target(pid)
    except ProcessLookupError:
        return True
    try:
        return target.wait(seconds)
    finally:
        target.close()


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since the system did; None if it is gone.

    With it a number of a process means that one and no later one.
    """
    try:
        return int(_stat(pid)[_START_TIME])
    except (OSError, IndexError, ValueError):
        return None


def _stat(pid: int) -> list[bytes]:
    """Its fields behind the command, which, in parentheses, is anything the process wants."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def command_of(pid: int) -> str | None:
    """The command line of a process, shortened; None if it is gone or ``/proc`` does not tell."""
    for name in ("cmdline", "comm"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                words = file.read(4 * COMMAND_MAX)
        except OSError:
            return None
        text = words.replace(b"\0", b" ").decode(errors="replace").strip()
        if text:
            return text if len(text) <= COMMAND_MAX else f"{text[:COMMAND_MAX]}..."
    return None


def runs(pid: int, binary: str | os.PathLike[str]) -> bool:
    """Whether a process runs a program (of a script, that is its interpreter).

    It does if its executable is the same file, under whatever name, or if it is the file that had
    this name when it was started and was deleted or replaced since, by an upgrade say.

    Raises:
        OSError: ``/proc/PID/exe`` cannot be read: the process is gone, or another user's.
    """
    exe = f"/proc/{pid}/exe"
    link = os.readlink(exe)
    running = os.stat(exe)  # the file itself, even if it has no name any more
    if _is_at(running, binary):
        return True
    if link.endswith(_DELETED) and not _is_at(running, link):  # a name may really end so
        link = link.removesuffix(_DELETED)
    return os.path.realpath(link) == os.path.realpath(binary)


def _is_at(running: os.stat_result, path: str | os.PathLike[str]) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (running.st_dev, running.st_ino)


# The end of a process


def kill_painfully(
    pid: int,
    *,
    force: bool = True,
    extra: float = 0.0,
    confirm: Callable[[], bool] | None = None,
) -> signal.Signals | None:
    """End a process: SIGTERM and, if that does not help within 10 s, SIGKILL.

    It waits for the end without polling, and can hit nobody else who gets the pid later. A child
    still has to be reaped by its parent.

    Args:
        force: send SIGKILL at all; without it, wait 15 s.
        extra: seconds to wait longer in the end.
        confirm: asked when the pid cannot pass to another process any more, and before the first
            signal: whether this is the process that is meant. If not, nothing is sent.

    Returns:
        The signal that it took; None if the process was gone, or was not confirmed.

    Raises:
        ProcessError: it still lives, or the pid is not that of a process which may be ended: 1 and less.
        PermissionError: it is another user's.
    """
    if not 1 < pid <= PID_MAX:
        raise ProcessError(f"process {pid} cannot be ended: expected a pid from 2 to {PID_MAX}")
    try:
        target = _target(pid)
    except ProcessLookupError:
        return None
    try:
        if confirm is not None and not confirm():
            return None
        return end(target, force=force, extra=extra)
    except TimeoutError:
        raise ProcessError(f"process {pid} still lives after its signals") from None
    finally:
        target.close()


def end(target: Target, *, force: bool, extra: float = 0.0) -> signal.Signals | None:
    """The steps of ``kill_painfully``, on anything that can be signalled and waited for.

    Raises:
        TimeoutError: it still lives.
    """
    steps = [(signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS + extra)]
    if not force:
        steps = [(signal.SIGTERM, UNFORCED_SECONDS + extra)]
    taken = None
    for number, seconds in steps:
        try:
            target.send(number)
        except ProcessLookupError:
            return taken
        taken = number
        if target.wait(seconds):
            return taken
    raise TimeoutError


class _Pidfd:
    """A process by its pidfd, which stays its own when the pid is used again."""

    __slots__ = ("_fd",)

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def send(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self._fd, number)

    def wait(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(math.ceil(max(0.0, seconds) * 1000)))

    def close(self) -> None:
        os.close(self._fd)


class _Pid:
    """A process by its pid alone, on an old kernel."""

    __slots__ = ("_pid",)

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def send(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._lives():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(INTERVAL, left))
        return True

    def close(self) -> None:
        """Nothing is held."""

    def _lives(self) -> bool:
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        try:
            return _stat(self._pid)[_STATE] != b"Z"
        except OSError:
            return True


def _target(pid: int) -> _Pidfd | _Pid:
    try:
        return _Pidfd(pid)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # a thread has the number, no process
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from None
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # not built in, or not let through
            raise
        return _Pid(pid)
