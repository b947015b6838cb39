"""Exceptions that signal handlers raise in the main thread, wherever it is."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Self

import pytest
from peers import (
    CONTINUE,
    DEADLINE,
    DOUBLE,
    ERROR,
    OPEN,
    PROGRAM,
    STREAM,
    TICK,
    Flags,
    Peer,
    ReceivedCall,
    connected,
    open_fds,
    pair,
    result,
    start,
)

from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.errors import ConnectionClosed
from rpcgen.runtime.transport.stream import SocketStream


def interrupt() -> None:
    """Raise KeyboardInterrupt in the main thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


def interrupt_sleep(connection: Connection) -> None:
    """The same once the main thread, which has begun to wait for something, sleeps.

    A signal before that is noticed when the sleep is over: CPython has no remedy.
    """
    with connection._buck.lock:
        pass
    until_asleep(os.getpid())
    interrupt()


def until_asleep(pid: int) -> None:
    """Until a process, or its main thread, sleeps."""
    state = ""
    while state != "S":
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    assert threading.current_thread() is threading.main_thread()

    def raise_interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, raise_interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_the_holder_is_interrupted() -> None:
    with pair() as (connection, peer):

        def play() -> None:
            late = peer.receive_call(DOUBLE)
            interrupt_sleep(connection)
            call = peer.receive_call(DOUBLE)
            peer.reply(late, 1000)
            peer.reply(call, 4)

        playing = start(play)
        with pytest.raises(KeyboardInterrupt):
            connection.call(DOUBLE, 1, None)
        assert connection.call(DOUBLE, 2, None) == 4
        result(playing)


def test_who_sleeps_behind_the_holder_is_interrupted() -> None:
    with pair() as (connection, peer):
        holder = start(connection.call, DOUBLE, 1, None)
        first = peer.receive_call(DOUBLE)

        def play() -> None:
            peer.receive_call(DOUBLE)
            interrupt_sleep(connection)

        playing = start(play)
        with pytest.raises(KeyboardInterrupt):
            connection.call(DOUBLE, 2, None)
        result(playing)
        peer.reply(first, 2)
        assert result(holder) == 2
        assert connection._buck._sleepers == {}


def test_the_buck_goes_on_when_its_holder_is_interrupted() -> None:
    with pair() as (connection, peer):

        def play() -> int:
            peer.receive_call(DOUBLE)
            other = start(connection.call, DOUBLE, 2, None)
            second = peer.receive_call(DOUBLE)
            interrupt_sleep(connection)
            peer.reply(second, 4)
            value: int = result(other)
            return value

        playing = start(play)
        with pytest.raises(KeyboardInterrupt):
            connection.call(DOUBLE, 1, None)
        assert result(playing) == 4


def test_a_stream_is_aborted_without_waiting() -> None:
    with pair() as (connection, peer):

        def play() -> None:
            call = peer.receive_call(OPEN)
            peer.reply(call, 0)
            peer.send_data(call, b"data")
            interrupted.wait(DEADLINE)
            interrupt_sleep(connection)
            assert peer.receive_of(call).kind == (STREAM, ERROR)
            again = peer.receive_call(DOUBLE)
            peer.send_data(call, b"on its way")
            peer.confirm(call)
            peer.reply(again, 2)

        interrupted = threading.Event()
        playing = start(play)

        def talk() -> None:
            with connection.open_stream(OPEN, Flags(0), int, None) as data:
                assert data.read() == b"data"
                interrupted.set()
                data.read()

        with pytest.raises(KeyboardInterrupt):
            talk()
        assert connection.call(DOUBLE, 1, None) == 2
        assert connection._core.streams == {}
        result(playing)


def test_a_stream_that_opens_after_all_is_aborted() -> None:
    with pair() as (connection, peer):

        def play() -> None:
            opened = peer.receive_call(OPEN)
            interrupt_sleep(connection)
            call = peer.receive_call(DOUBLE)
            peer.reply(opened, 0)
            peer.send_data(opened, b"data")
            assert peer.receive_of(opened).kind == (STREAM, ERROR)
            peer.confirm(opened)
            peer.reply(call, 2)

        playing = start(play)
        with pytest.raises(KeyboardInterrupt):
            connection.open_stream(OPEN, Flags(0), int, None)
        assert connection.call(DOUBLE, 1, None) == 2
        assert connection._core.streams == {}
        result(playing)


def test_a_write_is_interrupted_and_its_packet_still_goes_whole() -> None:
    with pair() as (connection, peer):
        data = bytes(range(256)) * 1000

        def play() -> None:
            call = peer.receive_call(OPEN)
            peer.reply(call, 0)
            assert peer.socket.recv(1, socket.MSG_PEEK)  # it is being written, and does not fit
            interrupt_sleep(connection)
            while (got := peer.receive_of(call)).kind != (STREAM, ERROR):
                assert got.payload == data
            peer.confirm(call)

        def talk() -> None:
            with connection.open_stream(OPEN, Flags(0), int, None) as opened:
                while True:
                    opened.write(data)

        playing = start(play)
        with pytest.raises(KeyboardInterrupt):
            talk()
        result(playing)


# Everywhere


class Strike:
    """Does in the main thread, once, what a signal handler might do.

    CPython looks for signals where a function begins and where one of C returns; a profile
    function is called at the same places. So what a signal could hit by accident is hit in order.

    Args:
        number: the how manieth place within the runtime it is.
        action: what is done; None raises KeyboardInterrupt.
    """

    def __init__(self, number: int, action: Callable[[], object] | None = None) -> None:
        self._left = number
        self._action = action
        self.where = ""

    def __enter__(self) -> Self:
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        place = frame.f_code.co_filename.partition("/rpcgen/runtime/")[2]
        if not place or event not in ("call", "c_return"):
            return
        self._left -= 1
        if not self._left:
            sys.setprofile(None)
            self.where = f"{place}:{frame.f_lineno}, {event}"
            if self._action is None:
                raise KeyboardInterrupt
            self._action()


class Scene:
    """A connection, what is under way on it, and what the main thread does now."""

    end = "KeyboardInterrupt in the midst of a packet"
    """How the connection may end."""

    def __init__(self, stream: SocketStream, peer: Peer) -> None:
        self.connection = connect(stream)
        self.peer = peer
        self.others: list[Future[int]] = []
        self.serving: Future[None] | None = None
        self.prepare()

    def prepare(self) -> None:
        self.serving = start(serve, self.peer)

    def act(self) -> None:
        assert self.connection.call(DOUBLE, 2, None) == 4

    def check(self) -> None:
        """Every call is answered, or told why not; nothing is left behind."""
        probe = start(self.connection.call, DOUBLE, 3, None)
        if (error := probe.exception(DEADLINE)) is None:
            assert probe.result() == 6
        else:
            assert isinstance(error, ConnectionClosed)
            assert re.match(self.end, str(error))
        for other in self.others:
            other_error = other.exception(DEADLINE)
            assert other_error is None or isinstance(other_error, ConnectionClosed)
        buck = self.connection._buck
        assert (buck._holder, buck._sleepers) == (None, {})
        self.connection.close()
        assert self.connection._stream.fileno() < 0
        if self.serving is not None:
            result(self.serving)


class WithOneBehind(Scene):
    """Another thread waits for the buck, which the main thread has."""

    def act(self) -> None:
        self.others = [start(self.connection.call, DOUBLE, 4, None)]
        super().act()


class BehindAnother(Scene):
    """Another thread has the buck."""

    def prepare(self) -> None:
        self.others = [start(self.connection.call, DOUBLE, 4, None)]
        self.serving = start(serve, self.peer, self.peer.receive_call(DOUBLE))


class WakingAnother(Scene):
    """The main thread has the buck, and receives the reply that another waits for before its own."""

    def prepare(self) -> None:
        self.serving = start(self._answer_the_other_first)

    def _answer_the_other_first(self) -> None:
        with suppress(EOFError, OSError):
            mine = self.peer.receive_call(DOUBLE)
            self.others = [start(self.connection.call, DOUBLE, 4, None)]
            other = self.peer.receive_call(DOUBLE)
            with self.connection._buck.lock:
                pass  # it has lined up
            self.peer.reply(other, other.argument * 2)
            self.peer.reply(mine, mine.argument * 2)
        serve(self.peer)


class Streaming(Scene):
    """The main thread writes to a stream, reads from it and finishes it."""

    def act(self) -> None:
        with self.connection.open_stream(OPEN, Flags(0), int, None) as stream:
            stream.write(b"data")
            assert stream.read() == b"data"


class Closing(Scene):
    """The main thread closes the connection, on which a stream is open."""

    end = "the connection was closed by this side"

    def prepare(self) -> None:
        super().prepare()
        self.connection.open_stream(OPEN, Flags(0), int, None)

    def act(self) -> None:
        self.connection.close()

    def check(self) -> None:
        self.connection.close()
        with pytest.raises(ConnectionClosed, match="closed by this side"):
            self.connection.call(DOUBLE, 3, None)
        super().check()


class Ending(Scene):
    """The main thread sees the end of the connection."""

    end = "connection lost|the server closed the connection|KeyboardInterrupt in the midst of"

    def prepare(self) -> None:
        self.peer.close()

    def act(self) -> None:
        with pytest.raises(ConnectionClosed):
            self.connection.call(DOUBLE, 2, None)


def serve(peer: Peer, held: ReceivedCall | None = None) -> None:
    """Answer calls, the held one last of all; echo streams and confirm their end."""
    with suppress(EOFError, OSError):
        while True:
            got = peer.receive()
            if got.kind == (STREAM, CONTINUE):
                peer.send_data(got, got.payload)
            elif got.header.type == STREAM:
                peer.confirm(got)
            else:
                procedure = PROGRAM.procedures[got.header.proc]
                argument, _ = procedure.read_argument(got.payload, 0)
                call = ReceivedCall(got.header, got.payload, procedure=procedure, argument=argument)
                peer.reply(call, argument * 2 if procedure is DOUBLE else 0)
            if held is not None:
                peer.reply(held, held.argument * 2)
                held = None


@pytest.mark.parametrize(
    "kind", [Scene, WithOneBehind, BehindAnother, WakingAnother, Streaming, Closing, Ending]
)
def test_an_interrupt_at_any_place(kind: type[Scene]) -> None:
    """What it hits works on, or is closed; nobody waits for ever, and nothing gets mixed up."""
    assert sys.getprofile() is None
    struck = 0
    for number in range(1, 10_000):
        with connected() as (stream, peer):
            scene = kind(stream, peer)
            strike = Strike(number)
            try:
                with strike:
                    scene.act()
            except KeyboardInterrupt:
                struck += 1
            try:
                scene.check()
            except BaseException as error:
                error.add_note(f"struck at {strike.where}")
                raise
            if not strike.where:
                break
    assert struck == number - 1 > 20


@pytest.mark.parametrize("kind", [Scene, WithOneBehind, BehindAnother, Streaming])
def test_a_handler_that_closes_the_connection_at_any_place(kind: type[Scene]) -> None:
    for number in range(1, 10_000):
        with connected() as (stream, peer):
            scene = kind(stream, peer)
            scene.end = "the connection was closed by this side"
            strike = Strike(number, scene.connection.close)
            try:
                with strike, suppress(ConnectionClosed):
                    scene.act()
                assert scene.connection.is_open is not bool(strike.where)
                scene.check()
            except BaseException as error:
                error.add_note(f"struck at {strike.where}")
                raise
            if not strike.where:
                break
    assert number > 20


def subscribe_elsewhere(connection: Connection, handler: Callable[[int], None]) -> None:
    """Subscribe in another thread, and wait until that is done."""
    result(start(connection.subscribe, TICK, handler))


def test_a_subscription_while_another_is_cancelled() -> None:
    """Another thread subscribes at any place of that, and is told of the next event."""
    for number in range(1, 10_000):
        with pair() as (connection, peer):
            ticks: SimpleQueue[int] = SimpleQueue()
            strike = Strike(number, partial(subscribe_elsewhere, connection, ticks.put))
            subscription = connection.subscribe(TICK, print)
            with strike:
                subscription.cancel()
            if not strike.where:
                break
            peer.send_event(TICK, number)
            assert ticks.get(timeout=DEADLINE) == number
    assert number > 3


# A real one

CHILD = """
import signal, sys
from peers import DOUBLE
from rpcgen.runtime import connect

# Whoever runs this in the background may have it ignore the signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
with connect(sys.argv[1]) as connection:
    try:
        connection.call(DOUBLE, 1, None)
    except KeyboardInterrupt:
        print("interrupted", connection.call(DOUBLE, 2, None), flush=True)
"""


def test_control_c(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        tests = str(Path(__file__).parents[1])
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, f"unix://{path}"],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": tests},
        ) as child:
            listening.settimeout(DEADLINE)
            peer = Peer(listening.accept()[0])
            peer.receive_call(DOUBLE)
            until_asleep(child.pid)
            child.send_signal(signal.SIGINT)
            peer.reply(peer.receive_call(DOUBLE), 4)
            assert child.communicate(timeout=DEADLINE)[0] == b"interrupted 4\n"
            peer.close()
        assert child.returncode == 0


def test_the_start_of_the_watch_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread runs, and who has started it was waiting for that."""
    begin, started = threading.Thread.start, list[threading.Thread]()

    def start_and_interrupt(thread: threading.Thread) -> None:
        begin(thread)
        if thread.name == "rpcgen watch":
            started.append(thread)
            raise KeyboardInterrupt

    fds = open_fds()
    with pair() as (connection, peer):
        monkeypatch.setattr(threading.Thread, "start", start_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            connection.subscribe(TICK, print)
        monkeypatch.undo()
        assert connection.closed is not None
        assert peer.is_ended()
        (watching,) = started
        watching.join(DEADLINE)
        assert not watching.is_alive()
    assert open_fds() == fds
