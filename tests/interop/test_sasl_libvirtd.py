"""Our mechanisms against the real libvirtd, whose SASL is Cyrus': packet by packet, and the layer by its bytes."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from helpers import require
from interop import kdc
from interop.daemons import (
    DEADLINE,
    PATH,
    WAYS,
    Libvirtd,
    ListeningLibvirtd,
    Setting,
    free_port,
    running,
)
from pki import write_both
from raw import ERROR, OK, Raw
from wiretap import Wiretap

from rpcgen import libvirt
from rpcgen.libvirt import Question
from rpcgen.runtime.auth.choice import Credentials, choose, start_with
from rpcgen.runtime.auth.client import ClientExchange
from rpcgen.runtime.auth.mechanism import Secret
from rpcgen.runtime.errors import AuthError

REMOTE = 0x20008086
OPEN, AUTH_LIST, INIT, START, STEP = 1, 66, 67, 68, 69
SASL = 1
AUTH_FAILED = 45
TEST_DRIVER = struct.pack(">II15sxI", 1, 15, b"test:///default", 0)

PASSWORDS = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]
FRED = Credentials("fred", Secret("open sesame"))


class RefusedError(Exception):
    """The server answered with an error; its number."""


class Sasl(Raw):
    """A client that knows the three procedures of SASL, in bytes of its own."""

    def ask(self, procedure: int, payload: bytes = b"") -> bytes:
        reply = self.call(procedure, payload)
        if reply.status == ERROR:
            raise RefusedError(*struct.unpack_from(">I", reply.payload))
        assert reply.status == OK
        return reply.payload

    def init(self) -> str:
        payload = self.ask(INIT)
        (length,) = struct.unpack_from(">I", payload)
        return payload[4 : 4 + length].decode()

    def start(self, name: str, data: bytes | None) -> tuple[bool, bytes | None]:
        word = name.encode()
        padded = word + bytes(-len(word) % 4)
        return self.negotiate(START, struct.pack(">I", len(word)) + padded, data)

    def step(self, data: bytes | None) -> tuple[bool, bytes | None]:
        return self.negotiate(STEP, b"", data)

    def negotiate(
        self, procedure: int, head: bytes, data: bytes | None
    ) -> tuple[bool, bytes | None]:
        """Each byte of the data takes four on the wire."""
        chars = data or b""
        payload = struct.pack(f">iI{len(chars)}i", data is None, len(chars), *chars)
        answer = self.ask(procedure, head + payload)
        complete, nil, length, *words = struct.unpack(f">{len(answer) // 4}i", answer)
        assert len(words) == length
        return bool(complete), None if nil else bytes(word & 0xFF for word in words)


@contextmanager
def daemon(
    kind: type[Libvirtd],
    folder: Path,
    mechanisms: str,
    environment: Mapping[str, str] | None = None,
    **more: Setting,
) -> Iterator[Libvirtd]:
    """A libvirtd that demands SASL, with Cyrus' configuration in a folder of ours."""
    require(shutil.which("libvirtd", path=PATH), "not installed: libvirtd")
    folder.chmod(0o755)
    (folder / "libvirt.conf").write_text(
        f"mech_list: {mechanisms}\nsasldb_path: {folder}/users.db\n"
    )
    variables = {"SASL_CONF_PATH": str(folder), **(environment or {})}
    script = folder / "libvirtd"
    words = " ".join(f"{name}={value}" for name, value in variables.items())
    script.write_text(f'#!/bin/sh\nexec env {words} libvirtd "$@"\n')
    script.chmod(0o755)
    ours: type[Libvirtd] = type("Ours", (kind,), {"PROGRAM": str(script)})
    settings: dict[str, Setting] = {"auth_unix_rw": "sasl", "auth_tcp": "sasl"}
    settings |= {"listen_tls": 0, "listen_tcp": 1, "listen_addr": "127.0.0.1"}
    settings |= more
    port = free_port()
    (folder / "port").write_text(str(port))
    with running(ours, WAYS[0], **settings, tcp_port=str(port)) as process:
        yield process


@contextmanager
def folder_with_fred() -> Iterator[Path]:
    """A folder for a daemon, with Cyrus' file of users, one of whom is ``fred``."""
    require(shutil.which("saslpasswd2", path=PATH), "not installed: saslpasswd2")
    with TemporaryDirectory() as name:
        folder = Path(name)
        command = ["saslpasswd2", "-c", "-p", "-f", f"{folder}/users.db", "-a", "libvirt", "fred"]
        done = subprocess.run(
            command, input=b"open sesame", env={"PATH": PATH}, timeout=DEADLINE, check=False
        )
        assert done.returncode == 0
        (folder / "users.db").chmod(0o644)
        yield folder


@pytest.fixture(scope="module")
def guarded() -> Iterator[Libvirtd]:
    """One with a user ``fred``."""
    with (
        folder_with_fred() as folder,
        daemon(Libvirtd, folder, "plain scram-sha-1 scram-sha-256 scram-sha-512") as process,
    ):
        yield process


@contextmanager
def connected(process: Libvirtd) -> Iterator[Sasl]:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    with Sasl(connection, REMOTE) as client:
        connection.connect(str(process.socket))
        yield client


def log_in(client: Sasl, exchange: ClientExchange) -> None:
    complete, data = client.start(*exchange.start())
    while True:
        answer = exchange.receive(complete, data)
        if exchange.is_complete:
            return
        complete, data = client.step(answer)


def exchange_for(name: str, credentials: Credentials = FRED) -> ClientExchange:
    mechanism = start_with(name, credentials, host="localhost", secure=True)
    return ClientExchange(mechanism, secure=True)


@pytest.mark.parametrize("name", PASSWORDS)
def test_a_user_of_cyrus_gets_in(guarded: Libvirtd, name: str) -> None:
    with connected(guarded) as client:
        assert client.ask(AUTH_LIST) == struct.pack(">II", 1, SASL)
        with pytest.raises(RefusedError):
            client.ask(OPEN, TEST_DRIVER)
        assert choose(client.init(), secure=True, wanted=name) == name
        log_in(client, exchange_for(name))
        assert client.ask(OPEN, TEST_DRIVER) == b""


def test_the_strongest_is_chosen(guarded: Libvirtd) -> None:
    with connected(guarded) as client:
        assert choose(client.init(), secure=True) == "SCRAM-SHA-512"


@pytest.mark.parametrize("name", PASSWORDS)
@pytest.mark.parametrize(
    "credentials",
    [Credentials("fred", Secret("wrong")), Credentials("jane", Secret("open sesame"))],
)
def test_others_are_refused_and_may_try_again(
    guarded: Libvirtd, name: str, credentials: Credentials
) -> None:
    with connected(guarded) as client:
        client.init()
        with pytest.raises(RefusedError, match=str(AUTH_FAILED)):
            log_in(client, exchange_for(name, credentials))
        with pytest.raises(RefusedError):
            client.ask(OPEN, TEST_DRIVER)
        client.init()
        log_in(client, exchange_for(name))
        assert client.ask(OPEN, TEST_DRIVER) == b""


def test_a_changed_challenge_of_cyrus_is_found_out(guarded: Libvirtd) -> None:
    with connected(guarded) as client:
        client.init()
        exchange = exchange_for("SCRAM-SHA-256")
        complete, challenge = client.start(*exchange.start())
        assert challenge
        with pytest.raises(AuthError):
            exchange.receive(complete, b"r=x" + challenge[2:])


def test_a_ticket_encrypts_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = kdc.missing()
    require(not lacking, lacking)
    with TemporaryDirectory() as name, kdc.realm(Path(name)) as realm:
        folder = Path(name)
        (folder / "keytab").chmod(0o644)
        _enter(monkeypatch, realm.environment)
        with daemon(ListeningLibvirtd, folder, "gssapi", realm.environment):
            port = int((folder / "port").read_text())
            with closing(socket.create_connection(("localhost", port), DEADLINE)) as connection:
                _encrypted_session(Sasl(connection, REMOTE))


def _enter(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def _encrypted_session(client: Sasl) -> None:
    name = choose(client.init(), secure=False)
    mechanism = start_with(name, Credentials(), host="localhost", secure=False)
    exchange = ClientExchange(mechanism, secure=False)
    log_in(client, exchange)
    layer = exchange.layer
    assert layer
    assert layer.ssf == 256
    call = client.packet(OPEN, TEST_DRIVER)
    for piece in (call[:5], call[5:]):  # packets and tokens have nothing to do with each other
        wire = layer.wrap(piece)
        assert piece not in wire
        client.socket.sendall(wire)
    (length,) = struct.unpack(">I", client._exactly(4))
    assert length <= layer.receive_max
    reply = layer.unwrap(client._exactly(length))
    assert struct.unpack(">IIIiiIi", reply) == (28, REMOTE, 1, OPEN, 1, 1, OK)


# Whole sessions


def fred(question: Question) -> str:
    return "fred" if question.kind == "user" else "open sesame"


@pytest.mark.parametrize("name", PASSWORDS)
def test_sessions_over_a_unix_socket(guarded: Libvirtd, name: str) -> None:
    uri = f"{guarded.uri}&auth=sasl.{name}"
    with libvirt.open(uri, ask=fred, timeout=DEADLINE) as session:
        assert session.remote.connect_get_type() == "TEST"
    with pytest.raises(AuthError, match="the server refuses"):
        libvirt.open(uri, ask=lambda _: "fred", timeout=DEADLINE)


def test_sessions_over_tls(tmp_path: Path) -> None:
    write_both(tmp_path)
    port = free_port()
    settings: dict[str, Setting] = {"listen_tls": 1, "tls_port": str(port), "auth_tls": "sasl"}
    for key, file in (("ca", "cacert"), ("cert", "servercert"), ("key", "serverkey")):
        settings[f"{key}_file"] = f"{tmp_path}/{file}.pem"
    uri = f"test+tls://localhost:{port}/default?pkipath={tmp_path}"

    async def main() -> None:
        async with libvirt.open_async(uri, ask=fred) as session:
            assert await session.remote.connect_get_type() == "TEST"

    with folder_with_fred() as folder:
        tmp_path.chmod(0o755)
        with daemon(ListeningLibvirtd, folder, "scram-sha-256 plain", None, **settings):
            with libvirt.open(uri, ask=fred, timeout=DEADLINE) as session:
                assert session.remote.connect_get_type() == "TEST"
            asyncio.run(asyncio.wait_for(main(), DEADLINE))
            with pytest.raises(AuthError, match="the server refuses"):
                libvirt.open(uri, ask=lambda _: "fred", timeout=DEADLINE)


def test_a_session_with_a_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = kdc.missing()
    require(not lacking, lacking)
    with TemporaryDirectory() as name, kdc.realm(Path(name)) as realm:
        (Path(name) / "keytab").chmod(0o644)
        _enter(monkeypatch, realm.environment)
        with daemon(ListeningLibvirtd, Path(name), "gssapi", realm.environment):
            port = int((Path(name) / "port").read_text())
            with Wiretap(port) as tap:
                uri = f"test+tcp://localhost:{tap.port}/default"
                with libvirt.open(uri, timeout=DEADLINE) as session:
                    assert session.remote.connect_get_type() == "TEST"
            assert b"test:///default" not in tap.sent
            assert len(tap.sent) > 1000
