"""A layer that begins behind a login's reply: at that packet, for both directions, and never by halves.

The layer is one that tests can read; GSSAPI's own is tested with real peers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from raw import DEADLINE, ERROR, KEEPALIVE, MESSAGE, OK, PING, REPLY, Packet, Raw
from server.kit import (
    BLOB,
    EVENT,
    KIT,
    LOGIN,
    PLAIN,
    Busy,
    connect,
    descriptors,
    number,
    offering,
    serving,
    settle,
)

from rpcgen.runtime import connect as client_of
from rpcgen.runtime import connect_async
from rpcgen.runtime.errors import ConnectionClosed, RemoteProtocolError
from rpcgen.runtime.server import Server
from rpcgen.runtime.stubs import Call
from rpcgen.runtime.transport.layered import LayeredStream

TCP = "tcp://127.0.0.1:0"
MOST = 65_536


class Turned:
    """A layer that turns the bits of every byte around."""

    ssf = 256
    send_max = MOST - 4
    receive_max = MOST

    def wrap(self, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + self.unwrap(data)

    def unwrap(self, token: bytes) -> bytes:
        return bytes(one ^ 0xFF for one in token)


class Wrapped(Raw):
    """A client that is inside the layer."""

    def __init__(self, clear: Raw) -> None:
        super().__init__(clear.socket, clear.program, clear.version)
        self._layer = Turned()
        self._plain = b""

    def send(self, *packets: bytes, piece: int = 0) -> None:
        super().send(self._layer.wrap(b"".join(packets)), piece=piece)

    def _exactly(self, size: int) -> bytes:
        while len(self._plain) < size:
            length = int.from_bytes(super()._exactly(4), "big")
            self._plain += self._layer.unwrap(super()._exactly(length))
        data, self._plain = self._plain[:size], self._plain[size:]
        return data


def login(call: Call) -> None:
    call.session.authenticate("fred", Turned())


@pytest.fixture
def called() -> list[int]:
    """Arguments of the calls that were let through."""
    return []


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    settle(lambda: descriptors() <= before)


@contextmanager
def guarded(
    called: list[int], *, max_workers: int = 20, **handlers: Callable[..., Any]
) -> Iterator[Server]:
    def plain(call: Call, value: int) -> int:
        called.append(value)
        return 2 * value

    all_of_them: dict[str, Callable[..., Any]] = {"login": login, "plain": plain, **handlers}
    with serving(
        offering(**all_of_them), listen=[TCP], auth_required=True, max_workers=max_workers
    ) as server:
        yield server


def test_it_begins_behind_the_reply(called: list[int]) -> None:
    with guarded(called) as server, connect(server) as clear:
        assert clear.call(PLAIN.number, number(1)).status == ERROR
        assert clear.call(LOGIN.number).status == OK
        inside = Wrapped(clear)
        assert inside.call(PLAIN.number, number(2)).payload == number(4)
        inside.send(inside.packet(PLAIN.number, number(3)), piece=1)
        assert inside.read().payload == number(6)
        assert called == [2, 3]
        assert server.sessions[0].identity.sasl_user_name == "fred"


@pytest.mark.parametrize("size", [1, 5_000, MOST - 100, 1_000_000])
def test_data_of_any_size(size: int) -> None:
    with (
        guarded([], blob=lambda _, wanted: bytes(wanted)) as server,
        client_of(server.addresses[0]) as connection,
    ):
        connection.call(LOGIN, None, DEADLINE)
        connection.wrap(partial(LayeredStream, layer=Turned()))
        for _ in range(3):
            assert connection.call(BLOB, size, DEADLINE) == bytes(size)


def test_a_large_token_may_come_first(called: list[int]) -> None:
    with guarded(called) as server, connect(server) as clear:
        assert clear.call(LOGIN.number).status == OK
        inside = Wrapped(clear)
        many = [inside.packet(PLAIN.number, number(one), serial=one) for one in range(1, 1800)]
        inside.send(*many)
        assert {inside.read().serial for _ in many} == set(range(1, 1800))


def test_nobody_calls_in_clear_behind_the_last_step(called: list[int]) -> None:
    """Whoever is on the way cannot add a call, not while the login is being answered either."""
    busy = Busy()

    def slow(call: Call) -> None:
        login(call)
        busy()

    with guarded(called, login=slow) as server, connect(server) as clear:
        clear.send(clear.packet(LOGIN.number, serial=1))
        busy.wait(1)
        clear.send(clear.packet(PLAIN.number, number(7), serial=2))
        refused = clear.read()
        assert (refused.serial, refused.status) == (2, ERROR)
        busy.let_go()
        assert (clear.read().serial, called) == (1, [])
        assert Wrapped(clear).call(PLAIN.number, number(8)).payload == number(16)
        assert called == [8]


@pytest.mark.parametrize("more", ["a call", "a ping"])
def test_an_answer_in_clear_behind_the_reply_is_the_end(more: str, called: list[int]) -> None:
    """It was asked for behind the last step, and would leave together with that one's reply."""
    with guarded(called, max_workers=0) as server, connect(server) as clear:
        ping = Packet(KEEPALIVE, 1, PING, MESSAGE, 0, OK).encoded()
        call = clear.packet(PLAIN.number, number(7), serial=2)
        clear.send(clear.packet(LOGIN.number), ping if more == "a ping" else call)
        assert clear.read().status == OK
        with suppress(ConnectionResetError):
            while clear.socket.recv(100):
                pass  # what was asked for, and then the end
        assert called == []


def test_no_event_leaves_in_clear(called: list[int]) -> None:
    busy = Busy()

    def slow(call: Call) -> None:
        login(call)
        busy()

    with guarded(called, login=slow) as server, connect(server) as clear:
        clear.send(clear.packet(LOGIN.number))
        busy.wait(1)
        server.send_event(EVENT, 1)
        assert clear.is_quiet()  # the loop has seen the event by then
        busy.let_go()
        assert clear.read().type == REPLY
        inside = Wrapped(clear)
        settle(lambda: server.sessions[0].is_authenticated)
        server.send_event(EVENT, 2)
        event = inside.read()
        assert (event.type, event.payload) == (MESSAGE, number(2))


@pytest.mark.parametrize("extra", [1, 27, 31])
def test_who_sends_a_part_of_a_packet_in_clear_is_closed(extra: int, called: list[int]) -> None:
    with guarded(called) as server, connect(server) as clear:
        part = clear.packet(PLAIN.number, number(7), serial=2)[:extra]
        clear.send(clear.packet(LOGIN.number), part)
        assert clear.read().status == OK
        assert clear.is_ended()
        assert called == []


def test_what_is_clear_behind_it_is_no_token(called: list[int]) -> None:
    with guarded(called) as server, connect(server) as clear:
        assert clear.call(LOGIN.number).status == OK
        call = clear.packet(PLAIN.number, number(7))
        clear.send(b"\xff" + call[1:])
        assert clear.is_ended()
    with guarded(called) as server, connect(server) as clear:
        assert clear.call(LOGIN.number).status == OK
        clear.send(clear.packet(PLAIN.number, number(7)) * 100)
        assert clear.is_ended()
    assert called == []


@pytest.mark.parametrize("is_async", [False, True])
def test_a_client_takes_nothing_that_came_in_clear_behind_the_reply(is_async: bool) -> None:
    """Somebody on the way adds bytes to the server's last reply: the client does not go on."""

    def answer(raw: Raw) -> None:
        call = raw.read()
        reply = raw.packet(call.procedure, type_=REPLY, serial=call.serial)
        raw.send(reply, raw.packet(EVENT.number, number(1), type_=MESSAGE, serial=0)[:20])
        assert raw.is_ended()

    def wrapping(connection: Any) -> None:
        with pytest.raises((RemoteProtocolError, ConnectionClosed)):
            connection.wrap(partial(LayeredStream, layer=Turned()))

    async def main(address: str) -> None:
        async with connect_async(address) as connection:
            await connection.call(LOGIN, None, DEADLINE)
            wrapping(connection)

    with peer(answer) as address:
        if is_async:
            asyncio.run(asyncio.wait_for(main(address), DEADLINE))
        else:
            with client_of(address) as connection:
                connection.call(LOGIN, None, DEADLINE)
                wrapping(connection)


@contextmanager
def peer(answer: Callable[[Raw], None]) -> Iterator[str]:
    """A server for one connection that does as it likes."""
    import socket
    from concurrent.futures import ThreadPoolExecutor

    def serve() -> None:
        connected, _ = listening.accept()
        with Raw(connected, KIT.number) as raw:
            answer(raw)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        listening.settimeout(DEADLINE)
        done = pool.submit(serve)
        yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        done.result(DEADLINE)


@pytest.mark.parametrize("is_late", [False, True])
def test_what_is_protected_is_not_handed_over_in_clear(is_late: bool, called: list[int]) -> None:
    """Also if the layer begins, or is agreed on, while the server comes to rest."""
    busy = Busy()

    def slow(call: Call) -> None:
        if not is_late:
            login(call)
        busy()
        if is_late:
            login(call)

    with guarded(called, login=slow) as server:
        with connect(server) as clear:
            clear.send(clear.packet(LOGIN.number))
            busy.wait(1)
            over = threading.Thread(target=server.hand_over)
            over.start()
            settle(lambda: server._running().is_stopping)
            busy.let_go()
            assert clear.read().status == OK
            assert clear.is_ended()
        over.join()
        saved = server.saved
    assert saved is not None
    assert saved.clients == []
    saved.close()
