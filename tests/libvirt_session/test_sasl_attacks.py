"""Logins under attack: what was overheard and is sent again, cut short or out of order, and servers who lie.

A client that attacks gets code 45 and may try again, but not for ever. A server that attacks gets no
further call: "logged in" it can only reach with the password's proof.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scramp", reason="not installed: scramp")

from libvirt_session.guarded import PASSWORD, guarded, uri
from raw import CALL, DEADLINE, ERROR, MESSAGE, OK, REPLY, Raw
from server.kit import plain_socket
from wire_cases import Failure
from wire_replay import fails

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.program import REMOTE_PROGRAM
from rpcgen import libvirt
from rpcgen.libvirt.authentication import ATTEMPTS_MAX, Authentication
from rpcgen.runtime.auth.mechanism import DATA_MAX, ROUNDS_MAX, Secret
from rpcgen.runtime.auth.scram import ScramClient, ScramServer, make_verifier
from rpcgen.runtime.auth.users import UserStore
from rpcgen.runtime.errors import AuthError, ConnectionClosed, RpcError

LIST, INIT, START, STEP = 66, 67, 68, 69
HOSTNAME = 59
NAME = "SCRAM-SHA-256"
REFUSED = Failure(
    "authentication failed: authentication failed$", VirErrorNumber.VIR_ERR_AUTH_FAILED
)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> UserStore:
    store = UserStore(tmp_path_factory.mktemp("users") / "users")
    store.add("fred", Secret(PASSWORD), [NAME, "SCRAM-SHA-512"])
    return store


@pytest.fixture
def authentication(users: UserStore) -> Authentication:
    return Authentication(unix="sasl", mechanisms=[NAME, "SCRAM-SHA-512"], users=users)


def word(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text + bytes(-len(text) % 4)


def chars(data: bytes | None) -> bytes:
    """``nil`` and the data, four bytes for each."""
    nil, data = int(data is None), data or b""
    words = b"".join(one.to_bytes(4, "big") for one in data)
    return nil.to_bytes(4, "big") + len(data).to_bytes(4, "big") + words


def completed(complete: int, data: bytes | None) -> bytes:
    """A reply to START or STEP."""
    return complete.to_bytes(4, "big") + chars(data)


def said(payload: bytes) -> tuple[bool, bytes]:
    """Whether a reply says that the login is over, and its data."""
    count = int.from_bytes(payload[8:12], "big")
    return payload[:4] == b"\0\0\0\1", bytes(payload[15 + 4 * at] for at in range(count))


class Login:
    """One login by hand: each request's payload is kept, to be sent again by others."""

    def __init__(self, path: Path, nonce: str = "n" * 24) -> None:
        self.raw = Raw(plain_socket(f"unix://{path}/s"), REMOTE_PROGRAM.number)
        self._nonce = nonce

    def __enter__(self) -> Login:
        self.raw.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.raw.__exit__(*error)

    def init(self) -> None:
        assert self.raw.call(INIT).status == OK

    def start(self, data: bytes, name: str = NAME) -> bytes:
        """What the server answers."""
        reply = self.raw.call(START, word(name.encode()) + chars(data))
        assert reply.status == OK, reply
        complete, answer = said(reply.payload)
        assert not complete
        return answer

    def is_refused(self, procedure: int, payload: bytes) -> bool:
        reply = self.raw.call(procedure, payload)
        if reply.status == ERROR:
            fails(reply.payload, REFUSED)
        return reply.status == ERROR

    def log_in(self) -> tuple[bytes, bytes]:
        """Properly, and what was said."""
        client = ScramClient(NAME, "fred", Secret(PASSWORD), nonce=self._nonce)
        self.init()
        first = client.start()
        final = client.step(self.start(first))
        assert final is not None
        reply = self.raw.call(STEP, chars(final))
        complete, proof = said(reply.payload)
        assert complete
        client.step(proof)
        assert self.is_in()
        return first, final

    def is_in(self) -> bool:
        """Whether more than the login may be called."""
        return b"authentication is required" not in self.raw.call(HOSTNAME).payload


# Clients


def test_what_was_overheard_is_of_no_use(authentication: Authentication, tmp_path: Path) -> None:
    """The server's own nonce is another one each time; the connection can be used after that."""
    with guarded(tmp_path, authentication) as hypervisor:
        with Login(tmp_path) as victim:
            first, final = victim.log_in()
        with Login(tmp_path) as thief:
            for _ in range(ATTEMPTS_MAX - 1):
                thief.init()
                thief.start(first)
                assert thief.is_refused(STEP, chars(final))
                assert not thief.is_in()
            thief.log_in()  # who knows the password may still
        assert hypervisor.users == ["fred", "fred"]


def test_nor_in_the_victims_own_connection(authentication: Authentication, tmp_path: Path) -> None:
    with guarded(tmp_path, authentication), Login(tmp_path) as victim:
        first, final = victim.log_in()
        for procedure, payload in (
            (INIT, b""),
            (START, word(NAME.encode()) + chars(first)),
            (STEP, chars(final)),
        ):
            assert victim.is_refused(procedure, payload)
            assert victim.is_in()


@pytest.mark.parametrize("cut", [0, 1, 10, 44, 60, -1])
def test_a_proof_that_is_cut_short(
    cut: int, authentication: Authentication, tmp_path: Path
) -> None:
    with guarded(tmp_path, authentication), Login(tmp_path) as client:
        scram = ScramClient(NAME, "fred", Secret(PASSWORD))
        client.init()
        final = scram.step(client.start(scram.start()))
        assert final is not None
        assert client.is_refused(STEP, chars(final[:cut]))
        assert client.is_refused(STEP, chars(final))  # too late
        assert not client.is_in()
        client.log_in()


def test_a_packet_that_is_cut_short(authentication: Authentication, tmp_path: Path) -> None:
    """The rest never comes: nobody is in, and others are served."""
    with guarded(tmp_path, authentication) as hypervisor, Login(tmp_path) as client:
        scram = ScramClient(NAME, "fred", Secret(PASSWORD))
        client.init()
        final = scram.step(client.start(scram.start()))
        client.raw.send(client.raw.packet(STEP, chars(final))[:-1])
        client.raw.socket.shutdown(socket.SHUT_WR)
        with Login(tmp_path) as other:
            other.log_in()
        assert client.raw.is_ended()
        assert hypervisor.users == ["fred"]


def test_arguments_that_are_cut_short(authentication: Authentication, tmp_path: Path) -> None:
    """They are no arguments: an error of the protocol, and the login goes on."""
    with guarded(tmp_path, authentication), Login(tmp_path) as client:
        for procedure in START, STEP:
            reply = client.raw.call(procedure, chars(b"n,,n=fred")[:-2])
            assert reply.status == ERROR
            fails(reply.payload, Failure("arguments"))
        client.log_in()


def test_steps_of_two_logins_do_not_mix(authentication: Authentication, tmp_path: Path) -> None:
    """One connection's challenge is answered on the other."""
    with guarded(tmp_path, authentication), Login(tmp_path) as one, Login(tmp_path) as two:
        mine, theirs = (ScramClient(NAME, "fred", Secret(PASSWORD)) for _ in range(2))
        for login in one, two:
            login.init()
        challenge = one.start(mine.start())
        two.start(theirs.start())
        assert two.is_refused(STEP, chars(mine.step(challenge)))
        assert not one.is_in()
        assert not two.is_in()


@pytest.mark.parametrize(
    "order",
    [
        [STEP],
        [START],
        [INIT, STEP],
        [INIT, INIT],
        [INIT, START, START],
        [INIT, START, INIT],
        [INIT, START, STEP, STEP],
    ],
)
def test_the_wrong_order(order: list[int], authentication: Authentication, tmp_path: Path) -> None:
    payloads = {
        INIT: b"",
        START: word(NAME.encode()) + chars(b"n,,n=fred,r=" + b"n" * 24),
        STEP: chars(b"c=biws,r=" + b"n" * 24 + b",p=" + b"A" * 43 + b"="),
    }
    with guarded(tmp_path, authentication), Login(tmp_path) as client:
        outcomes = [client.is_refused(one, payloads[one]) for one in order]
        assert outcomes[-1]
        assert not client.is_in()
        client.log_in()


@pytest.mark.parametrize(
    ("header", "binding", "is_in"),
    [
        (b"n,,", b"biws", True),
        (b"y,,", b"eSws", True),  # the client could bind to the channel, and no -PLUS is offered
        (b"n,,", b"eSws", False),  # somebody has changed what was offered, or what the client said
        (b"y,,", b"biws", False),
        (b"p=tls-unique,,", b"cD10bHMtdW5pcXVlLCw=", False),
        (b"n,a=root,", b"bixhPXJvb3Qs", False),
    ],
)
def test_the_flag_of_channel_binding(
    header: bytes, binding: bytes, is_in: bool, authentication: Authentication, tmp_path: Path
) -> None:
    """A proof covers the flag: one that is changed on the way does not fit."""
    with guarded(tmp_path, authentication), Login(tmp_path) as client:
        client.init()
        bare = b"n=fred,r=" + b"n" * 24
        if client.is_refused(START, word(NAME.encode()) + chars(header + bare)):
            assert not is_in
            assert not client.is_in()
            return
    with guarded(tmp_path, authentication), Login(tmp_path) as client:
        client.init()
        challenge = client.start(header + bare)
        refused = client.is_refused(STEP, chars(proof(bare, challenge, binding)))
        assert refused is not is_in
        assert client.is_in() is is_in


def proof(bare: bytes, challenge: bytes, binding: bytes) -> bytes:
    """A client's last message for any header, made of the formulas of RFC 5802, section 3."""
    import hashlib
    import hmac
    from base64 import b64decode, b64encode

    parts = dict(one.split(b"=", 1) for one in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", PASSWORD.encode(), b64decode(parts[b"s"]), int(parts[b"i"])
    )
    key = hmac.digest(salted, b"Client Key", "sha256")
    without = b"c=" + binding + b",r=" + parts[b"r"]
    message = b",".join([bare, challenge, without])
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    mixed = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return without + b",p=" + b64encode(mixed)


@pytest.mark.parametrize("size", [5_000, DATA_MAX])
def test_too_much_data(size: int, authentication: Authentication, tmp_path: Path) -> None:
    with guarded(tmp_path, authentication), Login(tmp_path) as client:
        client.init()
        data = b"n,,n=fred,r=" + b"n" * size
        assert client.is_refused(START, word(NAME.encode()) + chars(data[:size]))
        client.log_in()


def test_more_data_than_the_protocol_allows(authentication: Authentication, tmp_path: Path) -> None:
    with guarded(tmp_path, authentication), Login(tmp_path) as client:
        client.init()
        reply = client.raw.call(START, word(NAME.encode()) + chars(bytes(DATA_MAX + 1)))
        assert reply.status == ERROR
        fails(reply.payload, Failure("arguments"))
        assert not client.is_in()


# Servers

Answer = Callable[[int, int], bytes | None]
"""The payload of a reply, given the procedure and how many calls of it came; None ends it all."""


class Impostor:
    """A server that says what a test wants, and notes what it is asked.

    Attributes:
        asked: procedures, in order.
        heard: payloads of START and STEP.
    """

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.asked: list[int] = []
        self.heard: list[bytes] = []
        self._answer = answer
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{folder}/s")
        self._listening.listen()
        self._listening.settimeout(DEADLINE)

    def serve(self) -> None:
        with self._listening:
            connected, _ = self._listening.accept()
            with Raw(connected, REMOTE_PROGRAM.number) as raw:
                try:
                    while self._reply(raw):
                        pass
                except (EOFError, ConnectionError):
                    pass

    def _reply(self, raw: Raw) -> bool:
        call = raw.read()
        assert call.type == CALL
        self.asked.append(call.procedure)
        if call.procedure in (START, STEP):
            self.heard.append(call.payload)
        payload = self._answer(call.procedure, self.asked.count(call.procedure))
        if payload is not None:
            raw.send(raw.packet(call.procedure, payload, type_=REPLY, serial=call.serial))
        return payload is not None


@contextmanager
def impostor(folder: Path, answer: Answer) -> Iterator[Impostor]:
    server = Impostor(folder, answer)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(server.serve)
        yield server
        done.result(DEADLINE)
    (folder / "s").unlink()
    assert set(server.asked) <= {LIST, INIT, START, STEP}, "the client takes itself for logged in"


def answers(question: Any) -> str:
    return "fred" if question.kind == "user" else PASSWORD


def saying(offer: str = NAME, *replies: bytes | None) -> Answer:
    """A server that wants SASL, offers mechanisms, and replies in order; then it hangs up."""

    def answer(procedure: int, count: int) -> bytes | None:
        if procedure == LIST:
            return b"\0\0\0\1\0\0\0\1"
        if procedure == INIT:
            return word(offer.encode("utf-8", "surrogateescape"))
        at = (procedure == STEP) * count
        return replies[at] if at < len(replies) else None

    return answer


def attempt(folder: Path, more: str = "", *, is_async: bool = False) -> RpcError:
    """What comes of a client's attempt to open a session."""

    async def main() -> None:
        opening = libvirt.open_async(uri(folder, more), ask=answers, timeout=DEADLINE)
        async with opening:
            pytest.fail("logged in")

    def run() -> None:
        if is_async:
            asyncio.run(asyncio.wait_for(main(), DEADLINE))
        else:
            libvirt.open(uri(folder, more), ask=answers, timeout=DEADLINE)

    with pytest.raises(RpcError) as caught:
        run()
    assert PASSWORD not in f"{caught.value!r} {caught.value}"
    return caught.value


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("offer", ["PLAIN", "SCRAM-SHA-1,PLAIN", "SCRAM-SHA-256,GSSAPI", "", ",,"])
def test_a_stripped_offer_is_noticed(offer: str, is_async: bool, tmp_path: Path) -> None:
    """Who demands a mechanism does not use a weaker one, nor say a password."""
    with impostor(tmp_path, saying(offer)) as server:
        error = attempt(tmp_path, "&auth=sasl.SCRAM-SHA-512", is_async=is_async)
        assert isinstance(error, AuthError)
        assert str(error).startswith("SASL mechanism SCRAM-SHA-512: the server offers ")
    assert server.asked == [LIST, INIT]


@pytest.mark.parametrize("methods", [b"\0\0\0\0", b"\0\0\0\1\0\0\0\0", b"\0\0\0\1\0\0\0\2"])
def test_who_demands_sasl_is_not_let_in_without(methods: bytes, tmp_path: Path) -> None:
    """Of the server's methods none is left, or others than were demanded."""
    with impostor(tmp_path, lambda *_: methods) as server:
        error = attempt(tmp_path, "&auth=sasl.SCRAM-SHA-512")
        assert isinstance(error, AuthError)
        assert "was asked for, the server offers" in str(error)
    assert server.asked == [LIST]


@pytest.mark.parametrize(
    "offer", ["\x1b[2J\n", "A" * 5_000, "SCRAM-SHA-256\0", "\udcff", "PLAİN", "sasl.PLAIN"]
)
def test_hostile_names_of_mechanisms(offer: str, tmp_path: Path) -> None:
    with impostor(tmp_path, saying(offer)) as server:
        error = attempt(tmp_path)
        assert len(str(error)) < 500
        assert "\n" not in str(error)
        assert "\x1b" not in str(error)
    assert server.asked == [LIST, INIT]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "replies",
    [
        [completed(1, None)],
        [completed(1, b"")],
        [completed(-1 & 0xFFFFFFFF, b"v=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")],
        [completed(1, b"r=x,s=c2FsdHNhbHRzYWx0c2Fs,i=4096")],
        [completed(0, None)],
    ],
)
def test_a_server_that_is_satisfied_too_early(
    replies: list[bytes], is_async: bool, tmp_path: Path
) -> None:
    with impostor(tmp_path, saying(NAME, *replies)) as server:
        assert isinstance(attempt(tmp_path, is_async=is_async), AuthError)
    assert server.asked == [LIST, INIT, START]


def first_message(server: Impostor) -> bytes:
    """What the client began with."""
    return said(bytes(4) + server.heard[0][4 + len(NAME) + -len(NAME) % 4 :])[1]


def test_a_server_that_does_not_know_the_password(tmp_path: Path) -> None:
    """It lets everybody in, and proves nothing."""
    scram = ScramServer(NAME, lambda *_: make_verifier(NAME, Secret("x"), iterations=4096))

    def answer(procedure: int, count: int) -> bytes | None:
        if procedure == START:
            return completed(0, scram.step(first_message(server)))
        if procedure == STEP:
            return completed(1, b"v=" + b"A" * 43 + b"=")
        return saying()(procedure, count)

    with impostor(tmp_path, answer) as server:
        assert isinstance(attempt(tmp_path), AuthError)
    assert server.asked == [LIST, INIT, START, STEP]


@pytest.mark.parametrize("mechanism", [NAME, "PLAIN", "EXTERNAL"])
@pytest.mark.parametrize("data", [None, b"", b"more"])
def test_a_server_that_goes_on_for_ever(mechanism: str, data: bytes | None, tmp_path: Path) -> None:
    with impostor(tmp_path, saying(mechanism, *[completed(0, data)] * 100)) as server:
        assert isinstance(attempt(tmp_path), AuthError)
    assert len(server.asked) <= 3 + ROUNDS_MAX


@pytest.mark.parametrize("count", ["0", "1", "4095", "99999999999", "-4096", "x"])
def test_iterations_that_nobody_should_ask_for(count: str, tmp_path: Path) -> None:
    def answer(procedure: int, calls: int) -> bytes | None:
        if procedure != START:
            return saying()(procedure, calls)
        nonce = first_message(server).rpartition(b"r=")[2]
        challenge = b"r=" + nonce + b"theirs,s=c2FsdHNhbHRzYWx0c2Fs,i=" + count.encode()
        return completed(0, challenge)

    with impostor(tmp_path, answer) as server:
        assert isinstance(attempt(tmp_path), AuthError)
    assert server.asked == [LIST, INIT, START]


@pytest.mark.parametrize(
    "payload",
    [
        completed(0, bytes(DATA_MAX + 1)),
        completed(0, b"x" * DATA_MAX),
        completed(0, b"abc")[:-1],
        completed(0, b"abc") + b"\0\0\0\0",
        b"",
        bytes(8) + b"\xff\xff\xff\xff",
        bytes(8) + b"\0\0\0\1\0\0\1\0",  # a char of 256
    ],
)
def test_replies_that_are_none(payload: bytes, tmp_path: Path) -> None:
    with impostor(tmp_path, saying(NAME, payload)) as server:
        attempt(tmp_path)
    assert server.asked == [LIST, INIT, START]


def test_an_event_before_the_login_is_not_obeyed(tmp_path: Path) -> None:
    """Packets in between that nobody asked for, then the end."""

    def serve() -> None:
        connected, _ = listening.accept()
        with Raw(connected, REMOTE_PROGRAM.number) as raw:
            call = raw.read()
            for kind, status in (MESSAGE, OK), (REPLY, OK), (REPLY, ERROR), (CALL, OK):
                raw.send(raw.packet(HOSTNAME, serial=77, type_=kind, status=status))
            raw.send(raw.packet(LIST, b"\0\0\0\1\0\0\0\1", serial=call.serial, type_=REPLY))
            assert raw.read().procedure == INIT

    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(f"{tmp_path}/s")
        listening.listen()
        listening.settimeout(DEADLINE)
        done = pool.submit(serve)
        assert isinstance(attempt(tmp_path), ConnectionClosed)
        done.result(DEADLINE)


PIECES = [
    *(
        b"r=",
        b"nonce",
        b",",
        b"s=",
        b"QSXCR+Q6sek8bf92",
        b"i=4096",
        b"i=0",
        b"v=",
        b"e=other-error",
    ),
    *(b"v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", b"m=x", b"\0", b"\xff", b"\xed\xa0\x80", b"=", b"n,,"),
]
DATA = (
    st.none() | st.binary(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join)
)
REPLIES = st.lists(
    st.builds(completed, st.sampled_from([0, 1, 2, 0xFFFFFFFF]), DATA) | st.binary(max_size=60),
    max_size=4,
)
OFFERS = st.lists(st.sampled_from([NAME, "SCRAM-SHA-1", "GSSAPI", "X", "", " "]), max_size=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


@given(offer=OFFERS.map(",".join), replies=REPLIES, is_async=st.booleans())
def test_no_replies_log_a_client_in(
    offer: str, replies: list[bytes], is_async: bool, place: Path
) -> None:
    with impostor(place, saying(offer, *replies)):
        attempt(place, is_async=is_async)


@given(payloads=st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_no_payloads_at_all_log_a_client_in_that_demands_sasl(
    payloads: list[bytes], place: Path
) -> None:
    rest = iter(payloads)
    with impostor(place, lambda *_: next(rest, None)):
        attempt(place, "&auth=sasl.SCRAM-SHA-256")
