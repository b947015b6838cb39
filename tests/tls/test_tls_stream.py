"""The stream inside TLS: all bytes, in order, nothing kept back, and the end as it was meant."""

from __future__ import annotations

import random
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")

from hypothesis import given
from hypothesis import strategies as st
from tls.authority import Authority, write_pki
from tls.pair import connected, shaken

from rpcgen.runtime.errors import ConnectionClosed, TlsError
from rpcgen.runtime.tls import handshake
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ClientTls, ServerTls
from rpcgen.runtime.tls.stream import TlsStream
from rpcgen.runtime.tls.wire import RECORD
from rpcgen.runtime.transport.stream import SocketStream

Pair = tuple[TlsStream, TlsStream]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServerTls, ClientTls]:
    folder: Path = tmp_path_factory.mktemp("pki")
    authority = Authority()
    for role in Role:
        write_pki(folder, authority, authority.issue("localhost", role), role)
    return ServerTls(pkipath=str(folder)), ClientTls(pkipath=str(folder))


@pytest.fixture(params=["NORMAL:-VERS-TLS1.3", "NORMAL"], ids=["1.2", "1.3"])
def streams(request: pytest.FixtureRequest, sides: tuple[ServerTls, ClientTls]) -> Iterator[Pair]:
    server, client = sides
    version = ClientTls(client.credentials, priority=request.param)
    with connected(server, version) as pair:
        yield pair


def is_readable(stream: TlsStream) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def received(stream: TlsStream) -> bytes:
    """All that a poller would get: it asks only while the descriptor says that there is something."""
    found = b""
    space = memoryview(bytearray(stream.room))
    while is_readable(stream):
        count = stream.receive(space)
        if count == 0:
            break
        found += space[: count or 0]
    return found


def carry(sender: TlsStream, receiver: TlsStream, buffers: list[bytes]) -> bytes:
    """Send everything as an outbox does, the receiver reading when nothing more fits."""
    came = b""
    left = [memoryview(one) for one in buffers]
    while left:
        count = sender.send(left)
        if not count:
            came += received(receiver)
        while left and count >= len(left[0]):
            count -= len(left.pop(0))
        if count:
            left[0] = left[0][count:]
    return came + received(receiver)


def test_small_and_large_both_ways(streams: Pair) -> None:
    data = random.Random(1).randbytes(3_000_000)  # noqa: S311  (no secret)
    for one, two in (streams, streams[::-1]):
        assert carry(one, two, [b"a", b"bc"]) == b"abc"
        assert carry(one, two, [data[:10], data[10:100_000], data[100_000:]]) == data


@given(st.lists(st.integers(0, 3 * RECORD), max_size=8), st.randoms(use_true_random=False))
def test_any_pieces_arrive_whole(
    sides: tuple[ServerTls, ClientTls], sizes: list[int], generator: random.Random
) -> None:
    pieces = [generator.randbytes(size) for size in sizes if size]
    with connected(*sides) as (one, two):
        assert carry(one, two, pieces) == b"".join(pieces)


def test_nothing_is_kept_back(streams: Pair) -> None:
    one, two = streams
    for size in (1, 100, RECORD - 1, RECORD, 7):
        assert one.send([b"x" * size]) == size
    space = memoryview(bytearray(two.room))
    counts = []
    while is_readable(two):
        counts.append(two.receive(space))
    assert counts == [1, 100, RECORD - 1, RECORD, 7]
    assert two.receive(space) is None


def test_bytes_count_when_all_their_ciphertext_is_sent(streams: Pair) -> None:
    one, two = streams
    data = bytes(RECORD)
    total = 0
    while count := one.send([data]):
        total += count
    assert one.send([data]) == 0  # the same bytes come again until they are taken
    came = len(received(two))
    assert came >= total
    assert one.send([data, b"more"]) == len(data)
    assert one.send([b"more"]) == 4
    assert came + len(received(two)) == total + len(data) + 4


def test_the_end_is_told(streams: Pair) -> None:
    one, two = streams
    one.send([b"last words"])
    one.close()
    space = memoryview(bytearray(two.room))
    assert two.receive(space) == 10
    assert is_readable(two)
    assert two.receive(space) == 0


def test_the_end_is_told_though_the_socket_stays_open(streams: Pair) -> None:
    one, two = streams
    kept = socket.socket(fileno=socket.fromfd(one.fileno(), socket.AF_UNIX, 1).detach())
    one.send([b"last words"])
    one.close()
    with kept:
        space = memoryview(bytearray(two.room))
        assert two.receive(space) == 10
        assert is_readable(two)
        assert two.receive(space) == 0


def test_a_peer_that_just_goes_is_the_end(streams: Pair) -> None:
    one, two = streams
    one.shutdown()
    assert two.receive(memoryview(bytearray(two.room))) == 0
    with pytest.raises(ConnectionClosed):
        one.send([b"x"])


@pytest.mark.parametrize("junk", [b"\x17\x03\x03\x00\x20" + bytes(32), b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_ciphertext_ends_it(streams: Pair, junk: bytes) -> None:
    one, two = streams
    with socket.socket(fileno=socket.fromfd(one.fileno(), socket.AF_UNIX, 1).detach()) as plain:
        plain.send(junk)
    with pytest.raises(ConnectionClosed, match="TLS"):
        two.receive(memoryview(bytearray(two.room)))


def test_descriptors_do_not_travel(streams: Pair) -> None:
    assert not streams[0].passes_fds
    assert not streams[0].can_move
    with pytest.raises(ConnectionClosed, match="cannot travel"):
        streams[0].send_fd(0)


class Recorder(SocketStream):
    """Notes what passes."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        self.sent = 0

    def send(self, buffers: object) -> int:
        count = super().send(buffers)  # type: ignore[arg-type]
        self.sent += count
        return count


def test_the_client_waits_for_the_confirmation(sides: tuple[ServerTls, ClientTls]) -> None:
    """Without it there is no stream, so nothing could be sent on it."""
    server, client = sides
    ours, theirs = socket.socketpair()
    below = Recorder(theirs)
    shaking = [server.handshake(SocketStream(ours)), client.handshake(below, "localhost")]
    confirm = handshake.Handshake._confirm
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(handshake.Handshake, "_confirm", lambda _: False)
            before = -1
            while before != below.sent:  # until neither goes on
                before = below.sent
                wants = [one.step() for one in shaking]
            assert wants == [handshake.Want.READ, handshake.Want.READ]
            patch.setattr(handshake.Handshake, "_confirm", confirm)
        assert shaking[0]._ssl.version() == "TLSv1.3"
        shaking[0]._do = confirm
        assert [one.step() for one in shaking] == [handshake.Want.NOTHING] * 2
        assert below.sent == before
    finally:
        for one in shaking:
            one.below.close()


@pytest.mark.parametrize("said", [b"\0", b"\1\1", b"\2", b"\1" + b"early"])
def test_another_word_than_the_confirmation(
    sides: tuple[ServerTls, ClientTls], said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = handshake.CONFIRMATION

    def confirm(self: handshake.Handshake) -> bool:
        self._ssl.write(said)
        self._do = None
        return True

    monkeypatch.setattr(handshake.Handshake, "_confirm", confirm)
    with shaken(*sides) as outcome:
        assert isinstance(outcome.client, TlsError)
        assert f"confirmation, {real.hex()}" in str(outcome.client)


def step_on(side: handshake.Handshake) -> None:
    while side.step() is not handshake.Want.NOTHING:
        pass


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_bring_a_server_anything_but_refusal(
    sides: tuple[ServerTls, ClientTls], junk: bytes, is_client: bool
) -> None:
    ours, theirs = socket.socketpair()
    server, client = sides
    below = SocketStream(ours)
    side = client.handshake(below, "localhost") if is_client else server.handshake(below)
    with theirs:
        theirs.setblocking(False)
        if is_client:
            side.step()
        theirs.send(junk or b"\0")
        theirs.shutdown(socket.SHUT_WR)
        try:
            with pytest.raises((TlsError, ConnectionClosed)):
                step_on(side)
        finally:
            below.close()
