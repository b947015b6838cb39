"""Procedures 67 to 69 as both sides carry them: what may come when, and who gets in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import pytest

from rpcgen.runtime.auth.choice import Credentials, can_start, choose, start_with
from rpcgen.runtime.auth.client import ClientExchange
from rpcgen.runtime.auth.external import ExternalClient, ExternalServer
from rpcgen.runtime.auth.mechanism import (
    DATA_MAX,
    MECHANISMS,
    ROUNDS_MAX,
    Secret,
    SecurityLayer,
    ServerMechanism,
)
from rpcgen.runtime.auth.plain import PlainClient, PlainServer
from rpcgen.runtime.auth.scram import ScramClient, ScramServer, Verifier, make_verifier
from rpcgen.runtime.auth.server import ServerExchange
from rpcgen.runtime.errors import AuthError

SCRAM = "SCRAM-SHA-256"
PASSWORD = Secret("open sesame")
VERIFIER = make_verifier(SCRAM, PASSWORD, salt=b"s" * 16, iterations=4096)
FRED = Credentials("fred", PASSWORD)


def verifier(_user: str, _mechanism: str) -> Verifier:
    return VERIFIER


def check(user: str, password: Secret) -> str:
    if password != PASSWORD:
        raise AuthError("wrong")
    return user


MAKERS: Mapping[str, Callable[[], ServerMechanism]] = {
    SCRAM: lambda: ScramServer(SCRAM, verifier),
    "EXTERNAL": lambda: ExternalServer("CN=fred"),
    "PLAIN": lambda: PlainServer(check),
}


class Layer:
    """A layer that says what it is told to."""

    send_max = receive_max = 1024

    def __init__(self, ssf: int) -> None:
        self.ssf = ssf

    def wrap(self, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data

    def unwrap(self, token: bytes) -> bytes:
        return token


class Talker:
    """A mechanism on either side that agrees at once on a layer, or never on anything."""

    name = "GSSAPI"
    user = "fred"

    def __init__(self, ssf: int = 0, *, endless: bool = False, says: bytes | None = None) -> None:
        self.layer: SecurityLayer | None = Layer(ssf) if ssf else None
        self.is_complete = False
        self._endless = endless
        self._says = says

    def start(self) -> bytes:
        return b"token"

    def step(self, _message: bytes | None) -> bytes | None:
        self.is_complete = not self._endless
        return self._says


def server(*, secure: bool = True, allowed: list[str] | None = None) -> ServerExchange:
    return ServerExchange(MAKERS, secure=secure, allowed=allowed)


def log_in(side: ServerExchange, name: str, password: Secret = PASSWORD) -> ClientExchange:
    """INIT to the end, by the names of the procedures."""
    chosen = choose(side.init(), secure=True, wanted=name)
    mechanism = start_with(chosen, Credentials("fred", password), host="localhost", secure=True)
    client = ClientExchange(mechanism, secure=True)
    complete, data = side.start(*client.start())
    while True:
        data = client.receive(complete, data)
        if client.is_complete:
            return client
        complete, data = side.step(data)


@pytest.mark.parametrize(("name", "user"), [(SCRAM, "fred"), ("PLAIN", "fred")])
def test_both_sides_come_to_an_end(name: str, user: str) -> None:
    side = server()
    client = log_in(side, name)
    assert (client.is_complete, side.is_complete, side.user) == (True, True, user)
    assert (client.layer, side.layer) == (None, None)


def test_external_asks_for_no_name() -> None:
    side = server()
    side.init()
    assert side.start("EXTERNAL", b"") == (True, None)
    assert side.user == "CN=fred"


def test_the_last_data_of_the_server_come_with_its_consent() -> None:
    side = server()
    side.init()
    client = ScramClient(SCRAM, "fred", PASSWORD)
    complete, challenge = side.start(SCRAM, client.start())
    assert not complete
    complete, last = side.step(client.step(challenge))
    assert complete
    assert last is not None
    assert last.startswith(b"v=")


def test_a_client_that_begins_with_nothing_may_begin_in_step() -> None:
    side = server()
    side.init()
    assert side.start("PLAIN", None) == (False, None)
    assert side.step(b"\0fred\0open sesame") == (True, None)


def test_a_server_that_sends_its_last_data_first_is_understood() -> None:
    side = server()
    side.init()
    client = ClientExchange(ScramClient(SCRAM, "fred", PASSWORD), secure=True)
    complete, data = side.start(*client.start())
    _, last = side.step(client.receive(complete, data))
    assert client.receive(False, last) is None
    assert not client.is_complete
    assert client.receive(True, None) is None
    assert client.is_complete


@pytest.mark.parametrize(
    ("allowed", "enters"),
    [
        (None, True),
        ([], False),
        (["fred"], True),
        (["f*"], True),
        (["fre"], False),
        (["root", "?red"], True),
    ],
)
def test_only_who_is_listed_enters(allowed: list[str] | None, enters: bool) -> None:
    side = server(allowed=allowed)
    if enters:
        log_in(side, SCRAM)
    else:
        with pytest.raises(AuthError, match="'fred' is not on the list"):
            log_in(side, SCRAM)
    assert (side.is_complete, side.user) == (enters, "fred" if enters else "")


def test_a_wrong_password_does_not_cost_the_next_attempt() -> None:
    side = server()
    for name in (SCRAM, "PLAIN"):
        with pytest.raises(AuthError):
            log_in(side, name, Secret("wrong"))
        assert not side.is_complete
    log_in(side, SCRAM)
    assert side.is_complete


def test_each_attempt_has_steps_of_its_own() -> None:
    side = server()
    for _ in range(ROUNDS_MAX + 1):
        with pytest.raises(AuthError, match="wrong"):
            log_in(side, "PLAIN", Secret("wrong"))
    log_in(side, SCRAM)


WRONG_TIMES: list[tuple[str, list[str]]] = [
    ("START first", ["start"]),
    ("STEP first", ["step"]),
    ("INIT twice", ["init", "init"]),
    ("STEP without START", ["init", "step"]),
    ("START twice", ["init", "begin", "start"]),
    ("INIT in between", ["init", "begin", "init"]),
]


@pytest.mark.parametrize(("_what", "calls"), WRONG_TIMES, ids=[what for what, _ in WRONG_TIMES])
def test_a_request_out_of_order_drops_what_was_reached(_what: str, calls: list[str]) -> None:
    side = server()
    client = ScramClient(SCRAM, "fred", PASSWORD)
    first = client.start()
    requests: dict[str, Callable[[], object]] = {
        "init": side.init,
        "begin": lambda: side.start(SCRAM, first),
        "start": lambda: side.start(SCRAM, first),
        "step": lambda: side.step(first),
    }
    for call in calls[:-1]:
        requests[call]()
    with pytest.raises(AuthError, match="was expected"):
        requests[calls[-1]]()
    for after in ("start", "step"):
        with pytest.raises(AuthError, match="INIT was expected"):
            requests[after]()
    log_in(side, SCRAM)
    assert side.user == "fred"


@pytest.mark.parametrize("call", ["init", "start", "step"])
def test_who_is_through_stays_through(call: str) -> None:
    side = server()
    log_in(side, SCRAM)
    requests: dict[str, Callable[[], object]] = {
        "init": side.init,
        "start": lambda: side.start("PLAIN", b""),
        "step": lambda: side.step(b""),
    }
    with pytest.raises(AuthError):
        requests[call]()
    assert (side.is_complete, side.user) == (True, "fred")


def test_a_replayed_exchange_is_refused() -> None:
    side = server()
    side.init()
    client = ScramClient(SCRAM, "fred", PASSWORD)
    first = client.start()
    proof = client.step(side.start(SCRAM, first)[1])
    side.step(proof)
    again = server()
    again.init()
    again.start(SCRAM, first)
    with pytest.raises(AuthError):
        again.step(proof)
    assert not again.is_complete


@pytest.mark.parametrize(
    "name", ["", "scram-sha-256", "GSSAPI", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "A" * 10_000]
)
def test_what_was_not_offered_is_refused(name: str) -> None:
    side = server()
    side.init()
    with pytest.raises(AuthError, match="not offered") as caught:
        side.start(name, b"")
    assert len(str(caught.value)) < 100


def test_too_much_data_is_refused() -> None:
    side = ServerExchange({"GSSAPI": lambda: Talker(endless=True)}, secure=True)
    side.init()
    side.start("GSSAPI", bytes(DATA_MAX))
    with pytest.raises(AuthError, match="too much"):
        side.step(bytes(DATA_MAX + 1))
    client = ClientExchange(ExternalClient(), secure=True)
    client.start()
    with pytest.raises(AuthError, match="or fewer"):
        client.receive(True, bytes(DATA_MAX + 1))


def test_nobody_talks_for_ever() -> None:
    side = ServerExchange({"GSSAPI": lambda: Talker(endless=True)}, secure=True)
    side.init()
    side.start("GSSAPI", b"")
    for _ in range(ROUNDS_MAX - 1):
        side.step(b"")
    with pytest.raises(AuthError, match="too many"):
        side.step(b"")
    client = ClientExchange(Talker(endless=True), secure=True)
    client.start()
    for _ in range(ROUNDS_MAX):
        client.receive(False, b"")
    with pytest.raises(AuthError, match="more than"):
        client.receive(False, b"")


@pytest.mark.parametrize(
    ("ssf", "secure", "enters"),
    [(0, True, True), (0, False, False), (55, False, False), (56, False, True)],
)
def test_a_layer_has_to_make_up_for_the_transport(ssf: int, secure: bool, enters: bool) -> None:
    side = ServerExchange({"GSSAPI": lambda: Talker(ssf)}, secure=secure)
    client = ClientExchange(Talker(ssf), secure=secure)
    side.init()
    _, token = client.start()
    if enters:
        side.start("GSSAPI", token)
        client.receive(True, None)
        assert client.layer is not None or ssf == 0
        assert side.layer is not None or ssf == 0
    else:
        with pytest.raises(AuthError, match="56 bits"):
            side.start("GSSAPI", token)
        with pytest.raises(AuthError, match="56 bits"):
            client.receive(True, None)
    assert (side.is_complete, client.is_complete) == (enters, enters)
    assert enters or (side.layer, client.layer) == (None, None)


def test_an_insecure_server_offers_only_what_encrypts() -> None:
    makers = {**MAKERS, "GSSAPI": lambda: Talker(256)}
    assert ServerExchange(makers, secure=False).init() == "GSSAPI"
    assert ServerExchange(makers, secure=True).init() == f"{SCRAM},EXTERNAL,PLAIN,GSSAPI"
    with pytest.raises(AuthError, match="fits"):
        ServerExchange(MAKERS, secure=False).init()


@pytest.mark.parametrize(
    "mechanism",
    [PlainClient("fred", PASSWORD), ScramClient(SCRAM, "fred", PASSWORD), ExternalClient()],
)
def test_a_client_says_nothing_where_others_read(
    mechanism: PlainClient | ScramClient | ExternalClient,
) -> None:
    with pytest.raises(AuthError, match="encrypts"):
        ClientExchange(mechanism, secure=False)


def test_a_client_believes_no_server_that_skips_the_proof() -> None:
    for complete, data in ((True, None), (True, b""), (True, b"v=AAAA")):
        client = ClientExchange(ScramClient(SCRAM, "fred", PASSWORD), secure=True)
        client.start()
        with pytest.raises(AuthError):
            client.receive(complete, data)
        assert not client.is_complete


@pytest.mark.parametrize(("endless", "says"), [(True, None), (True, b"wait"), (False, b"wait")])
def test_a_server_may_not_end_before_the_client(endless: bool, says: bytes | None) -> None:
    client = ClientExchange(Talker(endless=endless, says=says), secure=True)
    client.start()
    with pytest.raises(AuthError, match="before it has proved"):
        client.receive(True, None)


def test_a_server_may_not_end_after_the_challenge() -> None:
    client = ClientExchange(ScramClient(SCRAM, "fred", PASSWORD), secure=True)
    _, first = client.start()
    challenge = ScramServer(SCRAM, verifier).step(first or b"")
    with pytest.raises(AuthError, match="before it has proved"):
        client.receive(True, challenge)


@pytest.mark.parametrize(
    ("complete", "data"), [(False, None), (False, b""), (True, b"more"), (False, b"more")]
)
def test_a_server_may_not_go_on_after_the_end(complete: bool, data: bytes | None) -> None:
    client = ClientExchange(PlainClient("fred", PASSWORD), secure=True)
    client.start()
    with pytest.raises(AuthError, match="after the end"):
        client.receive(complete, data)


def test_a_client_that_failed_is_of_no_use() -> None:
    client = ClientExchange(PlainClient("fred", PASSWORD), secure=True)
    with pytest.raises(AuthError, match="running exchange, not a new"):
        client.receive(True, None)
    with pytest.raises(AuthError, match="not a failed"):
        client.start()


OFFERS: list[tuple[str, bool, str | None, set[str] | None, str]] = [
    ("PLAIN,SCRAM-SHA-1,SCRAM-SHA-512,SCRAM-SHA-256", True, None, None, "SCRAM-SHA-512"),
    ("PLAIN,SCRAM-SHA-1", True, None, None, "SCRAM-SHA-1"),
    ("plain, scram-sha-256", True, None, None, SCRAM),
    ("DIGEST-MD5,PLAIN", True, None, None, "PLAIN"),
    ("SCRAM-SHA-256,GSSAPI", True, None, None, "GSSAPI"),
    ("SCRAM-SHA-256,GSSAPI,PLAIN", False, None, None, "GSSAPI"),
    ("SCRAM-SHA-256,SCRAM-SHA-1", True, None, {"SCRAM-SHA-1"}, "SCRAM-SHA-1"),
    ("SCRAM-SHA-256,PLAIN", True, "plain", None, "PLAIN"),
]


@pytest.mark.parametrize(("offer", "secure", "wanted", "allowed", "chosen"), OFFERS)
def test_the_strongest_is_chosen(
    offer: str, secure: bool, wanted: str | None, allowed: set[str] | None, chosen: str
) -> None:
    found = choose(offer, secure=secure, wanted=wanted, allowed=allowed, able=lambda _: True)
    assert found == chosen


def test_what_cannot_start_is_passed_over() -> None:
    offer = "PLAIN,GSSAPI,SCRAM-SHA-256"
    assert choose(offer, secure=True, able=lambda name: name != "GSSAPI") == SCRAM
    with pytest.raises(AuthError, match="nothing can be used"):
        choose(offer, secure=False, able=lambda name: name != "GSSAPI")


REFUSED: list[tuple[str, bool, str | None, set[str] | None, str]] = [
    ("", True, None, None, "nothing"),
    ("DIGEST-MD5", True, None, None, "DIGEST-MD5"),
    ("SCRAM-SHA-256,PLAIN,EXTERNAL", False, None, None, "SCRAM-SHA-256,PLAIN,EXTERNAL"),
    ("PLAIN", True, None, {SCRAM}, "PLAIN"),
    ("SCRAM-SHA-256", True, "PLAIN", None, "the server offers 'SCRAM-SHA-256'"),
    ("SCRAM-SHA-256-PLUS", True, SCRAM, None, "the server offers"),
    ("PLAIN", False, "PLAIN", None, "encrypts"),
    ("PLAIN", True, "PLAIN", {SCRAM}, "not allowed"),
    ("CRAM-MD5", True, "CRAM-MD5", None, "expected one of GSSAPI"),
    ("X" * 70_000, True, None, None, "X"),
]


@pytest.mark.parametrize(("offer", "secure", "wanted", "allowed", "reason"), REFUSED)
def test_nothing_weaker_is_chosen(
    offer: str, secure: bool, wanted: str | None, allowed: set[str] | None, reason: str
) -> None:
    with pytest.raises(AuthError, match=reason) as caught:
        choose(offer, secure=secure, wanted=wanted, allowed=allowed, able=lambda _: True)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "name", [name for name, traits in MECHANISMS.items() if traits.needs_password]
)
def test_a_password_is_asked_for_where_it_is_needed(name: str) -> None:
    for credentials in (Credentials(), Credentials("fred"), Credentials("", PASSWORD)):
        with pytest.raises(AuthError, match="needs a user name and a password"):
            start_with(name, credentials, host="localhost", secure=True)
    assert start_with(name, FRED, host="localhost", secure=True).name == name


@pytest.mark.parametrize(
    ("name", "package", "extra"), [(SCRAM, "scramp", "sasl"), ("GSSAPI", "gssapi", "gssapi")]
)
def test_a_package_that_is_missing_is_named(
    name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(AuthError, match=rf"{package}: pip install 'rpcgen\[{extra}\]'"):
        start_with(name, FRED, host="localhost", secure=True)
    assert can_start("GSSAPI") is False or package != "gssapi"


def test_external_needs_no_password() -> None:
    assert start_with("EXTERNAL", Credentials(), host="localhost", secure=True).start() == b""


def test_nothing_is_started_on_the_wrong_transport() -> None:
    with pytest.raises(AuthError, match="encrypts"):
        start_with("PLAIN", FRED, host="localhost", secure=False)
