"""Polkit's text agent, which asks the user at the terminal: for clients that no desktop helps.

A server whose polkit wants a password answers AUTH_POLKIT with VIR_ERR_AUTH_UNAVAILABLE where
nobody can be asked for one. ``virsh`` then starts ``pkttyagent`` and connects again.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rpcgen.runtime.auth.polkit import start_time
from rpcgen.runtime.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM: Final = "pkttyagent"

REGISTER_SECONDS: Final = 10.0
"""How long the agent may take to find the authority, which is on this machine."""

END_SECONDS: Final = 5.0
"""How long it may take over SIGTERM: it gives the terminal back as it was."""


def has_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def text_agent(pid: int | None = None) -> Iterator[None]:
    """Have an agent at this process's terminal while the block lasts; it replaces no other.

    If it could not register, which it says at the terminal, polkit answers as it did before.

    Args:
        pid: for whom it asks, by default this process.

    Raises:
        AuthError: it is not installed, or does not get ready.
    """
    process = _started(os.getpid() if pid is None else pid)
    try:
        yield
    finally:
        _end(process)


def _started(pid: int) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    try:
        process = _run(pid, writing)
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        if not poll.poll(REGISTER_SECONDS * 1000):  # it closes its end when it is ready, or ends
            _end(process)
            raise AuthError(f"{PROGRAM} is not ready in {REGISTER_SECONDS:g} seconds")
        return process
    finally:
        os.close(reading)


def _run(pid: int, notify_fd: int) -> subprocess.Popen[bytes]:
    """The agent, which has the descriptor from now on."""
    subject = f"{pid},{start_time(pid)}"  # a number alone could be another's by then
    command = [PROGRAM, "--process", subject, "--notify-fd", str(notify_fd), "--fallback"]
    try:
        return subprocess.Popen(command, pass_fds=[notify_fd])  # noqa: S603
    except OSError as error:
        raise AuthError(f"cannot run {PROGRAM}: {error.strerror}") from error
    finally:
        os.close(notify_fd)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
