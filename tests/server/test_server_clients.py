"""Clients come and go: who is accepted, who is known, and what is left when they are gone."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from raw import CALL_WITH_FDS, DEADLINE, KEEPALIVE, MESSAGE, OK, PING, PONG, Packet, Raw
from server.kit import (
    BLOB,
    KIT,
    LOGIN,
    PLAIN,
    QUICK,
    WITH_FDS,
    Busy,
    closing,
    connect,
    descriptors,
    number,
    offering,
    serving,
    settle,
)
from wire_cases import Failure
from wire_replay import fails

from rpcgen.runtime import Identity, limits
from rpcgen.runtime.server import Server
from rpcgen.runtime.stubs import Session

ECHO = {"quick": lambda _, value: value}


def on(loop: str) -> dict[str, Any]:
    """The setting of a server that runs there."""
    return {
        "loop_factory": pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None
    }


def answers(raw: Raw) -> bool:
    return raw.call(QUICK.number, number(5)).payload == number(5)


def is_waiting(raw: Raw, other: Raw) -> bool:
    """Whether a connection has not been accepted, although the loop has gone round many times."""
    raw.ping()
    assert all(other.is_quiet() for _ in range(5))
    return not select.select([raw.socket], [], [], 0)[0]


# Who is accepted


def test_clients_above_the_limit_wait_until_there_is_a_place() -> None:
    with (
        serving(offering(**ECHO), max_clients=2, max_anonymous_clients=0) as server,
        connect(server) as one,
        connect(server) as two,
    ):
        assert answers(one)
        assert answers(two)
        with connect(server) as three:
            assert is_waiting(three, two)
            one.socket.close()
            assert three.read().procedure == PONG
            assert answers(three)
            server.set_client_limits(3, 0)
            with connect(server) as four:
                assert answers(four)


def test_all_listeners_stop_accepting() -> None:
    listen = ["tcp://127.0.0.1:0", "tcp://[::1]:0"]
    with (
        serving(offering(**ECHO), listen=listen, max_clients=1, max_anonymous_clients=1) as server,
        connect(server, 0) as one,
        connect(server, 1) as two,
    ):
        assert answers(one)
        assert is_waiting(two, one)
        server.set_client_limits(2, 0)
        assert two.read().procedure == PONG


@pytest.mark.parametrize(("clients", "anonymous"), [(0, 0), (1, 2), (1, -1)])
def test_limits_of_clients_that_make_no_sense(clients: int, anonymous: int) -> None:
    with pytest.raises(ValueError, match="at least max_anonymous_clients"):
        serving(max_clients=clients, max_anonymous_clients=anonymous)


def test_authentication_comes_first_and_makes_room() -> None:
    handlers = offering(login=lambda call: call.session.authenticate(), **ECHO)
    with (
        serving(handlers, auth_required=True, max_anonymous_clients=1) as server,
        connect(server) as one,
        connect(server) as two,
    ):
        fails(one.call(QUICK.number, number(1)).payload, Failure("authentication is required"))
        fails(one.call(PLAIN.number, number(1)).payload, Failure("unknown procedure: 1"))
        assert server.statistics.unauthenticated == 1
        assert is_waiting(two, one)
        assert one.call(LOGIN.number).status == OK
        assert answers(one)
        assert two.read().procedure == PONG
        fails(two.call(QUICK.number, number(1)).payload, Failure("authentication is required"))
        server.send_event(KIT.procedures[9], 1)
        assert one.read().procedure == 9
        assert two.is_quiet()


def test_out_of_descriptors_accepting_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "ACCEPT_PAUSE", 0.05)
    problems = [
        OSError(errno.EMFILE, "too many open files"),
        OSError(errno.ECONNABORTED, "the client did not wait"),
        OSError(errno.EPERM, "a firewall"),
    ]
    with serving(offering(**ECHO)) as server:
        service = server._running()._services[0]
        accept = service.listener.socket.accept

        def failing() -> Any:
            if problems:
                raise problems.pop()
            return accept()

        monkeypatch.setattr(service.listener, "socket", Accepting(service.listener.socket, failing))
        with connect(server) as raw:
            assert answers(raw)
    assert len(caplog.messages) == 2
    assert "too many open files" in caplog.messages[1]


class Accepting:
    """A listening socket whose ``accept`` is another."""

    def __init__(self, listening: socket.socket, accept: Callable[[], Any]) -> None:
        self._listening = listening
        self.accept = accept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)


# Who they are


def test_what_handlers_see_of_a_client() -> None:
    seen: list[Session] = []

    def handler(call: Any, value: int) -> int:
        seen.append(call.session)
        return value

    with (
        serving(offering(quick=handler), listen=["tcp://127.0.0.1:0"]) as server,
        ExitStack() as stack,
    ):
        over_tcp = stack.enter_context(connect(server))
        assert answers(over_tcp)
        inside = stack.enter_context(Raw(pair_of(server), KIT.number))
        assert answers(inside)
        one, two = seen
        assert (one.id, two.id) == (1, 2)
        host, port = over_tcp.socket.getsockname()
        assert one.identity.address == f"{host}:{port}"
        assert (one.identity.uid, one.identity.secure) == (None, False)
        assert (two.identity.uid, two.identity.pid) == (os.getuid(), os.getpid())
        assert two.identity.secure
        one.data["name"] = "one"
        assert answers(over_tcp)
        assert (seen[2].data, two.data) == ({"name": "one"}, {})
        assert server.sessions == [one, two]
        assert repr(one) == f"<Session 1 of <Identity {host}:{port}>>"


def pair_of(server: Server) -> socket.socket:
    """The plain socket of a connection inside the process."""
    stream = server.dial()
    connection = socket.socket(fileno=os.dup(stream.fileno()))
    stream.close()
    return connection


# How they go


def test_on_close_is_called_once_where_it_was_asked_for() -> None:
    names: list[str] = []
    late: list[int | None] = []
    gone = threading.Semaphore(0)

    def note() -> None:
        names.append(threading.current_thread().name)
        gone.release()

    def handler(call: Any, value: int) -> int:
        call.session.on_close(note)
        sessions.append(call.session)
        return value

    sessions: list[Session] = []
    with serving(offering(plain=handler, quick=handler)) as server, connect(server) as raw:
        raw.call(PLAIN.number, number(1))
        raw.call(QUICK.number, number(1))
        raw.socket.close()
        for _ in range(2):
            assert gone.acquire(timeout=DEADLINE)
        # Even now it is known who that was.
        sessions[0].on_close(lambda: late.append(sessions[0].identity.pid))
        settle(lambda: late == [os.getpid()])
    assert sorted(names) == ["rpc server", "rpc worker"]


def test_a_callback_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def handler(call: Any, value: int) -> int:
        call.session.on_close(lambda: 1 / 0)
        call.session.on_close(done.set)
        return value

    done = threading.Event()
    with serving(offering(quick=handler)) as server, connect(server) as raw:
        assert answers(raw)
        raw.socket.close()
        assert done.wait(DEADLINE)
    assert caplog.messages == ["a job failed"]


@pytest.mark.parametrize("procedure", [PLAIN, QUICK])
def test_closing_a_session_answers_what_was_accepted(procedure: Any) -> None:
    with serving(offering(plain=closing, quick=closing)) as server, connect(server) as raw:
        raw.send(raw.packet(procedure.number, number(1)))
        assert raw.read().payload == number(1)
        assert raw.is_ended()


def test_closing_waits_for_calls_that_are_under_way() -> None:
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value), quick=closing)
    with serving(handlers) as server, connect(server) as raw:
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in (1, 2)))
        busy.wait(2)
        raw.send(raw.packet(QUICK.number, number(1), serial=3), raw.packet(QUICK.number, number(1)))
        assert raw.read().serial == 3
        busy.let_go()
        assert {raw.read().serial, raw.read().serial} == {1, 2}
        assert raw.is_ended()


@pytest.mark.parametrize("listen", ["unix", "tcp"])
def test_after_a_half_close_everything_is_answered(listen: str) -> None:
    busy = Busy()
    addresses = {"listen": ["tcp://127.0.0.1:0"]} if listen == "tcp" else {}
    handlers = offering(plain=lambda _, value: busy(value), **ECHO)
    with serving(handlers, **addresses) as server, connect(server) as raw:
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(8)), b"\0\0\0\x1c")
        raw.socket.shutdown(socket.SHUT_WR)
        busy.wait(5)
        busy.let_go()
        assert {raw.read().serial for _ in range(8)} == set(range(8))
        assert raw.is_ended()
        settle(lambda: server.sessions == [])


def test_a_half_close_without_calls_ends_at_once() -> None:
    with serving(offering()) as server, connect(server) as raw:
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.is_ended()


def test_a_client_that_is_killed_in_a_call() -> None:
    """The handler goes on, its answer is dropped, and the descriptor is back at once."""
    busy = Busy()
    finished = threading.Event()

    def handler(_: object, value: int) -> int:
        busy()
        finished.set()
        return value

    handlers = offering(plain=handler, **ECHO)
    with serving(handlers) as server, connect(server) as other:
        assert answers(other)
        before = descriptors()
        with connect(server) as raw:
            raw.send(*(raw.packet(PLAIN.number, number(i)) for i in range(3)))
            busy.wait(3)
        settle(lambda: len(server.sessions) == 1)
        settle(lambda: descriptors() == before)
        busy.let_go()
        assert finished.wait(DEADLINE)
        assert answers(other)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_dies_with_all_its_calls_under_way(loop: str) -> None:
    """It is not read, and nothing is due to it: only the system can tell."""
    closed = threading.Semaphore(0)

    async def handler(call: Any, value: int) -> int:
        gone = asyncio.Event()
        call.session.on_close(gone.set)
        await gone.wait()
        closed.release()
        return value

    with serving(offering(plain=handler), max_client_requests=2, **on(loop)) as server:
        with connect(server) as raw:
            raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(5)))
            settle(lambda: [one.traffic.requests for one in server.sessions] == [2])
        for _ in range(2):
            assert closed.acquire(timeout=DEADLINE)
        settle(lambda: server.sessions == [])


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_reset_behind_data(loop: str) -> None:
    """A client that dies before it has read everything resets the connection."""
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value), **ECHO)
    with (
        serving(handlers, min_workers=0, max_workers=0, **on(loop)) as server,
        connect(server) as other,
    ):
        with connect(server) as raw:
            raw.send(raw.packet(QUICK.number, number(1)))
            assert raw.socket.recv(1)
            # The loop is busy: it finds data and the reset together.
            other.send(other.packet(PLAIN.number, number(1)))
            busy.wait(1)
            raw.send(raw.packet(QUICK.number, number(2))[:13])
        busy.let_go()
        assert other.read().status == OK
        settle(lambda: len(server.sessions) == 1)


@pytest.mark.parametrize("count", [1, 3])
def test_calls_that_wait_for_a_worker_are_not_begun_for_nobody(count: int, tmp_path: Path) -> None:
    busy, begun = Busy(), []

    def with_fds(call: Any, value: int) -> tuple[int, list[int]]:
        begun.append(value)
        return value, []

    handlers = offering(plain=lambda _, value: busy(value), with_fds=with_fds)
    with (
        serving(handlers, min_workers=1, max_workers=1) as server,
        connect(server) as other,
        (tmp_path / "file").open("w") as file,
    ):
        other.send(other.packet(PLAIN.number, number(1)))
        busy.wait(1)
        before = descriptors()
        with connect(server) as raw:
            for _ in range(count):
                call = raw.packet(WITH_FDS.number, number(1) + number(7), type_=CALL_WITH_FDS)
                raw.send_fds(call, file.fileno())
            settle(lambda: server.statistics.queued_jobs == count)
        settle(lambda: len(server.sessions) == 1)
        settle(lambda: descriptors() == before)
        assert server.statistics.queued_jobs == 0
        busy.let_go()
        assert other.read().status == OK
    assert begun == []


def test_a_client_whose_server_cannot_tell_who_it_is(caplog: pytest.LogCaptureFixture) -> None:
    problems = [OSError("who?")]

    def required(_: Identity) -> bool:
        if problems:
            raise problems.pop()
        return False

    with serving(offering(**ECHO), auth_required=required) as server:
        with connect(server) as raw:
            assert raw.is_ended()
        problems.append(OSError("who?"))
        stream = server.dial()
        settle(lambda: stream.receive(memoryview(bytearray(1))) == 0)
        stream.close()
        with connect(server) as raw:
            assert answers(raw)
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "a client is turned away"
    ] * 2


def test_a_client_that_stops_in_the_middle_of_a_packet() -> None:
    with serving(offering(**ECHO)) as server, connect(server) as other:
        with connect(server) as raw:
            raw.send(raw.packet(QUICK.number, number(1))[:-1])
            assert answers(other)
        settle(lambda: len(server.sessions) == 1)


def test_what_came_before_a_broken_packet_is_answered() -> None:
    with serving(offering(**ECHO)) as server, connect(server) as raw:
        raw.send(raw.packet(QUICK.number, number(1), serial=4), b"\0\0\0\3")
        assert raw.read().serial == 4
        assert raw.is_ended()


def test_the_reset_of_a_tcp_client() -> None:
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value))
    with serving(handlers, listen=["tcp://127.0.0.1:0"]) as server:
        with connect(server) as raw:
            raw.send(raw.packet(PLAIN.number, number(1)))
            busy.wait(1)
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        settle(lambda: server.sessions == [])
        busy.let_go()


def test_a_mistake_of_ours_costs_one_client(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(offering(**ECHO)) as server, connect(server) as one, connect(server) as other:
        assert answers(one)
        assert answers(other)
        monkeypatch.setattr(type(server.sessions[0]), "handle", lambda *_: 1 / 0)
        one.send(one.packet(QUICK.number, number(1)))
        assert one.is_ended()
        monkeypatch.undo()
        assert answers(other)
    assert caplog.messages == ["a client is given up"]


# Signs of life


def alive(call: Any, value: int) -> int:
    call.session.start_keepalive()
    return value


def is_keepalive(packet: Packet, procedure: int) -> bool:
    return packet == Packet(KEEPALIVE, 1, procedure, MESSAGE, 0, OK)


def test_a_silent_client_is_asked_and_then_given_up() -> None:
    with serving(offering(quick=alive), keepalive=(0.05, 3)) as server, connect(server) as raw:
        assert answers(raw)
        assert answers(raw)  # asking for it twice changes nothing
        for _ in range(3):
            assert is_keepalive(raw.read(), PING)
        assert raw.is_ended()


def test_a_client_that_answers_lives_on() -> None:
    with serving(offering(quick=alive), keepalive=(0.02, 1)) as server, connect(server) as raw:
        assert answers(raw)
        for _ in range(5):
            assert is_keepalive(raw.read(), PING)
            raw.send(Packet(KEEPALIVE, 1, PONG, MESSAGE, 0, OK).encoded())


def test_nobody_is_asked_before_the_session_starts_it() -> None:
    with serving(offering(**ECHO), keepalive=(0.01, 0)) as server, connect(server) as raw:
        assert answers(raw)
        assert server.sessions[0].core.keepalive is None
        assert raw.is_quiet()


def test_no_interval_no_questions() -> None:
    with serving(offering(quick=alive), keepalive=(0, 5)) as server, connect(server) as raw:
        assert answers(raw)
        assert raw.is_quiet()


def test_a_client_that_is_not_read_is_not_given_up() -> None:
    busy = Busy()
    handlers = offering(plain=lambda call, value: alive(call, value) and busy(value), **ECHO)
    with (
        serving(handlers, keepalive=(0.02, 0), max_client_requests=1) as server,
        connect(server) as raw,
    ):
        # The second call is not read while the first is under way.
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in (1, 2)))
        busy.wait(1)
        raw.send(raw.packet(PLAIN.number, number(3), serial=3))
        settle(lambda: not server.sessions[0].traffic.is_reading)
        waiting = threading.Event()
        server._running().loop.post(
            lambda: server._running().loop.asyncio.call_later(0.1, waiting.set)
        )
        assert waiting.wait(DEADLINE)
        busy.let_go()
        assert [raw.read().serial for _ in range(3)] == [1, 2, 3]


# Many of them


@pytest.fixture
def allowed() -> Iterator[int]:
    """How many descriptors there may be: as many as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 12_000 if hard == resource.RLIM_INFINITY else min(12_000, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield max(soft, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_5000_idle_connections(allowed: int) -> None:
    before = descriptors()
    count = min(5000, (allowed - before - 100) // 2)
    settings = {"max_clients": 10_000, "max_anonymous_clients": 0, "max_queued_clients": 5000}
    with serving(offering(**ECHO), **settings) as server, connect(server) as busy:
        assert answers(busy)
        with ExitStack() as stack:
            raws = [stack.enter_context(connect(server)) for _ in range(count)]
            settle(lambda: server.statistics.clients == count + 1)
            assert answers(raws[0])
            assert answers(raws[-1])
            assert answers(busy)
        settle(lambda: server.statistics.clients == 1)
        assert answers(busy)
    gc.collect()
    assert descriptors() == before


def test_memory_does_not_grow_with_clients_that_were() -> None:
    def some() -> None:
        for _ in range(100):
            with connect(server) as raw:
                raw.send(raw.packet(BLOB.number, number(100_000)), raw.packet(QUICK.number)[:30])
                raw.read()
        settle(lambda: server.sessions == [])
        gc.collect()

    with serving(offering(blob=lambda _, size: bytes(size), **ECHO)) as server:
        some()
        before = len(gc.get_objects())
        some()
        assert len(gc.get_objects()) - before < 100
