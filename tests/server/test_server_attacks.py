"""Peers who want nobody to be served: half-open handshakes by thousands, dawdlers, and who never reads.

A client that means well is served throughout: its calls are answered, and it can connect anew.
"""

from __future__ import annotations

import gc
import itertools
import logging
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="not installed: cryptography")

from raw import DEADLINE, ERROR, OK, Raw
from server.kit import (
    BLOB,
    LOGIN,
    PLAIN,
    URGENT,
    Busy,
    connect,
    descriptors,
    number,
    offering,
    plain_socket,
    serving,
    settle,
)

from rpcgen.runtime import connect as client_of
from rpcgen.runtime import limits
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.limits import AUTH_MESSAGE_MAX, OUTBOX_HIGH, RECEIVE_SIZE
from rpcgen.runtime.server import Server
from rpcgen.runtime.stubs import Call
from rpcgen.runtime.tls.context import ClientTls, ServerTls
from rpcgen.runtime.tls.handshake import Handshake

HALF_OPEN = 10_000
WAVE = 200
TLS, TCP = "tls://127.0.0.1:0", "tcp://127.0.0.1:0"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    settle(lambda: descriptors() <= before)


@pytest.fixture
def more_descriptors() -> Iterator[None]:
    """Room for both ends of all that are there at once."""
    needed = 2 * limits.HANDSHAKES_MAX + 4 * WAVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(needed, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def hello() -> bytes:
    """The first message of a client, whole."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def double(call: Call, value: int) -> int:
    return 2 * value


def login(call: Call) -> None:
    call.session.authenticate()


def served(server: Server, ours: ClientTls, old: Connection) -> None:
    """A client that is there is answered, and so is one that comes."""
    assert old.call(PLAIN, 1, DEADLINE) == 2
    with client_of(server.addresses[0], tls=ours, timeout=DEADLINE) as new:
        assert new.call(PLAIN, 2, DEADLINE) == 4


def send(peer: socket.socket, data: bytes) -> bool:
    """Send as much as goes now; False if nobody is there any more."""
    try:
        peer.send(data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


class Flood:
    """Packets for a peer that may take them slowly; one is never cut short.

    Args:
        again: send them for ever.
    """

    def __init__(self, peer: Raw, packets: bytes, *, again: bool = True) -> None:
        self._socket = peer.socket
        self._packets = packets if again else b""
        self._rest = packets

    def go_on(self) -> bool:
        """Send what goes now; False if nobody is there any more."""
        self._rest = self._rest or self._packets
        try:
            self._rest = self._rest[self._socket.send(self._rest, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def handshakes() -> int:
    """How many there are in memory."""
    return sum(isinstance(one, Handshake) for one in gc.get_objects())


@pytest.mark.usefixtures("more_descriptors")
def test_ten_thousand_half_open_handshakes(
    tls: ServerTls, ours: ClientTls, hello: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Some say nothing, some begin, some wait for an answer that they do not read."""
    caplog.set_level(logging.ERROR)  # each of them is worth a warning
    words = itertools.cycle([b"", hello[:1], hello[:5], hello[: len(hello) // 2], hello])
    with (
        serving(offering(plain=double), listen=[TLS], tls=tls, max_anonymous_clients=1) as server,
        client_of(server.addresses[0], tls=ours, timeout=DEADLINE) as old,
        ExitStack() as last,
    ):
        underway = server._running().handshakes
        assert underway is not None
        address = server.addresses[0].replace("tls:", "tcp:")
        for wave in range(HALF_OPEN // WAVE):
            with ExitStack() as stack:
                for _ in range(WAVE):
                    peer = stack.enter_context(plain_socket(address))
                    send(peer, next(words))
                assert len(underway) <= limits.HANDSHAKES_MAX
                if wave % 10 == 0:
                    served(server, ours, old)
                    assert handshakes() <= limits.HANDSHAKES_MAX + 10  # of others, a moment ago
                last.close()
                last.push(stack.pop_all())
        served(server, ours, old)
        last.close()
        settle(lambda: not underway)
        settle(lambda: len(server.sessions) == 1)
        served(server, ours, old)


def test_who_has_just_come_does_not_pay_for_those_who_dawdle(
    tls: ServerTls, hello: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All places are taken by peers who said something; one that is new is not the first to go."""
    monkeypatch.setattr(limits, "HANDSHAKES_MAX", 8)
    with serving(offering(plain=double), listen=[TLS], tls=tls) as server, ExitStack() as stack:
        address = server.addresses[0].replace("tls:", "tcp:")
        underway = server._running().handshakes
        assert underway is not None

        def come(words: bytes) -> socket.socket:
            peer = stack.enter_context(plain_socket(address))
            peer.settimeout(DEADLINE)
            peer.sendall(words)
            return peer

        for _ in range(8):
            come(hello[:1])
        settle(lambda: all(one.handshake.has_heard for one in list(underway._all)))
        new = come(b"")
        settle(lambda: any(not one.handshake.has_heard for one in list(underway._all)))
        for _ in range(3):
            come(hello[:1])
        new.sendall(hello)
        assert new.recv(1) == hello[:1]  # a handshake's record answers


def test_a_client_hello_byte_by_byte(
    tls: ServerTls, ours: ClientTls, hello: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serving(offering(plain=double), listen=[TLS], tls=tls) as server,
        client_of(server.addresses[0], tls=ours, timeout=DEADLINE) as old,
        ExitStack() as stack,
    ):
        monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT", 0.3)
        address = server.addresses[0].replace("tls:", "tcp:")
        peers = [stack.enter_context(plain_socket(address)) for _ in range(30)]
        rest = iter(hello[:-1])

        def all_gone() -> bool:
            word = bytes([next(rest, 0)]) if peers else b""
            peers[:] = [one for one in peers if send(one, word)]
            return not peers

        for _ in range(5):
            assert not all_gone()
            served(server, ours, old)
        monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT", DEADLINE)
        settle(all_gone)  # however much they say
        served(server, ours, old)


@contextmanager
def strangers(
    count: int, tls: ServerTls, ours: ClientTls
) -> Iterator[tuple[Server, Connection, list[Raw]]]:
    """A server, its client inside TLS, and as many as it bears of those who come by TCP to log in."""
    with (
        serving(
            offering(plain=double, login=login),
            listen=[TLS, TCP],
            tls=tls,
            auth_required=lambda identity: not identity.secure,
            max_anonymous_clients=count,
        ) as server,
        client_of(server.addresses[0], tls=ours, timeout=DEADLINE) as old,
        ExitStack() as stack,
    ):
        peers = [stack.enter_context(connect(server, 1)) for _ in range(count)]
        settle(lambda: server.statistics.unauthenticated == count)
        yield server, old, peers


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ("silent", limits.RECEIVE_MIN),
        ("a packet byte by byte", limits.RECEIVE_MIN),
        ("a large packet", 2 * AUTH_MESSAGE_MAX),
        ("no reader", RECEIVE_SIZE),
    ],
)
def test_who_does_not_log_in_makes_room(
    words: str, most: int, tls: ServerTls, ours: ClientTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AUTH_TIMEOUT", 0.3)
    with strangers(4, tls, ours) as (server, old, peers):
        hostile = [one for one in server.sessions if not one.is_authenticated]
        head = peers[0].packet(PLAIN.number)
        large = AUTH_MESSAGE_MAX.to_bytes(4, "big") + head[4:]
        says = {
            "silent": b"",
            "a large packet": large + bytes(AUTH_MESSAGE_MAX - len(large) - 1),
            "no reader": head * 2_000,
        }
        again = words == "no reader"
        floods = [Flood(one, says.get(words, b""), again=again) for one in peers]
        trickle = iter(large)

        def go_on() -> bool:
            if words == "a packet byte by byte":
                byte = bytes([next(trickle, 0)])
                for peer in peers:
                    send(peer.socket, byte)
            elif words != "silent":
                for flood in floods:
                    flood.go_on()
            for one in hostile:
                assert one.core.outbox.size < 2 * OUTBOX_HIGH
                assert one.core.reader.capacity <= most
            return all(one.core.closed is not None for one in hostile)

        go_on()
        assert old.call(PLAIN, 1, DEADLINE) == 2
        settle(go_on)
        assert all("authenticated in time" in str(one.core.closed) for one in hostile)
        with connect(server, 1) as late:
            assert late.call(LOGIN.number).status == OK
            assert late.call(PLAIN.number, number(4)).payload == number(8)
        served(server, ours, old)


def test_strangers_close_only_the_door_by_which_they_came(
    tls: ServerTls, ours: ClientTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of TCP never log in: no more of them are let in, but clients of TLS are."""
    monkeypatch.setattr(limits, "AUTH_TIMEOUT", None)
    with strangers(3, tls, ours) as (server, old, peers), connect(server, 1) as late:
        for _ in range(3):
            served(server, ours, old)
        assert server.statistics.unauthenticated == 3
        peers[0].socket.close()
        assert late.call(LOGIN.number).status == OK


def test_who_waits_for_an_answer_to_the_login_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "AUTH_TIMEOUT", 0.02)
    monkeypatch.setattr(limits, "AUTH_PATIENCE", 100_000)
    busy = Busy()

    def slow(call: Call) -> None:
        busy()
        call.session.authenticate()

    with (
        serving(offering(login=slow, plain=double), listen=[TCP], auth_required=True) as server,
        connect(server) as patient,
    ):
        patient.send(patient.packet(LOGIN.number))
        busy.wait(1)
        for _ in range(3):
            with connect(server) as silent:  # it came later, and is gone before
                assert silent.is_ended()
        busy.let_go()
        assert patient.read().status == OK
        with connect(server) as silent:
            assert silent.is_ended()
        assert patient.call(PLAIN.number, number(3)).payload == number(6)


def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUTH_TIMEOUT", 0.02)
    busy = Busy()
    with (
        serving(
            offering(login=lambda _: busy(), plain=double), listen=[TCP], auth_required=True
        ) as server,
        connect(server) as peer,
    ):
        peer.send(peer.packet(LOGIN.number))
        busy.wait(1)
        assert peer.is_ended()
        busy.let_go()


def test_large_packets_are_for_those_who_have_logged_in() -> None:
    big = AUTH_MESSAGE_MAX
    with serving(offering(login=login, plain=double), listen=[TCP], auth_required=True) as server:
        with connect(server) as peer:
            assert peer.call(PLAIN.number, bytes(big - 24)).status == ERROR
            assert peer.call(LOGIN.number).status == OK
            assert peer.call(PLAIN.number, bytes(big)).status == OK
            assert peer.call(PLAIN.number, number(3)).payload == number(6)
        with connect(server) as peer:
            peer.send(peer.packet(PLAIN.number, bytes(big - 23)))
            assert peer.is_ended()


@pytest.mark.parametrize("none", [None, 0])
def test_a_login_may_take_for_ever(none: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AUTH_TIMEOUT", none)
    with (
        serving(offering(login=login, plain=double), listen=[TCP], auth_required=True) as server,
        connect(server) as silent,
    ):
        settle(lambda: len(server.sessions) == 1)
        anonymity = server.sessions[0]._anonymity
        assert anonymity is not None
        assert anonymity._timer is None
        assert silent.call(LOGIN.number).status == OK


def inside_tls(server: Server, pki: Path) -> Raw:
    """A client that is bytes inside TLS, and confirmed."""
    context = ssl.create_default_context(cafile=str(pki / "cacert.pem"))
    context.load_cert_chain(pki / "clientcert.pem", pki / "clientkey.pem")
    below = plain_socket(server.addresses[0].replace("tls:", "tcp:"))
    below.settimeout(DEADLINE)
    wrapped = context.wrap_socket(below, server_hostname="127.0.0.1")
    assert wrapped.recv(1) == b"\1"
    return Raw(wrapped, PLAIN.program.number)


@pytest.mark.parametrize("inside", [False, True])
def test_who_never_reads_keeps_nobody_waiting(
    inside: bool, tls: ServerTls, ours: ClientTls, pki: Path
) -> None:
    """Inside TLS, and trusted: what waits for it has a bound, and its calls wait in the system."""
    size = 1 << 20
    most = 3
    with (
        serving(
            offering(plain=double, urgent=double, blob=lambda _, wanted: bytes(wanted)),
            listen=[TLS, TCP],
            tls=tls,
            max_client_requests=most,
        ) as server,
        client_of(server.addresses[0], tls=ours, timeout=DEADLINE) as old,
        ExitStack() as stack,
    ):
        settle(lambda: len(server.sessions) == 1)
        for _ in range(5):
            one = stack.enter_context(inside_tls(server, pki) if inside else connect(server, 1))
            one.send(*(one.packet(BLOB.number, number(size), serial=n) for n in range(1, 200)))
        settle(lambda: len(server.sessions) == 6)
        hostile = server.sessions[1:]
        settle(lambda: all(one.core.outbox for one in hostile))
        for value in range(20):
            served(server, ours, old)
            assert old.call(URGENT, value, DEADLINE) == 2 * value
        assert all(0 < one.traffic.requests <= most for one in hostile)
        assert all(0 < one.core.outbox.size < (most + 1) * size for one in hostile)
        assert all(one.core.reader.capacity <= RECEIVE_SIZE for one in hostile)


def test_a_flood_of_refusals_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls before the login are refused at once, by no handler; who does not read gets no more."""
    monkeypatch.setattr(limits, "AUTH_TIMEOUT", None)
    with (
        serving(offering(plain=double), listen=[TCP], auth_required=True) as server,
        connect(server) as peer,
    ):
        packets = peer.packet(PLAIN.number, number(1)) * 1_000
        flood = Flood(peer, packets)
        settle(lambda: bool(server.sessions))
        session = server.sessions[0]

        def is_full() -> bool:
            return flood.go_on() and not session.traffic.is_reading

        settle(is_full)
        assert session.core.outbox.size < 2 * OUTBOX_HIGH
        assert peer.read().status == ERROR


def test_a_handshake_that_is_done_and_reset_costs_nothing(tls: ServerTls, pki: Path) -> None:
    """Peers who are gone, with a reset, in each moment of the handshake."""
    context = ssl.create_default_context(cafile=str(pki / "cacert.pem"))
    context.load_cert_chain(pki / "clientcert.pem", pki / "clientkey.pem")
    with serving(offering(plain=double), listen=[TLS], tls=tls) as server:
        address = server.addresses[0].replace("tls:", "tcp:")
        for steps in range(6):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            inside = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            with plain_socket(address) as peer:
                peer.settimeout(DEADLINE)
                for _ in range(steps):
                    try:
                        inside.do_handshake()
                    except ssl.SSLWantReadError:
                        peer.sendall(outgoing.read())
                        incoming.write(peer.recv(65536))
                    else:
                        peer.sendall(outgoing.read())
                        break
                linger = (1).to_bytes(4, "little") + bytes(4)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        underway = server._running().handshakes
        settle(lambda: not underway and not server.sessions)
        with client_of(
            server.addresses[0], tls=ClientTls(pkipath=str(pki)), timeout=DEADLINE
        ) as client:
            assert client.call(PLAIN, 4, DEADLINE) == 8


def test_bytes_that_are_no_tls(tls: ServerTls, ours: ClientTls, hello: bytes) -> None:
    rubbish = [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x00\x00" * 50,
        bytes(100),
        b"\xff" * 70_000,
    ]
    rubbish += [hello[:5] + bytes(len(hello)), hello + b"\x17\x03\x03\x00\x01\x00" * 20]
    with (
        serving(offering(plain=double), listen=[TLS], tls=tls) as server,
        client_of(server.addresses[0], tls=ours, timeout=DEADLINE) as old,
    ):
        for words in rubbish:
            with plain_socket(server.addresses[0].replace("tls:", "tcp:")) as peer:
                peer.settimeout(DEADLINE)
                send(peer, words)
                try:
                    while peer.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
            served(server, ours, old)
        with (
            pytest.raises(ConnectionClosed),
            client_of(server.addresses[0].replace("tls:", "tcp:")) as plain,
        ):
            plain.call(PLAIN, 1, DEADLINE)
