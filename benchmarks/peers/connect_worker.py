"""Clients that only connect: ``python -m benchmarks.peers.connect_worker rpcgen|ssl ADDRESS PKI VERSION``.

A connection is there when the server's certificate, and libvirt's one byte, have been seen; then it is closed.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers import certificates, worker
from benchmarks.peers.certificates import HOST, VERSIONS
from rpcgen.runtime import connect
from rpcgen.runtime.tls.context import ClientTls


def _ours(address: str, pki: str, version: str) -> Callable[[], object]:
    tls = ClientTls(pkipath=pki, priority=VERSIONS[version]) if address.startswith("tls:") else None
    return lambda: connect(address, tls=tls).close()


def _python(address: str, pki: str, version: str) -> Callable[[], object]:
    kind, _, rest = address.partition("://")
    where = HOST, int(rest.rpartition(":")[2])
    if kind == "tcp":
        return lambda: socket.create_connection(where).close()
    context = certificates.context(Path(pki), "client", version)

    def once() -> None:
        with (
            socket.create_connection(where) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as inside,
        ):
            if inside.recv(1) != b"\1":
                raise EOFError("no confirmation")

    return once


def main(kind: str, address: str, pki: str, version: str) -> None:
    """Connect as often as told."""
    once = {"rpcgen": _ours, "ssl": _python}[kind](address, pki, version)

    def sequential(number: int) -> None:
        for _ in range(number):
            once()

    worker.serve({"sequential": sequential})


if __name__ == "__main__":
    main(*sys.argv[1:])
