"""Many threads on one connection: who does I/O, in what order, and that each gets its own."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from peers import (
    BLOB,
    CALL,
    CONTINUE,
    DEADLINE,
    DOUBLE,
    OK,
    OPEN,
    STREAM,
    TICK,
    Flags,
    Peer,
    ReceivedCall,
    pair,
    result,
    start,
)

from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.transport.stream import SocketStream
from rpcgen.runtime.xdr import Buffer


class Witness(SocketStream):
    """Notes which thread sent and which received; sends nothing while it is full."""

    __slots__ = ("is_full", "log", "refused")

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        self.log: list[tuple[str, str]] = []
        self.is_full = False
        self.refused = threading.Event()

    def receive(self, space: memoryview) -> int | None:
        count = super().receive(space)
        if count:
            self.log.append((threading.current_thread().name, "receives"))
        return count

    def send(self, buffers: Sequence[Buffer]) -> int:
        if self.is_full:
            self.refused.set()
            return 0
        self.log.append((threading.current_thread().name, "sends"))
        return super().send(buffers)


@contextmanager
def witnessed() -> Iterator[tuple[Connection, Witness, Peer]]:
    """A connection, what sees its I/O, and its peer."""
    ours, theirs = socket.socketpair()
    stream, peer = Witness(ours), Peer(theirs)
    try:
        with connect(stream) as connection:
            yield connection, stream, peer
    finally:
        peer.close()


def named(name: str, connection: Connection, value: int) -> int:
    """Call in a thread that is called so."""
    threading.current_thread().name = name
    return connection.call(DOUBLE, value, None)


# The diagrams of "Client threads"


def test_the_buck_is_passed() -> None:
    with witnessed() as (connection, stream, peer):
        one = start(named, "T1", connection, 1)
        first = peer.receive_call(DOUBLE)
        two = start(named, "T2", connection, 2)
        second = peer.receive_call(DOUBLE)
        peer.reply(first, 2)
        assert result(one) == 2
        assert not two.done()
        peer.reply(second, 4)
        assert result(two) == 4
        assert stream.log == [
            ("T1", "sends"),
            ("T2", "sends"),
            ("T1", "receives"),
            ("T2", "receives"),
        ]


def test_the_buck_is_not_passed() -> None:
    with witnessed() as (connection, stream, peer):
        one = start(named, "T1", connection, 1)
        first = peer.receive_call(DOUBLE)
        two = start(named, "T2", connection, 2)
        second = peer.receive_call(DOUBLE)
        peer.reply(second, 4)
        assert result(two) == 4
        assert not one.done()
        peer.reply(first, 2)
        assert result(one) == 2
        assert stream.log == [
            ("T1", "sends"),
            ("T2", "sends"),
            ("T1", "receives"),
            ("T1", "receives"),
        ]


def test_an_event_during_a_call() -> None:
    with witnessed() as (connection, stream, peer):
        emitted = threading.Event()
        seen: list[tuple[str, int]] = []

        def handler(message: int) -> None:
            seen.append((threading.current_thread().name, message))
            emitted.set()

        connection.subscribe(TICK, handler)
        one = start(named, "T1", connection, 1)
        first = peer.receive_call(DOUBLE)
        peer.send_event(TICK, 7)
        assert emitted.wait(DEADLINE)
        assert not one.done()
        peer.reply(first, 2)
        assert result(one) == 2
        assert seen == [("rpcgen events", 7)]
        assert stream.log == [("T1", "sends"), ("T1", "receives"), ("T1", "receives")]


# What the socket does not take


def test_the_holder_sends_what_others_could_not() -> None:
    with witnessed() as (connection, stream, peer):
        one = start(named, "T1", connection, 1)
        first = peer.receive_call(DOUBLE)
        stream.is_full = True
        two = start(named, "T2", connection, 2)
        assert stream.refused.wait(DEADLINE)
        with connection._buck.lock:  # by now it is in the queue, and T1 was woken
            stream.is_full = False
        second = peer.receive_call(DOUBLE)
        peer.reply(first, 2)
        peer.reply(second, 4)
        assert (result(one), result(two)) == (2, 4)
        assert stream.log[:2] == [("T1", "sends"), ("T1", "sends")]
        assert ("T2", "sends") not in stream.log


def test_packets_larger_than_the_socket_from_two_threads() -> None:
    with witnessed() as (connection, _stream, peer):
        one = start(connection.call, BLOB, b"1" * 2_000_000, None)
        two = start(connection.call, BLOB, b"2" * 2_000_000, None)
        calls = [peer.receive_call(BLOB) for _ in range(2)]
        for call in reversed(calls):
            assert call.argument == call.argument[:1] * 2_000_000
            peer.reply(call, call.argument[:3])
        assert (result(one), result(two)) == (b"111", b"222")


# Order


def test_who_waits_longest_is_next() -> None:
    with witnessed() as (connection, stream, peer):
        running, calls = [], []
        for number in range(5):
            running.append(start(named, f"T{number}", connection, number))
            calls.append(peer.receive_call(DOUBLE))
        # T1 gets its reply first, and is in the queue no more.
        for number in (1, 0, 2, 3, 4):
            peer.reply(calls[number], 2 * number)
            assert result(running[number]) == 2 * number
        receivers = [name for name, what in stream.log if what == "receives"]
        assert receivers == ["T0", "T0", "T2", "T3", "T4"]


def test_a_lone_thread_never_sleeps_behind_a_gate() -> None:
    with witnessed() as (connection, stream, peer):
        before = threading.active_count()
        for value in range(3):
            waiting = start(connection.call, DOUBLE, value, None)
            peer.reply(peer.receive_call(DOUBLE), 0)
            result(waiting)
        assert [what for _, what in stream.log] == ["sends", "receives"] * 3
        assert connection._buck._watch is None
        assert threading.active_count() <= before + 1  # the caller may not have ended yet


# Everything at once

THREADS = 32
CALLS = 10_000
STREAMS = 8


class Server(threading.Thread):
    """Answers in random order, with events and stream data between."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(daemon=True)
        self._peer = peer
        self._random = random.Random(20)  # noqa: S311  (any order, the same each time)
        self._held: list[ReceivedCall] = []
        self._answered = 0
        self._streams: dict[int, ReceivedCall] = {}
        self.sent: dict[int, bytes] = {}
        self.got: dict[int, bytes] = {}
        self.ticks = 0

    def run(self) -> None:
        for _ in range(STREAMS):
            call = self._peer.receive_call(OPEN)
            self._streams[call.header.serial] = call
            self._peer.reply(call, call.header.serial)
            self.sent[call.header.serial] = self.got[call.header.serial] = b""
        while self._answered < CALLS:
            self._receive()
            # Never more than there are threads: they would all wait.
            is_last = self._answered + len(self._held) == CALLS
            if is_last or len(self._held) >= self._random.randint(1, THREADS):
                self._answer(len(self._held) if is_last else self._random.randint(1, THREADS))
        for call in self._streams.values():
            self._peer.send_data(call, b"")
        while self._streams:
            self._receive()

    def _receive(self) -> None:
        got = self._peer.receive()
        serial = got.header.serial
        if got.kind == (CALL, OK):
            argument, _ = DOUBLE.read_argument(got.payload, 0)
            self._held.append(
                ReceivedCall(got.header, got.payload, procedure=DOUBLE, argument=argument)
            )
        elif got.kind == (STREAM, CONTINUE):
            self.got[serial] += got.payload
        else:
            assert got.kind == (STREAM, OK)
            self._peer.confirm(self._streams.pop(serial))

    def _answer(self, count: int) -> None:
        self._random.shuffle(self._held)
        for call in self._held[:count]:
            self._peer.reply(call, call.argument * 2)
            self._answered += 1
            if self._answered % 7 == 0:
                self._peer.send_event(TICK, self.ticks)
                self.ticks += 1
            if self._answered % 5 == 0 and self._streams:
                serial = self._random.choice([*self._streams])
                data = self._random.randbytes(self._random.randint(1, 3_000))
                self.sent[serial] += data
                self._peer.send_data(self._streams[serial], data)
        del self._held[:count]


class Talker:
    """Writes to a stream and reads it to its end."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.stream = connection.open_stream(OPEN, Flags(0), int, None)
        self.written = bytes([number]) * 700_000
        self.read = b""

    def talk(self) -> None:
        with self.stream as stream:
            for start_ in range(0, len(self.written), 10_000):
                stream.write(self.written[start_ : start_ + 10_000])
            for data in stream:
                self.read += data


def test_thousands_of_calls_with_streams_and_events_between() -> None:
    with pair() as (connection, peer):
        server = Server(peer)
        server.start()
        ticks: list[int] = []
        ended = threading.Event()
        connection.subscribe(TICK, ticks.append)
        connection.on_close(lambda _: ended.set())
        talkers = [Talker(connection, number) for number in range(STREAMS)]
        talking = [start(talker.talk) for talker in talkers]
        numbers = iter(range(CALLS))
        lock = threading.Lock()

        def caller() -> int:
            done = 0
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return done
                assert connection.call(DOUBLE, number, None) == number * 2
                done += 1

        calling = [start(caller) for _ in range(THREADS)]
        assert sum(map(result, calling)) == CALLS
        for one in talking:
            result(one)
        for talker in talkers:
            assert talker.read == server.sent[talker.stream.reply]
            assert talker.written == server.got[talker.stream.reply]
        peer.half_close()
        assert ended.wait(DEADLINE)
        assert ticks == [*range(CALLS // 7)]
