"""Bytes over a plain UNIX socket, in packets of the size that streams have: the limit of what streams can do.

``python -m benchmarks.peers.raw server SOCKET`` sends and takes; ``... worker SOCKET`` asks it to. Packets have
a header, which nobody looks at. Nothing here is protocol.
"""

from __future__ import annotations

import socket
import struct
import sys
from functools import partial
from typing import Final

from benchmarks.peers import worker
from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.message import HEAD_SIZE

_REQUEST: Final = struct.Struct("!cQ")
_DOWN, _UP = b"d", b"u"
_BUFFER: Final = 1 << 20


def _send(to: socket.socket, size: int) -> None:
    header, data = bytes(HEAD_SIZE), memoryview(bytes(STREAM_PACKET_MAX))
    while size > 0:
        packet = data[:size]
        sent = to.sendmsg([header, packet])
        if sent < HEAD_SIZE + len(packet):
            to.sendall((header + packet)[sent:])
        size -= len(packet)


def _take(source: socket.socket, size: int) -> None:
    buffer = bytearray(_BUFFER)
    packets = -(-size // STREAM_PACKET_MAX)
    left = size + packets * HEAD_SIZE
    while left > 0:
        got = source.recv_into(buffer, min(left, _BUFFER))
        if not got:
            raise EOFError("the other end is gone")
        left -= got


def _answer(client: socket.socket) -> None:
    while request := client.recv(_REQUEST.size, socket.MSG_WAITALL):
        direction, size = _REQUEST.unpack(request)
        if direction == _DOWN:
            _send(client, size)
        else:
            _take(client, size)
            client.sendall(b"\0")


def _serve(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            client, _ = listener.accept()
            with client:
                _answer(client)


def _download(server: socket.socket, size: int) -> None:
    server.sendall(_REQUEST.pack(_DOWN, size))
    _take(server, size)


def _upload(server: socket.socket, size: int) -> None:
    server.sendall(_REQUEST.pack(_UP, size))
    _send(server, size)
    server.recv(1)


def main(role: str, path: str) -> None:
    """Be the server or the worker."""
    if role == "server":
        _serve(path)
        return
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        worker.serve({"download": partial(_download, server), "upload": partial(_upload, server)})


if __name__ == "__main__":
    main(*sys.argv[1:])
