"""Bytes over a plain UNIX socket, in packets of the size that streams have: the limit of what streams can do.

``python -m benchmarks.peers.raw server SOCKET`` sends and takes; ``... worker SOCKET`` asks it to.
"""

from __future__ import annotations

import socket
import sys

from benchmarks.peers import copying, worker
from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.message import HEAD_SIZE


def _send(to: socket.socket, size: int) -> None:
    header, data = bytes(HEAD_SIZE), memoryview(bytes(STREAM_PACKET_MAX))
    while size > 0:
        packet = data[:size]
        sent = to.sendmsg([header, packet])
        if sent < HEAD_SIZE + len(packet):
            to.sendall((header + packet)[sent:])
        size -= len(packet)


def _serve(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            client, _ = listener.accept()
            with client:
                copying.serve(client, _send)


def main(role: str, path: str) -> None:
    """Be the server or the worker."""
    if role == "server":
        _serve(path)
        return
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        worker.serve(copying.operations(server, _send))


if __name__ == "__main__":
    main(*sys.argv[1:])
