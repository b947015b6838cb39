"""Whether certificates are good for what they are used for: our own at start-up, a peer's later.

The rules are those of libvirt's ``virnettlscontext.c``. Reading is the business of ``pem``, names
of hosts and of clients that of ``context`` and ``names``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls import pem
from rpcgen.runtime.tls.names import distinguished_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Final, TypeVar

    from cryptography import x509

    from rpcgen.runtime.tls.credentials import Credentials

    Kind = TypeVar("Kind", bound=x509.ExtensionType)

NAME_MAX: Final = 200
"""Characters of a certificate's name in a message: a peer's may have thousands."""


class Role(Enum):
    """Which side of a connection a certificate is for; the value is how files are named."""

    CLIENT = "client"
    SERVER = "server"


def check_own(credentials: Credentials, role: Role, *, now: datetime | None = None) -> list[str]:
    """Check what this side will show and trust, so that it fails at start-up and says why.

    All certificates must be valid today. Those of the CA file, and those that follow our own,
    must be a CA's; our own must not, and must be allowed to sign, to encipher and to be used for
    ``role``. It must lead to any certificate of the CA file, and the key must be its key.

    What key usage or purpose do not allow is an error if the extension is critical, otherwise a
    warning; but a certificate that may not sign others has signed none, and one whose purpose is
    not a server's is none of a server, for clients refuse it. A CA without a list of what it has
    revoked, where others have one, is a warning (see ``crl_covers_all``).

    Args:
        credentials: the files.
        role: what our own certificate is used for.
        now: when, with its time zone; None for the present.

    Returns:
        Warnings, each with file and certificate.

    Raises:
        TlsError: with the file, the certificate in it, and what is wrong.
    """
    moment = now or datetime.now(UTC)
    trusted = pem.certificates(credentials.ca)
    warnings = _checked(credentials.ca, trusted, None, moment)
    warnings += [
        f"{credentials.crl}: no list from {_named(one)} of {credentials.ca}:"
        " peers that it has signed for itself are refused"
        for one in _without_list(credentials, moment)
    ]
    if credentials.certificate is None or credentials.key is None:
        return warnings
    own = pem.certificates(credentials.certificate)
    warnings += _checked(credentials.certificate, own[:1], role, moment)
    warnings += _checked(credentials.certificate, own[1:], None, moment)
    where = f"{credentials.certificate}: {_named(own[0])}"
    with pem.refusing(where):
        if pem.private_key(credentials.key).public_key() != own[0].public_key():
            raise TlsError(f"{credentials.key}: not the key of {credentials.certificate}")
        if broken := _broken(own, trusted, credentials.ca):
            raise TlsError(f"{where}: {broken}")
    return warnings


def check_peer(chain: Sequence[bytes], role: Role, *, now: datetime | None = None) -> None:
    """Check what a peer has shown, beyond what the handshake has verified.

    All certificates must be valid today. The first must be no CA's, and allowed to sign, to
    encipher and to be used for ``role``, as far as its extensions are critical; a server's purpose
    counts in any case.

    Args:
        chain: DER, the peer's own certificate first.
        role: the peer's side of the connection.
        now: when, with its time zone; None for the present.

    Raises:
        TlsError: with the certificate, and what is wrong.
    """
    if not chain:
        raise TlsError(f"the {role.value} has shown no certificate")
    moment = now or datetime.now(UTC)
    with pem.refusing(f"the {role.value}'s certificate cannot be read"):
        from cryptography import x509

        first, *others = [x509.load_der_x509_certificate(der) for der in chain]
        _checked(f"the {role.value}", [first], role, moment)
        for one in others:
            if reason := _outdated(one, moment):
                raise TlsError(f"the {role.value}: {_named(one)}: {reason}")


def crl_covers_all(credentials: Credentials, *, now: datetime | None = None) -> bool:
    """Whether there is a list of revoked certificates from every CA; False if there is no file.

    If there is not, only the certificates at the ends of connections can be looked up: OpenSSL
    refuses an authority whose own issuer gives no list. It also refuses an end whose issuer gives
    none. So a CA of the file without a list is fine if it signs only CAs; otherwise the peers that
    it has signed for are refused, of which ``check_own`` warns.

    Args:
        credentials: the files, of which those of CAs and of lists are read.
        now: when, with its time zone; None for the present.

    Raises:
        TlsError: a file is bad, or a list has expired, is from the future, or is said to be from
            a CA that has not signed it; or no list is from a CA of the file, so that every peer
            would be refused.
    """
    return credentials.crl is not None and not _without_list(credentials, now or datetime.now(UTC))


def _without_list(credentials: Credentials, now: datetime) -> list[x509.Certificate]:
    """The CAs that give no list."""
    if credentials.crl is None:
        return []
    authorities = pem.certificates(credentials.ca)
    lists = pem.revocation_lists(credentials.crl)
    with pem.refusing(f"{credentials.crl}: a list of revoked certificates"):
        for one in lists:
            _check_list(credentials.crl, one, authorities, now)
        known = {one.issuer for one in lists}
        found = [one for one in authorities if one.subject not in known]
    if len(found) == len(authorities):
        raise TlsError(
            f"{credentials.crl}: no list is from a CA of {credentials.ca} ({_named(found[0])})"
        )
    return found


def key_sizes(path: Path) -> str:
    """The keys of a file's certificates, in words; nothing is known without ``cryptography``."""
    try:
        keys = [one.public_key() for one in pem.certificates(path)]
    except TlsError:
        return "of unknown size"
    kinds = (type(one).__name__.removesuffix("PublicKey").strip("_") for one in keys)
    sizes = (getattr(one, "key_size", "?") for one in keys)
    return ", ".join(f"{kind}: {size} bits" for kind, size in zip(kinds, sizes, strict=True))


def _check_list(
    path: Path,
    one: x509.CertificateRevocationList,
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    if one.next_update_utc and one.next_update_utc < now:
        raise ValueError(f"it expired on {_date(one.next_update_utc)}")
    if one.last_update_utc > now:
        raise ValueError(f"it begins only on {_date(one.last_update_utc)}")
    issuers = [ca for ca in authorities if ca.subject == one.issuer]
    if issuers and not any(one.is_signature_valid(ca.public_key()) for ca in issuers):  # type: ignore[arg-type]
        raise TlsError(f"{path}: its signature is not that of {_named(issuers[0])}")


def _checked(
    where: object, certificates: Sequence[x509.Certificate], role: Role | None, now: datetime
) -> list[str]:
    """Raise what is fatal, and return what is not."""
    warnings = []
    for one in certificates:
        with pem.refusing(f"{where}: {_named(one)}"):
            for fatal, reason in _flaws(one, role, now):
                text = f"{where}: {_named(one)}: {reason}"
                if fatal:
                    raise TlsError(text)
                warnings.append(text)
    return warnings


def _flaws(one: x509.Certificate, role: Role | None, now: datetime) -> Iterator[tuple[bool, str]]:
    """What is wrong with a certificate, and whether that is fatal; without a role it is a CA's."""
    if reason := _outdated(one, now):
        yield True, reason
    if reason := _misplaced(one, role):
        yield True, reason
    yield from _unusable(one, role)
    if role:
        yield from _not_for(one, role)


def _outdated(one: x509.Certificate, now: datetime) -> str | None:
    if one.not_valid_after_utc < now:
        return f"it expired on {_date(one.not_valid_after_utc)}"
    if one.not_valid_before_utc > now:
        return f"it begins only on {_date(one.not_valid_before_utc)}"
    return None


def _misplaced(one: x509.Certificate, role: Role | None) -> str | None:
    from cryptography import x509

    constraints = _extension(one, x509.BasicConstraints)
    if role is None and constraints is None:
        return "expected a CA's certificate, but it has no basic constraints"
    if role is None and constraints and not constraints.value.ca:
        return "expected a CA's certificate, but its basic constraints say that it is none"
    if role and constraints and constraints.value.ca:
        return f"expected a certificate of a {role.value}, but its basic constraints say CA"
    return None


def _unusable(one: x509.Certificate, role: Role | None) -> Iterator[tuple[bool, str]]:
    from cryptography import x509

    usage = _extension(one, x509.KeyUsage)
    if usage is None:
        return
    if role is None and not usage.value.key_cert_sign:
        yield usage.critical, "its key usage does not allow it to sign certificates (keyCertSign)"
    if role and not usage.value.digital_signature:
        yield usage.critical, "its key usage does not allow it to sign (digitalSignature)"
    if role and not usage.value.key_encipherment:
        yield usage.critical, "its key usage does not allow it to encipher (keyEncipherment)"


def _not_for(one: x509.Certificate, role: Role) -> Iterator[tuple[bool, str]]:
    """The purpose, which has to be there itself: OpenSSL does not take anyExtendedKeyUsage for it.

    libvirt does not, either, but lets an unknown one pass, which allows nothing here.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose

    purpose = _extension(one, x509.ExtendedKeyUsage)
    wanted = Purpose.SERVER_AUTH if role is Role.SERVER else Purpose.CLIENT_AUTH
    if purpose and wanted not in purpose.value:
        reason = f"its purpose (extendedKeyUsage) is not that of a {role.value}"
        if role is Role.CLIENT and not purpose.critical:
            reason += ", and servers may refuse it, as ours does"
        # libvirt only warns of a server's, but whoever uses OpenSSL refuses it.
        yield purpose.critical or role is Role.SERVER, reason


def _broken(
    own: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], ca: Path
) -> str | None:
    """Why no way leads from the first certificate to one that is trusted, or None if one does."""
    reason = f"no certificate of {ca} has signed it, nor one that leads there"
    waiting, seen = [(own[0], 0)], {own[0]}
    while waiting:
        one, below = waiting.pop()
        for issuer in (*trusted, *own[1:]):
            if not _signed(one, issuer):
                continue
            if refusal := _may_not_sign(issuer, below):
                reason = refusal
            elif issuer in trusted:
                return None
            elif issuer not in seen:
                seen.add(issuer)
                waiting.append((issuer, below + 1))
    return reason


def _signed(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        with pem.refusing("the signature"):
            one.verify_directly_issued_by(issuer)
    except TlsError:
        return False
    return True


def _may_not_sign(issuer: x509.Certificate, below: int) -> str | None:
    """Why an issuer is none, critical or not (RFC 5280, 4.2.1.3 and 4.2.1.9).

    Args:
        issuer: a CA's certificate.
        below: how many CAs there are between it and the end.
    """
    from cryptography import x509

    usage = _extension(issuer, x509.KeyUsage)
    constraints = _extension(issuer, x509.BasicConstraints)
    if usage and not usage.value.key_cert_sign:
        return f"signed by {_named(issuer)}, whose key usage does not allow that (keyCertSign)"
    length = constraints.value.path_length if constraints else None
    if length is not None and length < below:
        return f"{below} CAs lie below {_named(issuer)}, which allows {length} (pathLenConstraint)"
    return None


def _extension(one: x509.Certificate, kind: type[Kind]) -> x509.Extension[Kind] | None:
    from cryptography import x509

    try:
        return one.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _named(one: x509.Certificate) -> str:
    """What to call a certificate in a message, on one line whatever its name is."""
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        name = distinguished_name(one.public_bytes(Encoding.DER))
    except TlsError:
        return "certificate without a name that can be read"
    return f"certificate {name[:NAME_MAX]!a}"


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
