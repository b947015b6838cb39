"""Our sync client on one transport: ``python -m benchmarks.peers.layer_worker ADDRESS PKI VERSION``.

Or ``... layer_worker gssapi PORT``, with a layer of SASL; or ``... layer_worker ssl ADDRESS PKI VERSION``, which
copies through Python's own ``ssl``.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from benchmarks.peers import certificates, ours_worker, ssl_copy, worker
from benchmarks.peers.certificates import HOST, VERSIONS
from libvirt_rpc.remote_protocol.client import RemoteClient
from libvirt_rpc.remote_protocol.types import RemoteNonnullDomain
from rpcgen import libvirt
from rpcgen.runtime import connect
from rpcgen.runtime.tls.context import ClientTls

_DOMAIN = RemoteNonnullDomain("domain-0", bytes(16), 1)


def _serve(remote: RemoteClient) -> None:
    def sequential(number: int) -> None:
        for _ in range(number):
            remote.domain_get_info(_DOMAIN)

    worker.serve({"sequential": sequential, **ours_worker.streams(remote)})


def _plain_or_tls(address: str, pki: str, version: str) -> None:
    tls = ClientTls(pkipath=pki, priority=VERSIONS[version]) if address.startswith("tls:") else None
    with connect(address, tls=tls) as connection:
        _serve(RemoteClient(connection))


def _gssapi(port: str) -> None:
    with libvirt.open(f"test+tcp://localhost:{port}/default") as session:
        _serve(session.remote)


def _ssl(address: str, pki: str, version: str) -> None:
    context = certificates.context(Path(pki), "client", version)
    with (
        socket.create_connection((HOST, int(address.rpartition(":")[2]))) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as inside,
    ):
        inside.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inside.recv(1)
        worker.serve(ssl_copy.operations(inside))


def main(first: str, *others: str) -> None:
    """Connect, then do as told."""
    if first == "gssapi":
        _gssapi(*others)
    elif first == "ssl":
        _ssl(*others)
    else:
        _plain_or_tls(first, *others)


if __name__ == "__main__":
    main(*sys.argv[1:])
