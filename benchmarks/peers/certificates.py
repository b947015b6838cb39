"""An authority, a server's and a client's certificate as libvirt's files, with keys on the curve P-256.

Those are the cheapest handshakes that are usual, so what is not cryptography shows most. Both sides of every
contestant have the same files.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.processes import Missing

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

HOST: Final = "127.0.0.1"
"""Whom the server's certificate names."""

VERSIONS: Final = {"TLS 1.3": "NORMAL", "TLS 1.2": "NORMAL:-VERS-TLS1.3"}
"""The versions that are measured, and the priority of a client that speaks no later one."""

_LEAF: Final = ("digital_signature", "key_encipherment")
_USAGES: Final = (
    *_LEAF,
    "content_commitment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def write(folder: Path) -> Path:
    """Write the files into a new folder, and return it.

    Raises:
        Missing: there is no package to make them with.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )
    except ImportError:
        raise Missing("TLS: no package cryptography") from None
    folder.mkdir()
    authority = ec.generate_private_key(ec.SECP256R1())
    (folder / "cacert.pem").write_bytes(
        _signed("authority", authority, authority).public_bytes(Encoding.PEM)
    )
    for role in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(role, key, authority)
        (folder / f"{role}cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / f"{role}key.pem").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
    return folder


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    is_ca = key is by
    allowed = ("key_cert_sign", "crl_sign") if is_ca else _LEAF
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(_name("authority"), _name(name), key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**{one: one in allowed for one in _USAGES}), critical=True)
    )
    if name == "server":
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(by, hashes.SHA256())


def _name(common: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def context(folder: Path, role: str, version: str = "TLS 1.3") -> ssl.SSLContext:
    """The standard library's own way to the same: both sides verified, nothing resumed.

    Args:
        folder: what ``write`` returned.
        role: ``server`` or ``client``.
        version: the latest that is spoken.
    """
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if role == "server" else ssl.PROTOCOL_TLS_CLIENT)
    found.verify_mode = ssl.CERT_REQUIRED
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    if version == "TLS 1.2":
        found.maximum_version = ssl.TLSVersion.TLSv1_2
    found.options |= ssl.OP_NO_TICKET
    if role == "server":
        found.num_tickets = 0
    found.load_verify_locations(folder / "cacert.pem")
    found.load_cert_chain(folder / f"{role}cert.pem", folder / f"{role}key.pem")
    return found
