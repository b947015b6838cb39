"""Listening sockets: made, found in the environment's hands, and cleaned up after."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress

from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.transport.address import Address, unix_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BUSY: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


class Listener:
    """One listening socket.

    Attributes:
        socket: it, never blocking.
        address: where it listens, with the port that the system chose.
    """

    __slots__ = ("_unlink", "address", "socket")

    def __init__(self, listening: socket.socket, address: Address, unlink: str = "") -> None:
        listening.setblocking(False)
        self.socket = listening
        self.address = address
        self._unlink = unlink

    @property
    def unlinks(self) -> bool:
        """Whether closing removes a path."""
        return bool(self._unlink)

    def detach(self) -> int:
        """Give the descriptor, open, to the caller, and the path with it."""
        self._unlink = ""
        return self.socket.detach()

    def close(self) -> None:
        """Stop listening, and remove the path that was made for it."""
        self.socket.close()
        if self._unlink:
            with suppress(FileNotFoundError):
                os.unlink(self._unlink)


def adopted(listening: socket.socket, backlog: int, *, unlink: bool = False) -> Listener:
    """Listen with a socket that others have bound, as the system's service manager does.

    Args:
        unlink: whether its path is to be removed at the end.

    Raises:
        ConnectError: it cannot listen.
    """
    try:
        listening.listen(backlog)
        address = _address_of(listening)
    except OSError as error:
        raise ConnectError(
            f"descriptor {listening.fileno()}: cannot listen: {error.strerror}"
        ) from error
    is_path = address.kind == "unix" and not address.path.startswith("@")
    return Listener(listening, address, address.path if unlink and is_path else "")


def listen(address: Address, backlog: int, *, mode: int = 0o700) -> list[Listener]:
    """Listen at an address: one socket, or one for IPv4 and one for IPv6.

    Args:
        backlog: connections that the system keeps until they are accepted.
        mode: permissions of a UNIX socket's path. A socket in its way at which nobody listens
            is removed: the process that made it has died. libvirt removes any.

    Raises:
        ConnectError: the address is taken, or cannot be used.
    """
    if address.kind == "command":
        raise ConnectError(f"{address}: a program cannot be listened at")
    try:
        if address.kind == "unix":
            return [_listen_unix(address, backlog, mode)]
        found = _listen_tcp(address, backlog)
    except OSError as error:
        raise ConnectError(f"{address}: cannot listen: {error.strerror or error}") from error
    for listener in found:
        listener.address.kind = address.kind
    return found


def _listen_unix(address: Address, backlog: int, mode: int) -> Listener:
    is_path = not address.path.startswith("@")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if is_path:
            _clear(address.path)
        before = os.umask(0o777 & ~mode)  # no moment at which others can connect
        try:
            listening.bind(unix_name(address.path))
        finally:
            os.umask(before)
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return Listener(listening, address, address.path if is_path else "")


def _clear(path: str) -> None:
    """Remove a socket that nobody listens at; anything else stays and is an error of ``bind``."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            if probe.connect_ex(path) == errno.ECONNREFUSED:
                os.unlink(path)


def _listen_tcp(address: Address, backlog: int) -> list[Listener]:
    flags = socket.AI_PASSIVE
    results = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=flags
    )
    found: list[Listener] = []
    port, problem = address.port, OSError("no address found")
    try:
        for family, _, _, _, name in results:
            try:
                listener = _bind(family, (str(name[0]), port, *name[2:]), backlog)
            except OSError as error:
                if error.errno not in (*_BUSY, errno.EAFNOSUPPORT):
                    raise
                problem = error
                continue
            # The other family gets the port that the system chose for the first.
            port = listener.address.port
            found.append(listener)
    except BaseException:
        for listener in found:
            listener.close()
        raise
    if not found:
        raise problem
    return found


def _bind(family: int, name: tuple[str | int, ...], backlog: int) -> Listener:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(name)
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return Listener(listening, _address_of(listening))


def _address_of(listening: socket.socket) -> Address:
    """Where a socket is bound."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        if isinstance(name, bytes):  # in Linux's abstract space, padded
            return Address("unix", path="@" + os.fsdecode(name[1:].rstrip(b"\0")))
        return Address("unix", path=name)
    return Address("tcp", host=name[0], port=name[1])
