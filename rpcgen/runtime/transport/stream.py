"""A connected socket as a ``ByteStream``, whatever family it is of.

Each system call says that it must not wait, whatever mode the socket is in: it may be shared with
others, who set that as they like.
"""

from __future__ import annotations

import array
import socket
import struct
from contextlib import suppress

from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.limits import SEND_BUFFER
from rpcgen.runtime.process.proc import start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from rpcgen.runtime.xdr import Buffer

# Plain numbers: the flags' own class takes longer to combine them than the system to act on them.
_NOW: Final = int(socket.MSG_DONTWAIT)
_NOW_QUIETLY: Final = _NOW | int(socket.MSG_NOSIGNAL)
_NOW_CLOEXEC: Final = _NOW | int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
_CREDENTIALS: Final = struct.Struct("3i")
_FDS_SPACE: Final = socket.CMSG_SPACE(16 * 4)
"""Room for more descriptors than may come with a byte, so that too many are seen, not lost."""

_PEERSEC: Final = 31
"""``SO_PEERSEC``, which the ``socket`` module does not name."""

_ERROR, _EOF, _CLIENT = 0, 1, 3


class SocketStream:
    """See ``ByteStream``; it owns the socket."""

    __slots__ = ("_identity", "_recv", "_send", "_socket", "passes_fds")

    room = 1
    can_move = True

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(None)
        self._socket = connected
        self._recv = connected.recv_into
        self._send = connected.send
        self._identity: Identity | None = None
        self.passes_fds = connected.family == socket.AF_UNIX
        if connected.family in (socket.AF_INET, socket.AF_INET6):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def identity(self) -> Identity:
        """Who is on the other end; asked of the system once.

        Raises:
            ConnectionClosed: the socket is closed, and nobody has asked before.
        """
        if self._identity is None:
            if self._socket.fileno() < 0:
                raise ConnectionClosed("the socket is closed, and has forgotten its peer", _CLIENT)
            self._identity = _identity(self._socket)
        return self._identity

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self, space: memoryview) -> int | None:
        try:
            return self._recv(space, 0, _NOW)
        except BlockingIOError:
            return None
        except OSError as error:
            raise _lost(error) from error

    def receive_with_fds(self, space: memoryview) -> tuple[int | None, list[int]]:
        try:
            count, control, _, _ = self._socket.recvmsg_into([space], _FDS_SPACE, _NOW_CLOEXEC)
        except BlockingIOError:
            return None, []
        except OSError as error:
            raise _lost(error) from error
        return count, _fds(control) if control else []

    def send(self, buffers: Sequence[Buffer]) -> int:
        try:
            if len(buffers) == 1:
                return self._send(buffers[0], _NOW_QUIETLY)
            return self._socket.sendmsg(buffers, (), _NOW_QUIETLY)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise _lost(error) from error

    def send_fd(self, fd: int) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        try:
            return self._socket.sendmsg([b"\0"], rights, _NOW_QUIETLY) == 1
        except BlockingIOError:
            return False
        except OSError as error:
            raise _lost(error) from error

    def expect_bulk(self) -> None:
        # A UNIX socket keeps what was sent at the sender, TCP sizes its buffers by itself.
        if self.passes_fds:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def shutdown(self) -> None:
        with suppress(OSError):  # the peer may be faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def detach(self) -> int:
        return self._socket.detach()

    def close(self) -> None:
        self._socket.close()


def _fds(control: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _lost(error: OSError) -> ConnectionClosed:
    reason = _EOF if isinstance(error, ConnectionResetError | BrokenPipeError) else _ERROR
    return ConnectionClosed(f"connection lost: {error.strerror or error}", reason)


def _identity(connected: socket.socket) -> Identity:
    if connected.family == socket.AF_UNIX:
        raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        return Identity(
            uid=uid,
            gid=gid,
            pid=pid,
            secure=True,
            start_time=start_time(pid),
            selinux_context=_label(connected),
        )
    try:
        host, port, *_ = connected.getpeername()
    except OSError:
        return Identity()
    return Identity(address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _label(connected: socket.socket) -> str | None:
    try:
        raw = connected.getsockopt(socket.SOL_SOCKET, _PEERSEC, 256)
    except OSError:
        return None
    return raw.rstrip(b"\0").decode(errors="backslashreplace") or None
