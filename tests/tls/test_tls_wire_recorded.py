"""What a listener on the way sees: no word of a client inside TLS before the server's confirmation.

Records are told apart by their heads (RFC 8446, section 5.1). In TLS 1.3 the end of the handshake is
hidden in records of application data: there the client's are counted, and known by their sizes.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")

from raw import DEADLINE
from server.kit import BLOB, PLAIN, offering, serving
from tls.authority import Authority, write_pki
from wiretap import Wiretap

from rpcgen.runtime import connect, connect_async
from rpcgen.runtime.errors import ConnectError, TlsError
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ClientTls, ServerTls

CHANGE, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
FINISHED_1_3 = (52, 68)
"""Bytes of a Finished message inside a record of TLS 1.3: a hash of 32 or 48, its head of 4, the type
and the tag (RFC 8446, sections 4.4.4 and 5.2)."""

VERSIONS = {"1.2": "NORMAL:-VERS-TLS1.3", "1.3": "NORMAL:-VERS-TLS1.2"}


class Record(NamedTuple):
    """One record: from which side, of which type, and how many bytes it has."""

    is_client: bool
    kind: int
    size: int


def records(notes: list[tuple[bool, bytes]]) -> list[Record]:
    """All records in the order in which the last byte of each passed."""
    found: list[Record] = []
    held = {True: b"", False: b""}
    for is_client, data in notes:
        rest = held[is_client] + data
        while len(rest) >= 5 and len(rest) >= (end := 5 + int.from_bytes(rest[3:5], "big")):
            found.append(Record(is_client, rest[0], end - 5))
            rest = rest[end:]
        held[is_client] = rest
    assert not any(held.values())
    return found


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority()
    server = authority.issue("localhost", Role.SERVER, san=["127.0.0.1"])
    write_pki(folder, authority, server, Role.SERVER)
    write_pki(folder, authority, authority.issue("client", Role.CLIENT), Role.CLIENT)
    return folder


def ask(address: str, tls: ClientTls) -> None:
    with connect(address, tls=tls, timeout=DEADLINE) as connection:
        assert connection.call(PLAIN, 21, DEADLINE) == 42
        assert connection.call(BLOB, 1000, DEADLINE) == bytes(1000)


def ask_async(address: str, tls: ClientTls) -> None:
    async def main() -> None:
        async with connect_async(address, tls=tls, timeout=DEADLINE) as connection:
            assert await connection.call(PLAIN, 21, DEADLINE) == 42
            assert await connection.call(BLOB, 1000, DEADLINE) == bytes(1000)

    asyncio.run(asyncio.wait_for(main(), DEADLINE))


@pytest.mark.parametrize("asking", [ask, ask_async])
@pytest.mark.parametrize("version", VERSIONS)
def test_no_call_before_the_confirmation(
    version: str, asking: Callable[[str, ClientTls], None], pki: Path
) -> None:
    tls = ClientTls(pkipath=str(pki), priority=VERSIONS[version])
    program = offering(plain=lambda _, value: 2 * value, blob=lambda _, size: bytes(size))
    server = serving(
        program, listen=["tls://127.0.0.1:0"], tls=ServerTls(pkipath=str(pki))
    )  # fmt: skip
    with server as running:
        port = int(running.addresses[0].rpartition(":")[2])
        with Wiretap(port) as tap:
            asking(f"tls://127.0.0.1:{tap.port}", tls)
        seen = records(tap.notes)
    (check_1_2 if version == "1.2" else check_1_3)(seen)
    assert b"\x20\xf0\x00\x01" not in tap.sent + tap.received  # the program's number


def check_1_2(seen: list[Record]) -> None:
    """The handshake is over with the server's Finished: data follow, the first is one byte of it."""
    first = next(at for at, one in enumerate(seen) if one.kind == DATA)
    assert not seen[first].is_client
    assert seen[first].size == 8 + 1 + 16  # nonce, the confirmation, tag (RFC 5288, section 3)
    assert [one.kind for one in seen[:first] if one.is_client][-2:] == [CHANGE, HANDSHAKE]
    assert sum(one.is_client for one in seen[first:] if one.kind == DATA) >= 2  # the calls


def check_1_3(seen: list[Record]) -> None:
    """Behind the client's Finished, which is its last record of the handshake, comes nothing."""
    confirmed = next(
        at for at, one in enumerate(seen) if not one.is_client and one[1:] == (DATA, 1 + 1 + 16)
    )
    before = [one for one in seen[:confirmed] if one.is_client and one.kind == DATA]
    assert before[-1].size - 1 in FINISHED_1_3
    assert sum(one.size - 1 in FINISHED_1_3 for one in before) == 1
    assert len(before) <= 3  # certificate, its proof, and Finished
    after = [one for one in seen[confirmed:] if one.is_client and one.kind == DATA]
    assert len(after) >= 2


@contextmanager
def silent(
    pki: Path, version: ssl.TLSVersion
) -> Iterator[tuple[int, threading.Event, list[bytes]]]:
    """A server that shakes hands and never confirms; what it is told inside TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "cacert.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(pki / "servercert.pem", pki / "serverkey.pem")
    shaken, told = threading.Event(), list[bytes]()

    def serve() -> None:
        connected, _ = listening.accept()
        connected.settimeout(DEADLINE)
        with context.wrap_socket(connected, server_side=True) as inside:
            shaken.set()
            try:
                while data := inside.recv(100):
                    told.append(data)
            except (ssl.SSLEOFError, ConnectionResetError):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listening.getsockname()[1]), shaken, told
        thread.join(DEADLINE)
        assert not thread.is_alive()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_without_it_the_client_says_nothing(version: str, is_async: bool, pki: Path) -> None:
    tls = ClientTls(pkipath=str(pki), priority=VERSIONS[version])
    only = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
    with silent(pki, only) as (port, shaken, told), Wiretap(port) as tap:
        address = f"tls://127.0.0.1:{tap.port}"

        async def main() -> None:
            async with connect_async(address, tls=tls, timeout=0.5) as connection:
                await connection.call(PLAIN, 1, DEADLINE)

        def run() -> None:
            if is_async:
                asyncio.run(asyncio.wait_for(main(), DEADLINE))
            else:
                with connect(address, tls=tls, timeout=0.5) as connection:
                    connection.call(PLAIN, 1, DEADLINE)

        with pytest.raises(ConnectError, match="timed out"):
            run()
        assert shaken.wait(DEADLINE)
    assert told == []
    clients = [one for one in records(tap.notes) if one.is_client]
    if version == "1.2":
        assert DATA not in [one.kind for one in clients]
    else:
        hidden = [one.size - 1 for one in clients if one.kind == DATA]
        assert hidden[2] in FINISHED_1_3
        assert len(hidden) == 3  # certificate, its proof, and Finished: no more


@pytest.mark.parametrize("said", [b"\0", b"\2", b"no", b""])
def test_nor_after_another_word(said: bytes, pki: Path) -> None:
    """The client goes away without having said anything inside TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "cacert.pem"))
    context.load_cert_chain(pki / "servercert.pem", pki / "serverkey.pem")
    told: list[bytes] = []

    def serve() -> None:
        connected, _ = listening.accept()
        connected.settimeout(DEADLINE)
        with context.wrap_socket(connected, server_side=True, suppress_ragged_eofs=True) as inside:
            if said:
                inside.sendall(said)
            else:
                inside.shutdown(socket.SHUT_WR)
            try:
                told.append(inside.recv(100))
            except ConnectionResetError:
                told.append(b"")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"tls://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(TlsError, match="confirmation"):
            connect(address, tls=ClientTls(pkipath=str(pki)), timeout=DEADLINE)
        thread.join(DEADLINE)
    assert told == [b""]
