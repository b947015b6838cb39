"""GSSAPI with a real ticket: both our sides against each other, the layer, and who is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from helpers import require
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from interop.kdc import REALM, USER, Realm, missing, realm

from rpcgen.runtime.auth.choice import Credentials, choose, start_with
from rpcgen.runtime.auth.client import ClientExchange
from rpcgen.runtime.auth.gssapi import RECEIVE_MAX, GssapiClient, GssapiServer, has_ticket
from rpcgen.runtime.auth.mechanism import SecurityLayer
from rpcgen.runtime.auth.server import ServerExchange
from rpcgen.runtime.errors import AuthError

PLAIN_TEXT = b"attack at dawn " * 100


@pytest.fixture(scope="module")
def kerberos() -> Iterator[Realm]:
    lacking = missing()
    require(not lacking, lacking)
    with TemporaryDirectory() as folder, realm(Path(folder)) as ours:
        yield ours


@pytest.fixture(autouse=True)
def _in_the_realm(kerberos: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kerberos.environment.items():
        monkeypatch.setenv(name, value)


def exchanges(*, secure: bool) -> tuple[ClientExchange, ServerExchange]:
    """Both sides, after START."""
    server = ServerExchange({"GSSAPI": lambda: GssapiServer(secure=secure)}, secure=secure)
    name = choose(server.init(), secure=secure)
    mechanism = start_with(name, Credentials(), host="localhost", secure=secure)
    return ClientExchange(mechanism, secure=secure), server


def log_in(client: ClientExchange, server: ServerExchange) -> int:
    """Run an exchange to its end; how many replies it took."""
    complete, data = server.start(*client.start())
    for replies in range(1, 10):
        answer = client.receive(complete, data)
        if client.is_complete:
            return replies
        complete, data = server.step(answer)
    raise AssertionError("no end")


def layers() -> tuple[SecurityLayer, SecurityLayer]:
    client, server = exchanges(secure=False)
    log_in(client, server)
    assert client.layer
    assert server.layer
    return client.layer, server.layer


def test_a_ticket_lets_in_and_encrypts() -> None:
    client, server = exchanges(secure=False)
    log_in(client, server)
    assert (client.is_complete, server.is_complete, server.user) == (True, True, USER)
    assert client.layer
    assert server.layer
    assert client.layer.ssf == server.layer.ssf == 256
    assert client.layer.receive_max == RECEIVE_MAX
    for one, other in ((client.layer, server.layer), (server.layer, client.layer)):
        wire = one.wrap(PLAIN_TEXT)
        assert PLAIN_TEXT[:15] not in wire
        assert int.from_bytes(wire[:4], "big") == len(wire) - 4
        assert other.unwrap(wire[4:]) == PLAIN_TEXT


def test_the_largest_token_fits_the_peer() -> None:
    one, other = layers()
    wire = one.wrap(bytes(one.send_max))
    assert len(wire) - 4 <= other.receive_max
    assert other.unwrap(wire[4:]) == bytes(one.send_max)
    with pytest.raises(AuthError, match="or fewer"):
        one.wrap(bytes(one.send_max + 1))


def test_a_token_comes_once_and_in_order() -> None:
    one, other = layers()
    first, second = one.wrap(b"first")[4:], one.wrap(b"second")[4:]
    assert other.unwrap(first) == b"first"
    with pytest.raises(AuthError):
        other.unwrap(first)
    assert other.unwrap(second) == b"second"


def test_a_changed_token_is_refused() -> None:
    one, other = layers()
    token = bytearray(one.wrap(PLAIN_TEXT)[4:])
    token[-1] ^= 1
    for bad in (bytes(token), b"", b"plain"):
        with pytest.raises(AuthError):
            other.unwrap(bad)
    with pytest.raises(AuthError, match="or fewer"):
        other.unwrap(bytes(RECEIVE_MAX + 1))


def test_a_token_of_another_connection_is_refused() -> None:
    one, _ = layers()
    _, other = layers()
    with pytest.raises(AuthError):
        other.unwrap(one.wrap(b"data")[4:])


def test_a_token_that_is_only_signed_is_refused() -> None:
    client, server = GssapiClient("localhost"), GssapiServer()
    server.step(
        client.step(server.step(client.step(server.step(client.start() or b"")) or b"")) or b""
    )
    assert server.layer
    with pytest.raises(AuthError, match="not encrypted"):
        server.layer.unwrap(signed(client, b"data"))


def signed(client: GssapiClient, data: bytes) -> bytes:
    """What a client sends that signs and does not encrypt."""
    token = client._context.wrap(data, False).message
    assert isinstance(token, bytes)
    return token


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (b"", "expected an offer of 4 bytes, got 0"),
        (b"\1\0\0\0", "expected the choice of layer 4, got 0x1"),
        (b"\2\1\0\0", "got 0x2"),
        (b"\6\1\0\0", "got 0x6"),
        (b"\4\0\0\0", "the peer takes 0 bytes"),
        (b"\4\0\0\1", "the peer takes 1 bytes"),
        (b"\4\1\0\0root", "asks to be another"),
    ],
)
def test_a_choice_is_refused(choice: bytes, reason: str) -> None:
    client, server = GssapiClient("localhost"), GssapiServer()
    server.step(client.step(server.step(client.start() or b"")) or b"")
    with pytest.raises(AuthError, match=reason):
        server.step(signed(client, choice))
    assert (server.is_complete, server.user, server.layer) == (False, "", None)


def test_a_client_that_would_not_notice_replays_gets_no_layer() -> None:
    flags = gssapi().RequirementFlag
    weak = flags.mutual_authentication | flags.integrity | flags.confidentiality
    name = gssapi().Name("libvirt@localhost", gssapi().NameType.hostbased_service)
    context = gssapi().SecurityContext(name=name, usage="initiate", flags=weak)
    server = GssapiServer()
    context.step(server.step(context.step()))
    server.step(b"")
    with pytest.raises(AuthError, match="no out of sequence detection"):
        server.step(context.wrap(b"\4\1\0\0", False).message)
    assert not server.is_complete


def gssapi() -> Any:
    """The package, once it is known to be there."""
    return pytest.importorskip("gssapi")


def test_a_client_waits_for_the_offer() -> None:
    client, server = GssapiClient("localhost"), GssapiServer()
    client.step(server.step(client.start() or b""))
    with pytest.raises(AuthError, match="expected no data"):
        server.step(b"early")


def test_nothing_is_encrypted_twice() -> None:
    client, server = exchanges(secure=True)
    log_in(client, server)
    assert (server.user, client.layer, server.layer) == (USER, None, None)


def test_a_client_refuses_to_go_without_a_layer() -> None:
    client, server = GssapiClient("localhost", secure=False), GssapiServer(secure=True)
    offer = server.step(client.step(server.step(client.start() or b"")) or b"")
    with pytest.raises(AuthError, match="layer"):
        client.step(offer)


def test_nobody_may_act_for_another() -> None:
    client, server = GssapiClient("localhost", "root"), GssapiServer()
    choice = client.step(server.step(client.step(server.step(client.start() or b"")) or b""))
    with pytest.raises(AuthError, match="another"):
        server.step(choice or b"")
    assert not server.is_complete


@pytest.mark.parametrize("user", [USER, f"{USER}@{REALM}"])
def test_the_own_name_may_be_asked_for(user: str) -> None:
    client, server = GssapiClient("localhost", user), GssapiServer()
    choice = client.step(server.step(client.step(server.step(client.start() or b"")) or b""))
    server.step(choice or b"")
    assert server.user == USER


def test_a_ticket_is_not_used_twice() -> None:
    client, server = exchanges(secure=False)
    name, ticket = client.start()
    server.start(name, ticket)
    other = ServerExchange({"GSSAPI": GssapiServer}, secure=False)
    other.init()
    with pytest.raises(AuthError):
        other.start(name, ticket)


@pytest.mark.parametrize("data", [b"", b"ticket", bytes(1000)])
def test_what_is_no_ticket_is_refused(data: bytes) -> None:
    server = GssapiServer()
    with pytest.raises(AuthError):
        server.step(data)
    with pytest.raises(AuthError, match="no further"):
        server.step(data)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2000), how=st.binary(min_size=1, max_size=4))
def test_a_changed_message_is_refused(at: int, how: bytes) -> None:
    for changed in range(4):
        client, server = GssapiClient("localhost"), GssapiServer()
        message, sides = client.start() or b"", (server, client)
        for number in range(4):
            if number == changed:
                start = at % (len(message) - len(how))
                other = message[:start] + how + message[start + len(how) :]
                assume(other != message)
                _refused_or_harmless(sides[number % 2], other)
                break
            message = sides[number % 2].step(message) or b""
        assert not (client.is_complete and server.is_complete)


def _refused_or_harmless(side: GssapiClient | GssapiServer, message: bytes) -> None:
    """Not all bytes of the first two messages mean something; then no side is through by them."""
    try:
        side.step(message)
    except AuthError:
        assert not side.is_complete


def test_a_service_that_there_is_not_is_an_error() -> None:
    with pytest.raises(AuthError):
        GssapiClient("elsewhere.example").start()


def test_a_keytab_may_be_named_and_must_be_there(kerberos: Realm) -> None:
    GssapiServer(str(kerberos.keytab))
    with pytest.raises(AuthError):
        GssapiServer(f"{kerberos.folder}/none")


def test_without_a_ticket_nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert has_ticket()
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    assert not has_ticket()
    with pytest.raises(AuthError):
        GssapiClient("localhost").start()
    assert choose("GSSAPI,SCRAM-SHA-256", secure=True) == "SCRAM-SHA-256"
    assert "KRB5CCNAME" in os.environ
