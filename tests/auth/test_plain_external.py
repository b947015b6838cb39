"""PLAIN and EXTERNAL: what they send, and what servers refuse."""

from __future__ import annotations

import pytest

from rpcgen.runtime.auth.external import ExternalClient, ExternalServer
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.plain import MESSAGE_MAX, PlainClient, PlainServer
from rpcgen.runtime.errors import AuthError


def check(user: str, password: Secret) -> str:
    if (user, password) != ("fred", Secret("s3cret")):
        raise AuthError("wrong")
    return "Fred"


def test_plain_sends_name_and_password() -> None:
    client, server = PlainClient("fred", Secret("s3cret")), PlainServer(check)
    data = client.start()
    assert data == b"\0fred\0s3cret"
    server.step(data)
    assert (client.is_complete, server.is_complete, server.user) == (True, True, "Fred")
    client.step(None)


PLAIN_REFUSED = [
    b"",
    b"\0fred\0",
    b"\0\0s3cret",
    b"fred\0s3cret",
    b"\0fred\0s3cret\0",
    b"root\0fred\0s3cret",
    b"\0fred\0wrong",
    b"\0fred\0s3cret\xff",
    b"\0" + b"f" * MESSAGE_MAX + b"\0s3cret",
]


@pytest.mark.parametrize("data", PLAIN_REFUSED, ids=lambda data: str(data[:20]))
def test_plain_refuses(data: bytes) -> None:
    server = PlainServer(check)
    with pytest.raises(AuthError) as caught:
        server.step(data)
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__context__ is None
    assert (server.is_complete, server.user) == (False, "")
    with pytest.raises(AuthError, match="no further"):
        server.step(b"\0fred\0s3cret")


@pytest.mark.parametrize(
    ("user", "password"),
    [("", "x"), ("fred", ""), ("a\0b", "x"), ("fred", "a\0b"), ("a", "\ud800")],
)
def test_plain_sends_nothing_that_is_ambiguous(user: str, password: str) -> None:
    with pytest.raises(AuthError):
        PlainClient(user, Secret(password))


def test_plain_has_an_end() -> None:
    with pytest.raises(AuthError, match="4096 bytes or fewer"):
        PlainServer(lambda user, _: user).step(b"\0fred\0" + b"x" * MESSAGE_MAX)


def test_plain_is_not_asked_for_more() -> None:
    client = PlainClient("fred", Secret("s3cret"))
    client.start()
    with pytest.raises(AuthError, match="no challenge"):
        client.step(b"and your bank?")


@pytest.mark.parametrize("asked", ["", "CN=fred"])
def test_external_takes_the_name_of_the_transport(asked: str) -> None:
    client, server = ExternalClient(asked), ExternalServer("CN=fred")
    server.step(client.start())
    assert (client.is_complete, server.is_complete, server.user) == (True, True, "CN=fred")


@pytest.mark.parametrize(
    ("known", "asked"), [(None, ""), ("", ""), ("fred", "root"), (None, "fred")]
)
def test_external_refuses(known: str | None, asked: str) -> None:
    server = ExternalServer(known)
    with pytest.raises(AuthError):
        server.step(ExternalClient(asked).start())
    assert (server.is_complete, server.user) == (False, "")


def test_external_is_asked_nothing_and_once() -> None:
    client, server = ExternalClient(), ExternalServer("fred")
    server.step(client.start())
    with pytest.raises(AuthError):
        client.step(b"?")
    with pytest.raises(AuthError):
        server.step(b"")


def test_external_needs_a_name_that_can_be_written() -> None:
    with pytest.raises(AuthError):
        ExternalClient("\ud800").start()
