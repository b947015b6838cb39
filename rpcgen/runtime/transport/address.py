"""Where to connect or listen, as text.

``unix:///run/x.sock``, ``unix://@name`` in Linux's abstract space, ``tcp://host:port``,
``tcp://[::1]:0``, ``tls://host:port`` for TLS over TCP, ``command:program argument``. Nothing here
opens a socket or starts a program.
"""

from __future__ import annotations

import os
import shlex
import socket

from rpcgen.runtime.errors import ConnectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias

    Candidate: TypeAlias = tuple[socket.AddressFamily, tuple[str | int, ...] | str | bytes]

UNIX_PATH_MAX: Final = 107
"""Bytes of a UNIX socket's path: ``sun_path`` holds one more, a NUL."""


class Address:
    """A place to connect to or to listen at.

    Attributes:
        kind: ``unix``, ``tcp``, ``tls`` or ``command``.
        path: of a UNIX socket; abstract names begin with ``@``.
        host, port: of TCP, with TLS or not; an empty host is every address of the machine, for listeners.
        argv: of a command: the program and its arguments.
    """

    __slots__ = ("argv", "host", "kind", "path", "port")

    def __init__(
        self,
        kind: str,
        *,
        path: str = "",
        host: str = "",
        port: int = 0,
        argv: tuple[str, ...] = (),
    ) -> None:
        self.kind = kind
        self.path = path
        self.host = host
        self.port = port
        self.argv = argv

    def __str__(self) -> str:
        if self.kind == "command":
            return f"command:{shlex.join(self.argv)}"
        if self.kind == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{host}:{self.port}"


def parse(text: str) -> Address:
    """An address from its text.

    Raises:
        ConnectError: it is none that can be carried; the message says what is wrong.
    """
    if text.startswith("command:"):
        return _command(text, text.removeprefix("command:"))
    kind, separator, rest = text.partition("://")
    if not separator:
        raise ConnectError(
            f"{text!r}: expected unix:///path, tcp://host:port, tls://host:port or command:program"
        )
    if kind == "unix":
        return _unix(text, rest)
    if kind in ("tcp", "tls"):
        return _tcp(text, kind, rest)
    raise ConnectError(
        f"{text!r}: no transport is called {kind!r}: there are unix, tcp, tls and command"
    )


def unix_name(path: str) -> str | bytes:
    """What the system calls a UNIX socket.

    An abstract name is padded to the full length of ``sun_path``, as libvirt does it: with
    Linux, names of other lengths are other names.
    """
    if not path.startswith("@"):
        return path
    return (b"\0" + os.fsencode(path[1:])).ljust(UNIX_PATH_MAX + 1, b"\0")


def _command(text: str, words: str) -> Address:
    try:
        argv = tuple(shlex.split(words))
    except ValueError as error:
        raise ConnectError(f"{text!r}: no words as a shell quotes them: {error}") from error
    if not argv or not argv[0]:
        raise ConnectError(f"{text!r}: expected a program behind command:")
    try:
        is_whole = all(b"\0" not in os.fsencode(word) for word in argv)
    except UnicodeEncodeError:
        is_whole = False
    if not is_whole:
        raise ConnectError(f"{text!r}: words that no program can be given")
    return Address("command", argv=argv)


def _unix(text: str, path: str) -> Address:
    if not path.startswith(("/", "@")) or path in ("/", "@"):
        raise ConnectError(f"{text!r}: expected an absolute path, or @ and a name, after unix://")
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError as error:
        raise ConnectError(f"{text!r}: a path that no file can have") from error
    if size > UNIX_PATH_MAX or "\0" in path:
        raise ConnectError(f"{text!r}: a path of {size} bytes is no socket's, {UNIX_PATH_MAX} fit")
    return Address("unix", path=path)


def _tcp(text: str, kind: str, rest: str) -> Address:
    host, separator, port = rest.rstrip("/").rpartition(":")
    if not separator or not (port.isascii() and port.isdigit()) or int(port) > 0xFFFF:
        raise ConnectError(f"{text!r}: expected a port from 0 to 65535 at the end")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConnectError(f"{text!r}: expected brackets around an IPv6 address")
    return Address(kind, host=host, port=int(port))
