"""The certificates of both sides in one directory, for tests that look at something else than these."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from tls.authority import Authority, write_pki

from rpcgen.runtime.tls.certificates import Role


def write_both(folder: Path, client: str | x509.Name = "client") -> Path:
    """Write what ``pkipath`` names for a server at loopback and a client that it knows.

    Args:
        folder: made if it is missing; it is returned.
        client: the client's CN, or its entire name.
    """
    authority = Authority()
    server = authority.issue("localhost", Role.SERVER, san=["localhost", "127.0.0.1"])
    write_pki(folder, authority, server, Role.SERVER)
    write_pki(folder, authority, authority.issue(client, Role.CLIENT), Role.CLIENT)
    return folder
