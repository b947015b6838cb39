"""The process that owns leases: which one it is, and how it is made to end when it lets go of them.

Pids are used again, and a connection may outlast the process that made it, in a child of that. So
a process is known by its pid and by when it was started. Leases are not known here.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import threading
from typing import Final

from rpcgen.runtime.process.proc import start_time

_logger = logging.getLogger(__name__)

STEPS: Final = ((signal.SIGTERM, 1.6), (signal.SIGKILL, 1.4))
"""Signals, and seconds after each in which the process should end: virtlockd's."""


class OwnerProcess:
    """A process that acts for itself.

    Attributes:
        pid: its pid.
    """

    __slots__ = ("_started", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._started = start_time(pid)

    def __repr__(self) -> str:
        return f"<OwnerProcess {self.pid}>"

    def end(self) -> bool:
        """Send it SIGTERM and, if that does not help, SIGKILL; waits up to 3 s.

        It may be a process like any other, but never this one.

        Returns:
            whether it has ended; this is true of one that had done so before.
        """
        if self.pid == os.getpid():
            return False
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            # Asked for when the pid cannot change hands any more.
            return start_time(self.pid) != self._started or _end(fd)
        finally:
            os.close(fd)


def end_owner(process: OwnerProcess) -> None:
    """End a process that has let go of its leases by leaving: it may still write to what it had leased.

    It is not waited for, and what cannot be ended is logged.
    """
    thread = threading.Thread(target=_end_and_tell, args=(process,), name="end of an owner")
    thread.start()


def _end_and_tell(process: OwnerProcess) -> None:
    try:
        has_ended = process.end()
    except OSError as error:
        _logger.error("process %d cannot be ended: %s", process.pid, error.strerror)
        return
    if has_ended:
        _logger.info("process %d had leases when it disconnected, and has ended", process.pid)
    else:
        _logger.error("process %d has lost its leases, and still lives", process.pid)


def _end(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    for number, seconds in STEPS:
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return True
        if poll.poll(math.ceil(seconds * 1000)):
            return True
    return False
