"""What either side says of a handshake that failed: real ones, and words for those that are rare."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tls.authority import Authority, Leaf, write_pki
from tls.pair import drive, shaken

from rpcgen.runtime.errors import TlsError
from rpcgen.runtime.tls.alerts import ALERTS, REASONS, explained
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ClientTls, ServerTls
from rpcgen.runtime.tls.stream import TlsStream
from rpcgen.runtime.transport.dial import pair

SERVER, CLIENT = Role.SERVER, Role.CLIENT
ROOT, STRANGER = Authority("root"), Authority("stranger")
GONE = (-2, -1)

OURS = ROOT.issue("localhost", SERVER)
THEIRS = ROOT.issue("client", CLIENT)
REVOKED = ROOT.issue("revoked", CLIENT)
OLD = "NORMAL:-VERS-TLS1.3"

NOT_TRUSTED = "certificate is not signed by a CA that we trust (unable to get local issuer"
NOT_KNOWN = "refuses our certificate: it does not know the CA that has signed it (alert unknown ca)"


@pytest.mark.parametrize(
    ("server", "client", "of_server", "of_client"),
    [
        (OURS, STRANGER.issue("c", CLIENT), f"client's {NOT_TRUSTED}", f"the server {NOT_KNOWN}"),
        (
            STRANGER.issue("localhost", SERVER),
            THEIRS,
            f"the client {NOT_KNOWN}",
            f"server's {NOT_TRUSTED}",
        ),
        (
            OURS,
            None,
            "the client shows no certificate, and we want one (peer did not return a certificate)",
            "the server wants a certificate, and we have shown none (alert certificate required)",
        ),
        (
            OURS,
            ROOT.issue("c", CLIENT, days=GONE),
            "the client's certificate has expired (certificate has expired)",
            "refuses our certificate: it has expired, or the clock differs (alert certificate exp",
        ),
        (
            OURS,
            REVOKED,
            "the client's certificate has been revoked (certificate revoked)",
            "the server refuses our certificate: it has been revoked (alert certificate revoked)",
        ),
        (
            OURS,
            ROOT.issue("c", SERVER),
            "the client's certificate is not for a client (un",
            "the server refuses our certificate: it is not for a client (alert unsupported cert",
        ),
        (
            ROOT.issue("localhost", CLIENT),
            THEIRS,
            "the client refuses our certificate: it is not for a server (alert unsupported cert",
            "the server's certificate is not for a server (un",
        ),
    ],
)
def test_certificates_that_are_refused(
    server: Leaf, client: Leaf | None, of_server: str, of_client: str, tmp_path: Path
) -> None:
    crl = ROOT.crl(REVOKED)
    ours = ServerTls(write_pki(tmp_path / "server", ROOT, server, SERVER, crl=crl), sanity=False)
    theirs = ClientTls(write_pki(tmp_path / "client", ROOT, client, CLIENT), sanity=False)
    _assert_said(ours, theirs, of_server, of_client)


def test_an_older_server_that_wants_a_certificate(tmp_path: Path) -> None:
    """TLS 1.2 has no alert of its own for that."""
    ours = ServerTls(write_pki(tmp_path / "server", ROOT, OURS, SERVER))
    theirs = ClientTls(write_pki(tmp_path / "client", ROOT, None, CLIENT), priority=OLD)
    _assert_said(
        ours,
        theirs,
        "the client shows no certificate",
        "no cipher, or no certificate of ours (alert handshake failure)",
    )


def test_nothing_in_common(tmp_path: Path) -> None:
    server = write_pki(tmp_path / "server", ROOT, OURS, SERVER)
    client = write_pki(tmp_path / "client", ROOT, THEIRS, CLIENT)
    new, rsa_only = "NORMAL:-VERS-TLS1.2", f"{OLD}:-KX-ALL:+ECDHE-RSA"
    versions = "does not speak the versions of TLS that we do"
    _assert_said(
        ServerTls(server, priority=new),
        ClientTls(client, priority=OLD),
        f"the client {versions} (unsupported protocol)",
        f"the server {versions} (alert protocol version)",
    )
    _assert_said(
        ServerTls(server),
        ClientTls(client, priority=rsa_only),
        "no cipher in common that goes with the server's key (no shared cipher)",
        "the server agrees to nothing that we offer",
    )


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x00\x00\x1c\x20\x00\x80\x86"])
def test_what_is_no_tls(data: bytes, tmp_path: Path) -> None:
    client = ClientTls(write_pki(tmp_path, ROOT, THEIRS, CLIENT))
    ours, theirs = pair()
    try:
        theirs.send([data])
        (said,) = drive([client.handshake(ours, "localhost")])
        assert str(said) == "TLS: what the server speaks is no TLS (wrong version number)"
    finally:
        ours.close()
        theirs.close()


def test_http_at_our_server(tmp_path: Path) -> None:
    server = ServerTls(write_pki(tmp_path, ROOT, OURS, SERVER))
    ours, theirs = pair()
    try:
        theirs.send([b"GET / HTTP/1.1\r\n\r\n"])
        (said,) = drive([server.handshake(ours)])
        assert str(said) == "TLS: what the client speaks is no TLS (http request)"
    finally:
        ours.close()
        theirs.close()


def test_a_cipher_that_is_too_weak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's ssl cannot leave one of TLS 1.3 out, so that it is refused when it is chosen."""
    server = ServerTls(write_pki(tmp_path / "server", ROOT, OURS, SERVER))
    client = ClientTls(write_pki(tmp_path / "client", ROOT, THEIRS, CLIENT))
    monkeypatch.setattr(server, "_bits", 257)
    _assert_said(
        server, client, "the cipher TLS_AES_256_GCM_SHA384 has 256 bits, expected 257", "confirm"
    )


def test_ordinary_keys_at_192_bits(tmp_path: Path) -> None:
    """As GnuTLS has it, which asks for 128 bits of certificates."""
    key = rsa.generate_private_key(65537, 3072)
    root = Authority("rsa", key=key)
    server = root.issue("localhost", SERVER, key=key)
    client = root.issue("client", CLIENT, key=key)
    for theirs in ("SECURE192", "SECURE256:-VERS-TLS1.3", "NORMAL"):
        with shaken(
            ServerTls(write_pki(tmp_path / "s", root, server, SERVER), priority="SECURE192"),
            ClientTls(write_pki(tmp_path / "c", root, client, CLIENT), priority=theirs),
        ) as outcome:
            assert isinstance(outcome.server, TlsStream)
            assert outcome.server.cipher[1] == 256


@pytest.mark.parametrize("is_client", [True, False])
def test_words(is_client: bool) -> None:
    peer = "server" if is_client else "client"
    for name in ALERTS:
        said = explained(f"sslv3 alert {name}", is_client=is_client)
        assert said.startswith(f"the {peer} ")
        assert said.endswith(f" (alert {name})")
    for reason in REASONS:
        said = explained(reason, is_client=is_client)
        assert peer in said or reason == "crl has expired"
        assert said.endswith(f" ({reason})")


def test_what_is_not_known_stays() -> None:
    assert explained("Sudden Rain", is_client=True) == "Sudden Rain"
    assert explained("sslv3 alert user canceled", is_client=True) == "alert user canceled"


def _assert_said(server: ServerTls, client: ClientTls, of_server: str, of_client: str) -> None:
    with shaken(server, client) as outcome:
        for said, expected in zip(outcome, (of_server, of_client), strict=True):
            assert isinstance(said, TlsError)
            assert expected in str(said)
            assert "sslv" not in str(said).lower()
