"""SCRAM: the examples of the RFCs byte by byte, and everything that either side must refuse."""

from __future__ import annotations

import base64
import hashlib
import hmac
import pickle
from collections.abc import Callable
from operator import xor

import pytest

from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.scram import (
    ITERATIONS_MAX,
    MESSAGE_MAX,
    ScramClient,
    ScramServer,
    Verifier,
    is_password,
    make_verifier,
    prepared,
)
from rpcgen.runtime.errors import AuthError

NAMES = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]
PENCIL = Secret("pencil")

RFC_5802 = (
    "SCRAM-SHA-1",
    "fyko+d2lbbFgONRv9qkxdawL",
    "3rfcNHYJY1ZVvWVs7j",
    "QSXCR+Q6sek8bf92",
    "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
RFC_7677 = (
    "SCRAM-SHA-256",
    "rOprNGfwEbeRWgbNEkqO",
    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    "W22ZaJ0SNY7soEsUEjb6gQ==",
    "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)
"""Mechanism, nonces of client and server, salt, proof, signature; user ``user``, ``pencil``."""


def verifier(name: str, salt: bytes = b"s" * 16) -> Verifier:
    return make_verifier(name, PENCIL, salt=salt, iterations=4096)


def pair(name: str, password: Secret = PENCIL) -> tuple[ScramClient, ScramServer]:
    kept = verifier(name)
    return ScramClient(name, "user", password), ScramServer(name, lambda _u, _m: kept)


@pytest.mark.parametrize("vector", [RFC_5802, RFC_7677], ids=lambda vector: str(vector[0]))
def test_the_bytes_are_those_of_the_rfc(vector: tuple[str, ...]) -> None:
    name, client_nonce, server_nonce, salt, proof, signature = vector
    kept = verifier(name, base64.b64decode(salt))
    client = ScramClient(name, "user", PENCIL, nonce=client_nonce)
    server = ScramServer(name, lambda _u, _m: kept, nonce=server_nonce)
    nonce = client_nonce + server_nonce

    first = client.start()
    challenge = server.step(first)
    assert challenge is not None
    final = client.step(challenge)
    assert final is not None
    last = server.step(final)

    assert first == f"n,,n=user,r={client_nonce}".encode()
    assert challenge == f"r={nonce},s={salt},i=4096".encode()
    assert final == f"c=biws,r={nonce},p={proof}".encode()
    assert last == f"v={signature}".encode()
    assert client.step(last) is None
    assert (client.is_complete, server.is_complete, server.user) == (True, True, "user")


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_password_is_refused(name: str) -> None:
    client, server = pair(name, Secret("pen"))
    final = client.step(server.step(client.start()))
    with pytest.raises(AuthError):
        server.step(final or b"")
    assert (server.is_complete, server.user) == (False, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_does_not_know_the_password_is_found_out(name: str) -> None:
    client, server = pair(name)
    final = client.step(server.step(client.start()))
    last = server.step(final or b"") or b""
    forged = last[:2] + base64.b64encode(bytes(len(base64.b64decode(last[2:]))))
    with pytest.raises(AuthError, match="signature"):
        client.step(forged)
    assert not client.is_complete


def test_a_server_cannot_finish_before_the_proof() -> None:
    client, _ = pair("SCRAM-SHA-256")
    client.start()
    with pytest.raises(AuthError):
        client.step(b"v=" + base64.b64encode(bytes(32)))
    assert not client.is_complete


FIRST: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a binding that is not offered", lambda m: b"p=tls-unique," + m[2:]),
    ("another's rights", lambda m: b"n,a=root," + m[3:]),
    ("no header", lambda m: m[3:]),
    ("an unknown flag", lambda m: b"x" + m[1:]),
    ("an extension that must be known", lambda m: m[:3] + b"m=1," + m[3:]),
    ("no nonce", lambda m: m[: m.index(b",r=")]),
    ("an empty name", lambda m: m.replace(b"n=user", b"n=")),
    ("a bad escape", lambda m: m.replace(b"n=user", b"n=us=41")),
    ("a name that SASLprep forbids", lambda m: m.replace(b"n=user", b"n=us\x07er")),
    ("no UTF-8", lambda m: m.replace(b"n=user", b"n=\xff")),
    ("nothing", lambda _: b""),
    ("half of it", lambda m: m[:8]),
    ("too much", lambda m: m + b"a" * MESSAGE_MAX),
]


@pytest.mark.parametrize(("_what", "change"), FIRST, ids=[what for what, _ in FIRST])
def test_a_first_message_of_a_client_is_refused(
    _what: str, change: Callable[[bytes], bytes]
) -> None:
    client, server = pair("SCRAM-SHA-256")
    first = client.start()
    with pytest.raises(AuthError):
        server.step(change(first))
    with pytest.raises(AuthError, match="no further"):
        server.step(first)


CHALLENGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("another nonce", lambda m: b"r=x" + m[2:]),
    (
        "a nonce that the server added nothing to",
        lambda m: m.replace(m[m.index(b"=") + 65 : 130], b""),
    ),
    ("few iterations", lambda m: m.replace(b"i=4096", b"i=4095")),
    ("too many iterations", lambda m: m.replace(b"i=4096", b"i=%d" % (ITERATIONS_MAX + 1))),
    ("no number", lambda m: m.replace(b"i=4096", b"i=many")),
    ("a salt that is no base 64", lambda m: m.replace(b"s=", b"s=!")),
    ("no salt", lambda m: m[: m.index(b",s=")]),
    ("an error", lambda _: b"e=other-error"),
    ("nothing", lambda _: b""),
    ("too much", lambda m: m + b",x=" + b"a" * MESSAGE_MAX),
]


@pytest.mark.parametrize(("_what", "change"), CHALLENGES, ids=[what for what, _ in CHALLENGES])
def test_a_challenge_is_refused(_what: str, change: Callable[[bytes], bytes]) -> None:
    client, server = pair("SCRAM-SHA-256")
    challenge = server.step(client.start()) or b""
    with pytest.raises(AuthError):
        client.step(change(challenge))
    with pytest.raises(AuthError, match="no further"):
        client.step(challenge)


def test_the_limits_of_iterations_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpcgen.runtime.auth.scram.ITERATIONS_MIN", 4097)
    client, server = pair("SCRAM-SHA-256")
    with pytest.raises(AuthError, match="expected 4097 to 10000000 iterations, got 4096"):
        client.step(server.step(client.start()))


def test_no_data_is_no_message() -> None:
    client, _ = pair("SCRAM-SHA-256")
    client.start()
    with pytest.raises(AuthError, match="got none"):
        client.step(None)


def test_a_proof_is_good_for_one_exchange_only() -> None:
    client, server = pair("SCRAM-SHA-256")
    first = client.start()
    final = client.step(server.step(first)) or b""
    server.step(final)
    with pytest.raises(AuthError):
        server.step(final)
    _, again = pair("SCRAM-SHA-256")
    again.step(first)
    with pytest.raises(AuthError):
        again.step(final)


def test_a_client_that_would_have_bound_the_channel_is_served() -> None:
    client, server = pair("SCRAM-SHA-256")
    first = client.start()
    assert (server.step(b"y" + first[1:]) or b"").startswith(b"r=")


def test_a_client_whose_list_of_mechanisms_was_changed_is_found_out() -> None:
    client, server = pair("SCRAM-SHA-256")
    final = client.step(server.step(b"y" + client.start()[1:])) or b""
    with pytest.raises(AuthError, match="bindings"):
        server.step(final)


def test_names_are_the_same_however_they_are_typed() -> None:
    assert prepared("I\u00adX") == "IX"
    assert prepared("\u2168") == "IX"
    with pytest.raises(AuthError):
        prepared("a\x07")


def test_names_may_have_commas_and_equals_signs() -> None:
    kept = verifier("SCRAM-SHA-256")
    client = ScramClient("SCRAM-SHA-256", "a,b=c", PENCIL)
    server = ScramServer("SCRAM-SHA-256", lambda _u, _m: kept)
    server.step(client.step(server.step(client.start())) or b"")
    assert server.user == "a,b=c"


def test_a_client_may_say_that_it_acts_for_itself() -> None:
    nonce, header = "fyko+d2lbbFgONRv9qkxdawL", b"n,a=user,"
    _, server = pair("SCRAM-SHA-256")
    client = ScramClient("SCRAM-SHA-256", "user", PENCIL, nonce=nonce)
    challenge = server.step(header + client.start()[3:]) or b""
    proof = with_header(client.step(challenge) or b"", challenge, header, nonce)
    server.step(proof)
    assert server.user == "user"


@pytest.mark.parametrize("header", [b"n,,", b"n,a=root,", b"y,a=user,"])
def test_a_proof_is_for_the_header_that_was_sent(header: bytes) -> None:
    nonce = "fyko+d2lbbFgONRv9qkxdawL"
    _, server = pair("SCRAM-SHA-256")
    client = ScramClient("SCRAM-SHA-256", "user", PENCIL, nonce=nonce)
    challenge = server.step(b"n,a=user," + client.start()[3:]) or b""
    with pytest.raises(AuthError, match="bindings"):
        server.step(with_header(client.step(challenge) or b"", challenge, header, nonce))


def with_header(proof: bytes, challenge: bytes, header: bytes, nonce: str) -> bytes:
    """The last message of ``user``, for another header than the usual ``n,,`` (RFC 5802, section 3)."""
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"s" * 16, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    bare = proof[: proof.index(b",p=")].replace(b"c=biws", b"c=" + base64.b64encode(header))
    message = b",".join([b"n=user,r=" + nonce.encode(), challenge, bare])
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    return bare + b",p=" + base64.b64encode(bytes(map(xor, client_key, signature)))


def test_a_store_that_fails_refuses() -> None:
    def broken(_user: str, _mechanism: str) -> Verifier:
        raise OSError("no disk")

    client, _ = pair("SCRAM-SHA-256")
    with pytest.raises(AuthError):
        ScramServer("SCRAM-SHA-256", broken).step(client.start())


@pytest.mark.parametrize("name", NAMES)
def test_a_password_is_checked_against_its_verifier(name: str) -> None:
    kept = verifier(name)
    assert is_password(name, PENCIL, kept)
    assert not is_password(name, Secret("Pencil"), kept)
    assert not is_password(name, Secret("pen\x07cil"), kept)


@pytest.mark.parametrize("password", ["", "\u00ad", "a\x07b", "\ud800"])
def test_a_password_that_nobody_can_type_is_refused(password: str) -> None:
    with pytest.raises(AuthError) as caught:
        make_verifier("SCRAM-SHA-256", Secret(password))
    assert caught.value.__context__ is None


def test_an_unknown_mechanism_is_refused() -> None:
    with pytest.raises(AuthError):
        ScramClient("SCRAM-MD5", "user", PENCIL)


def test_secrets_do_not_show() -> None:
    client, server = pair("SCRAM-SHA-256")
    for shown in (repr(PENCIL), str(PENCIL), f"{PENCIL}", repr(client), repr(server)):
        assert "pencil" not in shown
    kept = verifier("SCRAM-SHA-256")
    assert repr(kept.server_key) not in repr(kept)
    with pytest.raises(TypeError):
        pickle.dumps(PENCIL)


def test_secrets_are_compared() -> None:
    assert Secret("pencil") == PENCIL
    assert Secret("pen") != PENCIL
    assert PENCIL != "pencil"
