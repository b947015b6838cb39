"""A maker of certificates for tests: authorities, what they issue and revoke, and libvirt's files.

What is issued by default is accepted by GnuTLS and by libvirt's own checks. Every extension can be
replaced or left out, since most tests want something that is wrong.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.credentials import CA, CRL, Credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    Extension: TypeAlias = x509.Extension[x509.ExtensionType]
    Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    Days: TypeAlias = tuple[float, float]

ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "CN": NameOID.COMMON_NAME,
}

PURPOSES = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "mail": ExtendedKeyUsageOID.EMAIL_PROTECTION,
}

USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

NOW_VALID: Days = (-1, 30)
"""Days from now to the first and the last moment of a certificate."""


def dn(**attributes: str) -> x509.Name:
    """A name in the order given: ``dn(C="UK", CN="libvirt.org")``."""
    return x509.Name([x509.NameAttribute(ATTRIBUTES[k], v) for k, v in attributes.items()])


def basic(ca: bool, *, critical: bool = True, path_length: int | None = None) -> Extension:
    """``basicConstraints``."""
    value = x509.BasicConstraints(ca=ca, path_length=path_length)
    return x509.Extension(value.oid, critical, value)


def usage(*names: str, critical: bool = True) -> Extension:
    """``keyUsage`` with the bits of ``USAGES`` that are named; none is possible, too."""
    value = x509.KeyUsage(**{name: name in names for name in USAGES})
    return x509.Extension(value.oid, critical, value)


def purpose(*names: str, critical: bool = False) -> Extension:
    """``extendedKeyUsage``: names of ``PURPOSES``, or dotted numbers."""
    oids = [PURPOSES.get(name) or x509.ObjectIdentifier(name) for name in names]
    value = x509.ExtendedKeyUsage(oids)
    return x509.Extension(value.oid, critical, value)


LEAF_BASIC = basic(ca=False)
LEAF_USAGE = usage("digital_signature", "key_encipherment")
CA_BASIC = basic(ca=True)
CA_USAGE = usage("key_cert_sign", "crl_sign")
"""What GnuTLS and libvirt want, encipherment even of elliptic curves."""


class Leaf:
    """A certificate with its key.

    Attributes:
        certificate: the certificate.
        key: its private key.
        issuer: who signed it; None for the root.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: Key,
        issuer: Authority | None,
    ) -> None:
        self.certificate = certificate
        self.key = key
        self.issuer = issuer

    @property
    def der(self) -> bytes:
        """The certificate as TLS sends it."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key, not encrypted (PKCS #8)."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def chain(self) -> list[Leaf]:
        """The certificate and those that lead to the root, which is not among them."""
        one, links = self, []
        while one.issuer is not None:
            links.append(one)
            one = one.issuer
        return links or [self]


class Authority(Leaf):
    """A certificate that issues others; made by itself, a root that signs its own.

    Args:
        name: the CN, or an entire name (see ``dn``).
        basic, usage: extensions, None to leave one out.
        days: from now to when the certificate begins and ends.
        issuer: who signs, for an intermediate (see ``intermediate``).
        extensions: further ones.
        key: None for a new one.
        serial: None for a random one.
    """

    def __init__(
        self,
        name: str | x509.Name = "Test CA",
        *,
        basic: Extension | None = CA_BASIC,
        usage: Extension | None = CA_USAGE,
        days: Days = NOW_VALID,
        issuer: Authority | None = None,
        extensions: Iterable[Extension] = (),
        key: Key | None = None,
        serial: int | None = None,
    ) -> None:
        key = key or ec.generate_private_key(ec.SECP256R1())
        given = [one for one in (basic, usage, *extensions) if one]
        certificate = _sign(_subject(name), key, issuer, days, given, serial)
        super().__init__(certificate, key, issuer)

    def intermediate(
        self,
        name: str | x509.Name,
        *,
        basic: Extension | None = CA_BASIC,
        usage: Extension | None = CA_USAGE,
        days: Days = NOW_VALID,
    ) -> Authority:
        """An authority that this one signs."""
        return Authority(name, basic=basic, usage=usage, days=days, issuer=self)

    def issue(
        self,
        name: str | x509.Name,
        role: Role | None = Role.SERVER,
        *,
        san: Sequence[str | x509.GeneralName] = (),
        basic: Extension | None = LEAF_BASIC,
        usage: Extension | None = LEAF_USAGE,
        purpose: Extension | None = None,
        days: Days = NOW_VALID,
        extensions: Iterable[Extension] = (),
        key: Key | None = None,
        serial: int | None = None,
        digest: hashes.SHA224 | hashes.SHA256 | None = None,
    ) -> Leaf:
        """A certificate for one end of a connection.

        Args:
            name: the CN, or an entire name (see ``dn``).
            role: what the purpose says; None for no purpose at all.
            san: host names and addresses; without any there is no such extension, and the CN counts.
            basic, usage: extensions, None to leave one out.
            purpose: an extension instead of what ``role`` says.
            days: from now to when the certificate begins and ends.
            extensions: further ones.
            key: None for a new one.
            serial: None for a random one.
            digest: what is signed; None for SHA-256.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        if role and not purpose:
            purpose = _purpose(role.value)
        given = [one for one in (basic, usage, purpose, _alternatives(san), *extensions) if one]
        signed = _sign(_subject(name), key, self, days, given, serial, digest)
        return Leaf(signed, key, self)

    def crl(self, *revoked: Leaf, days: Days = NOW_VALID) -> bytes:
        """A list of what is revoked, PEM.

        Args:
            revoked: certificates of this authority.
            days: from now to when the list was made and when the next is due.
        """
        begin, end = _moments(days)
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, begin, end)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder(one.certificate.serial_number, begin)
            builder = builder.add_revoked_certificate(entry.build())
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        made = builder.sign(self.key, hashes.SHA256())
        return made.public_bytes(Encoding.PEM)


def write_pki(
    directory: Path,
    authority: Authority | Sequence[Authority],
    leaf: Leaf | None,
    role: Role,
    *,
    crl: bytes = b"",
) -> Credentials:
    """Write the files that ``pkipath`` names, and return where they are.

    Args:
        directory: made if it is missing. Both roles may share one if they share the authority.
        authority: what ``cacert.pem`` holds.
        leaf: with the certificates that lead to the root, without it; None for a client that
            shows none.
        role: how the leaf's files are named.
        crl: what ``cacrl.pem`` holds, PEM; nothing for no file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    trusted = [authority] if isinstance(authority, Authority) else authority
    ca = _written(directory / CA, *(one.pem for one in trusted))
    revoked = _written(directory / CRL, crl) if crl else None
    if leaf is None:
        return Credentials(ca, None, None, revoked)
    own = _written(directory / f"{role.value}cert.pem", *(one.pem for one in leaf.chain))
    key = _written(directory / f"{role.value}key.pem", leaf.key_pem)
    return Credentials(ca, own, key, revoked)


def _written(path: Path, *parts: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(b"".join(parts))
    return path


def _sign(
    subject: x509.Name,
    key: Key,
    issuer: Authority | None,
    days: Days,
    extensions: Iterable[Extension],
    serial: int | None,
    digest: hashes.SHA224 | hashes.SHA256 | None = None,
) -> x509.Certificate:
    begin, end = _moments(days)
    signed_by = issuer.certificate.subject if issuer else subject
    signer = issuer.key if issuer else key
    builder = x509.CertificateBuilder(signed_by, subject, key.public_key())
    builder = builder.not_valid_before(begin).not_valid_after(end)
    builder = builder.serial_number(x509.random_serial_number() if serial is None else serial)
    for value in (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
    ):
        builder = builder.add_extension(value, critical=False)
    for one in extensions:
        builder = builder.add_extension(one.value, one.critical)
    return builder.sign(signer, digest or hashes.SHA256())


def _subject(name: str | x509.Name) -> x509.Name:
    return dn(CN=name) if isinstance(name, str) else name


_purpose = purpose


def _alternatives(names: Sequence[str | x509.GeneralName]) -> Extension | None:
    if not names:
        return None
    value = x509.SubjectAlternativeName([_alternative(name) for name in names])
    return x509.Extension(value.oid, False, value)


def _alternative(name: str | x509.GeneralName) -> x509.GeneralName:
    if not isinstance(name, str):
        return name
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _moments(days: Days) -> tuple[datetime, datetime]:
    now = datetime.now(UTC).replace(microsecond=0)
    begin, end = (now + timedelta(days=one) for one in days)
    return begin, end
