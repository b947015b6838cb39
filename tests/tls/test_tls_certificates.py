"""Our own certificates at start-up: libvirt's 37 cases, chains, keys, and files that are bad."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from tls.authority import Authority, basic, purpose, usage, write_pki
from tls.context_cases import CASES, CLIENT, GONE, SERVER, Case, files

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls import pem
from rpcgen.runtime.tls.certificates import Role, check_own, check_peer, key_sizes
from rpcgen.runtime.tls.context import ServerTls
from rpcgen.runtime.tls.credentials import Credentials, find

if TYPE_CHECKING:
    from collections.abc import Callable

    from tls.authority import Extension

GOOD_USAGE = usage("digital_signature", "key_encipherment")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.number))
def test_libvirts_cases(case: Case, tmp_path: Path) -> None:
    made = files(case, tmp_path)
    if case.why is None:
        warnings = check_own(made, case.role)
        assert len(warnings) == case.warnings
        assert all(f"{made.certificate}: certificate 'C=UK,CN=end': " in one for one in warnings)
        return
    with pytest.raises(TlsError, match=case.why) as caught:
        check_own(made, case.role)
    assert str(caught.value).startswith(_start(case, made))


def _start(case: Case, made: Credentials) -> str:
    """How an error has to begin: with the file, and the certificate in it."""
    if case.number == 37:
        return f"{made.ca}: "
    if case.authority and case.number != 6:  # where it has signed, but may not
        return f"{made.ca}: certificate 'C=UK,CN=authority': "
    return f"{made.certificate}: certificate 'C=UK,CN=end': "


def test_libvirts_case_of_no_files_by_their_layout(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"cacert\.pem: no such file"):
        find(CLIENT, str(tmp_path))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.leaf], ids=lambda case: str(case.number)
)
def test_libvirts_cases_of_ends_as_peers(case: Case) -> None:
    """What a peer shows is judged like our own; whom it leads to is the handshake's part."""
    der = Authority().issue("end", None, **case.leaf).der
    if case.why is None:
        check_peer([der], case.role)
        return
    with pytest.raises(TlsError, match=f"the {case.role.value}: .*{case.why}"):
        check_peer([der], case.role)


def test_a_client_that_shows_none_has_its_cas_checked(tmp_path: Path) -> None:
    weak = usage("digital_signature", critical=False)
    credentials = write_pki(tmp_path, Authority("weak", usage=weak), None, CLIENT)
    (warning,) = check_own(credentials, CLIENT)
    assert warning.startswith(f"{credentials.ca}: certificate 'CN=weak': ")
    write_pki(tmp_path, Authority("old", days=GONE), None, CLIENT)
    with pytest.raises(TlsError, match=r"cacert\.pem: certificate 'CN=old': it expired"):
        check_own(credentials, CLIENT)


def test_the_second_certificate_of_a_file_is_the_one_that_is_named(tmp_path: Path) -> None:
    trusted = [Authority("good"), Authority("old", days=GONE)]
    credentials = write_pki(tmp_path, trusted, trusted[0].issue("server"), SERVER)
    with pytest.raises(TlsError, match=r"cacert\.pem: certificate 'CN=old': it expired"):
        check_own(credentials, SERVER)


def test_the_clock_is_the_callers(tmp_path: Path) -> None:
    authority = Authority(days=(-1, 30))
    leaf = authority.issue("server", days=(-1, 10))
    credentials = write_pki(tmp_path, authority, leaf, SERVER)
    for days, why in ((20, "CN=server': it expired"), (-2, "CN=Test CA': it begins only")):
        with pytest.raises(TlsError, match=why):
            check_own(credentials, SERVER, now=datetime.now(UTC) + timedelta(days=days))


@pytest.mark.parametrize(
    ("role", "given", "why"),
    [
        (SERVER, purpose("any", critical=True), "not that of a server"),
        (CLIENT, purpose("any", critical=True), "not that of a client"),
        (SERVER, purpose("any", "server", critical=True), None),
        (SERVER, purpose("1.2.3.4", critical=True), "not that of a server"),
        (SERVER, purpose("1.2.3.4", "server", critical=True), None),
        (CLIENT, purpose("mail", critical=True), "not that of a client"),
    ],
)
def test_purposes(role: Role, given: Extension, why: str | None, tmp_path: Path) -> None:
    authority = Authority()
    credentials = write_pki(tmp_path, authority, authority.issue("end", purpose=given), role)
    if why is None:
        assert check_own(credentials, role) == []
        return
    with pytest.raises(TlsError, match=why):
        check_own(credentials, role)


@pytest.mark.parametrize("one", ["1.2.3.4", "any", "client"])
def test_a_server_without_its_purpose_is_none(one: str, tmp_path: Path) -> None:
    """Critical or not: clients that use OpenSSL refuse it."""
    authority = Authority()
    leaf = authority.issue("end", purpose=purpose(one))
    credentials = write_pki(tmp_path, authority, leaf, SERVER)
    with pytest.raises(TlsError, match=r"'CN=end': its purpose .* not that of a server$"):
        check_own(credentials, SERVER)


@pytest.mark.parametrize("one", ["1.2.3.4", "any", "server"])
def test_a_client_without_its_purpose_is_warned(one: str, tmp_path: Path) -> None:
    """libvirt's servers take it."""
    authority = Authority()
    leaf = authority.issue("end", purpose=purpose(one))
    (warning,) = check_own(write_pki(tmp_path, authority, leaf, CLIENT), CLIENT)
    assert "not that of a client, and servers may refuse it" in warning


def test_a_leaf_must_not_be_a_ca(tmp_path: Path) -> None:
    authority = Authority()
    leaf = authority.issue("end", basic=basic(ca=True, critical=False))
    with pytest.raises(TlsError, match="basic constraints say CA"):
        check_own(write_pki(tmp_path, authority, leaf, SERVER), SERVER)
    leaf = authority.issue("end", basic=None)
    assert check_own(write_pki(tmp_path, authority, leaf, SERVER), SERVER) == []


def test_a_trusted_certificate_must_be_a_ca(tmp_path: Path) -> None:
    authority = Authority(basic=basic(ca=False))
    credentials = write_pki(tmp_path, authority, authority.issue("end"), SERVER)
    with pytest.raises(TlsError, match=r"cacert\.pem.*its basic constraints say that it is none"):
        check_own(credentials, SERVER)


def test_intermediates_follow_our_own_certificate(tmp_path: Path) -> None:
    root = Authority("root")
    middle = root.intermediate("middle")
    leaf = middle.intermediate("low").issue("end")
    assert check_own(write_pki(tmp_path, root, leaf, SERVER), SERVER) == []
    assert check_own(write_pki(tmp_path, middle, leaf, SERVER), SERVER) == []  # any is an anchor
    credentials = write_pki(tmp_path, root, leaf, SERVER)
    (tmp_path / "servercert.pem").write_bytes(leaf.pem + middle.pem)  # without the low one
    with pytest.raises(TlsError, match=r"servercert\.pem: certificate 'CN=end': no certificate of"):
        check_own(credentials, SERVER)


def test_an_intermediate_is_checked_as_a_ca(tmp_path: Path) -> None:
    root = Authority("root")
    for middle, why in (
        (root.intermediate("middle", days=GONE), "expired"),
        (root.intermediate("middle", basic=None), "no basic constraints"),
        (root.intermediate("middle", usage=GOOD_USAGE), "keyCertSign"),
    ):
        credentials = write_pki(tmp_path, root, middle.issue("end"), SERVER)
        with pytest.raises(TlsError, match=rf"servercert\.pem: certificate 'CN=middle': .*{why}"):
            check_own(credentials, SERVER)


def test_a_ca_without_a_list_where_another_has_one(tmp_path: Path) -> None:
    root = Authority("root")
    middle = root.intermediate("middle")
    trusted = [root, middle]
    credentials = write_pki(tmp_path, trusted, middle.issue("end"), SERVER, crl=middle.crl())
    (warning,) = check_own(credentials, SERVER)
    assert warning == (
        f"{tmp_path}/cacrl.pem: no list from certificate 'CN=root' of {tmp_path}/cacert.pem:"
        " peers that it has signed for itself are refused"
    )
    write_pki(tmp_path, trusted, middle.issue("end"), SERVER, crl=middle.crl() + root.crl())
    assert check_own(credentials, SERVER) == []


@pytest.mark.parametrize("sanity", [True, False])
def test_a_list_of_another_ca(sanity: bool, tmp_path: Path) -> None:
    root = Authority("root")
    crl = Authority("other").crl()
    credentials = write_pki(tmp_path, root, root.issue("end"), SERVER, crl=crl)
    with pytest.raises(TlsError) as caught:
        ServerTls(credentials, sanity=sanity)
    assert str(caught.value) == (
        f"{tmp_path}/cacrl.pem: no list is from a CA of {tmp_path}/cacert.pem"
        " (certificate 'CN=root')"
    )


@pytest.mark.parametrize("sanity", [True, False])
def test_a_key_that_is_too_small(sanity: bool, tmp_path: Path) -> None:
    authority = Authority()
    small, ordinary = (rsa.generate_private_key(65537, bits) for bits in (1024, 2048))
    for key, priority, why in (
        (small, "NORMAL", "RSA: 1024 bits); the priority asks for 2048 bits of RSA or 224"),
        (ordinary, "SECURE192", "RSA: 2048 bits); the priority asks for 3072 bits of RSA or 256"),
    ):
        credentials = write_pki(tmp_path, authority, authority.issue("end", key=key), SERVER)
        with pytest.raises(TlsError, match=re.escape(why)) as caught:
            ServerTls(credentials, sanity=sanity, priority=priority)
        assert str(caught.value).startswith(f"{tmp_path}/servercert.pem: a key is too small")


def test_a_hash_that_is_too_weak(tmp_path: Path) -> None:
    authority = Authority()
    leaf = authority.issue("end", digest=hashes.SHA224())
    with pytest.raises(TlsError, match=r"servercert\.pem: signed with a hash that is too weak"):
        ServerTls(write_pki(tmp_path, authority, leaf, SERVER), priority="SECURE192")


def test_a_server_without_a_certificate(tmp_path: Path) -> None:
    credentials = write_pki(tmp_path, Authority(), None, SERVER)
    with pytest.raises(TlsError, match="a server's certificate and its key"):
        ServerTls(credentials)


def test_the_length_of_a_path(tmp_path: Path) -> None:
    root = Authority("root", basic=basic(ca=True, path_length=0))
    assert check_own(write_pki(tmp_path, root, root.issue("end"), SERVER), SERVER) == []
    leaf = root.intermediate("middle").issue("end")
    with pytest.raises(TlsError, match=r"1 CAs lie below certificate 'CN=root', which allows 0"):
        check_own(write_pki(tmp_path, root, leaf, SERVER), SERVER)


def test_another_ca_of_the_same_name(tmp_path: Path) -> None:
    leaf = Authority("same").issue("end")
    with pytest.raises(TlsError, match="no certificate of"):
        check_own(write_pki(tmp_path, Authority("same"), leaf, SERVER), SERVER)


def test_a_ca_that_was_renewed(tmp_path: Path) -> None:
    """Two certificates of one key: that one of them may not sign does not matter."""
    good = Authority("same")
    weak = Authority("same", key=good.key, usage=usage("digital_signature", critical=False))
    for trusted in ([weak, good], [good, weak]):
        credentials = write_pki(tmp_path, trusted, good.issue("end"), SERVER)
        (warning,) = check_own(credentials, SERVER)
        assert "keyCertSign" in warning


def test_keys_of_rsa(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    authority = Authority(key=key)
    leaf = authority.issue("end", key=key)
    assert check_own(write_pki(tmp_path, authority, leaf, SERVER), SERVER) == []


@pytest.mark.parametrize("sanity", [True, False])
def test_another_key(sanity: bool, tmp_path: Path) -> None:
    authority = Authority()
    credentials = write_pki(tmp_path, authority, authority.issue("end"), SERVER)
    other = authority.issue("end", key=rsa.generate_private_key(65537, 2048))
    for key in (authority.key_pem, other.key_pem):
        (tmp_path / "serverkey.pem").write_bytes(key)
        with pytest.raises(TlsError, match=r"serverkey\.pem: not the key of .*servercert\.pem"):
            ServerTls(credentials, sanity=sanity)


@pytest.mark.parametrize("style", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("sanity", [True, False])
def test_an_encrypted_key(style: PrivateFormat, sanity: bool, tmp_path: Path) -> None:
    authority = Authority()
    leaf = authority.issue("end")
    credentials = write_pki(tmp_path, authority, leaf, SERVER)
    data = leaf.key.private_bytes(Encoding.PEM, style, BestAvailableEncryption(b"secret"))
    (tmp_path / "serverkey.pem").write_bytes(data)
    with pytest.raises(TlsError) as caught:
        ServerTls(credentials, sanity=sanity)
    assert str(caught.value) == (
        f"{tmp_path}/serverkey.pem: expected a private key in PEM:"
        " it is encrypted, and nobody is asked for the password"
    )


OF_THE_KIND = {
    "cacert.pem": "expected certificates in PEM: ",
    "servercert.pem": "expected certificates in PEM: ",
    "serverkey.pem": "expected a private key in PEM: ",
    "cacrl.pem": "expected lists of revoked certificates (X509 CRL) in PEM: ",
}

REQUEST = b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize("sanity", [True, False])
@pytest.mark.parametrize("name", OF_THE_KIND)
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b" \n", "the file is empty"),
        (b"0123 is no PEM\n", "there is no line of BEGIN in it"),
        (Authority().der, "it is DER, not PEM"),
        (REQUEST, "it has a request for a certificate (CSR), which a CA has yet to sign"),
        (b"-----BEGIN DH PARAMETERS-----\n", "it has something else (DH PARAMETERS)"),
    ],
)
def test_what_there_is_instead(
    name: str, data: bytes, why: str, sanity: bool, tmp_path: Path
) -> None:
    authority = Authority()
    credentials = write_pki(
        tmp_path, authority, authority.issue("end"), SERVER, crl=authority.crl()
    )
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TlsError) as caught:
        ServerTls(credentials, sanity=sanity)
    assert str(caught.value) == f"{tmp_path / name}: {OF_THE_KIND[name]}{why}"


@pytest.mark.parametrize("sanity", [True, False])
def test_files_that_are_swapped_cut_off_or_damaged(sanity: bool, tmp_path: Path) -> None:
    authority = Authority()
    leaf = authority.issue("end")
    credentials = write_pki(tmp_path, authority, leaf, SERVER)
    for name, data, why in (
        ("servercert.pem", leaf.key_pem, "it has a private key (are the files swapped?)"),
        (
            "servercert.pem",
            b"-----BEGIN EC PARAMETERS-----\n" + leaf.key_pem,
            "it has a private key (are the files swapped?)",
        ),
        ("serverkey.pem", leaf.pem, "it has a certificate (are the files swapped?)"),
        ("servercert.pem", leaf.pem[:-20], "it is cut off: there is no END CERTIFICATE"),
        ("serverkey.pem", leaf.key_pem[:-40], "it is cut off: there is no END PRIVATE KEY"),
        ("serverkey.pem", _with_gap(leaf.key_pem), "damaged"),
        ("servercert.pem", _with_gap(leaf.pem), "damaged"),
        ("cacert.pem", _with_gap(authority.pem), "damaged"),
    ):
        write_pki(tmp_path, authority, leaf, SERVER)
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TlsError, match=re.escape(why)) as caught:
            ServerTls(credentials, sanity=sanity)
        assert str(caught.value).startswith(f"{tmp_path / name}: {OF_THE_KIND[name]}")


def _with_gap(data: bytes) -> bytes:
    """PEM without its second line."""
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:1] + lines[2:])


@pytest.mark.parametrize("name", ["cacert.pem", "servercert.pem", "serverkey.pem"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "long", "empty", "other", "absent"])
def test_a_file_that_is_none(name: str, kind: str, tmp_path: Path) -> None:
    authority = Authority()
    credentials = write_pki(tmp_path, authority, authority.issue("end"), SERVER)
    path = tmp_path / name
    path.unlink()
    made: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(path),
        "directory": path.mkdir,
        "link": lambda: path.symlink_to(path),
        "long": lambda: path.write_bytes(authority.pem + b"\n" * pem.FILE_MAX),
        "empty": path.touch,
        "other": lambda: path.write_bytes(authority.crl()),
        "absent": lambda: None,
    }
    made[kind]()
    why = {
        "fifo": "expected a regular file",
        "directory": "Is a directory",
        "link": "symbolic links",
        "long": "longer than 65536 bytes",
        "empty": "expected",
        "other": "expected",
        "absent": "No such file",
    }
    with pytest.raises(TlsError, match=rf"{name}: .*{why[kind]}"):
        check_own(credentials, SERVER)


def test_a_path_that_is_none() -> None:
    with pytest.raises(TlsError, match="null"):
        check_own(Credentials(Path("nul\0"), None, None), CLIENT)


def test_the_number_of_cas(tmp_path: Path) -> None:
    authority = Authority()
    most = [authority] * pem.CERTIFICATES_MAX
    credentials = write_pki(tmp_path, most, authority.issue("end"), SERVER)
    assert check_own(credentials, SERVER) == []
    write_pki(tmp_path, [*most, authority], authority.issue("end"), SERVER)
    with pytest.raises(TlsError, match=r"cacert\.pem: 17 certificates; 16 are the limit"):
        check_own(credentials, SERVER)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    leaf = authority.issue("end")
    credentials = write_pki(tmp_path, authority, leaf, SERVER)
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(TlsError, match=r"pip install rpcgen\[tls\]"):
        check_own(credentials, SERVER)
    with pytest.raises(TlsError, match=r"pip install rpcgen\[tls\]"):
        check_peer([leaf.der], SERVER)
    assert key_sizes(tmp_path / "servercert.pem") == "of unknown size"
