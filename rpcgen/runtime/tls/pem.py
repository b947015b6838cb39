"""Files of PEM: certificates, keys and lists of what is revoked, read with ``cryptography``.

Every way in which a file or its bytes can be bad ends here in a ``TlsError`` that names it.
Whether what was read is good for anything is asked by ``certificates``.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from typing import NamedTuple

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

NAME_MAX: Final = 40
"""Characters of a label that are quoted."""

MISSING: Final = "certificates are read with the package cryptography: pip install rpcgen[tls]"

CRL_BLOCK: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)

ENCRYPTED: Final = re.compile(rb"^Proc-Type:\s*4,\s*ENCRYPTED", re.MULTILINE)
"""How the older form of a key says so (RFC 1421, 4.6.1.1)."""

DER: Final = re.compile(rb"\x30[\x81-\x83]")
"""What a file begins with if it is DER: a SEQUENCE of 128 bytes or more (X.690, 8.1.3.5 and 8.9)."""


class Kind(NamedTuple):
    """What a file is expected to have.

    Attributes:
        words: for messages.
        label: a pattern of what stands behind BEGIN and END (RFC 7468).
        most: bytes of such a file.
    """

    words: str
    label: str
    most: int


CERTIFICATES: Final = Kind("certificates in PEM", "(?:X509 )?CERTIFICATE", FILE_MAX)
KEY: Final = Kind("a private key in PEM", "(?:[A-Z0-9]+ )?PRIVATE KEY", FILE_MAX)
LISTS: Final = Kind("lists of revoked certificates (X509 CRL) in PEM", "X509 CRL", CRL_MAX)

INSTEAD: Final = {
    "PRIVATE KEY": "it has a private key (are the files swapped?)",
    "CERTIFICATE REQUEST": "it has a request for a certificate (CSR), which a CA has yet to sign",
    "CERTIFICATE": "it has a certificate (are the files swapped?)",
    "X509 CRL": "it has a list of revoked certificates",
    "PUBLIC KEY": "it has a public key",
}
"""What is said of a file that has something else, by the end of its label."""


def certificates(path: Path) -> list[x509.Certificate]:
    """The certificates of a file: at least one, at most ``CERTIFICATES_MAX``.

    Raises:
        TlsError: the file cannot be read, or holds something else.
    """
    data = text(path, CERTIFICATES)
    with refusing(damaged(path, CERTIFICATES), with_reason=False):
        from cryptography import x509

        found = x509.load_pem_x509_certificates(data)
    if len(found) > CERTIFICATES_MAX:
        raise TlsError(f"{path}: {len(found)} certificates; {CERTIFICATES_MAX} are the limit")
    return found


def private_key(path: Path) -> PrivateKeyTypes:
    """The private key of a file.

    Raises:
        TlsError: the file cannot be read, or holds something else, or is encrypted.
    """
    data = text(path, KEY)
    with refusing(damaged(path, KEY), with_reason=False):
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        return load_pem_private_key(data, password=None)


def revocation_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """The lists of a file of them: at least one.

    Raises:
        TlsError: the file cannot be read, or holds something else.
    """
    data = text(path, LISTS)
    with refusing(damaged(path, LISTS), with_reason=False):
        from cryptography import x509

        return [x509.load_pem_x509_crl(block) for block in CRL_BLOCK.findall(data)]


def text(path: Path, kind: Kind) -> bytes:
    """The bytes of a file that has something of a kind, by its labels; no package is needed.

    Raises:
        TlsError: it cannot be read, or has something else, and what.
    """
    data = read(path, kind.most)
    if reason := _not_of(kind, data):
        raise TlsError(f"{path}: expected {kind.words}: {reason}")
    return data


def _not_of(kind: Kind, data: bytes) -> str | None:
    """Why bytes are not PEM of a kind, or None if they seem to be."""
    if not data.strip():
        return "the file is empty"
    labels = re.findall(r"-----BEGIN ([A-Z0-9 ]+)-----", data.decode("latin-1"))
    wanted = [one for one in labels if re.fullmatch(kind.label, one)]
    if not labels:
        return "it is DER, not PEM" if DER.match(data) else "there is no line of BEGIN in it"
    if not wanted:
        return _instead(labels)
    begin, end = (f"-----{word} {wanted[-1]}-----".encode() for word in ("BEGIN", "END"))
    if end not in data[data.rindex(begin) :]:
        return f"it is cut off: there is no END {wanted[-1]}"
    if kind is KEY and (wanted[0].startswith("ENCRYPTED ") or ENCRYPTED.search(data)):
        return "it is encrypted, and nobody is asked for the password"
    return None


def _instead(labels: list[str]) -> str:
    found = (words for one in labels for end, words in INSTEAD.items() if one.endswith(end))
    return next(found, f"it has something else ({labels[0][:NAME_MAX]})")


def damaged(path: Path, kind: Kind) -> str:
    """What is said of a file whose labels are right, and the rest is not."""
    return f"{path}: expected {kind.words}: it is damaged, or of a kind that is not known"


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
def refusing(what: str, *, with_reason: bool = True) -> Iterator[None]:
    """Turn everything that ``cryptography`` raises for bad bytes into a ``TlsError``.

    Args:
        what: the beginning of the message: the file, or whose certificate it is.
        with_reason: whether the package's own words follow.
    """
    try:
        yield
    except ImportError:
        raise TlsError(MISSING) from None
    except _bad_bytes() as error:
        raise TlsError(f"{what}: {_reason(error)}" if with_reason else what) from None


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
