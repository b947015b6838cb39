"""Into the background, with a parent that tells how the daemon's start went.

Three processes: the caller's waits for the second, the second waits for the daemon and ends with
its code, the daemon is a child of the second until it has started. What is set up meanwhile, and
which failure has which code, is the daemon's part.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from enum import IntEnum

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.reexec import is_successor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, NoReturn, TypeAlias

    Signals: TypeAlias = set[int | signal.Signals]

_CHANNELS: Final = (0, 1, 2)
"""Standard input, output and error."""


class ExitCode(IntEnum):
    """What a daemon's start ends with (``VIR_DAEMON_ERR_*``)."""

    OK = 0
    PIDFILE = 1
    """Another instance runs, or the pidfile cannot be written."""
    RUNDIR = 2
    """The run folder cannot be made, or is not to be trusted."""
    INIT = 3
    """Anything else went wrong; also what the parent says of a daemon that died without a word."""
    SIGNAL = 4
    """Signals cannot be taken over."""
    PRIVS = 5
    """Privileges cannot be dropped."""
    NETWORK = 6
    """A socket cannot be listened on, or one that was passed is not wanted."""
    CONFIG = 7
    """The configuration is wrong."""
    HOOKS = 8
    """The daemon's hooks cannot be run."""
    EXEC = 9
    """The state of the image before this one cannot be restored, or the next cannot be started."""
    AUDIT = 10
    """The audit log cannot be written."""
    DRIVER = 11
    """What the daemon serves cannot be set up."""


class StartReport:
    """What a daemon says of its start; the first word counts. A block of it reports what is raised.

    Args:
        fd: the status pipe, closed after the first word; None in the foreground, where nobody
            waits and nothing happens.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int | None = None) -> None:
        self._fd = fd

    def ready(self) -> None:
        """It serves: let the parent end with 0, and leave the terminal."""
        if self._fd is None:
            return
        # Before the word: who has been told may close the terminal.
        _flush()
        _point_to_null(2)
        self._send(ExitCode.OK)

    def failed(self, code: int = ExitCode.INIT) -> None:
        """It will not serve: let the parent end with ``code``. Why, say on stderr before.

        Args:
            code: 1 to 255.
        """
        if not 1 <= code <= 255:
            raise ValueError(f"expected an exit code from 1 to 255, got {code}")
        self._send(code)

    def _send(self, code: int) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            with suppress(BrokenPipeError):  # the one who waited was killed
                os.write(fd, bytes([code]))
        finally:
            os.close(fd)

    def __enter__(self) -> StartReport:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        code = error.code if isinstance(error, SystemExit) else None
        self.failed(code if isinstance(code, int) and 1 <= code <= 255 else ExitCode.INIT)


def daemonize(program: str, *, directory: str = "/") -> StartReport:
    """Go on in a daemon; the process that calls ends with the code that the daemon reports.

    The daemon is the leader of no session and has no terminal, so it cannot get one by accident.
    Its standard input and output are /dev/null at once, its standard error is so from ``ready`` on:
    until then people see what is wrong. Nothing of this function's caller runs in the parent any
    more: no ``finally``, no ``atexit``.

    In a program that another one has left its process to (``execute``) nothing is done.

    Call it before there are threads, which do not survive a fork, and before pidfiles and locks
    are acquired, which do not pass to a child.

    Args:
        program: its name, for what the parent says.
        directory: where the daemon works; ``/`` keeps no file system from being unmounted.

    Raises:
        ProcessError: there are threads.
        OSError: the system is out of processes or descriptors, or ``directory`` is not there.
    """
    if is_successor():
        return StartReport()
    if (threads := threading.active_count()) > 1:
        raise ProcessError(f"expected one thread to fork into the background, got {threads}")
    os.stat(directory)
    _open_channels()
    _flush()
    reader, writer = os.pipe()
    # No handler of the caller's runs in the wrong process: signals wait until each knows its part.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    if pid:
        os.close(writer)
        _leave(lambda: _code_of(pid, program), mask)
    os.setsid()
    _fork_daemon(reader, writer, program, mask)
    os.close(reader)
    with StartReport(writer) as report:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.chdir(directory)
        _point_to_null(0, 1)
    return report


def _fork_daemon(reader: int, writer: int, program: str, mask: Signals) -> None:
    """Return in the daemon only; the second process waits for its word, or for its end."""
    try:
        pid = os.fork()
    except OSError as error:
        _say(f"{program}: cannot fork into the background: {error}")
        os._exit(ExitCode.INIT)
    if pid:
        os.close(writer)
        _leave(lambda: _outcome(reader, pid, program), mask)


def _leave(wait: Callable[[], int], mask: Signals) -> NoReturn:
    """End with what ``wait`` gives. Nothing leads back to the caller, no handler either."""
    code: int = ExitCode.INIT
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = wait()
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT  # what a shell makes of it; the daemon goes on with its start
    finally:
        os._exit(code)


def _outcome(reader: int, pid: int, program: str) -> int:
    """The code that the daemon reports; if it ends, and so closes the pipe, without: its end's."""
    if word := os.read(reader, 1):
        return word[0]
    if code := _code_of(pid, program):
        return code
    _say(f"{program}: ended before it had started")
    return ExitCode.INIT


def _code_of(pid: int, program: str) -> int:
    """Wait until a child has ended; its exit code."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code >= 0:
        return code
    _say(f"{program}: killed by signal {-code} ({signal.strsignal(-code)}) while it started")
    return ExitCode.INIT


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"{text}\n".encode(errors="replace"))


def _flush() -> None:
    """Leave nothing in buffers: a fork would write it twice, and ``os._exit`` not at all."""
    for stream in (sys.stdout, sys.stderr):
        if stream:  # there is none where the channel was closed
            with suppress(OSError):
                stream.flush()


def _open_channels() -> None:
    """See to it that no other file gets a channel's number, where a caller has closed one."""
    while (null := os.open(os.devnull, os.O_RDWR)) in _CHANNELS:
        pass
    os.close(null)


def _point_to_null(*channels: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for channel in channels:
            os.dup2(null, channel)
    finally:
        os.close(null)
