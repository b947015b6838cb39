"""What a daemon tells the service manager: that it is ready, reloads, stops, is still alive.

The protocol is that of ``sd_notify(3)``: datagrams of ``NAME=value`` lines. A daemon that nobody
listens to runs as well, so nothing here waits, and nothing here raises because of the listener.
"""

from __future__ import annotations

import logging
import os
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

_MICRO: Final = 1_000_000
_DIGITS: Final = len(str(2**64))
_FLAGS: Final = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)

_logger = logging.getLogger(__name__)


class Notifier:
    """The line to the service manager, if there is one; a context manager that closes it.

    Every method gives whether the manager has got the message: False where nobody listens or the
    socket is full. Any thread may call them.

    Args:
        address: of the manager's datagram socket, a path or ``@`` and an abstract name; None for
            no manager.
        watchdog: seconds within which it expects a ``ping``.

    Attributes:
        watchdog: the same; None if it expects none. Ping about twice as often, from
            where a daemon that hangs would hang.
    """

    __slots__ = ("_address", "_socket", "watchdog")

    def __init__(self, address: str | None = None, *, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self._address = _socket_address(address)
        self._socket: socket.socket | None = None
        if self._address:
            try:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            except OSError as error:
                _logger.warning("no socket to notify the service manager with: %s", error)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        """As ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` say.

        The variables stay: an image that this process executes later is to find them. The manager
        ignores what other processes of the unit tell it, unless the unit says ``NotifyAccess=all``.
        """
        return cls(environ.get("NOTIFY_SOCKET"), watchdog=_watchdog(environ))

    def ready(self, status: str | None = None) -> bool:
        """The daemon serves, after its start or after a reload.

        Args:
            status: what it does, for people.
        """
        return self.send(READY=1) if status is None else self.send(READY=1, STATUS=status)

    def reloading(self) -> bool:
        """It begins to read its configuration again; ``ready`` is to follow (``Type=notify-reload``)."""
        return self.send(RELOADING=1, MONOTONIC_USEC=_microseconds())

    def stopping(self) -> bool:
        """It begins to stop."""
        return self.send(STOPPING=1)

    def status(self, text: str) -> bool:
        """What it does, for people: one line."""
        return self.send(STATUS=text)

    def extend_timeout(self, seconds: float) -> bool:
        """The start or the stop that is under way takes up to ``seconds`` more, counted from now."""
        return self.send(EXTEND_TIMEOUT_USEC=max(0, round(seconds * _MICRO)))

    def ping(self) -> bool:
        """It is alive: the watchdog may wait again."""
        return self.send(WATCHDOG=1)

    def main_pid(self, pid: int | None = None) -> bool:
        """The daemon's process is ``pid``; None for this one, which has forked into the background."""
        return self.send(MAINPID=os.getpid() if pid is None else pid)

    def send(self, **fields: object) -> bool:
        """Any fields of the protocol, in one datagram: ``send(ERRNO=2, STATUS="no such file")``.

        Line breaks in a value become spaces: they would begin another field.
        """
        if not self._socket or not self._address:
            return False
        lines = (f"{name}={' '.join(str(value).splitlines())}" for name, value in fields.items())
        try:
            data = "\n".join(lines).encode(errors="replace")
            return self._socket.sendto(data, _FLAGS, self._address) == len(data)
        except OSError as error:
            _logger.debug("the service manager was not told %s: %s", [*fields], error)
            return False

    def close(self) -> None:
        """Tell the manager nothing more."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Notifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _microseconds() -> int:
    """The clock that systemd compares with, so that it knows which reload ``ready`` ends."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def _socket_address(text: str | None) -> bytes | None:
    """An address as ``sendto`` takes it. An abstract name is as long as it is here: no padding."""
    if not text:
        return None
    if text[0] not in "/@":
        _logger.warning("NOTIFY_SOCKET: expected a path or @ and a name, got %r", text)
        return None
    address = os.fsencode(text)
    return b"\0" + address[1:] if text[0] == "@" else address


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds, or None where no watchdog watches this process (``sd_watchdog_enabled(3)``)."""
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    if pid is not None and pid != str(os.getpid()):
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS:
        return None
    return int(text) / _MICRO or None
