"""No bytes from a peer bring anything but AuthError, nor let anybody in, nor show a secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.runtime.auth.client import ClientExchange
from rpcgen.runtime.auth.external import ExternalClient, ExternalServer
from rpcgen.runtime.auth.mechanism import ClientMechanism, Secret, ServerMechanism
from rpcgen.runtime.auth.plain import PlainClient, PlainServer
from rpcgen.runtime.auth.scram import ScramClient, ScramServer, is_password, make_verifier
from rpcgen.runtime.auth.server import ServerExchange
from rpcgen.runtime.errors import AuthError

PASSWORD = Secret("Tr0ub4dor&3")
GUESS = Secret("correct horse")
SCRAMS = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]
VERIFIERS = {n: make_verifier(n, PASSWORD, salt=b"s" * 16, iterations=4096) for n in SCRAMS}
GUESSES = {n: make_verifier(n, GUESS, salt=b"s" * 16, iterations=4096) for n in SCRAMS}


def check(user: str, password: Secret) -> str:
    if not is_password("SCRAM-SHA-1", password, VERIFIERS["SCRAM-SHA-1"]):
        raise AuthError("wrong user name or password")
    return user


MAKERS: dict[str, Callable[[], ServerMechanism]] = {
    "SCRAM-SHA-1": lambda: ScramServer("SCRAM-SHA-1", lambda _u, m: VERIFIERS[m]),
    "SCRAM-SHA-256": lambda: ScramServer("SCRAM-SHA-256", lambda _u, m: VERIFIERS[m]),
    "SCRAM-SHA-512": lambda: ScramServer("SCRAM-SHA-512", lambda _u, m: VERIFIERS[m]),
    "PLAIN": lambda: PlainServer(check),
    "EXTERNAL": lambda: ExternalServer(None),
}
CLIENTS: dict[str, Callable[[Secret], ClientMechanism]] = {
    "SCRAM-SHA-1": lambda password: ScramClient("SCRAM-SHA-1", "fred", password),
    "SCRAM-SHA-256": lambda password: ScramClient("SCRAM-SHA-256", "fred", password),
    "SCRAM-SHA-512": lambda password: ScramClient("SCRAM-SHA-512", "fred", password),
    "PLAIN": lambda password: PlainClient("fred", password),
    "EXTERNAL": lambda _: ExternalClient("fred"),
}

PIECES = [
    *(b"n,,", b"y,,", b"p=tls-unique,,", b"n=fred", b",", b"r=", b"fyko+d2lbbFgONRv9qkxdawL", b"="),
    *(b"s=QSXCR+Q6sek8bf92QSXCR+Q6", b"i=4096", b"c=biws", b"p=", b"v=", b"e=other-error", b"m=x"),
    *(b"v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", b"\0", b"fred", b"\xff", b"\xed\xa0\x80", b"=2C", b"a=root"),
]
MESSAGE = (
    st.none() | st.binary(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join)
)


def assert_nothing_shows(error: AuthError, *things: object) -> None:
    """No secret in an error, what led to it, or anything's ``repr``."""
    shown = "".join(traceback.format_exception(error)) + repr(error.__context__)
    shown += "".join(map(repr, (error, *things, *map(vars, things))))
    for secret in (PASSWORD, GUESS):
        assert secret.reveal() not in shown


def changed(message: bytes | None, at: int, how: bytes | None) -> bytes | None:
    """A message with something put over a part of it; None takes it away."""
    if message is None or how is None:
        return None
    at %= len(message) + 1
    return message[:at] + how + message[at + len(how) :]


@given(
    calls=st.lists(
        st.just(("init", "", None))
        | st.tuples(st.just("start"), st.sampled_from([*MAKERS, "GSSAPI", ""]), MESSAGE)
        | st.tuples(st.just("step"), st.just(""), MESSAGE),
        max_size=8,
    )
)
def test_no_requests_let_anybody_in(calls: list[tuple[str, str, bytes | None]]) -> None:
    server = ServerExchange(MAKERS, secure=True)
    for call, name, data in calls:
        try:
            if call == "init":
                server.init()
            elif call == "start":
                assert not server.start(name, data)[0]
            else:
                assert not server.step(data)[0]
        except AuthError as error:
            assert_nothing_shows(error, server)
        assert (server.is_complete, server.user, server.layer) == (False, "", None)


@pytest.mark.parametrize("name", SCRAMS)
@given(message=st.integers(0, 1), at=st.integers(0, 300), how=MESSAGE)
def test_a_guess_stays_one_whatever_is_done_to_it(
    name: str, message: int, at: int, how: bytes | None
) -> None:
    server = ServerExchange(MAKERS, secure=True)
    client = CLIENTS[name](GUESS)
    with pytest.raises(AuthError) as caught:  # noqa: PT012  (any of the steps may find it out)
        server.init()
        first = client.start()
        challenge = server.start(name, first if message else changed(first, at, how))[1]
        proof = client.step(challenge)
        server.step(changed(proof, at, how) if message else proof)
    assert_nothing_shows(caught.value, client, server)
    assert not server.is_complete


@pytest.mark.parametrize("name", SCRAMS)
@given(message=st.integers(0, 1), at=st.integers(0, 300), how=MESSAGE, complete=st.booleans())
def test_a_server_that_does_not_know_the_password_stays_one(
    name: str, message: int, at: int, how: bytes | None, complete: bool
) -> None:
    impostor = ScramServer(name, lambda _u, m: GUESSES[m])
    client = ClientExchange(CLIENTS[name](PASSWORD), secure=True)
    last = b"v=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    with pytest.raises(AuthError) as caught:  # noqa: PT012  (any of the steps may find it out)
        challenge = impostor.step(client.start()[1] or b"")
        client.receive(False, changed(challenge, at, how) if message else challenge)
        client.receive(complete, last if message else changed(last, at, how))
    assert_nothing_shows(caught.value, client, impostor)
    assert not client.is_complete


@pytest.mark.parametrize("name", [*SCRAMS, "PLAIN", "EXTERNAL"])
@given(replies=st.lists(st.tuples(st.booleans(), MESSAGE), min_size=1, max_size=4))
def test_no_replies_are_believed(name: str, replies: list[tuple[bool, bytes | None]]) -> None:
    client = ClientExchange(CLIENTS[name](PASSWORD), secure=True)
    client.start()
    try:
        for complete, data in replies:
            client.receive(complete, data)
            if client.is_complete:
                break
    except AuthError as error:
        assert_nothing_shows(error, client)
    # Mechanisms without a proof of the server can but believe that it is satisfied.
    assert client.is_complete is (name not in SCRAMS and replies[0] in [(True, None), (True, b"")])
