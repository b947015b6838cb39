"""Where the files of TLS lie: libvirt's layout for the system, a user, or a directory of choice.

Paths only: what is in the files is read by ``certificates`` and ``context``.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls.certificates import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, TypeAlias

    AnyPath: TypeAlias = str | os.PathLike[str]

SYSTEM: Final = Path("/etc/pki")
"""The system's files (``LIBVIRT_PKI_DIR``)."""

USER: Final = Path(".pki/libvirt")
"""A user's files, below the home directory."""

CA: Final = "cacert.pem"
CRL: Final = "cacrl.pem"


class Credentials:
    """What one side of TLS is known by, and by what it knows others.

    Attributes:
        ca: certificates of the authorities that are trusted, PEM.
        certificate: our own, PEM; the certificates that lead to a CA may follow it. None for a
            client that shows none.
        key: our own private key, PEM, not encrypted.
        crl: what the authorities have revoked, PEM, or None.

    Raises:
        TlsError: a certificate came without its key, or a key without its certificate.
    """

    __slots__ = ("ca", "certificate", "crl", "key")

    def __init__(
        self,
        ca: AnyPath,
        certificate: AnyPath | None,
        key: AnyPath | None,
        crl: AnyPath | None = None,
    ) -> None:
        if (certificate is None) != (key is None):
            raise TlsError(f"{certificate or key}: a certificate and its key come together")
        self.ca = Path(ca)
        self.certificate = None if certificate is None else Path(certificate)
        self.key = None if key is None else Path(key)
        self.crl = None if crl is None else Path(crl)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(f'{n}={getattr(self, n)}' for n in self.__slots__)})"


def find(
    role: Role,
    pkipath: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    uid: int | None = None,
) -> Credentials:
    """The files that libvirt would take.

    With ``pkipath`` all are in that directory. Without, root takes the system's; everybody else
    takes from the home directory what is there (the CA, the CRL, certificate and key as a pair),
    and the rest from the system.

    Args:
        role: client or server.
        pkipath: the directory, from a URI.
        environ: where ``HOME`` is looked up.
        uid: whose home directory, if ``HOME`` is not set; None for the process's effective user.

    Raises:
        TlsError: there is no certificate of a CA, or a server's own or its key is missing. A
            client may do without.
    """
    if pkipath is not None:
        return _chosen(role, [_flat(Path(pkipath), role)])
    user = os.geteuid() if uid is None else uid
    layouts = [_system(role)]
    if user != 0 and (home := _home(environ, user)):
        layouts.insert(0, _flat(home / USER, role))
    return _chosen(role, layouts)


class _Layout(NamedTuple):
    ca: Path
    crl: Path
    certificate: Path
    key: Path


def _chosen(role: Role, layouts: list[_Layout]) -> Credentials:
    """From the layouts what they have, of which the first goes first."""
    ca = next((one.ca for one in layouts if os.path.exists(one.ca)), None)
    crl = next((one.crl for one in layouts if os.path.exists(one.crl)), None)
    pair = next((one for one in layouts if not _missing(one)), None)
    if ca is None:
        where = " nor ".join(str(one.ca) for one in layouts)
        raise TlsError(f"{where}: there is no certificate of a CA")
    if pair:
        return Credentials(ca, pair.certificate, pair.key, crl)
    if role is Role.SERVER:
        where = " nor ".join(str(path) for one in layouts for path in _missing(one))
        raise TlsError(f"{where}: a server needs a certificate and its key, and this is missing")
    return Credentials(ca, None, None, crl)


def _missing(layout: _Layout) -> list[Path]:
    return [path for path in (layout.certificate, layout.key) if not os.path.exists(path)]


def _flat(directory: Path, role: Role) -> _Layout:
    own = directory / f"{role.value}cert.pem", directory / f"{role.value}key.pem"
    return _Layout(directory / CA, directory / CRL, *own)


def _system(role: Role) -> _Layout:
    authority, own = SYSTEM / "CA", SYSTEM / "libvirt"
    pair = own / f"{role.value}cert.pem", own / "private" / f"{role.value}key.pem"
    return _Layout(authority / CA, authority / CRL, *pair)


def _home(environ: Mapping[str, str], uid: int) -> Path | None:
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        return None
