"""The server's end for tests of the asyncio client: on the same loop, and scripted by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

import pytest

from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.errors import ConnectionClosed, XdrDecodeError, XdrEncodeError
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import CALL, OK, head
from rpcgen.runtime.program import VOID, Procedure, Program, Route
from rpcgen.runtime.server_connection import IncomingCall, ServerConnection
from rpcgen.runtime.streams import Stream
from rpcgen.runtime.transport.dial import pair
from rpcgen.runtime.transport.stream import SocketStream
from rpcgen.runtime.xdr import Buffer

DEADLINE = 20.0
"""Seconds for what takes milliseconds, on machines with much else to do."""

PROGRAM = Program("TEST_V1", 0x20F1_1E51, 1)


def _encode(value: object) -> bytes:
    if not isinstance(value, int):
        raise XdrEncodeError(f"expected an int, got {type(value).__name__}")
    return value.to_bytes(4, "big", signed=True)


def _read(data: Buffer, offset: int) -> tuple[int, int]:
    word = bytes(data[offset : offset + 4])
    if len(word) < 4:
        raise XdrDecodeError("expected 4 bytes", offset)
    return int.from_bytes(word, "big", signed=True), offset + 4


class Flags:
    """An argument that has nothing but flags."""

    def __init__(self, flags: int) -> None:
        self.flags = flags


NUMBER = (_encode, _read)
FLAGS = (
    lambda argument: _encode(argument.flags),
    lambda data, offset: (Flags(_read(data, offset)[0]), offset + 4),
)

DOUBLE: Procedure[int, int] = Procedure(PROGRAM, 1, "TEST_DOUBLE", "double", NUMBER, NUMBER)
"""Answers twice its argument, if the peer is so inclined."""
PASS: Procedure[int, int] = Procedure(
    PROGRAM, 2, "TEST_PASS", "pass_", NUMBER, NUMBER, fds_in=True, fds_out=True
)
"""Takes and returns descriptors."""
DOWN: Procedure[Flags, int] = Procedure(
    PROGRAM, 3, "TEST_DOWN", "down", FLAGS, NUMBER, stream="read", sparse_flag=1
)
UP: Procedure[Flags, None] = Procedure(
    PROGRAM, 4, "TEST_UP", "up", FLAGS, VOID, stream="write", sparse_flag=1
)
NEWS: Procedure[int, None] = Procedure(PROGRAM, 5, "TEST_NEWS", "news", NUMBER, VOID, event=True)

ROUTES = {
    (PROGRAM.number, PROGRAM.version): {
        number: Route(procedure, lambda *_: None)
        for number, procedure in PROGRAM.procedures.items()
        if not procedure.event
    }
}


def raw(
    number: int, payload: bytes = b"", *, kind: int = CALL, serial: int = 0, status: int = OK
) -> bytes:
    """A packet of the test's program, by default a call."""
    return head(len(payload), PROGRAM.number, 1, number, kind, serial, status) + payload


class Peer:
    """A server's end whose answers the test gives.

    Attributes:
        core: the protocol.
        received: bytes that came.
        is_mute: whether nothing is sent.
    """

    def __init__(self, stream: SocketStream, limits: Limits) -> None:
        self.core = ServerConnection(ROUTES, limits, passes_fds=True)
        self.received = 0
        self.is_mute = False
        self.stream = stream
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[IncomingCall | Stream | None] = asyncio.Queue()
        self._is_writing = False
        self.read()

    def read(self) -> None:
        """Take what comes; so it begins."""
        self._loop.add_reader(self.stream.fileno(), self._readable)

    def stop_reading(self) -> None:
        self._loop.remove_reader(self.stream.fileno())

    def _readable(self) -> None:
        try:
            count, fds = self.stream.receive_with_fds(self.core.reader.space())
        except ConnectionClosed:
            count, fds = 0, []
        if not count:
            self.stop_reading()
            self._events.put_nowait(None)
            return
        self.received += count
        self.core.received(count, fds)
        while (event := self.core.next_event()) is not None:
            self._events.put_nowait(event)
        self.flush()

    async def call(self) -> IncomingCall:
        """The next call; what happens on streams meanwhile is passed over."""
        while not isinstance(event := await self._events.get(), IncomingCall):
            assert event is not None, "the client closed the connection"
        return event

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        while await self._events.get() is not None:
            pass

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what comes until something is the case."""
        while not condition():
            assert await self._events.get() is not None, "the client closed the connection"

    def reply(self, call: IncomingCall, value: int | None = 0, fds: Sequence[int] = ()) -> None:
        procedure = call.route.procedure
        self.core.reply(call, procedure.encode_result(value), [os.dup(fd) for fd in fds])
        self.flush()

    async def serve(self) -> None:
        """Answer DOUBLE, and nothing else, until the client is gone."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, IncomingCall) and event.route.procedure is DOUBLE:
                number, _ = DOUBLE.read_argument(event.payload, 0)
                self.reply(event, number * 2)

    def send(self, *packets: bytes) -> None:
        """Send bytes as they are."""
        for packet in packets:
            self.core.outbox.put(packet)
        self.flush()

    def news(self, *numbers: int) -> None:
        """Send events."""
        for number in numbers:
            self.core.send_event(NEWS, NEWS.encode_argument(number))
        self.flush()

    def flush(self) -> None:
        """Send what is queued, as far as the client takes it."""
        outbox, blocked = self.core.outbox, False
        if self.is_mute:
            outbox.release_fds()
        try:
            while outbox and not blocked:
                if (fd := outbox.fd) is None:
                    count = self.stream.send(outbox.batch())
                    outbox.sent(count)
                    blocked = not count
                elif self.stream.send_fd(fd):
                    os.close(outbox.sent_fd())
                else:
                    blocked = True
        except ConnectionClosed:
            for fd in outbox.release_fds():
                os.close(fd)
        if blocked is not self._is_writing:
            self._is_writing = blocked
            if blocked:
                self._loop.add_writer(self.stream.fileno(), self.flush)
            else:
                self._loop.remove_writer(self.stream.fileno())

    def close(self) -> None:
        if self.stream.fileno() >= 0:
            self.stop_reading()
            self._loop.remove_writer(self.stream.fileno())
            self.core.close("over")
            for fd in self.core.stray_fds:
                os.close(fd)
            self.stream.close()


@asynccontextmanager
async def connected(
    limits: Limits | None = None,
    *,
    keepalive: tuple[float, int] | None = None,
    strict: bool = False,
    wrap: Callable[[SocketStream], Any] = lambda stream: stream,
) -> AsyncIterator[tuple[AsyncConnection, Peer]]:
    """A client and its peer.

    Args:
        wrap: makes the client's stream of a socket's.
    """
    one, two = pair()
    limits = limits or Limits()
    peer = Peer(two, Limits())
    try:
        async with AsyncConnection(
            wrap(one), limits=limits, keepalive=keepalive, strict=strict
        ) as connection:
            yield connection, peer
    finally:
        peer.close()


def channel_of(connection: AsyncConnection) -> Any:
    """What carries a connection: to look at what has no other sign."""
    return connection._channel


async def _judged(main: Coroutine[Any, Any, None]) -> None:
    """Run a test within its time; nothing may be left on the loop, nor may anything have gone wrong there."""
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    async with asyncio.timeout(DEADLINE):
        await main
    assert not problems
    timers = getattr(loop, "_scheduled", [])  # asyncio's own loop tells
    assert [timer for timer in timers if not timer.cancelled()] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


def every_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on asyncio's own loop and, where it is installed, on uvloop's, and judge it."""

    @wraps(test)
    def on_loop(loop: str, **given: Any) -> None:
        factory = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_judged(test(**given)))

    asked = [*signature(test).parameters.values(), Parameter("loop", Parameter.KEYWORD_ONLY)]
    vars(on_loop)["__signature__"] = Signature(asked)  # where pytest looks for fixtures
    on_loops: Callable[..., None] = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])(on_loop)
    return on_loops
