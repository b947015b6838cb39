"""Load for servers that speak libvirt's RPC: ``load.c`` with DOMAIN_GET_INFO for one domain."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from benchmarks.peers import Rate
from benchmarks.peers.libvirtd import NAME, UUID
from libvirt_rpc.remote_protocol.encoder import (
    encode_remote_connect_open_args,
    encode_remote_domain_get_info_args,
    encode_remote_domain_get_info_ret,
)
from libvirt_rpc.remote_protocol.program import (
    REMOTE_PROC_CONNECT_OPEN,
    REMOTE_PROC_DOMAIN_GET_INFO,
    REMOTE_PROGRAM,
)
from libvirt_rpc.remote_protocol.types import (
    RemoteConnectOpenArgs,
    RemoteDomainGetInfoArgs,
    RemoteDomainGetInfoRet,
    RemoteNonnullDomain,
)

DOMAIN: Final = RemoteNonnullDomain(NAME, UUID, 1)

INFO: Final = RemoteDomainGetInfoRet(1, 1 << 22, 1 << 21, 2, 1 << 40)
"""What our server answers, and the limit."""

TITLE: Final = "load.c"


def answer() -> str:
    """The payload of a reply, in hexadecimal."""
    return encode_remote_domain_get_info_ret(INFO).hex()


class WireLoad:
    """The program, aimed at a server.

    Args:
        program: ``load.c``, compiled.
        name: what CONNECT_OPEN, which every connection calls first, opens.
    """

    def __init__(self, program: Path, pid: int, path: Path, name: str) -> None:
        self._program = program
        self._pid = pid
        self._path = path
        opening = encode_remote_connect_open_args(RemoteConnectOpenArgs(name, 0))
        info = encode_remote_domain_get_info_args(RemoteDomainGetInfoArgs(DOMAIN))
        self._calls = (
            f"{REMOTE_PROC_CONNECT_OPEN.number}:{opening.hex()}",
            f"{REMOTE_PROC_DOMAIN_GET_INFO.number}:{info.hex()}",
        )

    def __call__(self, connections: int, in_flight: int, seconds: float) -> Rate:
        """Keep calls in flight on each of some connections."""
        program = (REMOTE_PROGRAM.number, REMOTE_PROGRAM.version)
        numbers = (connections, in_flight, seconds, self._pid, *program)
        done = subprocess.run(  # noqa: S603  (our own program)
            [self._program, self._path, *map(str, numbers), *self._calls],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        calls, took, own, theirs = done.stdout.split()
        return Rate(int(calls), float(took), float(theirs), float(own))
