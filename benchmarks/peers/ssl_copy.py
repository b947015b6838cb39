"""Bytes through a socket of Python's own ``ssl``, in packets of the size that streams have: the limit inside TLS."""

from __future__ import annotations

import ssl
from typing import Final

from benchmarks.peers import copying
from benchmarks.peers.worker import Operations
from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.message import HEAD_SIZE

_PACKET: Final = memoryview(bytes(HEAD_SIZE + STREAM_PACKET_MAX))


def serve(client: ssl.SSLSocket) -> None:
    """Say that the client is welcome, as libvirt's servers do, and do as it asks until it goes."""
    client.sendall(copying.CONFIRMATION)
    copying.serve(client, _send)


def operations(server: ssl.SSLSocket) -> Operations:
    """What a client asks for, by name."""
    return copying.operations(server, _send)


def _send(to: ssl.SSLSocket, size: int) -> None:
    while size > 0:
        packet = _PACKET[: HEAD_SIZE + size]
        to.sendall(packet)
        size -= len(packet) - HEAD_SIZE
