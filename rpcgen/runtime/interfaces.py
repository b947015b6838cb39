"""The seam between those who carry bytes and those who know what they mean.

Transports satisfy ``ByteStream``, and so does a layer that wraps another one; clients and
servers see nothing else of the system's sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rpcgen.runtime.xdr import Buffer


class Identity:
    """Who is on the other end, as far as the system vouches for it.

    Attributes:
        uid, gid, pid: of the process that connected, on UNIX sockets; None elsewhere.
        start_time: when that process was started, in the system's ticks since its own start: with
            the pid it names no other process, ever. None if the system does not tell.
        selinux_context: its label; None without SELinux.
        address: the peer's, as ``host:port`` with brackets around IPv6; libvirt's
            ``127.0.0.1:0`` for UNIX sockets.
        secure: whether nobody else can read along: UNIX sockets, and TLS.
        distinguished_name: whom the peer's certificate names, as GnuTLS writes it
            (``C=UK,CN=host``); None without a certificate.
        sasl_user_name: who it has proved to be by SASL; None before that.
    """

    __slots__ = (
        "address",
        "distinguished_name",
        "gid",
        "pid",
        "sasl_user_name",
        "secure",
        "selinux_context",
        "start_time",
        "uid",
    )

    def __init__(
        self,
        *,
        uid: int | None = None,
        gid: int | None = None,
        pid: int | None = None,
        address: str = "127.0.0.1:0",
        secure: bool = False,
        distinguished_name: str | None = None,
        start_time: int | None = None,
        selinux_context: str | None = None,
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.pid = pid
        self.address = address
        self.secure = secure
        self.distinguished_name = distinguished_name
        self.start_time = start_time
        self.selinux_context = selinux_context
        self.sasl_user_name: str | None = None

    def __repr__(self) -> str:
        if self.distinguished_name is not None:
            return f"<Identity {self.address}, {self.distinguished_name!r}>"
        if self.pid is None:
            return f"<Identity {self.address}>"
        return f"<Identity uid {self.uid}, gid {self.gid}, pid {self.pid}>"


class ByteStream(Protocol):
    """A connected stream of bytes in both directions, with descriptors where the system can.

    Nothing blocks. What fails raises ConnectionClosed, never OSError.
    """

    @property
    def passes_fds(self) -> bool:
        """Whether descriptors can travel."""

    @property
    def identity(self) -> Identity:
        """Who is on the other end."""

    @property
    def room(self) -> int:
        """Bytes that the space of ``receive`` has at least.

        What the stream has taken from the system it can hand out at once. So it keeps nothing back
        that nobody would look for: the system only tells of what it has itself.
        """

    @property
    def can_move(self) -> bool:
        """Whether another process can go on with it from its descriptor."""

    def fileno(self) -> int:
        """What to wait for with ``poll``."""

    def receive(self, space: memoryview) -> int | None:
        """Read into a buffer; returns how many bytes, 0 at the end, None if nothing is there now.

        Descriptors that come with the bytes are lost.
        """

    def receive_with_fds(self, space: memoryview) -> tuple[int | None, list[int]]:
        """The same without losing descriptors, which come with the last of the bytes."""

    def send(self, buffers: Sequence[Buffer]) -> int:
        """Write buffers; returns how many bytes were taken, 0 if none can be now."""

    def send_fd(self, fd: int) -> bool:
        """Write a byte of zero with a descriptor; False if that cannot be done now."""

    def expect_bulk(self) -> None:
        """A stream begins: where the system lets, make room for more than one packet of it."""

    def shutdown(self) -> None:
        """End both directions: who waits for bytes sees the end. May be called from any thread."""

    def detach(self) -> int:
        """Give the descriptor, open, to the caller."""

    def close(self) -> None:
        """Give the descriptor back to the system."""
