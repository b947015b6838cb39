"""What a peer shows, lists of what is revoked, and certificates that were made to do harm."""

from __future__ import annotations

from base64 import encodebytes
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from tls.authority import Authority, Leaf, basic, dn, purpose, usage, write_pki

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.globs import is_allowed
from rpcgen.runtime.tls import pem
from rpcgen.runtime.tls.certificates import Role, check_own, check_peer, crl_covers_all
from rpcgen.runtime.tls.names import distinguished_name

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER, CLIENT = Role.SERVER, Role.CLIENT
GONE, COMING = (-3, -1), (1, 3)

ROOT = Authority("root")
MIDDLE = ROOT.intermediate("middle")
ALSO = x509.IssuerAlternativeName([x509.DNSName("ca.example.org")])
LEAF = MIDDLE.issue(
    "*.example.org",
    san=["*.example.org", "127.0.0.1", x509.RFC822Name("a@example.org")],
    extensions=[x509.Extension(ALSO.oid, False, ALSO)],
)


def test_a_peer_that_shows_nothing() -> None:
    with pytest.raises(TlsError, match="the client has shown no certificate"):
        check_peer([], CLIENT)


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (ROOT.issue("end"), None),
        (ROOT.issue("end", CLIENT), "not that of a server"),  # critical or not
        (ROOT.issue("end", purpose=purpose("client", critical=True)), "not that of a server"),
        (ROOT.issue("end", basic=basic(ca=True)), "basic constraints say CA"),
        (ROOT.issue("end", usage=usage("digital_signature")), "keyEncipherment"),
        (ROOT.issue("end", usage=usage("key_encipherment")), "digitalSignature"),
        (ROOT.issue("end", days=GONE), "it expired on"),
        (ROOT.issue("end", days=COMING), "it begins only on"),
    ],
)
def test_the_first_certificate_of_a_peer(leaf: Leaf, why: str | None) -> None:
    if why is None:
        check_peer([leaf.der, ROOT.der], SERVER)
        return
    with pytest.raises(TlsError, match=f"the server: certificate 'CN=end': .*{why}"):
        check_peer([leaf.der, ROOT.der], SERVER)


@pytest.mark.parametrize(("days", "why"), [(GONE, "expired"), (COMING, "begins only")])
def test_of_the_others_only_the_dates_matter(days: tuple[int, int], why: str) -> None:
    leaf = ROOT.issue("end")
    check_peer([leaf.der, ROOT.issue("stranger", usage=None).der], SERVER)
    with pytest.raises(TlsError, match=f"the server: certificate 'CN=middle': it {why}"):
        check_peer([leaf.der, ROOT.intermediate("middle", days=days).der], SERVER)


def test_a_list_from_every_ca(tmp_path: Path) -> None:
    both = ROOT.crl() + MIDDLE.crl(LEAF)
    for trusted, crl, covered in (
        ([ROOT], ROOT.crl(), True),
        ([ROOT], both, True),  # a list of a CA that nobody asked for
        ([ROOT, MIDDLE], both, True),
        ([ROOT, MIDDLE], MIDDLE.crl(), False),
        ([ROOT, MIDDLE], b"", False),  # no file
    ):
        (tmp_path / "cacrl.pem").unlink(missing_ok=True)
        credentials = write_pki(tmp_path, trusted, LEAF, SERVER, crl=crl)
        assert crl_covers_all(credentials) is covered


@pytest.mark.parametrize(
    ("crl", "why"),
    [
        (ROOT.crl(days=GONE), "it expired on"),
        (ROOT.crl(days=COMING), "it begins only on"),
        (Authority("root").crl(), "its signature is not that of certificate 'CN=root'"),
        (ROOT.pem, "expected lists of revoked certificates .* in PEM: it has a certificate"),
        (ROOT.crl().replace(b"M", b"N", 1), "expected lists of revoked certificates"),
        (b"\n" * (pem.CRL_MAX + 1), "longer than"),
    ],
)
def test_a_list_that_is_bad(crl: bytes, why: str, tmp_path: Path) -> None:
    credentials = write_pki(tmp_path, ROOT, None, CLIENT, crl=crl)
    with pytest.raises(TlsError, match=rf"cacrl\.pem: .*{why}"):
        crl_covers_all(credentials)


def test_names_in_messages_stay_on_one_line() -> None:
    leaf = ROOT.issue("a\nERROR: all is well\x1b[2J" + "x" * 30, days=GONE)
    with pytest.raises(TlsError) as caught:
        check_peer([leaf.der], SERVER)
    assert r"'CN=a\nERROR: all is well\x1b[2J" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_name_of_thousands_is_shortened() -> None:
    leaf = ROOT.issue(dn(L="x" * 50_000), days=GONE)
    with pytest.raises(TlsError) as caught:
        check_peer([leaf.der], SERVER)
    assert len(str(caught.value)) < 400


def test_a_name_with_a_nul_is_no_other_name() -> None:
    leaf = ROOT.issue("good.example.org\0.evil.example.net")
    check_peer([leaf.der], SERVER)
    assert distinguished_name(leaf.der).startswith("CN=#")


def test_a_name_that_looks_like_a_pattern_is_none() -> None:
    name = distinguished_name(ROOT.issue(dn(C="UK", CN="*")).der)
    assert name == "C=UK,CN=*"
    assert not is_allowed(name, ["C=UK,CN=good.example.org", "C=UK,CN=?x", ""])
    assert is_allowed(name, ["C=UK,CN=?"])


@pytest.mark.parametrize("serial", [1, 2**159 - 1])
def test_serial_numbers(serial: int, tmp_path: Path) -> None:
    leaf = ROOT.issue("end", serial=serial)
    assert check_own(write_pki(tmp_path, ROOT, leaf, SERVER), SERVER) == []


@pytest.mark.parametrize("serial", [b"\x02\x01\x80", b"\x02\x01\x00", b"\x02\x7f" + b"\x7f" * 127])
def test_serial_numbers_that_are_none(serial: bytes) -> None:
    """Negative, zero, and a thousand bits: refused, or good as far as a serial number goes."""
    der = _resized(ROOT.issue("end", serial=1, days=GONE).der, b"\x02\x01\x01", serial)
    with pytest.raises(TlsError):
        check_peer([der], SERVER)


def test_an_extension_that_comes_twice() -> None:
    stranger = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.99"), b"\x03\x02\x05\xa0")
    leaf = ROOT.issue("end", extensions=[x509.Extension(stranger.oid, False, stranger)])
    check_peer([leaf.der], SERVER)
    with pytest.raises(TlsError, match=r"the server: certificate 'CN=end': Duplicate"):
        check_peer([leaf.der.replace(b"\x55\x1d\x63", b"\x55\x1d\x0f")], SERVER)


Edits: TypeAlias = list[tuple[int, int, bytes]]

edits = st.lists(
    st.tuples(st.integers(0, 4_000), st.integers(0, 3), st.binary(max_size=3)), max_size=4
)


@given(changes=edits, role=st.sampled_from(Role))
def test_a_peers_bytes_are_refused_or_understood(changes: Edits, role: Role) -> None:
    der = _edited(LEAF.der, changes)
    assert _said(lambda: check_peer([der, der], role)).isprintable()
    assert _said(lambda: distinguished_name(der)).isprintable()


@given(changes=edits, at=st.integers(0, 3))
def test_bytes_of_files_are_refused_or_understood(
    changes: Edits, at: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And what is accepted still has the leaf that the CA has signed."""
    crl = ROOT.crl() + MIDDLE.crl()
    files = write_pki(tmp_path_factory.mktemp("pki"), ROOT, LEAF, SERVER, crl=crl)
    assert files.certificate
    assert files.key
    assert files.crl
    path = (files.ca, files.certificate, files.key, files.crl)[at]
    path.write_bytes(_edited(path.read_bytes(), changes))
    if said := _said(lambda: check_own(files, SERVER)) or _said(lambda: crl_covers_all(files)):
        assert str(path) in said or str(files.certificate) in said
    else:
        own = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
        assert own.tbs_certificate_bytes == LEAF.certificate.tbs_certificate_bytes


@given(changes=edits, of_ca=st.booleans())
def test_der_in_good_pem_is_refused_or_understood(
    changes: Edits, of_ca: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = write_pki(tmp_path_factory.mktemp("pki"), MIDDLE, LEAF, SERVER)
    assert files.certificate
    path, issued = (files.ca, MIDDLE) if of_ca else (files.certificate, LEAF)
    path.write_bytes(_pem(_edited(issued.der, changes)))
    if said := _said(lambda: check_own(files, SERVER)):
        assert str(path) in said or str(files.certificate) in said
    else:
        own = x509.load_pem_x509_certificates(files.certificate.read_bytes())[0]
        assert own.tbs_certificate_bytes == LEAF.certificate.tbs_certificate_bytes


def _said(judge: Callable[[], object]) -> str:
    """The message of the refusal, or nothing; any other error is the test's failure."""
    try:
        judge()
    except TlsError as error:
        return str(error)
    return ""


def _edited(data: bytes, changes: Edits) -> bytes:
    """Replace, insert or remove some bytes."""
    for place, removed, added in changes:
        at = place % len(data) if data else 0
        data = data[:at] + added + data[at + removed :]
    return data


def _pem(der: bytes) -> bytes:
    label = b"CERTIFICATE-----\n"
    return b"-----BEGIN " + label + encodebytes(der) + b"-----END " + label


def _resized(der: bytes, old: bytes, new: bytes) -> bytes:
    """DER of a certificate with an element replaced, and the two lengths around it put right."""
    more = len(new) - len(old)
    changed = bytearray(der.replace(old, new, 1))
    for at in (2, 6):
        changed[at : at + 2] = (int.from_bytes(der[at : at + 2], "big") + more).to_bytes(2, "big")
    return bytes(changed)
