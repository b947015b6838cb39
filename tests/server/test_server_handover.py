"""A server that leaves its sockets and clients to another one: nothing that was sent is lost."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from raw import DEADLINE, ERROR, OK, STREAM, Raw
from server.kit import (
    BLOB,
    CONSOLE,
    DOWNLOAD,
    KIT,
    LOGIN,
    PLAIN,
    QUICK,
    Busy,
    connect,
    descriptors,
    fresh_address,
    is_listening,
    number,
    offering,
    plain_socket,
    serving,
    settle,
)

from libvirt_rpc.virkeepaliveprotocol.program import KEEPALIVE_PROC_PING, KEEPALIVE_PROGRAM
from rpcgen.runtime import Server
from rpcgen.runtime.connecting import connect as client_of
from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.server.saved import SavedServer, SavedSocket, servers_from_json, servers_to_json
from rpcgen.runtime.server.session import Session


def answering(name: int, **handlers: Any) -> Any:
    """A program that says who it is."""
    return offering(plain=lambda _, value: value + name, quick=lambda _, __: name, **handlers)


def left_by(server: Server) -> SavedServer:
    """What a server leaves that has ended."""
    settle(server._running().stopped.done)
    assert server.saved is not None
    # It travels as text.
    text = json.dumps(servers_to_json({"a": server.saved}))
    return servers_from_json(json.loads(text), ["a"])["a"]


def taking_over(saved: SavedServer, *programs: Any, **settings: Any) -> Server:
    server = serving(*programs, **settings)
    server.restore(saved)
    return server


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    settle(lambda: descriptors() == before)


def test_clients_and_those_who_wait_go_on(tmp_path: Any) -> None:
    path = tmp_path / "s"
    closed: list[int] = []
    with serving(answering(100), listen=[f"unix://{path}", "tcp://127.0.0.1:0"]) as first:
        addresses = first.addresses
        one, two = connect(first), connect(first, 1)
        for raw in (one, two):
            assert raw.call(PLAIN.number, number(1)).payload == number(101)
        for session in first.sessions:
            session.data["name"] = f"client {session.id}"
            session.on_close(lambda: closed.append(1))
        times = [session.connected for session in first.sessions]
        first.hand_over(save=lambda session: session.data)
    saved = left_by(first)
    assert path.exists()
    # Nobody serves now: what is sent waits, and so does who connects.
    late = Raw(plain_socket(addresses[0]), KIT.number)
    for raw in (one, two, late):
        raw.send(raw.packet(PLAIN.number, number(2), serial=7))
    restored: list[str] = []

    def take(session: Session, data: Any) -> None:
        session.data.update(data)
        restored.append(f"{session.id}: {data['name']}")

    second = serving(answering(200))
    second.restore(saved, take)
    with second, one, two, late:
        assert second.addresses == addresses
        for raw in (one, two, late):
            reply = raw.read()
            assert (reply.serial, reply.payload) == (7, number(202))
        assert restored == ["1: client 1", "2: client 2"]
        assert [session.id for session in second.sessions] == [1, 2, 3]
        assert [session.connected for session in second.sessions][:2] == times
        assert second.sessions[0].identity.pid is not None
    assert not path.exists()
    assert closed == []


def test_who_has_logged_in_has_to_do_so_again() -> None:
    def login(call: Any) -> None:
        call.session.authenticate("fred")

    with serving(answering(100, login=login), auth_required=True) as first:
        one, two = connect(first), connect(first)
        assert one.call(LOGIN.number).status == OK
        first.hand_over()
        with one:
            assert one.is_ended()
    saved = left_by(first)
    assert [client.auth_pending for client in saved.clients] == [True]
    with taking_over(saved, answering(200, login=login), auth_required=True), two:
        assert two.call(LOGIN.number).status == OK
        assert two.call(PLAIN.number, number(1)).payload == number(201)


def test_limits_and_numbers_are_kept() -> None:
    with serving(answering(0), max_clients=77, keepalive=(0.5, 7)) as first:
        first.set_workers(1, 3, 2)
        with connect(first) as gone:
            assert gone.is_quiet()
        first.hand_over()
    with taking_over(left_by(first), answering(0), max_workers=9, max_clients=50) as second:
        settings = second.settings
        assert (settings.min_workers, settings.max_workers, settings.priority_workers) == (1, 3, 2)
        assert settings.max_clients == 77
        assert settings.keepalive == (1, 7)
        with connect(second) as raw:
            assert raw.is_quiet()
            assert [session.id for session in second.sessions] == [2]


def test_who_was_asked_for_signs_of_life_is_asked_again() -> None:
    def alive(call: Any, _: int) -> int:
        call.session.start_keepalive()
        return 0

    with serving(offering(quick=alive), keepalive=(1, 3)) as first:
        asked, other = connect(first), connect(first)
        assert asked.call(QUICK.number, number(0)).status == OK
        assert other.is_quiet()
        first.hand_over()
    saved = left_by(first)
    assert [client.keepalive for client in saved.clients] == [True, False]
    assert "keepalive" not in saved.clients[1].to_json()
    with taking_over(saved, answering(0)) as second, asked, other:
        ping = asked.read()
        assert ping.program == KEEPALIVE_PROGRAM.number
        assert ping.procedure == KEEPALIVE_PROC_PING.number
        assert [one.core.keepalive is None for one in second.sessions] == [False, True]


def test_a_client_keeps_its_limit_of_calls() -> None:
    with serving(answering(0), max_client_requests=2) as first:
        raw = connect(first)
        assert raw.is_quiet()
        first.hand_over()
    saved = left_by(first)
    assert [client.max_requests for client in saved.clients] == [2]
    busy = Busy()
    second = taking_over(saved, offering(plain=lambda _, value: busy(value)), max_client_requests=9)
    with second, raw, connect(second) as other:
        for one in (raw, other):
            for serial in range(5):
                one.send(one.packet(PLAIN.number, number(serial), serial=serial + 1))
        busy.wait(2 + 5)
        assert [one.traffic.requests for one in second.sessions] == [2, 5]
        assert not busy.has_more()
        busy.let_go()
        for one in (raw, other):
            assert sorted(one.read().serial for _ in range(5)) == [1, 2, 3, 4, 5]


def test_who_has_not_authenticated_has_not() -> None:
    handlers = {"login": lambda call: call.session.authenticate()}
    with serving(answering(0, **handlers), auth_required=True) as first:
        one, two = connect(first), connect(first)
        assert one.call(4).status == OK
        assert two.is_quiet()
        first.hand_over()
    with one, two, taking_over(left_by(first), answering(0), auth_required=True) as second:
        assert one.call(PLAIN.number, number(1)).status == OK
        assert two.call(PLAIN.number, number(1)).status == ERROR
        assert second.statistics.unauthenticated == 1


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 27, 28, 29, 31])
def test_a_packet_in_the_middle_is_read_to_its_end_and_no_further(cut: int) -> None:
    with serving(answering(100)) as first:
        raw = connect(first)
        assert raw.is_quiet()
        packet = raw.packet(PLAIN.number, number(1))
        assert len(packet) == 32
        (session,) = first.sessions
        raw.send(packet[:cut])
        settle(lambda: not session.core.reader.is_between_packets)
        first.hand_over()
        assert not first._running().stopped.done()
        raw.send(packet[cut:], raw.packet(PLAIN.number, number(2), serial=2))
        assert raw.read().payload == number(101)
    with raw, taking_over(left_by(first), answering(200)):
        assert raw.read().payload == number(202)


@pytest.mark.parametrize("workers", [0, 5])
def test_what_was_received_is_answered(workers: int) -> None:
    """Also what lies in the buffer, above the limit of requests."""
    busy = Busy()

    async def waits(_: object, value: int) -> int:
        return await asyncio.to_thread(busy, value)

    handler = (lambda _, value: busy(value)) if workers else waits
    with serving(offering(plain=handler), max_workers=workers, min_workers=0) as first:
        raw = connect(first)
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(20)))
        busy.wait(5)
        first.hand_over()
        assert not first._running().stopped.done()
        busy.let_go()
        answered = {raw.read().serial for _ in range(20)}
        assert answered == set(range(20))
    with raw, taking_over(left_by(first), answering(200)):
        assert raw.call(PLAIN.number, number(1)).payload == number(201)


def test_replies_are_written_to_the_end() -> None:
    with serving(offering(blob=lambda _, size: bytes(size))) as first:
        raw = connect(first)
        raw.send(raw.packet(BLOB.number, number(8_000_000)))
        settle(lambda: bool(first.sessions and first.sessions[0].core.outbox))
        first.hand_over()
        assert len(raw.read().payload) == 8_000_004
    with raw, taking_over(left_by(first), answering(200)):
        assert raw.call(QUICK.number, number(1)).payload == number(200)


def test_a_stream_that_ends_in_time_ends_well() -> None:
    gate = threading.Event()

    def download(call: Any, opening: int) -> Iterator[bytes]:
        call.reply(7)
        yield b"one"
        assert gate.wait(DEADLINE)
        yield b"two"

    with serving(offering(download=download)) as first:
        raw = connect(first)
        assert raw.call(DOWNLOAD.number, number(0)).payload == number(7)
        assert raw.read().payload == b"one"
        first.hand_over()
        gate.set()
        assert [raw.read().payload for _ in range(2)] == [b"two", b""]
        raw.send(raw.packet(DOWNLOAD.number, type_=STREAM, status=OK))
        assert raw.read().status == OK
    with raw, taking_over(left_by(first), answering(200)):
        assert raw.call(QUICK.number, number(1)).payload == number(200)


def test_a_stream_that_goes_on_is_broken_and_its_client_is_not() -> None:
    errors: list[BaseException] = []

    async def console(call: Any) -> None:
        call.reply(None)
        try:
            async for _ in call.stream:
                pass
        except BaseException as error:
            errors.append(error)
            raise

    with serving(offering(console=console)) as first:
        raw = connect(first)
        assert raw.call(CONSOLE.number).status == OK
        first.hand_over(timeout=0)
        broken = raw.read()
        assert (broken.type, broken.status) == (STREAM, ERROR)
        assert b"restarting" in broken.payload
    with raw, taking_over(left_by(first), answering(200)):
        # What was on its way for the stream is passed over.
        raw.send(raw.packet(CONSOLE.number, b"late", type_=STREAM, status=2))
        assert raw.call(QUICK.number, number(1)).payload == number(200)
    assert [type(error) for error in errors] == [asyncio.CancelledError]


def test_coroutines_that_go_on_are_cancelled_and_answered() -> None:
    async def waits(_: object, value: int) -> int:
        await asyncio.Event().wait()
        return value

    with serving(offering(plain=waits)) as first:
        raw = connect(first)
        raw.send(raw.packet(PLAIN.number, number(1)))
        settle(lambda: bool(first._running().dispatcher.steps.running))
        first.hand_over(timeout=0)
        assert raw.read().status == ERROR
    with raw, taking_over(left_by(first), answering(200)):
        assert raw.call(QUICK.number, number(1)).payload == number(200)


def test_clients_that_do_not_come_to_rest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stops in the midst of a packet, one does not read its reply, one has a stuck worker."""
    monkeypatch.setattr("rpcgen.runtime.server.engine._LAST_WORDS", 0.1)
    busy = Busy()
    handlers = {"plain": lambda _, value: busy(value), "blob": lambda _, size: bytes(size)}
    with serving(offering(**handlers)) as first:
        half, deaf, stuck, calm = (connect(first) for _ in range(4))
        half.send(half.packet(PLAIN.number, number(1))[:9])
        deaf.send(deaf.packet(BLOB.number, number(20_000_000)))
        stuck.send(stuck.packet(PLAIN.number, number(1)))
        busy.wait(1)
        assert calm.is_quiet()
        settle(lambda: any(session.core.outbox for session in first.sessions))
        settle(lambda: not all(one.core.reader.is_between_packets for one in first.sessions))
        first.hand_over(timeout=0)
        for raw in (half, stuck):
            with raw:
                assert raw.is_ended()
        busy.let_go()
    saved = left_by(first)
    assert [client.id for client in saved.clients] == [4]
    with deaf, calm, taking_over(saved, answering(200)):
        assert calm.call(QUICK.number, number(1)).payload == number(200)


def test_nobody_takes_over() -> None:
    with serving(answering(0)) as first:
        raw = connect(first)
        assert raw.is_quiet()
        first.hand_over()
        first.hand_over()
    with raw:
        assert first.saved is not None
        first.saved.close()
        assert raw.is_ended()


def test_a_socket_that_cannot_listen_leaves_the_others_to_who_has_them() -> None:
    with serving(answering(0), listen=[fresh_address(), fresh_address()]) as first:
        addresses = first.addresses
        first.hand_over()
    saved = left_by(first)
    ours, theirs = socket.socketpair()
    service, other = saved.services
    service.sockets.append(SavedSocket(theirs.detach(), is_client=False, unlink_unix=False))
    with ours:
        server = taking_over(saved, answering(0))
        with pytest.raises(ConnectError, match="cannot listen: Invalid argument"), server:
            pass
        assert ours.recv(1) == b""
    assert not is_listening(addresses[0])
    assert saved.services == [service, other]
    assert is_listening(addresses[1])
    saved.close()


def refuse(*_: object) -> None:
    raise ValueError("not these")


@pytest.mark.parametrize("what", ["a client that is none", "what was saved is refused"])
def test_a_start_that_fails_leaves_nothing_half_done(what: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serving(answering(0), listen=[f"unix://{path}"]) as first:
        one, two = connect(first), connect(first)
        assert one.is_quiet()
        assert two.is_quiet()
        first.hand_over()
    saved = left_by(first)
    second = serving(answering(200), listen=[f"unix://{path}"])
    if what == "what was saved is refused":
        second.restore(saved, refuse)
    else:
        os.close(saved.clients[1].socket.fd)
        second.restore(saved)
    with one, two:
        with pytest.raises((OSError, ValueError)), second:
            pass
        assert one.is_ended()
        saved.close()
        assert two.is_ended()
    assert not path.exists()
    with second, connect(second) as raw:
        assert raw.call(PLAIN.number, number(1)).payload == number(201)


def test_who_stops_does_not_hand_over_any_more(tmp_path: Any) -> None:
    """One client rests already, one has sent half a packet, one waits for an answer."""
    busy, path = Busy(), tmp_path / "s"
    closed: list[int] = []
    handlers = {"plain": lambda _, value: busy(value)}
    with serving(offering(**handlers), listen=[f"unix://{path}"]) as first:
        calm, half, waiting = (connect(first) for _ in range(3))
        assert calm.is_quiet()
        half.send(half.packet(PLAIN.number)[:9])
        settle(lambda: not all(one.core.reader.is_between_packets for one in first.sessions))
        waiting.send(waiting.packet(PLAIN.number, number(7)))
        busy.wait(1)
        for session in first.sessions:
            session.on_close(lambda: closed.append(1))
        first.hand_over()
        settle(lambda: len(first.sessions) == 2)
        first.stop()
        for raw in (calm, half):
            with raw:
                assert raw.is_ended()
        busy.let_go()
        with waiting:
            assert waiting.read().payload == number(7)
            assert waiting.is_ended()
    assert first.saved is None
    assert not path.exists()
    assert closed == [1, 1]  # the calm one was on its way to somebody else


def test_who_stops_does_not_hand_over() -> None:
    with serving(answering(0)) as first, connect(first) as raw:
        assert raw.is_quiet()
        first.stop()
        first.hand_over()
    assert first.saved is None


def _awaited(handler: Callable[..., int]) -> Callable[..., Any]:
    async def awaited(call: object, value: int) -> int:
        await asyncio.sleep(0)
        return handler(call, value)

    return awaited


@pytest.mark.parametrize("kind", [lambda handler: handler, _awaited])
def test_no_call_is_lost_under_load(kind: Callable[[Any], Any]) -> None:
    """Threads call without a pause while one server after the other takes over."""
    program = offering(plain=kind(lambda _, value: value), quick=lambda _, value: value)
    ended = threading.Event()

    def calls(address: str, which: Any) -> int:
        count = 0
        with client_of(address) as connection:
            while not ended.is_set() or count < 100:
                assert connection.call(which, count, None) == count
                count += 1
        return count

    server = serving(program)
    with ThreadPoolExecutor(8) as threads:
        counts: list[Future[int]] = []
        for turn in range(20):
            with server:
                if not counts:
                    address = server.addresses[0]
                    counts = [threads.submit(calls, address, one) for one in (PLAIN, QUICK) * 4]
                before = server.statistics.calls
                settle(lambda server=server, before=before: server.statistics.calls > before + 50)  # type: ignore[misc]
                if turn == 19:
                    ended.set()
                    for one in counts:
                        assert one.result(DEADLINE) >= 100
                else:
                    server.hand_over()
                    settle(server._running().stopped.done)
            if turn < 19:
                saved = left_by(server)
                assert len(saved.clients) + len(saved.services) >= 1
                server = taking_over(saved, program)
