"""Sessions that log in at our own server: who gets in, what refused clients learn, and what the log keeps."""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scramp", reason="not installed: scramp")

from libvirt_session.guarded import PASSWORD, Guarded, guarded, uri
from raw import DEADLINE, ERROR, Raw
from server.kit import plain_socket
from wire_cases import Failure
from wire_replay import fails

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from libvirt_rpc.remote_protocol.program import REMOTE_PROGRAM
from rpcgen import libvirt
from rpcgen.libvirt import Question
from rpcgen.libvirt.authentication import ATTEMPTS_MAX, Authentication
from rpcgen.runtime import Server
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.auth.polkit import PolkitError
from rpcgen.runtime.auth.users import UserStore
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.message import RemoteError

SCRAM = ("SCRAM-SHA-512", "SCRAM-SHA-256")
INIT, START, STEP, POLKIT, LIST = 67, 68, 69, 70, 66
REFUSED = Failure(
    "authentication failed: authentication failed$", VirErrorNumber.VIR_ERR_AUTH_FAILED
)
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> UserStore:
    store = UserStore(tmp_path_factory.mktemp("users") / "users")
    store.add("fred", Secret(PASSWORD))
    store.add("jane", Secret("another"))
    return store


def answering(*answers: str | None) -> tuple[Any, list[Question]]:
    """Whoever answers questions in order, and what was asked."""
    asked: list[Question] = []

    def ask(question: Question) -> str | None:
        asked.append(question)
        return answers[len(asked) - 1]

    return ask, asked


@pytest.mark.parametrize("mechanism", [*SCRAM, "PLAIN"])
def test_whoever_knows_the_password_gets_in(
    mechanism: str, users: UserStore, tmp_path: Path
) -> None:
    authentication = Authentication(unix="sasl", mechanisms=[mechanism], users=users)
    ask, asked = answering("fred", PASSWORD, "fred", PASSWORD)

    async def main() -> None:
        async with libvirt.open_async(uri(tmp_path), ask=ask) as session:
            await session.remote.connect_get_hostname()

    with guarded(tmp_path, authentication) as hypervisor:
        with libvirt.open(uri(tmp_path), ask=ask) as session:
            session.remote.connect_get_hostname()
        asyncio.run(asyncio.wait_for(main(), DEADLINE))
        assert hypervisor.users == ["fred", "fred"]
    assert [one.kind for one in asked] == ["user", "password"] * 2
    assert asked[1] == Question("password", "localhost", "Password of fred for localhost")


def test_asyncio_goes_on_while_somebody_thinks(users: UserStore, tmp_path: Path) -> None:
    main_thread = threading.current_thread()

    def ask(question: Question) -> str:
        assert threading.current_thread() is not main_thread
        return "fred" if question.kind == "user" else PASSWORD

    async def later(question: Question) -> str:
        return "fred"

    async def main() -> None:
        async with libvirt.open_async(uri(tmp_path), ask=ask):
            pass
        with pytest.raises(AuthError, match="ask: expected a text, got coroutine"):
            await libvirt.open_async(uri(tmp_path), ask=later)  # type: ignore[arg-type]

    with guarded(tmp_path, Authentication(unix="sasl", users=users)):
        asyncio.run(asyncio.wait_for(main(), DEADLINE))


def test_a_file_answers(users: UserStore, tmp_path: Path) -> None:
    conf = tmp_path / "auth.conf"
    conf.write_text(
        "[credentials-t]\nauthname=jane\npassword=another\n[auth-libvirt-localhost]\ncredentials=t\n"
    )
    with guarded(tmp_path, Authentication(unix="sasl", users=users)) as hypervisor:
        with libvirt.open(uri(tmp_path, f"&authfile={conf}")) as session:
            session.remote.connect_get_hostname()
        assert hypervisor.users == ["jane"]


@pytest.mark.parametrize(
    ("answers", "allowed"),
    [
        (("fred", "not this one"), None),
        (("nobody", PASSWORD), None),
        (("fred", "another"), None),
        (("fred", PASSWORD), ["jane", "f"]),
        (("fred", PASSWORD), []),
    ],
)
@pytest.mark.parametrize("mechanism", [*SCRAM, "PLAIN"])
def test_others_do_not(
    answers: tuple[str, str],
    allowed: list[str] | None,
    mechanism: str,
    users: UserStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    authentication = Authentication(
        unix="sasl", mechanisms=[mechanism], users=users, allowed_users=allowed
    )
    ask, _ = answering(*answers)
    with guarded(tmp_path, authentication), pytest.raises(AuthError) as caught:
        libvirt.open(uri(tmp_path), ask=ask)
    assert isinstance(caught.value.__cause__, RemoteError)
    assert caught.value.__cause__.code == VirErrorNumber.VIR_ERR_AUTH_FAILED
    assert "refused" in caplog.text
    assert answers[1] not in caplog.text + repr(caught.value) + str(caught.value)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("&auth=sasl.PLAIN", "SASL mechanism PLAIN: the server offers 'SCRAM-SHA-512,SCRAM-SHA-256'"),
        ("&auth=polkit", "auth=polkit was asked for, the server offers sasl"),
        ("&authfile=/nonexistent", "/nonexistent: No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(more: str, reason: str, users: UserStore, tmp_path: Path) -> None:
    with guarded(tmp_path, Authentication(unix="sasl", users=users)):
        with pytest.raises(AuthError, match=reason):
            libvirt.open(uri(tmp_path, more))
        with pytest.raises(AuthError, match="the server wants a user name and a password: none in"):
            libvirt.open(uri(tmp_path))


def test_no_password_over_plain_tcp(users: UserStore, tmp_path: Path) -> None:
    ask, asked = answering("fred", PASSWORD)
    with (
        guarded(tmp_path, Authentication(users=users)) as hypervisor,
        pytest.raises(AuthError, match="the server refuses"),
    ):
        libvirt.open(f"test+tcp://127.0.0.1:{hypervisor.port}/default", ask=ask)
    assert asked == []


def test_the_kernel_knows_who_it_is(tmp_path: Path) -> None:
    authentication = Authentication(unix="sasl", mechanisms=["EXTERNAL"])
    with guarded(tmp_path, authentication) as hypervisor:
        with libvirt.open(uri(tmp_path)) as session:
            session.remote.connect_get_hostname()
        assert hypervisor.users == [ME]


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"unix": "sasl"}, AuthError, "unix: of [], no mechanism can be used there"),
        ({"tcp": "sasl", "mechanisms": ["EXTERNAL"]}, AuthError, "tcp: of ['EXTERNAL'], no"),
        ({"tls": "polkit"}, AuthError, "tls: there is no method 'polkit'"),
        ({"unix": "password"}, AuthError, "unix: there is no method 'password'"),
        (
            {"mechanisms": ["PLAIN"]},
            AuthError,
            "SASL mechanism PLAIN: a server needs a file with users",
        ),
        ({"mechanisms": ["SHOUT"]}, AuthError, "SASL mechanism 'SHOUT': expected one of"),
        ({"allowed_users": "jo*"}, TypeError, "allowed_users: expected a list of patterns"),
        ({"allowed_users": [7]}, TypeError, "allowed_users: expected patterns, got 7"),
    ],
)
def test_what_could_not_work_is_refused(
    settings: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error) as caught:
        Authentication(**settings)
    assert str(caught.value).startswith(reason)


def test_a_server_demands_what_its_program_does(users: UserStore, tmp_path: Path) -> None:
    hypervisor = Guarded(Authentication(unix="sasl", users=users))
    with Server([hypervisor], listen=[f"unix://{tmp_path}/s"]), raw(tmp_path) as client:
        fails(client.call(1, bytes(12)).payload, Failure("authentication is required"))
    with (
        Server([hypervisor], listen=[f"unix://{tmp_path}/s"], auth_required=False),
        raw(tmp_path) as client,
    ):
        assert client.call(1, bytes(8)).status == 0


def test_polkit_asks_one_thing_at_a_time_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Authentication, "method", lambda *_: "polkit")  # also of root
    gate, asked = threading.Event(), threading.Semaphore(0)

    async def check(*_: object) -> None:
        asked.release()
        await asyncio.to_thread(gate.wait, DEADLINE)
        raise PolkitError("no")

    monkeypatch.setattr("rpcgen.runtime.auth.polkit.check", check)
    with guarded(tmp_path, Authentication(unix="polkit")), raw(tmp_path) as client:
        client.send(client.packet(POLKIT, serial=1))
        assert asked.acquire(timeout=DEADLINE)
        client.send(client.packet(POLKIT, serial=2))
        reply = client.read()
        assert reply.serial == 2
        assert b"polkit is being asked" in reply.payload
        gate.set()
        assert client.read().serial == 1
        for _ in range(ATTEMPTS_MAX - 1):
            assert client.call(POLKIT).status == ERROR
        assert client.is_ended()


# Clients that do not follow the rules


@contextmanager
def raw(path: Path) -> Iterator[Raw]:
    with Raw(plain_socket(f"unix://{path}/s"), REMOTE_PROGRAM.number) as client:
        yield client


def word(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text + bytes(-len(text) % 4)


def chars(data: bytes | None) -> bytes:
    """``nil`` and the data, four bytes for each."""
    nil, data = int(data is None), data or b""
    words = b"".join(one.to_bytes(4, "big", signed=True) for one in data)
    return nil.to_bytes(4, "big") + len(data).to_bytes(4, "big") + words


def test_before_it_only_the_five_procedures(users: UserStore, tmp_path: Path) -> None:
    with guarded(tmp_path, Authentication(unix="sasl", users=users)), raw(tmp_path) as client:
        for number in (1, 2, 3, 59, 60, 71, 110):
            reply = client.call(number, bytes(40))
            assert reply.status == ERROR, number
            fails(reply.payload, Failure("authentication is required"))
        assert client.call(LIST).payload == b"\0\0\0\1\0\0\0\1"
        assert client.call(INIT).payload == word(b"SCRAM-SHA-512,SCRAM-SHA-256")
        fails(
            client.call(POLKIT).payload,
            Failure("authentication failed: polkit", VirErrorNumber.VIR_ERR_AUTH_FAILED),
        )


def test_steps_out_of_order_are_refused_and_one_may_begin_again(
    users: UserStore, tmp_path: Path
) -> None:
    with guarded(tmp_path, Authentication(unix="sasl", users=users)), raw(tmp_path) as client:
        fails(client.call(STEP, chars(b"")).payload, REFUSED)
        fails(client.call(START, word(b"PLAIN") + chars(b"\0fred\0x")).payload, REFUSED)
        assert client.call(INIT).status == 0
        fails(client.call(START, word(b"PLAIN") + chars(b"\0fred\0x")).payload, REFUSED)
        fails(
            client.call(START, word(b"SCRAM-SHA-256") + chars(b"n,,n=fred,r=abc")).payload, REFUSED
        )
        assert client.call(INIT).status == 0
        assert client.call(START, word(b"SCRAM-SHA-256") + chars(b"n,,n=fred,r=abc")).status == 0


def test_a_guesser_is_shut_out(users: UserStore, tmp_path: Path) -> None:
    with guarded(tmp_path, Authentication(unix="sasl", users=users)), raw(tmp_path) as client:
        for _ in range(ATTEMPTS_MAX):
            fails(client.call(STEP, chars(b"")).payload, REFUSED)
        assert client.is_ended()


def test_attempts_at_the_same_time_are_one_after_the_other(
    users: UserStore, tmp_path: Path
) -> None:
    with guarded(tmp_path, Authentication(unix="sasl", users=users)), raw(tmp_path) as client:
        start = word(b"SCRAM-SHA-256") + chars(b"n,,n=fred,r=abc")
        client.send(
            client.packet(INIT, serial=1),
            client.packet(START, start, serial=2),
            client.packet(START, start, serial=3),
        )
        assert {client.read().serial for _ in range(3)} == {1, 2, 3}
        fails(client.call(1, bytes(12)).payload, Failure("authentication is required"))


def test_nothing_shows_a_password(users: UserStore, tmp_path: Path, caplog: Any) -> None:
    """The log at its most talkative, what objects say of themselves, and the file."""
    caplog.set_level(logging.DEBUG)
    ask, _ = answering("fred", PASSWORD)
    with (
        guarded(tmp_path, Authentication(unix="sasl", users=users)),
        libvirt.open(uri(tmp_path), ask=ask) as session,
    ):
        shown = repr(vars(session)) + repr(session.remote)
    assert PASSWORD not in caplog.text + shown
    assert PASSWORD.encode() not in users.path.read_bytes()
