"""A server behind TLS: who gets in, what half-open handshakes cost others, and what a hand-over leaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")

from raw import DEADLINE, Raw
from server import kit
from server.kit import BLOB, DOWNLOAD, KIT, PLAIN, UPLOAD, Opening, offering, serving, settle

from rpcgen.runtime import connect, connect_async, limits
from rpcgen.runtime.errors import ConnectError, ConnectionClosed, TlsError
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.server import Server
from rpcgen.runtime.stubs import Call, StreamCall
from rpcgen.runtime.tls.context import ClientTls, ServerTls

LOOPBACK = "tls://127.0.0.1:0"


def double(call: Call, value: int) -> int:
    return 2 * value


@contextmanager
def plain_peer(pki: Path, server: Server, which: int = 0) -> Iterator[Raw]:
    """A client that is Python's ``ssl`` and nothing of ours."""
    context = ssl.create_default_context(cafile=str(pki / "cacert.pem"))
    context.load_cert_chain(pki / "clientcert.pem", pki / "clientkey.pem")
    address = server.addresses[which].removeprefix("tls://")
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), DEADLINE) as below:
        wrapped = context.wrap_socket(below, server_hostname=host)
        with Raw(wrapped, KIT.number, KIT.version) as raw:
            assert wrapped.recv(100) == b"\1"
            yield raw


def test_calls_and_streams_of_threads(tls: ServerTls, ours: ClientTls) -> None:
    received = []

    def upload(call: StreamCall[None], opening: Opening) -> None:
        received.append(b"".join(call.stream))

    server = offering(
        plain=double,
        blob=lambda _, size: bytes(range(256)) * (size // 256),
        upload=upload,
    )
    with (
        serving(server, listen=[LOOPBACK], tls=tls) as running,
        connect(running.addresses[0], tls=ours, timeout=DEADLINE) as connection,
    ):
        assert connection.call(PLAIN, 21, DEADLINE) == 42
        assert connection.call(BLOB, 2**24, DEADLINE) == bytes(range(256)) * 2**16
        with connection.open_stream(UPLOAD, Opening(0), lambda reply: reply, DEADLINE) as stream:
            for _ in range(50):
                stream.write(bytes(100_000))
            stream.finish()
        settle(lambda: bool(received))
        assert received == [bytes(5_000_000)]
        assert connection.identity.distinguished_name == "CN=localhost"


def test_calls_of_asyncio(tls: ServerTls, ours: ClientTls) -> None:
    def download(call: StreamCall[int], opening: Opening) -> Iterator[bytes]:
        call.reply(7)
        for _ in range(50):
            yield bytes(100_000)

    async def main(address: str) -> None:
        async with connect_async(address, tls=ours, timeout=DEADLINE) as connection:
            many = [connection.call(PLAIN, one, DEADLINE) for one in range(500)]
            assert await asyncio.gather(*many) == [2 * one for one in range(500)]
            opening = connection.open_stream(DOWNLOAD, Opening(0), lambda reply: reply, DEADLINE)
            async with opening as stream:
                assert stream.reply == 7
                assert sum([len(data) async for data in stream]) == 5_000_000

    with serving(offering(plain=double, download=download), listen=[LOOPBACK], tls=tls) as running:
        asyncio.run(asyncio.wait_for(main(running.addresses[0]), DEADLINE))


def test_a_client_that_is_not_ours(tls: ServerTls, pki: Path) -> None:
    seen = []

    def who(call: Call, value: int) -> int:
        seen.append(call.session.identity)
        return value

    with (
        serving(offering(plain=who), listen=[LOOPBACK], tls=tls) as running,
        plain_peer(pki, running) as raw,
    ):
        assert raw.call(PLAIN.number, kit.number(5)).payload == kit.number(5)
        assert seen[0].distinguished_name == "C=UK,CN=me"
        assert seen[0].secure
        assert seen[0].address.startswith("127.0.0.1:")


def test_who_is_not_allowed_gets_no_further(pki: Path, ours: ClientTls) -> None:
    strict = ServerTls(pkipath=str(pki), allowed_dn=["CN=other"])
    with serving(offering(plain=double), listen=[LOOPBACK], tls=strict) as running:
        with pytest.raises(TlsError, match="confirmation"):
            connect(running.addresses[0], tls=ours, timeout=DEADLINE)
        with pytest.raises(TlsError, match="certificate"):
            connect(running.addresses[0].replace("127.0.0.1", "[::ffff:127.0.0.1]"), tls=ours)
        assert running.sessions == []
        assert running.statistics.calls == 0


def test_a_client_whose_server_cannot_tell_who_it_is(
    tls: ServerTls, pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problems = [OSError("who?")]

    def required(_: Identity) -> bool:
        if problems:
            raise problems.pop()
        return False

    server = offering(plain=double)
    with serving(server, listen=[LOOPBACK], tls=tls, auth_required=required) as running:
        with plain_peer(pki, running) as raw:
            assert raw.is_ended()
        with plain_peer(pki, running) as raw:
            assert raw.call(PLAIN.number, kit.number(21)).payload == kit.number(42)
    assert [record.message for record in caplog.records] == ["tls: a client is turned away"]


def test_plain_clients_get_nothing(tls: ServerTls) -> None:
    with serving(offering(plain=double), listen=[LOOPBACK], tls=tls) as running:
        address = running.addresses[0].replace("tls:", "tcp:")
        with connect(address) as connection, pytest.raises(ConnectionClosed):
            connection.call(PLAIN, 1, DEADLINE)
        assert running.sessions == []


def test_tls_needs_certificates() -> None:
    with pytest.raises(TlsError, match="ServerTls"):
        serving(offering(plain=double), listen=[LOOPBACK])


def test_a_plain_server_is_not_mistaken(ours: ClientTls) -> None:
    with serving(offering(plain=double), listen=["tcp://127.0.0.1:0"]) as running:
        address = running.addresses[0].replace("tcp:", "tls:")
        with pytest.raises(TlsError, match="closed the connection in the handshake"):
            connect(address, tls=ours, timeout=DEADLINE)

        async def main() -> None:
            with pytest.raises(TlsError, match="closed the connection in the handshake"):
                await connect_async(address, tls=ours)

        asyncio.run(asyncio.wait_for(main(), DEADLINE))


@pytest.mark.parametrize("is_async", [False, True])
def test_a_server_that_says_nothing_is_not_waited_for(is_async: bool, ours: ClientTls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tls://127.0.0.1:{silent.getsockname()[1]}"

        async def main() -> None:
            await connect_async(address, tls=ours, timeout=0.05)

        def run() -> None:
            asyncio.run(asyncio.wait_for(main(), DEADLINE))

        with pytest.raises(ConnectError, match="timed out"):
            run() if is_async else connect(address, tls=ours, timeout=0.05)


def half_open(server: Server, data: bytes = b"") -> socket.socket:
    host, _, port = server.addresses[0].removeprefix("tls://").rpartition(":")
    connection = socket.create_connection((host, int(port)), DEADLINE)
    connection.sendall(data)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """Waits for the end; with what was not read before, the system makes it a reset."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_half_open_handshakes_keep_nobody_out(
    tls: ServerTls, ours: ClientTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKES_MAX", 4)
    with (
        serving(
            offering(plain=double),
            listen=[LOOPBACK],
            tls=tls,
            max_clients=3,
            max_anonymous_clients=1,
        ) as running,
        connect(running.addresses[0], tls=ours, timeout=DEADLINE) as before,
        ExitStack() as stack,
    ):
        begun = stack.enter_context(half_open(running, b"\x16\x03\x01"))
        silent = [stack.enter_context(half_open(running)) for _ in range(50)]
        assert before.call(PLAIN, 1, DEADLINE) == 2
        with connect(running.addresses[0], tls=ours, timeout=DEADLINE) as after:
            assert after.call(PLAIN, 2, DEADLINE) == 4
        for one in silent[:40]:
            assert is_ended(one)  # it gave way
        begun.sendall(b"\x00")
        begun.settimeout(0)
        with pytest.raises(BlockingIOError):
            begun.recv(1)  # who has said something does not, while others have said nothing


def test_a_handshake_has_its_time(tls: ServerTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT", 0.05)
    with (
        serving(offering(plain=double), listen=[LOOPBACK], tls=tls) as running,
        half_open(running, b"\x16\x03\x01\x02") as slow,
    ):
        assert is_ended(slow)


def test_stopping_ends_handshakes(tls: ServerTls) -> None:
    running = serving(offering(plain=double), listen=[LOOPBACK], tls=tls)
    with ExitStack() as stack:
        with running:
            one = stack.enter_context(half_open(running))
            two = stack.enter_context(half_open(running, b"\x16"))
        assert is_ended(one)
        assert is_ended(two)


def test_no_more_clients_than_allowed(tls: ServerTls, ours: ClientTls) -> None:
    """Handshakes that began together are not all let in."""
    with serving(
        offering(plain=double), listen=[LOOPBACK], tls=tls, max_clients=1, max_anonymous_clients=1
    ) as running:
        outcomes: list[str] = []
        gate = threading.Barrier(4)

        def run() -> None:
            gate.wait(DEADLINE)
            try:
                with connect(running.addresses[0], tls=ours, timeout=DEADLINE) as connection:
                    connection.call(PLAIN, 1, DEADLINE)
                    assert len(running.sessions) <= 1
                outcomes.append("served")
            except (TlsError, ConnectionClosed):
                outcomes.append("refused")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(outcomes) == 4
        assert "served" in outcomes


def test_a_hand_over_lets_tls_go_and_listens_anew(tls: ServerTls, ours: ClientTls) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    listen = [kit.fresh_address(), f"tls://127.0.0.1:{port}"]
    first = serving(offering(plain=double), listen=listen, tls=tls)
    with ExitStack() as stack:
        with first:
            plain = stack.enter_context(connect(first.addresses[0]))
            inside = stack.enter_context(connect(first.addresses[1], tls=ours, timeout=DEADLINE))
            assert plain.call(PLAIN, 1, DEADLINE) == inside.call(PLAIN, 1, DEADLINE) == 2
            first.hand_over()
        saved = first.saved
        assert saved is not None
        assert len(saved.clients) == 1
        assert len(saved.services) == 1
        with pytest.raises(ConnectionClosed):
            inside.call(PLAIN, 1, DEADLINE)
        second = serving(offering(plain=double), listen=listen, tls=tls)
        second.restore(saved)
        with second:
            assert plain.call(PLAIN, 4, DEADLINE) == 8
            with connect(listen[1], tls=ours, timeout=DEADLINE) as again:
                assert again.call(PLAIN, 5, DEADLINE) == 10
