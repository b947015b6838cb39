"""Bytes through a socket of Python's own ``ssl``, in packets of the size that streams have: the limit inside TLS.

Who connects asks for a direction and a size. Packets have a header, which nobody looks at.
"""

from __future__ import annotations

import ssl
import struct
from typing import Final

from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.message import HEAD_SIZE

CONFIRMATION: Final = b"\1"
"""What a server says first, as libvirt's do."""

_REQUEST: Final = struct.Struct("!cQ")
_DOWN, _UP = b"d", b"u"
_BUFFER: Final = 1 << 20
_PACKET: Final = memoryview(bytes(HEAD_SIZE + STREAM_PACKET_MAX))


def serve(client: ssl.SSLSocket) -> None:
    """Do as a client asks until it goes."""
    client.sendall(CONFIRMATION)
    while request := client.recv(_REQUEST.size):
        direction, size = _REQUEST.unpack(request)
        if direction == _DOWN:
            _send(client, size)
        else:
            _take(client, size)
            client.sendall(CONFIRMATION)


def download(server: ssl.SSLSocket, size: int) -> None:
    """Take that many bytes."""
    server.sendall(_REQUEST.pack(_DOWN, size))
    _take(server, size)


def upload(server: ssl.SSLSocket, size: int) -> None:
    """Send that many bytes, and wait until they are there."""
    server.sendall(_REQUEST.pack(_UP, size))
    _send(server, size)
    server.recv(1)


def _send(to: ssl.SSLSocket, size: int) -> None:
    while size > 0:
        packet = _PACKET[: HEAD_SIZE + size]
        to.sendall(packet)
        size -= len(packet) - HEAD_SIZE


def _take(source: ssl.SSLSocket, size: int) -> None:
    buffer = bytearray(_BUFFER)
    left = size + -(-size // STREAM_PACKET_MAX) * HEAD_SIZE
    while left > 0:
        got = source.recv_into(buffer, min(left, _BUFFER))
        if not got:
            raise EOFError("the other end is gone")
        left -= got
