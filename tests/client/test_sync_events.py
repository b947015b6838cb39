"""Events and keepalive of the sync client: what happens while nobody calls."""

from __future__ import annotations

import logging
import select
import threading
from queue import SimpleQueue

import pytest
from peers import (
    CONTINUE,
    DEADLINE,
    DOUBLE,
    OPEN,
    REPLY,
    STREAM,
    TICK,
    Flags,
    Peer,
    Received,
    ReceivedCall,
    connected,
    event,
    like,
    pair,
    result,
    start,
)
from server.kit import settle
from wire_cases import PING, PONG, header_of

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.client.stream import SyncStream
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.client.watch import Watch
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.limits import Limits


def test_events_come_in_order_while_nobody_calls() -> None:
    with pair() as (connection, peer):
        ticks: SimpleQueue[int] = SimpleQueue()
        connection.subscribe(TICK, ticks.put)
        for number in range(100):
            peer.send_event(TICK, number)
        assert [ticks.get(timeout=DEADLINE) for _ in range(100)] == [*range(100)]


def test_every_subscription_is_told() -> None:
    with pair() as (connection, peer):
        one: SimpleQueue[int] = SimpleQueue()
        two: SimpleQueue[int] = SimpleQueue()
        connection.subscribe(TICK, one.put)
        connection.subscribe(TICK, two.put)
        peer.send_event(TICK, 1)
        assert one.get(timeout=DEADLINE) == two.get(timeout=DEADLINE) == 1


def test_cancelled_at_once_even_from_a_handler() -> None:
    with pair() as (connection, peer):
        ticks: list[int] = []
        others: SimpleQueue[int] = SimpleQueue()

        def handler(number: int) -> None:
            ticks.append(number)
            subscription.cancel()

        subscription = connection.subscribe(TICK, handler)
        connection.subscribe(TICK, others.put)
        peer.send(event(TICK, 1) + event(TICK, 2))
        assert [others.get(timeout=DEADLINE), others.get(timeout=DEADLINE)] == [1, 2]
        assert ticks == [1]
        subscription.cancel()


def test_a_queued_event_is_not_delivered_after_cancel() -> None:
    with pair() as (connection, peer):
        begun, go_on = threading.Event(), threading.Event()
        ticks: list[int] = []

        def slow(_: int) -> None:
            begun.set()
            go_on.wait(DEADLINE)

        connection.subscribe(TICK, slow)
        subscription = connection.subscribe(TICK, ticks.append)
        ended: SimpleQueue[int] = SimpleQueue()
        connection.subscribe(TICK, ended.put)
        peer.send_event(TICK, 1)
        assert begun.wait(DEADLINE)
        subscription.cancel()
        go_on.set()
        assert ended.get(timeout=DEADLINE) == 1
        assert ticks == []


def test_a_handler_may_call_back() -> None:
    with pair() as (connection, peer):
        results: SimpleQueue[int] = SimpleQueue()
        connection.subscribe(
            TICK, lambda number: results.put(connection.call(DOUBLE, number, None))
        )
        waiting = start(connection.call, DOUBLE, 1, None)  # it has the buck
        first = peer.receive_call(DOUBLE)
        peer.send_event(TICK, 21)
        call = peer.receive_call(DOUBLE)
        peer.reply(call, call.argument * 2)
        assert results.get(timeout=DEADLINE) == 42
        peer.reply(first, 2)
        assert result(waiting) == 2


def test_a_handlers_exception_is_logged_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with pair() as (connection, peer):
        ticks: SimpleQueue[int] = SimpleQueue()

        def handler(_: int) -> None:
            raise ValueError("of the handler")

        connection.subscribe(TICK, handler)
        connection.subscribe(TICK, ticks.put)
        peer.send_event(TICK, 1)
        assert ticks.get(timeout=DEADLINE) == 1
        (record,) = caplog.records
        assert record.getMessage() == "in a handler of TEST_TICK"
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == "of the handler"


def test_an_event_that_is_none_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    with pair() as (connection, peer):
        ticks: SimpleQueue[int] = SimpleQueue()
        connection.subscribe(TICK, ticks.put)
        good = event(TICK, 1)
        peer.send(like(header_of(good), b"odd"))
        peer.send(like(header_of(good), bytes(8), proc=1000))
        peer.send(like(header_of(good), bytes(8), prog=1000))
        peer.send(like(header_of(good), bytes(8), status=1))
        peer.send(good)
        assert ticks.get(timeout=DEADLINE) == 1
        (record,) = caplog.records
        assert "TEST_TICK: an event was dropped" in record.getMessage()


def test_a_slow_handler_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    with pair(Limits(events=3)) as (connection, peer):
        begun, go_on = threading.Event(), threading.Event()
        ticks: SimpleQueue[int] = SimpleQueue()

        def handler(number: int) -> None:
            begun.set()
            go_on.wait(DEADLINE)
            ticks.put(number)

        connection.subscribe(TICK, handler)
        peer.send_event(TICK, 0)
        assert begun.wait(DEADLINE)
        for number in range(1, 10):
            peer.send_event(TICK, number)
        peer.check_alive()  # by then all have been received
        go_on.set()
        assert [ticks.get(timeout=DEADLINE) for _ in range(4)] == [0, 7, 8, 9]
        assert [record.getMessage() for record in caplog.records] == [
            "6 events were dropped: handlers are too slow"
        ]
        assert caplog.records[0].levelno == logging.WARNING


def test_events_before_the_end_are_delivered_and_none_after_close() -> None:
    with pair() as (connection, peer):
        begun, go_on = threading.Event(), threading.Event()
        ticks: list[int] = []
        ended: SimpleQueue[ConnectionClosed] = SimpleQueue()

        def handler(number: int) -> None:
            begun.set()
            go_on.wait(DEADLINE)
            ticks.append(number)

        connection.subscribe(TICK, handler)
        connection.on_close(ended.put)
        peer.send_event(TICK, 1)
        assert begun.wait(DEADLINE)
        peer.send_event(TICK, 2)
        peer.close()
        go_on.set()
        ended.get(timeout=DEADLINE)
        assert ticks == [1, 2]

    with pair() as (connection, peer):
        begun.clear()
        go_on.clear()
        connection.subscribe(TICK, handler)
        connection.on_close(ended.put)
        peer.send_event(TICK, 3)
        assert begun.wait(DEADLINE)
        peer.send_event(TICK, 4)
        peer.check_alive()
        connection.close()
        go_on.set()
        ended.get(timeout=DEADLINE)
        assert ticks == [1, 2, 3]


def test_calls_and_the_watch_take_turns() -> None:
    with pair() as (connection, peer):
        ticks: SimpleQueue[int] = SimpleQueue()
        connection.subscribe(TICK, ticks.put)
        for number in range(50):
            waiting = start(connection.call, DOUBLE, number, None)
            call = peer.receive_call(DOUBLE)
            peer.send_event(TICK, number)
            peer.reply(call, number * 2)
            assert result(waiting) == number * 2
            peer.send_event(TICK, -number)
            assert [ticks.get(timeout=DEADLINE) for _ in range(2)] == [number, -number]


def filled(connection: Connection, peer: Peer, size: int) -> tuple[SyncStream[int], ReceivedCall]:
    """A stream that so much data has come to, and its call."""
    opening = start(connection.open_stream, OPEN, Flags(0), int, None)
    call = peer.receive_call(OPEN)
    peer.reply(call, 0)
    stream = result(opening)
    peer.send_data(call, bytes(size))
    peer.check_alive()
    return stream, call


def is_paused(connection: Connection) -> bool:
    """Whether nothing is read while nobody calls."""
    with connection._buck.lock:
        assert connection._buck._watch is not None
        return connection._buck._watch._watched == 0


def test_a_stream_that_nobody_reads_stops_the_watch_and_a_call_reads_on() -> None:
    with pair(Limits(stream_window=10_000)) as (connection, peer):
        ticks: SimpleQueue[int] = SimpleQueue()
        connection.subscribe(TICK, ticks.put)
        stream, call = filled(connection, peer, 9_000)
        peer.send(like(call.header, bytes(2_000), type=STREAM, status=CONTINUE) + event(TICK, 1))
        assert ticks.get(timeout=DEADLINE) == 1
        assert is_paused(connection)
        peer.send_event(TICK, 2)
        waiting = start(connection.call, DOUBLE, 1, None)
        peer.reply(peer.receive_call(DOUBLE), 2)
        assert result(waiting) == 2
        assert ticks.get(timeout=DEADLINE) == 2
        assert is_paused(connection)
        peer.send_event(TICK, 3)
        assert stream.read(1) == b"\0"
        assert stream.read() == bytes(8_999)
        assert ticks.get(timeout=DEADLINE) == 3


# Keepalive


def test_silence_is_asked_about_and_then_ends_the_connection() -> None:
    with connected() as (stream, peer), connect(stream, keepalive=(0.01, 3)) as connection:
        waiting = start(connection.call, DOUBLE, 1, None)
        peer.receive_call(DOUBLE)
        for _ in range(3):
            assert peer.receive().header == header_of(PING)
        assert peer.is_ended()
        error = waiting.exception(DEADLINE)
        assert isinstance(error, ConnectionClosed)
        assert error.reason == VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_KEEPALIVE
        assert str(error) == "no sign of life from the server for 0.04 seconds"


def test_who_watches_is_woken_even_if_it_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wakes the watch is nothing that the holder of the buck could take away before."""
    gate, run = threading.Event(), Watch._run
    monkeypatch.setattr(Watch, "_run", lambda self: gate.wait(DEADLINE) and run(self))
    with connected() as (stream, peer), connect(stream, keepalive=(0.01, 100)) as connection:
        waiting = start(connection.call, DOUBLE, 1, None)
        call = peer.receive_call(DOUBLE)
        buck = connection._buck
        settle(lambda: buck._is_polling and not select.select([buck._bell], [], [], 0)[0])
        gate.set()
        assert peer.receive().header == header_of(PING)
        peer.reply(call, 2)
        assert result(waiting) == 2


def test_every_sign_of_life_counts_and_nobody_needs_to_call() -> None:
    with connected() as (stream, peer), connect(stream, keepalive=(0.05, 100)) as connection:
        for data in [PONG, event(TICK, 1)] * 2:
            assert peer.receive().header == header_of(PING)
            peer.send(data)
        assert connection.is_open
        connection.start_keepalive(0, 0)
        waiting = start(connection.call, DOUBLE, 1, None)
        peer.reply(peer.receive_call(DOUBLE), 2)
        assert result(waiting) == 2


def test_a_sooner_keepalive_replaces_a_later_one() -> None:
    with connected() as (stream, peer), connect(stream, keepalive=(3600, 1)) as connection:
        connection.start_keepalive(0.01, 5)
        assert peer.receive().header == header_of(PING)


def test_the_server_is_answered_while_nobody_calls() -> None:
    with pair() as (connection, peer):
        connection.start_keepalive(0, 0)
        for _ in range(3):
            peer.check_alive()


def test_a_full_stream_is_no_silence_of_the_server() -> None:
    with pair(Limits(stream_window=10_000)) as (connection, peer):
        connection.start_keepalive(0.01, 1)
        opening = start(connection.open_stream, OPEN, Flags(0), int, None)
        call = next_but_pings(peer)
        peer.send(like(call.header, bytes(8), type=REPLY))
        result(opening)
        peer.send(like(call.header, bytes(20_000), type=STREAM, status=CONTINUE))
        for _ in range(5):  # without an answer, and two would be the end
            assert peer.receive().header == header_of(PING)
        assert connection.is_open


def next_but_pings(peer: Peer) -> Received:
    while (got := peer.receive()).header == header_of(PING):
        pass
    return got
