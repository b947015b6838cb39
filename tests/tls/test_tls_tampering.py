"""Somebody on the way changes, drops or adds bytes of a handshake, or ends it: no side is deceived."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cryptography", reason="not installed: cryptography")

from tls.authority import Authority, write_pki

from rpcgen.runtime.errors import ConnectionClosed, TlsError
from rpcgen.runtime.tls.certificates import Role
from rpcgen.runtime.tls.context import ClientTls, ServerTls
from rpcgen.runtime.tls.handshake import Handshake, Want
from rpcgen.runtime.tls.stream import TlsStream
from rpcgen.runtime.transport.stream import SocketStream
from rpcgen.runtime.xdr import Buffer

VERSIONS = {"1.2": "NORMAL:-VERS-TLS1.3", "1.3": "NORMAL:-VERS-TLS1.2"}
TURNS = 50
"""More than a handshake takes: who still waits then, waits for bytes that will not come."""


class Tampered(SocketStream):
    """What it sends has one place where it is changed.

    Args:
        at: of how many bytes the place is behind.
        how: what is done there: bytes that are put over it, put between, dropped, or the end.
    """

    def __init__(self, connected: socket.socket, at: int, how: str, junk: bytes) -> None:
        super().__init__(connected)
        self.sent = 0
        self._at = at
        self._how = how
        self._junk = junk

    def send(self, buffers: Sequence[Buffer]) -> int:
        data = b"".join(buffers)
        place = self._at - self.sent
        self.sent += len(data)
        changed = self._changed(data, place) if 0 <= place < len(data) else data
        if changed:
            assert super().send([changed]) == len(changed)
        if self._how == "end" and self.sent > self._at:
            self.shutdown()
        return len(data)

    def _changed(self, data: bytes, place: int) -> bytes:
        before, behind = data[:place], data[place:]
        if self._how == "over":
            return before + self._junk[: len(behind)] + behind[len(self._junk) :]
        if self._how == "between":
            return before + self._junk + behind
        if self._how == "drop":
            return before + behind[len(self._junk) :]
        return before


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority()
    write_pki(folder, authority, authority.issue("localhost", Role.SERVER), Role.SERVER)
    write_pki(folder, authority, authority.issue("client", Role.CLIENT), Role.CLIENT)
    return folder


def finished(side: Handshake) -> TlsStream | None:
    """Its stream, if it has come so far; whatever is wrong is an error of ours, on one line."""
    try:
        return side.result if side.step() is Want.NOTHING else None
    except (TlsError, ConnectionClosed) as error:
        assert str(error).isprintable()  # noqa: PT017  (most come to this, not all)
        side.below.shutdown()
        return None


def shake(server: Handshake, client: Handshake) -> tuple[TlsStream | None, TlsStream | None]:
    for _ in range(TURNS):
        ours, theirs = finished(server), finished(client)
        if ours and theirs:
            break
    return ours, theirs


@pytest.mark.parametrize("version", VERSIONS)
@given(
    at=st.integers(0, 1_500) | st.integers(0, 120),
    how=st.sampled_from(["over", "between", "drop", "end"]),
    junk=st.binary(min_size=1, max_size=8),
    of_server=st.booleans(),
)
def test_nobody_is_deceived(
    version: str, at: int, how: str, junk: bytes, of_server: bool, pki: Path
) -> None:
    """A stream comes of it only if both sides have seen the same, and know each other."""
    one, two = socket.socketpair()
    ours: SocketStream = Tampered(one, at, how, junk) if of_server else SocketStream(one)
    theirs: SocketStream = SocketStream(two) if of_server else Tampered(two, at, how, junk)
    server = ServerTls(pkipath=str(pki), priority=VERSIONS[version]).handshake(ours)
    client = ClientTls(pkipath=str(pki), priority=VERSIONS[version]).handshake(theirs, "localhost")
    try:
        accepted, confirmed = shake(server, client)
        if confirmed:
            assert confirmed.identity.distinguished_name == "CN=localhost"
        if accepted:
            assert accepted.identity.distinguished_name == "CN=client"
            assert accepted.version == f"TLSv{version}"
        if accepted and confirmed:
            assert accepted.cipher == confirmed.cipher
            assert accepted.send([b"hello"]) == 5
    finally:
        ours.close()
        theirs.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_without_tampering_it_works(version: str, pki: Path) -> None:
    """What the other test does with a place that is never reached."""
    one, two = socket.socketpair()
    ours, theirs = Tampered(one, 1 << 20, "over", b"x"), Tampered(two, 1 << 20, "drop", b"x")
    server = ServerTls(pkipath=str(pki), priority=VERSIONS[version]).handshake(ours)
    client = ClientTls(pkipath=str(pki), priority=VERSIONS[version]).handshake(theirs, "localhost")
    accepted, confirmed = shake(server, client)
    assert accepted
    assert confirmed
    assert accepted.version == f"TLSv{version}"
    assert min(ours.sent, theirs.sent) > 500
    ours.close()
    theirs.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("of_server", [False, True])
def test_each_bit_of_a_message_counts(version: str, of_server: bool, pki: Path) -> None:
    """Beyond the heads of records, a byte that is another is never overlooked by both."""
    priority = VERSIONS[version]
    tls = ServerTls(pkipath=str(pki), priority=priority), ClientTls(
        pkipath=str(pki), priority=priority
    )
    for at in [*range(5, 60, 7), *range(60, 600, 45)]:
        one, two = socket.socketpair()
        ours: SocketStream = Flipped(one, at) if of_server else SocketStream(one)
        theirs: SocketStream = SocketStream(two) if of_server else Flipped(two, at)
        accepted, confirmed = shake(tls[0].handshake(ours), tls[1].handshake(theirs, "localhost"))
        assert not (accepted and confirmed), at
        ours.close()
        theirs.close()


class Flipped(Tampered):
    """All bits of one byte are the other way."""

    def __init__(self, connected: socket.socket, at: int) -> None:
        super().__init__(connected, at, "flip", b"")

    def _changed(self, data: bytes, place: int) -> bytes:
        return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
