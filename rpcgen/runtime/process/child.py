"""Children that have a pidfile: the lock is theirs before their program runs, and ends with them.

A lock is neither inherited nor given away, so the child has to take it itself, between fork and
exec. Python code must not run there in a process with threads. So the child is first a small
Python program, this module's, which takes the lock, waits until the parent knows, and becomes the
program that was asked for: same process, same lock.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from rpcgen.runtime.errors import PidfileBusy, ProcessError
from rpcgen.runtime.process.pidfiles import Pidfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO, Final, TypeAlias

    Path: TypeAlias = str | os.PathLike[str]
    Stream: TypeAlias = int | IO[bytes] | None

_ROOT: Final = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
_START: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    "from rpcgen.runtime.process.child import become; become()"
)
_MESSAGE_MAX: Final = 65_536
_HELD: Final = b"held"
_GO: Final = b"go"


def start_with_pidfile(
    path: Path,
    command: Sequence[Path],
    *,
    prepare: Callable[[int], object] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that holds a pidfile for as long as it lives.

    It holds it, with its own pid in it, when this returns, even if this process dies. The program
    inherits a descriptor that it must leave open; its own children do not hold the pidfile. The
    file stays when the program ends: the next instance takes it over, or ``force_cleanup``
    removes it.

    Args:
        command: program and arguments; it is looked for in the child's PATH.
        prepare: called with the pid when the pidfile is held, before the program runs. If it
            raises, the program is not run, and the pidfile is removed.
        env, cwd, stdin, stdout, stderr, pass_fds: as for ``subprocess.Popen``.

    Returns:
        The process, to be waited for by the caller.

    Raises:
        PidfileBusy: somebody holds the pidfile.
        ProcessError: no regular file; or there is no Python interpreter to start, or it was killed.
        OSError: the pidfile cannot be made, or the program not be run.
    """
    import socket
    import subprocess

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = subprocess.Popen(  # noqa: S603  (the caller's command)
                _command(theirs.fileno(), path, command, os.environ if env is None else env),
                env=env,
                cwd=cwd,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(*pass_fds, theirs.fileno()),
            )
        try:
            _expect(ours.recv(_MESSAGE_MAX), _HELD)
            if prepare is not None:
                prepare(process.pid)
            ours.send(_GO)
            _expect(ours.recv(_MESSAGE_MAX), b"")  # closed by the exec
        except BaseException:
            ours.close()
            process.communicate()  # it ends by itself
            raise
    return process


def _command(
    fd: int, path: Path, command: Sequence[Path], env: Mapping[str, str]
) -> list[str | os.PathLike[str]]:
    if not sys.executable:
        raise ProcessError("expected a Python interpreter in sys.executable")
    # An interpreter may change this variable for itself (PEP 538): what was it?
    locale = f"={env['LC_CTYPE']}" if "LC_CTYPE" in env else ""
    name = os.path.abspath(os.fspath(path))
    return [sys.executable, "-IS", "-c", _START, _ROOT, str(fd), locale, name, *command]


def _expect(message: bytes, expected: bytes) -> None:
    """Raise what the child reports instead."""
    if message == expected:
        return
    if not message:
        raise ProcessError("the child has ended before it held its pidfile")
    import json

    kind, *arguments = json.loads(message)
    raise {"PidfileBusy": PidfileBusy, "OSError": OSError}.get(kind, ProcessError)(*arguments)


# In the child


def become() -> None:
    """Acquire the pidfile, tell the parent, and become the program."""
    number, locale, path, *command = sys.argv[1:]
    fd = int(number)
    os.set_inheritable(fd, False)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not if it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        held = Pidfile.acquire(path)
    except (OSError, ProcessError) as error:
        _fail(fd, error)
    if not _is_wanted(fd):
        held.release()
        sys.exit(1)
    os.set_inheritable(held.fd, True)
    try:
        _restore(locale)
        os.execvp(command[0], command)  # noqa: S606  (what it is for)
    except (OSError, ValueError) as error:
        held.release()
        _fail(fd, error)


def _is_wanted(fd: int) -> bool:
    """Tell the parent that the pidfile is held, and hear whether to go on."""
    try:
        os.write(fd, _HELD)
        return os.read(fd, len(_GO)) == _GO
    except OSError:  # the parent has died
        return False


def _restore(locale: str) -> None:
    """Undo what an interpreter does to its process when it starts."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.environ.pop("LC_CTYPE", None)
    if locale:
        os.environ["LC_CTYPE"] = locale[1:]


def _fail(fd: int, error: Exception) -> None:
    import json

    if isinstance(error, PidfileBusy):
        report = ["PidfileBusy", error.path, error.pid, error.command]
    elif isinstance(error, OSError):
        report = ["OSError", error.errno, error.strerror, error.filename]
    else:
        report = ["ProcessError", str(error)]
    with suppress(OSError):  # the parent has died
        os.write(fd, json.dumps(report).encode())
    sys.exit(1)
