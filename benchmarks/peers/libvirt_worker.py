"""libvirt's own client, the C library with its Python bindings, as a worker.

``python -m benchmarks.peers.libvirt_worker calls|streams URI``.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final

from benchmarks.peers import worker
from benchmarks.peers.libvirtd import DOMAINS, NAME, POOL, VOLUME
from benchmarks.peers.packets import complete, pieces
from benchmarks.peers.worker import Operations
from rpcgen.runtime.limits import STREAM_PACKET_MAX

THREADS: Final = 8


def calls(connection: Any) -> Operations:
    """Operations against the test driver."""
    domain = connection.lookupByName(NAME)
    pool = ThreadPoolExecutor(THREADS)

    def sequential(number: int) -> None:
        for _ in range(number):
            domain.info()

    def threads(number: int) -> None:
        list(pool.map(sequential, [number // THREADS] * THREADS))

    def listing(number: int) -> None:
        for _ in range(number):
            complete(DOMAINS - len(connection.listAllDomains()))

    return {"sequential": sequential, "threads": threads, "list": listing}


def streams(connection: Any) -> Operations:
    """Operations against the storage driver."""
    volume = connection.storagePoolLookupByName(POOL).storageVolLookupByName(VOLUME)

    def download(size: int) -> None:
        stream = connection.newStream()
        volume.download(stream, 0, size)
        left = size
        while chunk := stream.recv(STREAM_PACKET_MAX):
            left -= len(chunk)
        stream.finish()
        complete(left)

    def upload(size: int) -> None:
        stream = connection.newStream()
        volume.upload(stream, 0, size)
        for piece in pieces(size):
            complete(len(piece) - stream.send(piece))
        stream.finish()

    return {"download": download, "upload": upload}


def main(what: str, uri: str) -> None:
    """Connect, then do as told."""
    connection = import_module("libvirt").open(uri)
    worker.serve({"calls": calls, "streams": streams}[what](connection))


if __name__ == "__main__":
    main(*sys.argv[1:])
