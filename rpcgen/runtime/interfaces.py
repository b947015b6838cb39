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
        address: the peer's, as ``host:port`` with brackets around IPv6; libvirt's
            ``127.0.0.1:0`` for UNIX sockets.
        secure: whether nobody else can read along: UNIX sockets.
    """

    __slots__ = ("address", "gid", "pid", "secure", "uid")

    def __init__(
        self,
        *,
        uid: int | None = None,
        gid: int | None = None,
        pid: int | None = None,
        address: str = "127.0.0.1:0",
        secure: bool = False,
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.pid = pid
        self.address = address
        self.secure = secure

    def __repr__(self) -> str:
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
