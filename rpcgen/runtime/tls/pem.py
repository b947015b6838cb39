"""Files of PEM: certificates, keys and lists of what is revoked, read with ``cryptography``.

Every way in which a file or its bytes can be bad ends here in a ``TlsError`` that names it.
Whether what was read is good for anything is asked by ``certificates``.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager

from rpcgen.runtime.errors import TlsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Final

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

FILE_MAX: Final = 65_536
"""Bytes of a file of certificates or of a key, as libvirt reads them."""

CRL_MAX: Final = 8_388_608
"""Bytes of a file of revoked certificates, of which each takes about 40. libvirt has no limit."""

CERTIFICATES_MAX: Final = 16
"""Certificates in a file, as libvirt has it for the CA's: each costs a signature to check."""

REASON_MAX: Final = 200
"""Characters of a message of ``cryptography`` that are passed on."""

MISSING: Final = "certificates are read with the package cryptography: pip install rpcgen[tls]"

CRL_BLOCK: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def certificates(path: Path) -> list[x509.Certificate]:
    """The certificates of a file: at least one, at most ``CERTIFICATES_MAX``.

    Raises:
        TlsError: the file cannot be read, or holds something else.
    """
    with refusing(f"{path}: expected certificates in PEM"):
        from cryptography import x509

        found = x509.load_pem_x509_certificates(read(path, FILE_MAX))
    if len(found) > CERTIFICATES_MAX:
        raise TlsError(f"{path}: {len(found)} certificates; {CERTIFICATES_MAX} are the limit")
    return found


def private_key(path: Path) -> PrivateKeyTypes:
    """The private key of a file.

    Raises:
        TlsError: the file cannot be read, or holds something else, or is encrypted.
    """
    with refusing(f"{path}: expected a private key in PEM, not encrypted"):
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        return load_pem_private_key(read(path, FILE_MAX), password=None)


def revocation_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """The lists of a file of them: at least one.

    Raises:
        TlsError: the file cannot be read, or holds something else.
    """
    with refusing(f"{path}: expected lists of revoked certificates (X509 CRL) in PEM"):
        from cryptography import x509

        found = CRL_BLOCK.findall(read(path, CRL_MAX))
        if not found:
            raise ValueError("there is none")
        return [x509.load_pem_x509_crl(block) for block in found]


def read(path: Path, most: int) -> bytes:
    """The bytes of a regular file; anything else could keep its reader waiting.

    Args:
        path: the file.
        most: how many bytes it may have.

    Raises:
        TlsError: it cannot be read, is no regular file, or is too long.
    """
    try:
        with open(path, "rb", opener=_opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TlsError(f"{path}: expected a regular file")
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # a path with a NUL is a ValueError
        raise TlsError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > most:
        raise TlsError(f"{path}: longer than {most} bytes")
    return data


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn everything that ``cryptography`` raises for bad bytes into a ``TlsError``.

    Args:
        what: the beginning of the message: the file, or whose certificate it is.
    """
    try:
        yield
    except ImportError:
        raise TlsError(MISSING) from None
    except _bad_bytes() as error:
        raise TlsError(f"{what}: {_reason(error)}") from None


def _bad_bytes() -> tuple[type[Exception], ...]:
    """``Warning`` is among them for those who run Python with warnings as errors."""
    from cryptography import exceptions, x509

    own = exceptions.UnsupportedAlgorithm, exceptions.InvalidSignature
    of_x509 = x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType
    return ValueError, TypeError, Warning, *own, *of_x509


def _reason(error: Exception) -> str:
    """One line of reasonable length: some messages quote what they did not like."""
    text = " ".join(str(error).split())[:REASON_MAX] or type(error).__name__
    return text.encode("ascii", "backslashreplace").decode("ascii")
