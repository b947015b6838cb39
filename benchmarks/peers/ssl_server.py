"""Python's own ``ssl`` as a server: ``python -m benchmarks.peers.ssl_server FOLDER PKI``.

One client after another, on plain TCP, where it only waits for the end, and inside TLS.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from contextlib import suppress
from pathlib import Path

from benchmarks.peers import certificates, ssl_copy
from benchmarks.peers.announcing import announced


def _plain(listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        with client, suppress(OSError):
            client.recv(1)


def _secured(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        client, _ = listener.accept()
        with client, suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(client, server_side=True) as inside:
                ssl_copy.serve(inside)


def main(folder: Path, pki: Path) -> None:
    """Serve until told to end."""
    context = certificates.context(pki, "server")
    with (
        socket.create_server((certificates.HOST, 0)) as plain,
        socket.create_server((certificates.HOST, 0)) as secured,
    ):
        threading.Thread(target=_plain, args=(plain,), daemon=True).start()
        where = [
            f"{kind}://{certificates.HOST}:{one.getsockname()[1]}"
            for kind, one in (("tcp", plain), ("tls", secured))
        ]
        with announced(folder, *where):
            _secured(secured, context)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
