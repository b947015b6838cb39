"""The end of a connection, from either side and at any moment: everybody is told, nothing is left."""

from __future__ import annotations

import gc
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

import pytest
from peers import (
    DEADLINE,
    DOUBLE,
    OPEN,
    TICK,
    Flags,
    Peer,
    connected,
    open_fds,
    pair,
    result,
    start,
)

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.client.watch import Watch
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.transport import dial

EOF = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF
CLIENT = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT


def why(future: Future[int]) -> ConnectionClosed:
    """How a call ended with the connection."""
    error = future.exception(DEADLINE)
    assert isinstance(error, ConnectionClosed)
    return error


def waiting(connection: Connection, peer: Peer, count: int) -> list[Future[int]]:
    """Calls that wait, the first of them with the buck."""
    calls = []
    for value in range(count):
        calls.append(start(connection.call, DOUBLE, value, None))
        peer.receive_call(DOUBLE)
    return calls


# By the server


def leaves(peer: Peer) -> None:
    peer.close()


def half_closes(peer: Peer) -> None:
    peer.half_close()


def stops_in_a_header(peer: Peer) -> None:
    peer.send(b"\0\0\0\x1c" + bytes(10))
    peer.close()


def stops_in_a_payload(peer: Peer) -> None:
    peer.send(b"\0\0\x10\0" + bytes(100))
    peer.close()


@pytest.mark.parametrize("end", [leaves, half_closes, stops_in_a_header, stops_in_a_payload])
@pytest.mark.parametrize("count", [1, 4])
def test_all_calls_fail_at_once(end: Callable[[Peer], None], count: int) -> None:
    with connected() as (stream, peer), connect(stream) as connection:
        calls = waiting(connection, peer, count)
        end(peer)
        errors = [why(call) for call in calls]
        assert {error.reason for error in errors} == {EOF}
        assert len({id(error) for error in errors}) == count  # each thread raises its own
        where = " in the midst of a packet" if "stops" in end.__name__ else ""
        assert {str(error) for error in errors} == {f"the server closed the connection{where}"}
        assert stream.fileno() < 0
        with pytest.raises(ConnectionClosed) as later:
            connection.call(DOUBLE, 1, None)
        assert later.value.reason == EOF
        assert not connection.is_open


def test_replies_before_the_end_count() -> None:
    with pair() as (connection, peer):
        call = start(connection.call, DOUBLE, 1, None)
        got = peer.receive_call(DOUBLE)
        peer.reply(got, 2)
        peer.close()
        assert result(call) == 2
        with pytest.raises(ConnectionClosed) as later:
            connection.call(DOUBLE, 2, None)
        assert later.value.reason == EOF


def test_what_the_server_said_last_is_heard_even_if_nothing_can_be_sent() -> None:
    with pair() as (connection, peer):
        opening = start(connection.open_stream, OPEN, Flags(0), int, None)
        call = peer.receive_call(OPEN)
        peer.reply(call, 0)
        data = result(opening)
        peer.send_data(call, b"last words")
        peer.close()
        with pytest.raises(ConnectionClosed):
            connection.call(DOUBLE, 1, None)
        assert data.read() == b"last words"
        with pytest.raises(ConnectionClosed):
            data.read()


# By this side


def test_close_ends_the_sleep_of_all() -> None:
    with pair() as (connection, peer):
        calls = waiting(connection, peer, 5)
        connection.close()
        errors = [why(call) for call in calls]
        assert {error.reason for error in errors} == {CLIENT}
        assert {str(error) for error in errors} == {"the connection was closed by this side"}
        assert peer.is_ended()
        with pytest.raises(ConnectionClosed, match="closed by this side"):
            connection.call(DOUBLE, 1, None)
        with pytest.raises(ConnectionClosed):
            connection.subscribe(TICK, print)
        connection.close()


def test_close_from_many_threads() -> None:
    with connected() as (stream, peer):
        connection = connect(stream)
        calls = waiting(connection, peer, 3)
        for closing in [start(connection.close) for _ in range(5)]:
            result(closing)
        assert {why(call).reason for call in calls} == {CLIENT}
        assert stream.fileno() < 0


def test_close_in_a_handler_of_events() -> None:
    with pair() as (connection, peer):
        connection.subscribe(TICK, lambda _: connection.close())
        (call,) = waiting(connection, peer, 1)
        peer.send_event(TICK, 1)
        assert why(call).reason == CLIENT
        assert peer.is_ended()


# Callbacks


def test_callbacks_are_called_once_with_the_reason() -> None:
    with pair() as (connection, peer):
        told: SimpleQueue[tuple[str, ConnectionClosed, str]] = SimpleQueue()

        def tell(name: str) -> Callable[[ConnectionClosed], object]:
            return lambda closed: told.put((name, closed, threading.current_thread().name))

        connection.on_close(tell("first"))
        connection.on_close(tell("second"))
        peer.close()  # nobody calls: it is noticed all the same
        for name in ("first", "second"):
            assert told.get(timeout=DEADLINE) == (name, connection.closed, "rpcgen events")
        connection.close()
        connection.on_close(tell("late"))
        assert told.get(timeout=DEADLINE)[:2] == ("late", connection.closed)
        assert connection.closed is not None
        assert connection.closed.reason == EOF
        assert told.empty()


def test_a_callback_is_told_of_a_close_by_this_side_and_may_look_around() -> None:
    with connected() as (stream, _peer):
        connection = connect(stream)
        told: SimpleQueue[tuple[int, bool]] = SimpleQueue()
        connection.on_close(lambda closed: told.put((closed.reason, connection.is_open)))
        connection.close()
        assert told.get(timeout=DEADLINE) == (CLIENT, False)


# What is left


def test_a_thousand_connections_leave_nothing(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(8)
        fds, threads = open_fds(), set(threading.enumerate())
        for number in range(1000):
            connection = connect(f"unix://{path}")
            peer = Peer(listening.accept()[0])
            if number % 10 == 0:
                connection.subscribe(TICK, print)
                connection.start_keepalive(3600, 1)
            call = start(connection.call, DOUBLE, 1, None)
            peer.reply(peer.receive_call(DOUBLE), 2)
            assert result(call) == 2
            if number % 2:
                peer.close()
                connection.close()
            else:
                connection.close()
                peer.close()
        for thread in set(threading.enumerate()) - threads:
            thread.join(DEADLINE)
        assert open_fds() == fds


def test_a_holder_in_another_thread_closes_what_it_slept_on() -> None:
    with connected() as (stream, peer):
        fds = open_fds() - {str(stream.fileno())}
        connection = connect(stream)
        calls = waiting(connection, peer, 3)
        connection.close()
        for call in calls:
            why(call)
        assert open_fds() == fds


def test_a_connection_that_nobody_closes_is_warned_of() -> None:
    fds = open_fds()
    ours, theirs = dial.pair()
    connection = connect(ours)
    with pytest.warns(ResourceWarning, match="unclosed"):  # noqa: PT031  (del cannot raise)
        del connection, ours
        gc.collect()
    theirs.close()
    assert open_fds() == fds


def test_a_connection_that_cannot_be_made_leaves_nothing() -> None:
    with connected() as (stream, _peer):
        with pytest.raises(ValueError, match="keepalive"):
            connect(stream, keepalive=(1, -1))
        assert stream.fileno() < 0


def test_who_was_there_is_remembered_if_somebody_has_asked() -> None:
    with pair() as (connection, _peer):
        identity = connection.identity
    assert connection.identity is identity
    with pair() as (connection, _peer):
        pass
    with pytest.raises(ConnectionClosed, match="has forgotten its peer"):
        connection.identity  # noqa: B018


def test_close_on_the_thread_that_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the collector may end what closes the connection."""
    closed: Future[None] = Future()
    over = threading.Event()
    run = Watch._run

    def close_and_run(watch: Watch) -> None:
        try:
            connection.close()
            closed.set_result(None)
        except RuntimeError as error:
            closed.set_exception(error)
        run(watch)
        over.set()

    monkeypatch.setattr(Watch, "_run", close_and_run)
    fds = open_fds()
    with pair() as (connection, peer):
        connection.subscribe(TICK, print)
        result(closed)
        assert peer.is_ended()
        assert over.wait(DEADLINE)
    assert open_fds() == fds
