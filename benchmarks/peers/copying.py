"""A direction and a size that one end asks for, and as many bytes, in packets of the size that streams have.

Packets have a header, which nobody looks at: nothing here is protocol. How packets are sent is the caller's part.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from benchmarks.peers.worker import Operations
from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.message import HEAD_SIZE

CONFIRMATION: Final = b"\1"
"""What a server says when it has all bytes."""

_REQUEST: Final = struct.Struct("!cQ")
_DOWN, _UP = b"d", b"u"
_BUFFER: Final = 1 << 20

S = TypeVar("S", bound=socket.socket)
Send: TypeAlias = Callable[[S, int], None]
"""Sends that many bytes, each packet with ``HEAD_SIZE`` more."""


def serve(client: S, send: Send[S]) -> None:
    """Do as a client asks until it goes."""
    while request := client.recv(_REQUEST.size):
        direction, size = _REQUEST.unpack(request)
        if direction == _DOWN:
            send(client, size)
        else:
            _take(client, size)
            client.sendall(CONFIRMATION)


def operations(server: S, send: Send[S]) -> Operations:
    """What a client asks for, by name."""

    def download(size: int) -> None:
        server.sendall(_REQUEST.pack(_DOWN, size))
        _take(server, size)

    def upload(size: int) -> None:
        server.sendall(_REQUEST.pack(_UP, size))
        send(server, size)
        server.recv(1)

    return {"download": download, "upload": upload}


def _take(source: socket.socket, size: int) -> None:
    buffer = bytearray(_BUFFER)
    left = size + -(-size // STREAM_PACKET_MAX) * HEAD_SIZE
    while left > 0:
        got = source.recv_into(buffer, min(left, _BUFFER))
        if not got:
            raise EOFError("the other end is gone")
        left -= got
