"""A certificate's distinguished name as GnuTLS prints it.

``tls_allowed_dn_list`` is written after what GnuTLS prints, so this prints the same, from the
bytes of the certificate. Whether a certificate is good is not asked here.
"""

from __future__ import annotations

from rpcgen.runtime.errors import TlsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

SEQUENCE: Final = 0x30
SET: Final = 0x31
OBJECT_IDENTIFIER: Final = 0x06
VERSION: Final = 0xA0
"""Tags of DER (X.690); the last is the certificate's ``[0]``, which version 1 leaves out."""

BEFORE_SUBJECT: Final = 4
"""Fields between version and subject: serial number, algorithm, issuer, validity (RFC 5280, 4.1)."""

LENGTH_BYTES: Final = 4
"""Bytes of a length that is not short: four thousand million are more than any certificate has."""

UTF8: Final = 0x0C
PRINTABLE: Final = 0x13
IA5: Final = 0x16
BMP: Final = 0x1E
OPAQUE: Final = {0x14, 0x1C}
"""T61String and UniversalString, which GnuTLS prints as ``\\#`` and the bytes of the text."""

ENCODINGS: Final = {UTF8: "utf-8", PRINTABLE: "ascii", IA5: "ascii", BMP: "utf-16-be"}

OF_IA5: Final = {"DC", "EMAIL"}
"""Attributes whose text is an IA5String; for others that is no text."""

ATTRIBUTES: Final = {
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "EMAIL",
    "1.3.6.1.4.1.311.60.2.1.1": "jurisdictionOfIncorporationLocalityName",
    "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionOfIncorporationStateOrProvinceName",
    "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionOfIncorporationCountryName",
    "1.3.6.1.5.5.7.8.5": "XmppAddr",
    "1.3.6.1.5.5.7.9.2": "placeOfBirth",
    "1.3.6.1.5.5.7.9.3": "gender",
    "1.3.6.1.5.5.7.9.4": "countryOfCitizenship",
    "1.3.6.1.5.5.7.9.5": "countryOfResidence",
    "2.5.4.3": "CN",
    "2.5.4.4": "surName",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.20": "telephoneNumber",
    "2.5.4.41": "name",
    "2.5.4.42": "givenName",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
}
"""What GnuTLS calls attributes (``gnutls_x509_dn_oid_name``); others are printed by number."""


def distinguished_name(der: bytes) -> str:
    """The subject of a certificate, like ``C=UK,O=Org,CN=client``, in the certificate's order.

    Commas and what else RFC 4514 gives a meaning are escaped with a backslash. What is not text,
    or has a NUL in it, is a ``#`` and the hexadecimal digits of its DER.

    Args:
        der: the certificate.

    Raises:
        TlsError: it is no certificate, or has no subject.
    """
    try:
        parts = [_relative_name(content) for content in _elements(_subject(der), SET)]
    except (ValueError, IndexError, StopIteration) as error:
        raise TlsError(f"the certificate has no name that can be read: {error}") from None
    if not parts:
        raise TlsError("the certificate has no distinguished name: its subject is empty")
    return ",".join(parts)


def _subject(der: bytes) -> bytes:
    (certificate,) = _elements(der, SEQUENCE)
    fields = _items(next(_elements(certificate)))
    tag, _, _ = next(fields)
    for _ in range(BEFORE_SUBJECT if tag == VERSION else BEFORE_SUBJECT - 1):
        next(fields)
    tag, subject, _ = next(fields)
    return _expected(tag, SEQUENCE, subject)


def _relative_name(content: bytes) -> str:
    return "+".join(_attribute(one) for one in _elements(content, SEQUENCE))


def _attribute(content: bytes) -> str:
    (kind, oid, _), (tag, value, whole) = _items(content)
    number = _dotted(_expected(kind, OBJECT_IDENTIFIER, oid))
    name = ATTRIBUTES.get(number)
    if not value:
        raise ValueError(f"{name or number} is empty")
    text = _text(name, tag, value) if name else None
    return f"{name or number}=" + (f"#{whole.hex()}" if text is None else _escaped(text))


def _text(name: str, tag: int, value: bytes) -> str | None:
    """The text of a value, or None if it is none that may be printed."""
    if tag in OPAQUE:
        return f"#{value.hex()}"
    if tag not in ENCODINGS or (tag == IA5 and name not in OF_IA5):
        return None
    try:
        text = value.decode(ENCODINGS[tag])
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _escaped(text: str) -> str:
    """RFC 4514, section 2.4."""
    escaped = "".join(f"\\{c}" if c in ',+"\\<>;' else c for c in text)
    if len(text) > 1 and text.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    return f"\\{escaped}" if text[0] in "# " else escaped


def _dotted(oid: bytes) -> str:
    numbers, value = [], 0
    for byte in oid:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(n) for n in (first, numbers[0] - 40 * first, *numbers[1:]))


def _elements(data: bytes, tag: int | None = None) -> Iterator[bytes]:
    """The contents of the elements in DER, all of them with that tag."""
    for found, content, _ in _items(data):
        yield content if tag is None else _expected(found, tag, content)


def _expected(tag: int, wanted: int, content: bytes) -> bytes:
    if tag != wanted:
        raise ValueError(f"expected an element with tag {wanted:#04x}, got {tag:#04x}")
    return content


def _items(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The elements in DER: tag, content, and all bytes."""
    at = 0
    while at < len(data):
        start, length = at, data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            if not 0 < size <= LENGTH_BYTES:
                raise ValueError(f"expected a length of at most {LENGTH_BYTES} bytes, got {size}")
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError(f"expected {length} bytes, got {len(data) - at}")
        yield data[start], data[at : at + length], data[start : at + length]
        at += length
