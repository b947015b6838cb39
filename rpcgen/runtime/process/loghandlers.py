"""Where a daemon's log goes: a file, syslog, the journal, each as a ``logging.Handler``.

Nothing here decides what is logged, and a message that its target does not take is dropped: a
full disk or a journal that hangs must not stop a daemon.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import struct
import sys
import threading
import time
from logging.handlers import SysLogHandler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

JOURNAL: Final = "/run/systemd/journal/socket"
"""Where the journal listens."""

SYSLOG: Final = "/dev/log"
"""Where syslog listens."""

FILE_MODE: Final = 0o600
"""A log may hold what is not for everybody; libvirt's daemons make theirs so, too."""

# A pipe that nobody reads is an error then, and a full one loses messages.
_FILE_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
"""The journal reads only a file that nobody can change meanwhile."""

_PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
"""Of syslog, as the journal has them, too."""


class LineFormatter(logging.Formatter):
    """A line as libvirt's daemons write it: time in UTC, thread, level, function and line, message.

    ``2026-01-31 12:00:00.123+0000: 4711: error : accept:95 : too many open files``
    """

    default_time_format = "%Y-%m-%d %H:%M:%S"
    default_msec_format = "%s.%03d+0000"

    def __init__(self) -> None:
        super().__init__("%(asctime)s: %(tid)s: %(word)s : %(funcName)s:%(lineno)d : %(message)s")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the base's name)
        """The line; a traceback is put behind it by the base."""
        record.word = record.levelname.lower()
        record.tid = threading.get_native_id()  # handlers run on the thread that logs
        return super().formatMessage(record)


class _Dropping(logging.Handler):
    """A handler whose target may fail; any other error is a caller's, and is shown."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (the base's name)
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class DescriptorHandler(_Dropping):
    """Lines into a descriptor, which stays the caller's: 2 for standard error.

    No buffer is between: a message is there when the call returns, in one piece, whoever else
    writes.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        try:
            os.write(self.fd, f"{self.format(record)}\n".encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001  (as every handler: logging must not fail its caller)
            self.handleError(record)


class LogFileHandler(DescriptorHandler):
    """Lines at the end of a file, which is made if need be.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(os.open(path, _FILE_FLAGS, FILE_MODE))

    def reopen(self) -> None:
        """Go on in the file that is at the path now: the other one was rotated away.

        Raises:
            OSError: it cannot be opened; messages go where they went.
        """
        os.close(self._exchange(os.open(self.path, _FILE_FLAGS, FILE_MODE)))

    def close(self) -> None:
        """Close the file; what is logged after that is dropped."""
        if (before := self._exchange(-1)) >= 0:
            os.close(before)
        super().close()

    def _exchange(self, fd: int) -> int:
        self.acquire()  # or another thread writes to a number that is another file's by then
        try:
            before, self.fd = self.fd, fd
        finally:
            self.release()
        return before


class SyslogHandler(_Dropping, SysLogHandler):
    """Messages to syslog, as a daemon's, under a name.

    As with C's ``openlog``, syslog may come later, or again.
    """

    def __init__(self, identifier: str, address: str = SYSLOG) -> None:
        super().__init__(address, facility=SysLogHandler.LOG_DAEMON)
        self.identifier = identifier
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send it."""
        self.ident = f"{self.identifier}[{os.getpid()}]: "
        super().emit(record)


class JournalHandler(_Dropping):
    """Messages to systemd's journal, by its native protocol, with where they come from.

    The journal may come later, or again; while it takes nothing, messages are dropped.
    """

    def __init__(self, identifier: str, address: str = JOURNAL) -> None:
        super().__init__()
        self.identifier = identifier
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send it."""
        try:
            data = journal_entry(self._fields(record))
            try:
                self._socket.sendto(data, self._address)
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._send_file(data)
        except Exception:  # noqa: BLE001  (as every handler: logging must not fail its caller)
            self.handleError(record)

    def close(self) -> None:
        """Close the socket; what is logged after that is dropped."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> Iterable[tuple[str, object]]:
        floor = max((level for level in _PRIORITIES if level <= record.levelno), default=0)
        yield "MESSAGE", self.format(record)
        yield "PRIORITY", _PRIORITIES.get(floor, 7)
        yield "SYSLOG_IDENTIFIER", self.identifier
        yield "LOGGER", record.name
        yield "CODE_FILE", record.pathname
        yield "CODE_LINE", record.lineno
        yield "CODE_FUNC", record.funcName
        yield "TID", threading.get_native_id()

    def _send_file(self, data: bytes) -> None:
        """An entry that no datagram holds travels in a file without a name, sealed."""
        fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(data)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", fd))]
            self._socket.sendmsg([], rights, 0, self._address)
        finally:
            os.close(fd)


def journal_entry(fields: Iterable[tuple[str, object]]) -> bytes:
    """Fields in the journal's export format.

    A value with line breaks stands behind its length, so nothing in it passes for a field.
    """
    return b"".join(_field(name.encode(), str(value)) for name, value in fields)


def _field(name: bytes, text: str) -> bytes:
    value = text.encode(errors="backslashreplace")
    if b"\n" not in value:
        return b"%b=%b\n" % (name, value)
    return b"%b\n%b%b\n" % (name, struct.pack("<Q", len(value)), value)
