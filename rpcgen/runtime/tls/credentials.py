"""Where the files of TLS lie: libvirt's layout for the system, a user, or a directory of choice.

Paths only: what is in the files is read by ``certificates`` and ``context``.
"""

from __future__ import annotations

import logging
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

_logger = logging.getLogger(__name__)

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
        TlsError: there is no file of CAs, or a server's own or its key is missing, or it cannot be
            said whether one is there. A client may do without its own: that only one of the two is
            there, or that nobody lets us look, is logged.
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
    ca = next((one.ca for one in layouts if _is_there(one.ca)), None)
    crl = next((one.crl for one in layouts if _is_there(one.crl)), None)
    if ca is None:
        where = " nor ".join(str(one.ca) for one in layouts)
        neither = "neither " if len(layouts) > 1 else ""
        raise TlsError(f"{neither}{where}: no such file, so that there is no CA to trust")
    pair = next((one for one in layouts if _has_pair(one, role)), None)
    if pair is None and role is Role.SERVER:
        lists = [" and ".join(str(path) for path in _missing(one)) for one in layouts]
        where = "; or else ".join(lists)
        raise TlsError(f"a server needs a certificate and its key; missing: {where}")
    if pair is None:
        return Credentials(ca, None, None, crl)
    return Credentials(ca, pair.certificate, pair.key, crl)


def _has_pair(layout: _Layout, role: Role) -> bool:
    """Whether both are there; a client that could not show what it has wants to know why."""
    try:
        missing = _missing(layout)
    except TlsError as error:
        if role is Role.SERVER:
            raise
        _logger.warning("%s: no certificate is shown from there", error)
        return False
    if role is Role.CLIENT and len(missing) == 1:
        _logger.warning("%s: no such file, so that no certificate is shown from there", missing[0])
    return not missing


def _missing(layout: _Layout) -> list[Path]:
    return [path for path in (layout.certificate, layout.key) if not _is_there(path)]


def _is_there(path: Path) -> bool:
    """Whether there is anything; also a link to nowhere, which its reader will complain about.

    Raises:
        TlsError: that cannot be said, for the lack of permission above all.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        raise TlsError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return True


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
