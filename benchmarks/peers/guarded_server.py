"""Our server on all its transports: ``python -m benchmarks.peers.guarded_server FOLDER PKI|- MECHANISM``.

It does what ``ours_server`` does with ``async def``. A mechanism of SASL, unless it is ``none``, is demanded of all:
SCRAM on the UNIX socket; GSSAPI, which brings a layer, on TCP.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Final

from benchmarks.peers.announcing import announced
from benchmarks.peers.certificates import HOST
from benchmarks.peers.ours_server import Asynchronous
from rpcgen.libvirt import Authenticating, Authentication
from rpcgen.runtime import Call, Server
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.users import UserStore
from rpcgen.runtime.tls.context import ServerTls

USER, PASSWORD = "fred", "open sesame, 7 times"

NONE: Final = "none"


class Guarded(Authenticating, Asynchronous):
    """Who has to prove who he is may, and then open a driver as libvirt's clients do."""

    def __init__(self, authentication: Authentication) -> None:
        super().__init__()
        self.authentication = authentication

    async def connect_supports_feature(self, call: Call, feature: int) -> int:
        """There are no features."""
        del call, feature
        return 0

    async def connect_close(self, call: Call) -> None:
        """Nothing is open."""


def _authentication(mechanism: str, folder: Path) -> Authentication:
    if mechanism == NONE:
        return Authentication(tcp=NONE)
    if mechanism == "GSSAPI":
        return Authentication(tcp="sasl", mechanisms=[mechanism])
    users = UserStore(folder / "users")
    users.add(USER, Secret(PASSWORD))
    return Authentication(unix="sasl", mechanisms=[mechanism], users=users)


def main(folder: Path, pki: str, mechanism: str) -> None:
    """Serve until told to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    authentication = _authentication(mechanism, folder)
    listen = [f"unix://{folder}/unix", f"tcp://{HOST}:0"]
    tls = None
    if pki != "-":
        tls = ServerTls(pkipath=pki)
        listen.append(f"tls://{HOST}:0")
    with (
        Server(
            [Guarded(authentication)],
            listen=listen,
            tls=tls,
            auth_required=authentication.is_required,
        ) as server,
        announced(folder, *server.addresses),
    ):
        signal.sigwait([signal.SIGTERM])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
