"""Sockets that systemd listened on before the daemon was started, by the names that it gave them.

The contract is that of ``sd_listen_fds_with_names(3)``; that names are demanded is libvirt's rule
(``virSystemdGetActivation``). Which name is for which service is the daemon's part.
"""

from __future__ import annotations

import os
import socket

from rpcgen.runtime.errors import ProcessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Final

FIRST: Final = 3
"""The first descriptor that is passed (``SD_LISTEN_FDS_START``)."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Activation:
    """The sockets that were passed, until they are claimed; a context manager that closes the rest.

    A daemon that was activated makes no socket of its own, claims those of every service, and
    then calls ``check_complete``: a socket that nobody serves would leave its clients waiting.
    """

    __slots__ = ("_unclaimed",)

    def __init__(self) -> None:
        self._unclaimed: dict[str, list[socket.socket]] = {}

    def add(self, name: str, listener: socket.socket) -> None:
        """Put a listening socket under a name, from wherever it came."""
        self._unclaimed.setdefault(name, []).append(listener)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is not claimed yet, each once."""
        return tuple(self._unclaimed)

    def claim(self, name: str) -> list[socket.socket]:
        """All sockets of a name, in the order in which they were passed; none if there are none.

        They listen, are close-on-exec and are the caller's to close. Their paths are systemd's:
        do not remove them.

        Args:
            name: ``FileDescriptorName=`` of the socket unit, which is its file name
                (``x.socket``) unless it says otherwise.
        """
        return self._unclaimed.pop(name, [])

    def check_complete(self) -> None:
        """Refuse to go on while there is a socket that nobody has claimed.

        Raises:
            ProcessError: there is; all are named.
        """
        if self._unclaimed:
            names = ", ".join(self._unclaimed)
            raise ProcessError(f"sockets were passed that nothing here serves: {names}")

    def close(self) -> None:
        """Close what nobody has claimed."""
        for sockets in self._unclaimed.values():
            for one in sockets:
                one.close()
        self._unclaimed.clear()

    def __enter__(self) -> Activation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def activation(
    environ: MutableMapping[str, str] = os.environ, *, first: int = FIRST
) -> Activation | None:
    """Take over the sockets that were passed to this process; None if it was not activated.

    It was if ``LISTEN_PID`` is its own pid and ``LISTEN_FDS`` a number above 0. Either way the
    variables are removed: they are not for children. Call it once, before anything else
    opens a file.

    Raises:
        ProcessError: ``LISTEN_FDNAMES`` is missing or does not name each of them; or a
            descriptor is not open, or no stream socket that listens. The daemon is to end then.
    """
    pid, count, names = (environ.pop(name, None) for name in _VARIABLES)
    if _number(pid) != os.getpid() or not (passed := _number(count)):
        return None
    found = Activation()
    try:
        for fd, name in enumerate(_names(names, passed), first):
            found.add(name, _listener(fd, name))
    except ProcessError:
        found.close()
        raise
    return found


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > len(str(2**32)):
        return None
    return int(text)


def _names(text: str | None, count: int) -> list[str]:
    names = [] if text is None else text.split(":")
    if len(names) != count:
        raise ProcessError(
            f"LISTEN_FDNAMES: expected a name for each of LISTEN_FDS={count},"
            f" got {len(names)}: {text!r}"
        )
    return names


def _listener(fd: int, name: str) -> socket.socket:
    try:
        one = socket.socket(fileno=fd)
    except OSError as error:
        raise ProcessError(f"{name}: descriptor {fd} is no socket: {error.strerror}") from error
    if not _listens(one):
        one.close()
        raise ProcessError(
            f"{name}: expected a stream socket that listens as descriptor {fd}"
            " (a unit with ListenStream= and Accept=no)"
        )
    one.set_inheritable(False)
    return one


def _listens(one: socket.socket) -> bool:
    if one.type != socket.SOCK_STREAM:
        return False
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
