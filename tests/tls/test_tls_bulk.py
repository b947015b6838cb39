"""Many records at once inside TLS: all that is there in one call, and what comes behind them is not lost."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")

from hypothesis import given
from hypothesis import strategies as st
from tls.authority import Authority, write_pki
from tls.pair import connected

from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ClientTls, ServerTls
from rpcgen.runtime.tls.stream import TlsStream
from rpcgen.runtime.tls.wire import RECORD, Wire

Pair = tuple[TlsStream, TlsStream]

VERSIONS = {"1.2": "NORMAL:-VERS-TLS1.3", "1.3": "NORMAL"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("pki")
    authority = Authority()
    for role in Role:
        write_pki(folder, authority, authority.issue("localhost", role), role)
    return folder


@contextmanager
def pair(pki: Path, version: str) -> Iterator[Pair]:
    server = ServerTls(pkipath=str(pki))
    client = ClientTls(pkipath=str(pki), priority=VERSIONS[version])
    with connected(server, client) as both:
        yield both


@pytest.fixture(params=VERSIONS)
def streams(request: pytest.FixtureRequest, pki: Path) -> Iterator[Pair]:
    with pair(pki, request.param) as both:
        yield both


@contextmanager
def socket_of(stream: TlsStream) -> Iterator[socket.socket]:
    """What is below a stream; it stays open when the stream is closed."""
    with socket.socket(fileno=socket.fromfd(stream.fileno(), socket.AF_UNIX, 1).detach()) as below:
        yield below


def space(records: float) -> memoryview:
    return memoryview(bytearray(int(records * RECORD)))


def is_readable(stream: TlsStream) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def test_one_call_takes_all_that_is_there(streams: Pair) -> None:
    one, two = streams
    data = bytes(range(256)) * 160
    assert one.send([data]) == len(data)
    assert one.send([b"small"]) == 5
    assert one.send([b"too"]) == 3
    wide = space(10)
    assert two.receive(wide) == len(data) + 8
    assert wide[: len(data) + 8] == data + b"smalltoo"
    assert not is_readable(two)
    assert two.receive(wide) is None


def test_no_record_is_begun_that_might_not_fit(streams: Pair) -> None:
    one, two = streams
    assert one.send([bytes(4 * RECORD)]) == 4 * RECORD
    counts = [two.receive(space(size)) for size in (1, 2.5)]
    assert counts == [RECORD, 2 * RECORD]
    assert is_readable(two)
    assert two.receive(space(9)) == RECORD


def test_the_end_behind_records_is_told(streams: Pair) -> None:
    one, two = streams
    with socket_of(one):
        one.send([bytes(3 * RECORD)])
        one.close()
        assert two.receive(space(9)) == 3 * RECORD
        assert is_readable(two)
        assert two.receive(space(9)) == 0


def test_an_end_that_looks_like_data_is_told(
    streams: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a peer would that pads its alerts."""
    one, two = streams
    monkeypatch.setattr(Wire, "is_data_next", True)
    with socket_of(one):
        one.send([b"last words"])
        one.close()
        assert two.receive(space(9)) == 10
        assert is_readable(two)
        assert two.receive(space(9)) == 0


@pytest.mark.parametrize("size", [100, RECORD + 17])
def test_a_bad_record_costs_none_before_it(streams: Pair, size: int) -> None:
    one, two = streams
    one.send([bytes(2 * RECORD)])
    with socket_of(one) as below:
        below.sendall(b"\x17\x03\x03" + size.to_bytes(2) + bytes(size))
    assert two.receive(space(9)) == 2 * RECORD
    for _ in range(2):
        assert is_readable(two)
        with pytest.raises(ConnectionClosed, match="TLS"):
            two.receive(space(9))


@given(
    st.lists(st.integers(1, 2 * RECORD), min_size=1, max_size=5),
    st.lists(st.integers(1, 70_000), max_size=8),
    st.sampled_from(sorted(VERSIONS)),
)
def test_whole_records_are_out_however_they_come(
    pki: Path, sizes: list[int], cuts: list[int], version: str
) -> None:
    """After each piece that the system hands over, whoever polls has all that can be decrypted."""
    with pair(pki, version) as (one, two), socket_of(one) as below:
        cipher, ends = b"", []
        for size in sizes:
            for part in (min(size, RECORD), max(size - RECORD, 0)):
                if part:
                    one._ssl.write(bytes(part))
                    cipher += one._wire.outgoing.read()
                    ends.append((len(cipher), part))
        came = 0
        for start, stop in zip([0, *(places := sorted(cuts))], [*places, None], strict=True):
            below.sendall(cipher[start:stop])
            while is_readable(two):
                came += two.receive(space(3)) or 0
            sent = len(cipher[:stop])
            assert came == sum(part for end, part in ends if end <= sent)
