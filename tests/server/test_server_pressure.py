"""Clients that ask for too much or take too little: they are not read, and nothing grows without bounds."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from raw import DEADLINE, Raw
from server.kit import (
    BLOB,
    EVENT,
    PLAIN,
    QUICK,
    Busy,
    connect,
    descriptors,
    number,
    offering,
    serving,
    settle,
)

from rpcgen.runtime.limits import OUTBOX_HIGH, Limits
from rpcgen.runtime.server import Server
from rpcgen.runtime.server.session import Session


def fill(raw: Raw, session: Session, data: bytes) -> int:
    """Send until the server does not read any more, and the system takes no more; returns the bytes."""
    sent = 0
    raw.socket.setblocking(False)
    for _ in range(100_000):
        try:
            sent += raw.socket.send(data)
        except BlockingIOError:
            if not session.traffic.is_reading:
                break
            select.select([], [raw.socket], [], 0.01)
    raw.socket.settimeout(DEADLINE)
    return sent


@pytest.mark.parametrize("most", [1, 3, 5])
def test_no_more_requests_are_accepted_than_allowed(most: int) -> None:
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value), quick=lambda _, value: value)
    with (
        serving(handlers, max_client_requests=most, min_workers=10) as server,
        connect(server) as raw,
        connect(server) as other,
    ):
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(10)))
        busy.wait(most)
        # Nobody else is hurt, and a worker is free all the time.
        assert other.call(QUICK.number, number(1)).payload == number(1)
        assert not busy.has_more()
        assert server.statistics.queued_jobs == 0
        busy.let_go()
        assert {raw.read().serial for _ in range(10)} == set(range(10))


def test_requests_are_counted_while_their_coroutines_wait() -> None:
    begun: list[int] = []
    gate = asyncio.Event()

    async def handler(_: object, value: int) -> int:
        begun.append(value)
        await gate.wait()
        return value

    with (
        serving(offering(plain=handler, quick=lambda _, value: value)) as server,
        connect(server) as raw,
        connect(server) as other,
    ):
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(10)))
        settle(lambda: len(begun) == 5)
        other.call(QUICK.number, number(1))
        assert begun == [0, 1, 2, 3, 4]
        server.dial().close()
        server._running().loop.post(gate.set)
        assert [raw.read().serial for _ in range(10)] == list(range(10))


def test_requests_are_counted_until_their_replies_are_written() -> None:
    """Replies of 100 KB stop after five, although every handler is done at once."""
    handlers = offering(blob=lambda _, size: bytes(size), quick=lambda _, value: value)
    with (
        serving(handlers, min_workers=0, max_workers=0) as server,
        connect(server) as raw,
        connect(server) as other,
    ):
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.send(*(raw.packet(BLOB.number, number(1_000_000), serial=i) for i in range(100)))
        settle(lambda: server.statistics.calls > 0)
        other.call(QUICK.number, number(1))
        assert server.statistics.calls <= 5 + 1
        for i in range(100):
            assert raw.read().serial == i
            assert server.statistics.calls <= i + 1 + 5 + 1


def test_who_never_reads_is_not_read() -> None:
    with (
        serving(offering(quick=lambda _, value: value)) as server,
        connect(server) as raw,
    ):
        assert raw.is_quiet()
        packets = raw.packet(QUICK.number, number(7)) * 1000
        sent = fill(raw, server.sessions[0], packets)
        assert server.statistics.calls < 1000 * sent / len(packets)
        with connect(server) as other:
            assert other.call(QUICK.number, number(1)).payload == number(1)


def test_who_floods_with_what_is_not_even_a_call_is_not_read() -> None:
    with serving(offering()) as server, connect(server) as raw:
        assert raw.is_quiet()
        (session,) = server.sessions
        fill(raw, session, raw.packet(9999) * 1000)
        assert session.core.outbox.size < 20 * OUTBOX_HIGH
        with connect(server) as other:
            assert other.is_quiet()


def test_floods_of_pings_and_of_nothing() -> None:
    with serving(offering()) as server, connect(server) as raw:
        raw.send(*(raw.packet(1, type_=type_) for type_ in (1, 2, 3, 6, 7) for _ in range(20_000)))
        assert raw.is_quiet()
        for _ in range(10):
            for _ in range(1000):
                raw.ping()
            assert all(raw.read().procedure == 2 for _ in range(1000))


def test_200_clients_that_never_read() -> None:
    before = descriptors()
    with serving(offering(quick=lambda _, value: value), max_clients=300) as server:
        with ExitStack() as stack:
            raws = [stack.enter_context(connect(server)) for _ in range(200)]
            packets = b"".join(raw.packet(QUICK.number, number(7)) for raw in raws) * 20
            for raw in raws:
                raw.socket.setblocking(False)
                while True:
                    try:
                        raw.socket.send(packets)
                    except BlockingIOError:
                        break
            with connect(server) as other:
                assert other.call(QUICK.number, number(1)).payload == number(1)
            waiting = sum(session.core.outbox.size for session in server.sessions)
            assert waiting < 200 * 2 * OUTBOX_HIGH
        settle(lambda: server.sessions == [])
    settle(lambda: descriptors() == before)


# Events


def test_events_reach_one_client_or_all() -> None:
    class Sends:
        def one(self, call: object, value: int) -> int:
            call.session.send_event(EVENT, value)  # type: ignore[attr-defined]
            return value

        async def all(self, call: object, value: int) -> int:
            call.everyone.send_event(EVENT, value)  # type: ignore[attr-defined]
            return value

    sends = Sends()
    with (
        serving(offering(plain=sends.one, quick=sends.all)) as server,
        connect(server) as one,
        connect(server) as other,
    ):
        assert one.is_quiet()
        assert other.is_quiet()
        one.send(one.packet(PLAIN.number, number(1), serial=5))
        event = one.read()
        assert event == (one.program, 1, EVENT.number, 2, 1, 0, number(1))
        assert one.read().serial == 5  # an event goes out before the reply that follows it
        one.send(one.packet(QUICK.number, number(2), serial=6))
        assert one.read().payload == other.read().payload == number(2)
        assert one.read().serial == 6
        server.send_event(EVENT, 3)
        assert one.read().payload == other.read().payload == number(3)
        assert one.is_quiet()
        assert other.is_quiet()


def test_a_message_that_is_none_fails_where_it_is_sent() -> None:
    message: Any = "text"
    with (
        serving(offering()) as server,
        pytest.raises(ValueError, match="expected unsigned int, got str"),
    ):
        server.send_event(EVENT, message)


@pytest.fixture
def overwhelmed() -> Iterator[tuple[Server, Raw]]:
    """A server with a client that does not read, and little patience."""
    with (
        serving(
            offering(quick=lambda _, value: value, blob=lambda _, size: bytes(size)),
            limits=Limits(outbox=100_000),
            min_workers=0,
            max_workers=0,
        ) as server,
        connect(server) as raw,
    ):
        assert raw.is_quiet()
        yield server, raw


def test_who_does_not_take_events_is_disconnected(overwhelmed: tuple[Server, Raw]) -> None:
    server, _ = overwhelmed
    with connect(server) as other:
        assert other.is_quiet()
        for _ in range(1000):
            for i in range(1000):
                server.send_event(EVENT, i)
            assert [other.read().payload for _ in range(1000)] == [number(i) for i in range(1000)]
            if len(server.sessions) == 1:
                break
        assert [session.id for session in server.sessions] == [2]
        assert other.is_quiet()


def test_large_replies_that_wait_are_no_reason_to_disconnect(
    overwhelmed: tuple[Server, Raw],
) -> None:
    _, raw = overwhelmed
    raw.send(*(raw.packet(BLOB.number, number(1_000_000), serial=i) for i in range(5)))
    assert [raw.read().serial for _ in range(5)] == list(range(5))
    assert raw.call(QUICK.number, number(1)).payload == number(1)
