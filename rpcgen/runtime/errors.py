"""Everything that the runtime raises, under one root.

``XdrError`` is a ``ValueError`` too: a value that cannot be coded is a bad value, whoever
brought it. Nothing here knows what raises it.
"""

from __future__ import annotations


class RpcError(Exception):
    """The root of all errors of the runtime."""


class XdrError(RpcError, ValueError):
    """A value or its bytes are not what the ``.x`` file says.

    Attributes:
        reason: what was expected and what came.
        path: where in the value, in ``.x`` spelling (``domains[3].name``); empty for the
            value itself.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def inside(self, part: str) -> None:
        """Note that the value at fault is a ``part`` (``name``, ``[3]``) of a larger one."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = part + joint + self.path

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class XdrEncodeError(XdrError):
    """A value cannot be encoded: wrong type, out of range, too long. Nothing was produced."""


class XdrDecodeError(XdrError):
    """Bytes are refused.

    Attributes:
        offset: the byte at fault, counted from the start of the buffer.
    """

    def __init__(self, reason: str, offset: int, path: str = "") -> None:
        super().__init__(reason, path)
        self.offset = offset

    def __str__(self) -> str:
        return f"{super().__str__()} (at byte {self.offset})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.offset, self.path)


class UnknownProcedure(RpcError):  # noqa: N818  (libvirt's words, by which clients know it)
    """A procedure was called that the server does not offer.

    Attributes:
        number: what was called.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"unknown procedure: {self.number}"


class ProtocolError(RpcError):
    """The rules of the RPC protocol were broken; by whom, the subclass says."""


class LocalProtocolError(ProtocolError):
    """This side asked for what the state of a connection or stream does not allow.

    Nothing was sent, and the connection is as it was.
    """


class RemoteProtocolError(ProtocolError):
    """The peer sent what no peer may send.

    If it cost the boundaries of packets, the connection is closed with this as the cause.
    """


class TransportError(RpcError):
    """Bytes did not get through, whatever they meant."""


class ConnectError(TransportError):
    """A connection could not be opened."""


class ConnectionClosed(TransportError):  # noqa: N818  (what happened, not what went wrong)
    """The connection is gone, and with it all calls and streams that were under way.

    Attributes:
        reason: a ``VirConnectCloseReason``: 0 error, 1 end of file, 2 keepalive,
            3 closed by this side.
    """

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message, reason)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])


class CallTimeout(TransportError, TimeoutError):  # noqa: N818  (as ``TimeoutError`` is no mistake)
    """A call was not answered in time. Its reply will be dropped; the connection goes on.

    The server may have done what it was asked for all the same: there is no way to take a
    call back.
    """


class EventsLost(RpcError):  # noqa: N818  (what happened, not what went wrong)
    """Events came faster than they were taken, and the oldest that waited were dropped.

    Attributes:
        lost: how many.
    """

    def __init__(self, message: str, lost: int) -> None:
        super().__init__(message, lost)
        self.lost = lost

    def __str__(self) -> str:
        return str(self.args[0])


class AuthError(RpcError):
    """The server demands an authentication that this side cannot give, or refuses it."""


class TlsError(TransportError):
    """TLS cannot protect a connection: credentials that do not do, or a peer that is not who it says.

    The message names the file, or what was wrong with the peer.
    """


class ProcessError(RpcError):
    """What a process wants of its system, a lock, a pidfile or a signal, cannot be had.

    ``OSError`` of a file (no permission, disk full) stays what it is.
    """


class LockBusy(ProcessError):  # noqa: N818  (what happened, not what went wrong)
    """A file is locked by another process, or by this one through another handle.

    Attributes:
        path: the file.
        pid: who holds it, if the kernel tells.
    """

    def __init__(self, path: str, pid: int | None = None) -> None:
        super().__init__(path, pid)
        self.path = path
        self.pid = pid

    def __str__(self) -> str:
        return f"{self.path}: locked by {f'process {self.pid}' if self.pid else 'another process'}"


class PidfileBusy(ProcessError):  # noqa: N818  (what happened, not what went wrong)
    """The program is running already: somebody holds its pidfile.

    Attributes:
        path: the pidfile.
        pid: who holds it, if that can be told.
        command: the holder's command line, if that can be told.
    """

    def __init__(self, path: str, pid: int | None = None, command: str | None = None) -> None:
        super().__init__(path, pid, command)
        self.path = path
        self.pid = pid
        self.command = command

    def __str__(self) -> str:
        holder = f"process {self.pid}" if self.pid else "another process"
        return f"{self.path}: held by {holder}" + (f" ({self.command})" if self.command else "")


def again(error: RpcError) -> RpcError:
    """A copy of an error that several threads are to be told: each raises its own."""
    from copy import copy

    another = copy(error)
    another.__cause__ = error.__cause__
    return another
