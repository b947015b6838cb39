"""The daemon of one user, started by the first client that finds nobody at its socket.

Who starts it holds a lock file meanwhile, the one of libvirt's own clients, so that there is one
daemon however many come at once. A daemon listens before its drivers are ready, and ends if they
fail: it is there when it answers. It ends by itself when nobody has used it for a while. Where its
socket is, ``sockets`` knows.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final

from rpcgen.libvirt.sockets import is_session
from rpcgen.libvirt.uri import LibvirtUri, Transport
from rpcgen.runtime.connection import PING, PONG
from rpcgen.runtime.errors import ConnectError, ConnectionClosed, ProcessError
from rpcgen.runtime.process.locks import lock_file
from rpcgen.runtime.transport.address import Address
from rpcgen.runtime.transport.dial import dial as dial_once

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from rpcgen.runtime.interfaces import ByteStream

ATTEMPTS: Final = 500
PAUSE: Final = 0.01
"""How often a daemon that was started is called, and the seconds in between, as libvirt has it."""

IDLE: Final = 120
"""Seconds without a client after which a daemon that was started ends (libvirt's number)."""

_NOBODY: Final = (errno.ENOENT, errno.ECONNREFUSED)
"""What says that no daemon is there. Any other error would be the same with one."""

_PASSED: Final = (
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"),
)
"""What the daemon gets of the environment, as from libvirt."""

_FOLDERS: Final = "/usr/sbin:/sbin"
"""Where daemons are, which are not in the PATH of ordinary users."""

_STARTER: Final = """
import fcntl, os, subprocess, sys
seconds, program, *options = sys.argv[1:]
name, size = os.path.basename(program), 65_536
null = words = subprocess.DEVNULL
if hasattr(os, "memfd_create"):
    words = os.memfd_create("stderr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(words, size)
    fcntl.fcntl(words, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
try:
    daemon = subprocess.Popen([program, *options], stdin=null, stdout=null, stderr=words)
except OSError as error:
    sys.exit(f"cannot run {program}: {error.strerror}")
try:
    code = daemon.wait(float(seconds))
except subprocess.TimeoutExpired:
    sys.exit()
how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
said = b"" if words == null else os.pread(words, os.lseek(words, 0, os.SEEK_CUR), 0)
last = "; ".join(said[-1024:].decode(errors="backslashreplace").split("\\n")[-4:]).strip("; ")
print(f"{name} was started and has ended: {how}" + (last and f": {last}"), file=sys.stderr)
sys.exit(bool(code))
"""
"""The process between us and the daemon, which leads its session and is not missed when it ends.

Only a parent hears how a program has ended, and the daemon is not to stay a child of ours. What the
daemon says first on its standard error is kept in memory of a size that cannot grow: nobody has to
read it, and what does not fit is lost without a signal.
"""

_threads = Lock()
"""Keeps the threads of this process apart, which a lock file does not."""


def daemon_of(
    uri: LibvirtUri,
    address: str,
    *,
    environ: Mapping[str, str] = os.environ,
    uid: int | None = None,
) -> str | None:
    """Which daemon is to be started if nobody listens at an address.

    Args:
        uri: what was asked for.
        address: where that is, as ``sockets`` says.
        environ: for LIBVIRT_AUTOSTART, which is ``0`` to start none.
        uid: whose session; by default the effective user's.

    Returns:
        The name of its program; None if it is not ours to start: it is the system's, far away, or
        its socket was named.
    """
    is_user = is_session(uri, os.geteuid() if uid is None else uid)
    is_ours = is_user and uri.transport is Transport.UNIX and not uri.parameters.get("socket")
    if not is_ours or environ.get("LIBVIRT_AUTOSTART") == "0":
        return None
    name = os.path.basename(address).removesuffix("-sock")
    return "libvirtd" if name == "libvirt" else name


def reach(address: str, daemon: str | None, timeout: float | None = None) -> str | ByteStream:
    """What to give to ``connect``: the address, or a byte stream to a daemon of this user's.

    Args:
        daemon: what ``daemon_of`` says.
        timeout: seconds, as for ``dial``.

    Raises:
        ConnectError: as ``dial``.
    """
    if daemon is None:
        return address
    return dial(address.removeprefix("unix://"), daemon, timeout=timeout)


async def reach_async(
    address: str, daemon: str | None, timeout: float | None = None
) -> str | ByteStream:
    """``reach`` without blocking the loop."""
    if daemon is None:
        return address
    return await dial_async(address.removeprefix("unix://"), daemon, timeout=timeout)


def dial(
    path: str,
    daemon: str,
    *,
    environ: Mapping[str, str] = os.environ,
    timeout: float | None = None,
) -> ByteStream:
    """Connect to the daemon of one user, and start it if nobody listens.

    The folder of its socket is made if it is not there, with mode 0700.

    Args:
        path: of its socket.
        daemon: its program, looked for in the folder that VIRTD_PATH or LIBVIRTD_PATH names, or
            else in PATH.
        environ: for these, and for what the daemon gets.
        timeout: seconds, with the time in which another client starts it. Without it, that one is
            waited for as long as it takes; a daemon of our own has ``ATTEMPTS`` times ``PAUSE`` to
            listen, and then as long as it takes to answer.

    Raises:
        ConnectError: it cannot be started, or has ended, or does not listen or answer in time.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    where = Address("unix", path=path)
    if stream := _try(where, deadline):
        return stream
    with _locked(where, daemon, deadline):
        if stream := _try(where, deadline):  # of the daemon that the one before us has started
            return stream
        with _started(where, daemon, environ) as starter:
            return _call(where, daemon, starter, deadline)


async def dial_async(
    path: str,
    daemon: str,
    *,
    environ: Mapping[str, str] = os.environ,
    timeout: float | None = None,
) -> ByteStream:
    """``dial`` on a thread. If it is cancelled, that goes on, and what comes of it is closed."""
    import asyncio

    work = partial(dial, path, daemon, environ=environ, timeout=timeout)
    dialling = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(dialling)
    except asyncio.CancelledError:
        dialling.add_done_callback(_discard)
        raise


def _discard(dialled: asyncio.Future[ByteStream]) -> None:
    with suppress(ConnectError, OSError):
        dialled.result().close()


def _try(where: Address, deadline: float | None) -> ByteStream | None:
    """A connection, or None if nobody listens."""
    try:
        return dial_once(where, _left(where, deadline))
    except ConnectError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _NOBODY:
            return None
        raise


@contextmanager
def _locked(where: Address, daemon: str, deadline: float | None) -> Iterator[None]:
    """Nobody else of this user starts a daemon meanwhile, in this process or another."""
    folder = os.path.dirname(where.path)
    left = _left(where, deadline)
    if not _threads.acquire(timeout=-1 if left is None else left):
        raise _late(where, "another thread is starting it")
    try:
        for one in (os.path.dirname(folder), folder):
            os.makedirs(one, 0o700, exist_ok=True)
        path = os.path.join(folder, f"{daemon}.lock")
        with lock_file(path, length=1, timeout=_left(where, deadline)):
            try:
                yield
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(path)
    except ProcessError as error:
        raise _late(where, str(error)) from error
    except OSError as error:
        reason = ": ".join(filter(None, (error.filename, error.strerror or str(error))))
        raise ConnectError(f"{where}: cannot start {daemon}: {reason}") from error
    finally:
        _threads.release()


@contextmanager
def _started(
    where: Address, daemon: str, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The starter of a daemon, which goes on when the block is left."""
    command = [_program(where, daemon, environ), f"--timeout={IDLE}"]
    environment = {name: environ[name] for name in _PASSED if name in environ} | {"LC_ALL": "C"}
    with subprocess.Popen(  # noqa: S603  (what it is there for)
        [sys.executable, "-IS", "-c", _STARTER, str(ATTEMPTS * PAUSE), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        env=environment,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as starter:
        try:
            yield starter
        finally:
            starter.kill()


def _program(where: Address, daemon: str, environ: Mapping[str, str]) -> str:
    if folder := environ.get("VIRTD_PATH") or environ.get("LIBVIRTD_PATH"):
        return os.path.join(folder, daemon)
    found = shutil.which(daemon, path=f"{environ.get('PATH', os.defpath)}:{_FOLDERS}")
    if found is None:
        raise ConnectError(f"{where}: nobody listens, and there is no {daemon} in PATH to start")
    return found


def _call(
    where: Address, daemon: str, starter: subprocess.Popen[str], deadline: float | None
) -> ByteStream:
    """Call until the daemon answers."""
    was_lost = False
    for _ in range(ATTEMPTS):
        time.sleep(PAUSE)
        code = starter.poll()
        if stream := _try(where, deadline):  # even if ours has ended: somebody else's may be there
            if _answers(stream, where, deadline):
                return stream
            was_lost = True
        elif code or (code == 0 and was_lost):  # 0 alone: it may go on in another process
            said = _last_words(starter) or f"{daemon} was started and has ended"
            raise ConnectError(f"{where}: {said}")
    said = "" if starter.poll() is None else _last_words(starter)
    raise _late(where, said or f"{daemon} was started and does not listen")


def _last_words(starter: subprocess.Popen[str]) -> str:
    assert starter.stderr is not None  # noqa: S101  (asked for)
    return starter.stderr.read().strip().rpartition("\n")[2]


def _answers(stream: ByteStream, where: Address, deadline: float | None) -> bool:
    """Whether somebody is at the other end. If not, the stream is closed."""
    got, space = 0, bytearray(len(PONG))
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    try:
        stream.send([PING])  # libvirt's daemons answer it at any time, also before authentication
        while got < len(PONG):
            left = _left(where, deadline)
            poll.poll(None if left is None else left * 1000)
            count = stream.receive(memoryview(space)[got:])
            if count == 0:
                break
            got += count or 0
        if space == PONG:
            return True
    except ConnectionClosed:
        pass
    except BaseException:
        stream.close()
        raise
    stream.close()
    return False


def _left(where: Address, deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise _late(where, "timed out")
    return left


def _late(where: Address, why: str) -> ConnectError:
    return ConnectError(f"{where}: cannot connect: {why}")
