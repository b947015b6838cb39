"""``python -m rpcgen.examples.hypervisor``: the hypervisor on a socket, until it is interrupted."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from rpcgen.examples.hypervisor.hypervisor import Hypervisor
from rpcgen.libvirt import Authenticating, Authentication
from rpcgen.runtime import AuthError, ConnectError, Server, ServerTls, TlsError
from rpcgen.runtime.auth.users import UserStore

_EVERYWHERE = ("0.0.0.0", "[::]", "")  # noqa: S104  (the text, to recognise it)
_STOP = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM, and say where and how to get there.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        the exit code: 1 if the address cannot be listened at, or files cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m rpcgen.examples.hypervisor",
        description="A libvirt hypervisor in memory, for libvirt's clients and for ours.",
    )
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="unix:///path, tcp:// or tls://host:port; a socket in a new temporary folder if not given",
    )
    parser.add_argument(
        "--pkipath", metavar="FOLDER", help="certificates for tls://; libvirt's own if not given"
    )
    parser.add_argument(
        "--users",
        metavar="FILE",
        help="clients have to log in; see rpcgen-users",
    )
    options = parser.parse_args(arguments)
    with TemporaryDirectory(prefix="hypervisor-") as folder:
        try:
            address = options.listen or f"unix://{Path(folder, 'socket')}"
            _serve(address, options.pkipath, options.users)
        except (AuthError, ConnectError, TlsError) as error:
            sys.stderr.write(f"{parser.prog}: {error}\n")
            return 1
    return 0


class Guarded(Authenticating, Hypervisor):
    """A hypervisor whose clients log in."""

    def __init__(self, authentication: Authentication) -> None:
        super().__init__()
        self.authentication = authentication


def _serve(address: str, pkipath: str | None, users: str | None) -> None:
    if users is not None and address.startswith("tcp:"):
        raise AuthError(
            f"{address}: no password is safe on plain TCP: use tls:// or unix:// with --users"
        )
    tls = ServerTls(pkipath=pkipath) if address.startswith("tls:") else None
    hypervisor, required = Hypervisor(), None
    if users is not None:
        store = UserStore(Path(users))
        store.names()  # now, rather than when the first client comes
        authentication = Authentication(unix="sasl", tls="sasl", users=store)
        hypervisor, required = Guarded(authentication), authentication.is_required
    # Before any thread is started: all of them leave the signals to ``sigwait``.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    with Server([hypervisor], listen=[address], tls=tls, auth_required=required or False) as server:
        sys.stdout.write(f"virsh -c '{_uri(server.addresses[0], pkipath)}' list --all\n")
        sys.stdout.flush()
        signal.sigwait(_STOP)


def _uri(address: str, pkipath: str | None) -> str:
    """What libvirt's clients call a server at an address."""
    transport, _, place = address.partition("://")
    if transport == "unix":
        return f"test+unix:///default?socket={quote(place, safe='/@')}"
    host, _, port = place.rpartition(":")
    host = "localhost" if host in _EVERYWHERE else host
    parameters = ""
    if pkipath and transport == "tls":
        parameters = f"?pkipath={quote(os.path.abspath(pkipath))}"
    return f"test+{transport}://{host}:{port}/default{parameters}"


if __name__ == "__main__":
    sys.exit(main())
