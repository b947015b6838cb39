"""From one program to the next in the same process: what the first leaves the second, and ``exec``.

libvirt's daemons do so to be updated without losing a client. What the state says is the daemons'
own; here it is JSON in a file that only the process that wrote it takes, and only once.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import sys
from contextlib import suppress

from rpcgen.runtime.errors import ProcessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Final

_logger = logging.getLogger(__name__)

STATE_MAX: Final = 10_485_760
"""Bytes of a state file (VIR_LOCK_DAEMON_MAX_STATE, 10 MiB): a client has about 300."""

MODE: Final = 0o600
"""It says who is connected, and is believed."""

_MARK: Final = "RPCGEN_SUCCESSOR"
"""The environment variable by which a program knows that it was executed by ``execute``."""

HELD: Final = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
)
"""Signals that wait until the next program has handlers: most would end it before."""


def save_state(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write what the next program of this process is to know, in place of what was there.

    Args:
        state: JSON. ``magic``, the pid as text, is added: other processes are refused.

    Raises:
        OSError: it cannot be written; then nothing is left of it.
    """
    text = json.dumps({**state, "magic": str(os.getpid())}, indent=2, ensure_ascii=False)
    draft = f"{os.fspath(path)}.new"
    with suppress(FileNotFoundError):
        os.unlink(draft)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def load_state(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Take what another program has left in this process, and remove the file.

    Returns:
        None if nothing was left, or by another process: that is logged.

    Raises:
        ProcessError: the file is not what ``save_state`` writes, or another user may have
            written it.
        OSError: it cannot be read or removed.
    """
    name = os.fspath(path)
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        _check(name, os.fstat(fd))
        data = file.read(STATE_MAX + 1)
    # First of all: what is wrong with it must not keep the next start from succeeding.
    os.unlink(name)
    state = _parsed(name, data)
    magic = state.get("magic")
    if magic != str(os.getpid()):
        _logger.warning("%s: left by process %s, and not taken", name, magic)
        return None
    return state


def execute(
    command: Sequence[str], fds: Iterable[int], unless: Callable[[], bool] = lambda: False
) -> None:
    """Become another program, with these descriptors open.

    Signals of ``HELD`` wait until that program calls ``resume_signals``.

    Args:
        command: the program, which is searched for in PATH, and its arguments.
        unless: asked at the last moment whether to return instead. Signals wait in this thread
            alone: one that another thread gets is lost to the next program.

    Raises:
        ProcessError: it cannot be executed; then everything is as it was.
    """
    kept = list(fds)
    os.environ[_MARK] = str(os.getpid())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        _pass_on(kept, wanted=True)
        for file in (sys.stdout, sys.stderr):
            with suppress(
                AttributeError, OSError, ValueError
            ):  # there may be none, or nobody reads
                file.flush()
        if not unless():
            os.execvp(command[0], list(command))  # noqa: S606  (what it is for)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProcessError(f"{command[0]}: cannot be executed: {reason}") from error
    finally:
        del os.environ[_MARK]
        with suppress(OSError):  # one of them may be none
            _pass_on(kept, wanted=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def resume_signals() -> None:
    """In a program that may have been executed by ``execute``, once it has handlers."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


def is_successor() -> bool:
    """Whether this program was executed by ``execute``: it must not fork into the background again."""
    return os.environ.get(_MARK) == str(os.getpid())


def own_command() -> list[str]:
    """What this process was started with, to start it again from files that may be newer."""
    return [sys.executable, *sys.orig_argv[1:]]


def _pass_on(fds: Iterable[int], *, wanted: bool) -> None:
    for fd in fds:
        os.set_inheritable(fd, wanted)


def _check(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ProcessError(f"{name}: expected a regular file")
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ProcessError(f"{name}: another user may have written it")


def _parsed(name: str, data: bytes) -> dict[str, Any]:
    if len(data) > STATE_MAX:
        raise ProcessError(f"{name}: longer than {STATE_MAX} bytes")
    try:
        state = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProcessError(f"{name}: no JSON: {error}") from None
    if not isinstance(state, dict):
        raise ProcessError(f"{name}: expected an object")
    return state
