"""Streams from and to handlers of every form: data, holes, ends, errors, and who waits for whom."""

from __future__ import annotations

import asyncio
import gc
import io
import itertools
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from raw import CONTINUE, DEADLINE, ERROR, OK, REPLY, STREAM, STREAM_HOLE, Packet, Raw
from server.kit import (
    CONSOLE,
    DOWNLOAD,
    QUICK,
    UPLOAD,
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

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime.errors import ConnectionClosed, LocalProtocolError, RpcError
from rpcgen.runtime.limits import (
    OUTBOX_HIGH,
    STREAM_PACKET_MAX,
    STREAM_WINDOW,
    STREAMS_MAX,
    Limits,
)
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure
from rpcgen.runtime.server import engine
from rpcgen.runtime.streams import Hole

INTERNAL = Failure("internal error$", VirErrorNumber.VIR_ERR_INTERNAL_ERROR)


class Opened:
    """A stream as the client has it: packets of one call."""

    def __init__(self, raw: Raw, procedure: Procedure[Any, Any], flags: int = 0, serial: int = 9):
        self.raw = raw
        self.procedure = procedure.number
        self.serial = serial
        payload = b"" if procedure is CONSOLE else number(flags)
        raw.send(raw.packet(self.procedure, payload, serial=serial))

    def reply(self) -> Packet:
        """The reply to the call."""
        reply = self.raw.read()
        assert reply[2:5] == (self.procedure, REPLY, self.serial), reply
        return reply

    def send(self, data: bytes = b"", status: int = CONTINUE, type_: int = STREAM) -> None:
        packet = self.raw.packet(
            self.procedure, data, serial=self.serial, type_=type_, status=status
        )
        self.raw.send(packet)

    def send_much(self, count: int, size: int) -> None:
        for _ in range(count):
            self.send(bytes(size))

    def send_hole(self, length: int) -> None:
        self.send(length.to_bytes(8, "big") + bytes(4), type_=STREAM_HOLE)

    def read(self, status: int = CONTINUE, type_: int = STREAM) -> bytes:
        """What is in the next packet, which must be one of the stream."""
        packet = self.raw.read()
        assert packet[2:6] == (self.procedure, type_, self.serial, status), packet
        return packet.payload

    def read_all(self) -> list[bytes | Hole]:
        """Data and holes up to the end of data, neighbours joined."""
        found: list[bytes | Hole] = []
        while True:
            packet = self.raw.read()
            assert packet[2] == self.procedure, packet
            assert packet[4:6] == (self.serial, CONTINUE), packet
            if packet.type == STREAM_HOLE:
                found.append(Hole(int.from_bytes(packet.payload[:8], "big")))
            elif not packet.payload:
                return found
            elif found and isinstance(found[-1], bytes):
                found[-1] += packet.payload
            else:
                found.append(packet.payload)

    def finish(self) -> None:
        """Finish, and read the confirmation."""
        self.send(status=OK)
        assert self.read(OK) == b""

    def abort(self) -> None:
        """Abort, and read up to the confirmation."""
        self.send(status=ERROR)
        while (packet := self.raw.read()).status == CONTINUE:
            pass
        assert packet[2:] == (self.procedure, STREAM, self.serial, OK, b"")


# From handlers: every form of data


def as_list(call: Any, _: object) -> list[bytes]:
    call.reply(1)
    return [b"ab", b"", bytearray(b"cd"), memoryview(b"ef")]  # type: ignore[list-item]


def as_generator(call: Any, _: object) -> Iterator[bytes]:
    call.reply(1)
    yield from (b"ab", b"cd", b"ef")


def as_iterator(call: Any, _: object) -> Iterator[bytes]:
    call.reply(1)
    return iter((b"ab", b"cd", b"ef"))


def as_file(call: Any, _: object) -> io.BytesIO:
    call.reply(1)
    return io.BytesIO(b"abcdef")


async def as_async_generator(call: Any, _: object) -> AsyncIterator[bytes]:
    call.reply(1)
    yield b"ab"
    await asyncio.sleep(0)
    yield b"cd"
    yield b"ef"


async def as_list_of_a_coroutine(call: Any, _: object) -> list[bytes]:
    await asyncio.sleep(0)
    call.reply(1)
    return [b"ab", b"cdef"]


async def as_generator_of_a_coroutine(call: Any, _: object) -> AsyncIterator[bytes]:
    await asyncio.sleep(0)
    return as_async_generator(call, _)


def as_async_generator_of_a_plain_method(call: Any, _: object) -> AsyncIterator[bytes]:
    return as_async_generator(call, _)


def as_coroutine_of_a_plain_method(call: Any, _: object) -> Any:
    return as_list_of_a_coroutine(call, _)


FORMS = [
    as_list,
    as_generator,
    as_iterator,
    as_file,
    as_async_generator,
    as_list_of_a_coroutine,
    as_generator_of_a_coroutine,
    as_async_generator_of_a_plain_method,
    as_coroutine_of_a_plain_method,
]


@pytest.mark.parametrize("workers", [5, 0])
@pytest.mark.parametrize("form", FORMS)
def test_a_download_in_every_form(form: Callable[..., Any], workers: int) -> None:
    with (
        serving(offering(download=form), min_workers=0, max_workers=workers) as server,
        connect(server) as raw,
    ):
        for serial in (3, 4, 3):
            stream = Opened(raw, DOWNLOAD, serial=serial)
            assert stream.reply()[5:] == (OK, number(1))
            assert stream.read_all() == [b"abcdef"]
            stream.finish()


def test_data_travels_in_packets_that_everybody_takes() -> None:
    data = os.urandom(3 * OUTBOX_HIGH + 5)

    def handler(call: Any, _: object) -> list[bytes]:
        call.reply(1)
        return [data]

    with serving(offering(download=handler)) as server, connect(server) as raw:
        stream = Opened(raw, DOWNLOAD)
        stream.reply()
        pieces = list(iter(stream.read, b""))
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) == STREAM_PACKET_MAX
        stream.finish()


def test_a_buffer_may_be_used_again() -> None:
    def handler(call: Any, _: object) -> Iterator[bytearray]:
        call.reply(1)
        buffer = bytearray(3)
        for i in range(100):
            buffer[:] = bytes([i]) * 3
            yield buffer

    with serving(offering(download=handler)) as server, connect(server) as raw:
        stream = Opened(raw, DOWNLOAD)
        stream.reply()
        assert stream.read_all() == [b"".join(bytes([i]) * 3 for i in range(100))]


@pytest.fixture
def sparse_file(tmp_path: Path) -> Path:
    """64 KiB of data, a hole of a MiB, data, and a hole at the end."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"a" * 65_536)
        file.seek(1 << 20, os.SEEK_CUR)
        file.write(b"b" * 65_536)
        file.truncate(2 << 20)
    return path


def test_holes_of_a_file_travel_if_they_are_asked_for(sparse_file: Path) -> None:
    def handler(call: Any, _: object) -> Any:
        call.reply(1)
        files.append(sparse_file.open("rb"))
        return files[-1]

    files: list[Any] = []
    with serving(offering(download=handler)) as server, connect(server) as raw:
        stream = Opened(raw, DOWNLOAD, flags=1)
        stream.reply()
        assert stream.read_all() == [
            b"a" * 65_536,
            Hole(1 << 20),
            b"b" * 65_536,
            Hole((1 << 20) - 2 * 65_536),
        ]
        stream.finish()
        stream = Opened(raw, DOWNLOAD)
        stream.reply()
        assert stream.read_all() == [sparse_file.read_bytes()]
        stream.finish()
        settle(lambda: all(file.closed for file in files))


def test_holes_of_a_handler(caplog: pytest.LogCaptureFixture) -> None:
    def handler(call: Any, argument: Any) -> Iterator[bytes | Hole]:
        call.reply(1)
        yield b"ab"
        if argument.flags & 2:
            yield Hole(0)
        yield Hole(7)

    with serving(offering(download=handler)) as server, connect(server) as raw:
        stream = Opened(raw, DOWNLOAD, flags=1)
        stream.reply()
        assert stream.read_all() == [b"ab", Hole(7)]
        stream.finish()
        for flags in (3, 0):
            stream = Opened(raw, DOWNLOAD, flags=flags)
            stream.reply()
            assert stream.read() == b"ab"
            fails(stream.read(ERROR), INTERNAL)
    assert caplog.messages == ["DOWNLOAD failed"] * 2


# From handlers: ends and errors


def kinds(function: Callable[..., Iterator[bytes]]) -> list[Any]:
    """A generator as it is, and as an async one."""

    async def as_async(*arguments: Any) -> AsyncIterator[bytes]:
        for item in function(*arguments):
            yield item
            await asyncio.sleep(0)

    return [function, as_async]


def breaks_at_once(call: Any, _: object) -> Iterator[bytes]:
    raise RemoteError(VirErrorNumber.VIR_ERR_NO_DOMAIN, "no such thing")
    yield b""


def breaks_after_the_reply(call: Any, _: object) -> Iterator[bytes]:
    call.reply(1)
    raise RemoteError(VirErrorNumber.VIR_ERR_NO_DOMAIN, "no such thing")
    yield b""


def breaks_after_data(call: Any, _: object) -> Iterator[bytes]:
    call.reply(1)
    yield b"data"
    raise ValueError("secret")


@pytest.mark.parametrize("handler", kinds(breaks_at_once))
def test_an_error_before_the_reply_is_the_reply(handler: Any) -> None:
    with serving(offering(download=handler)) as server, connect(server) as raw:
        for _ in range(2):
            reply = Opened(raw, DOWNLOAD).reply()
            assert reply.status == ERROR
            fails(reply.payload, Failure("no such", VirErrorNumber.VIR_ERR_NO_DOMAIN, 0))  # type: ignore[arg-type]
        assert not server.sessions[0].core.streams


@pytest.mark.parametrize("handler", kinds(breaks_after_the_reply))
def test_an_error_after_the_reply_breaks_the_stream(handler: Any) -> None:
    with serving(offering(download=handler)) as server, connect(server) as raw:
        for _ in range(2):
            stream = Opened(raw, DOWNLOAD)
            assert stream.reply().status == OK
            fails(stream.read(ERROR), Failure("no such", VirErrorNumber.VIR_ERR_NO_DOMAIN, 0))  # type: ignore[arg-type]
            stream.send(b"late data is no problem")
        assert raw.is_quiet()
        assert not server.sessions[0].core.streams


@pytest.mark.parametrize("handler", kinds(breaks_after_data))
def test_any_other_error_is_logged_and_kept(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serving(offering(download=handler)) as server, connect(server) as raw:
        stream = Opened(raw, DOWNLOAD)
        stream.reply()
        assert stream.read() == b"data"
        payload = stream.read(ERROR)
        fails(payload, INTERNAL)
        assert b"secret" not in payload
        assert raw.is_quiet()
    assert caplog.messages == ["DOWNLOAD failed"]


def silent(call: Any, _: object) -> Iterator[bytes]:
    yield b"data"


def wrong(call: Any, _: object) -> Iterator[bytes]:
    call.reply("text")
    yield b"data"


@pytest.mark.parametrize("handler", [*kinds(silent), *kinds(wrong)])
def test_a_result_that_is_missing_or_wrong(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serving(offering(download=handler)) as server, connect(server) as raw:
        reply = Opened(raw, DOWNLOAD).reply()
        fails(reply.payload, Failure("result of DOWNLOAD: expected unsigned int"))
    assert caplog.messages == ["DOWNLOAD returned what it does not return"]


def test_arguments_that_cannot_be_decoded() -> None:
    with (
        serving(offering(download=as_list, upload=takes_nothing)) as server,
        connect(server) as raw,
    ):
        for procedure in (DOWNLOAD, UPLOAD):
            reply = raw.call(procedure.number, b"\0")
            fails(reply.payload, Failure(f"arguments of {procedure.name}: "))
        assert not server.sessions[0].core.streams


def test_a_call_is_answered_only_once(caplog: pytest.LogCaptureFixture) -> None:
    def handler(call: Any, _: object) -> Iterator[bytes]:
        call.reply(1)
        with pytest.raises(LocalProtocolError, match="answered already"):
            call.reply(2)
        yield b"data"

    with serving(offering(download=handler)) as server, connect(server) as raw:
        stream = Opened(raw, DOWNLOAD)
        assert stream.reply().payload == number(1)
        assert stream.read_all() == [b"data"]
        stream.finish()
    assert caplog.messages == []


class Endless:
    """Generators that would never end, and what becomes of them."""

    def __init__(self) -> None:
        self.ended = threading.Semaphore(0)
        self.given = 0
        self.errors: list[BaseException] = []

    def plain(self, call: Any, *_: object) -> Iterator[bytes]:
        call.reply(None if call.procedure is CONSOLE else 1)
        try:
            for self.given in itertools.count(1):
                yield bytes(100_000)
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self.ended.release()

    async def looping(self, call: Any, *_: object) -> AsyncIterator[bytes]:
        call.reply(None if call.procedure is CONSOLE else 1)
        try:
            for self.given in itertools.count(1):
                yield bytes(100_000)
        finally:
            self.ended.release()

    async def waiting(self, call: Any, *_: object) -> AsyncIterator[bytes]:
        call.reply(None if call.procedure is CONSOLE else 1)
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            self.ended.release()

    def has_ended(self) -> bool:
        return self.ended.acquire(timeout=DEADLINE)


ENDLESS = pytest.mark.parametrize("kind", ["plain", "looping", "waiting"])


@ENDLESS
@pytest.mark.parametrize("end", ["finish", "abort", "close"])
def test_who_wants_no_more_closes_the_generator(
    kind: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    endless = Endless()
    with serving(offering(download=getattr(endless, kind))) as server, connect(server) as raw:
        stream = Opened(raw, DOWNLOAD)
        stream.reply()
        stream.read()
        if end == "finish":
            stream.send(status=OK)
            while (packet := raw.read()).status == CONTINUE:
                pass
            assert packet[3:] == (STREAM, 9, OK, b"")
        elif end == "abort":
            stream.abort()
        else:
            raw.socket.close()
        assert endless.has_ended()
        assert all(isinstance(error, GeneratorExit) for error in endless.errors)
        settle(lambda: not any(one.core.streams for one in server.sessions))
        settle(lambda: server.statistics.stream_threads == 0)
        if end != "close":
            assert Opened(raw, DOWNLOAD).reply().status == OK
    assert caplog.messages == []


@pytest.mark.parametrize("kind", ["plain", "looping"])
def test_generators_are_pulled_only_while_there_is_room(kind: str) -> None:
    endless = Endless()
    handlers = offering(download=getattr(endless, kind), quick=lambda _, value: value)
    with (
        serving(handlers) as server,
        connect(server) as raw,
        connect(server) as other,
    ):
        stream = Opened(raw, DOWNLOAD)
        stream.reply()
        most = 2 * OUTBOX_HIGH // 100_000 + 50
        settle(lambda: server.sessions[0].core.outbox.size > OUTBOX_HIGH)
        for _ in range(100):
            assert other.call(QUICK.number, number(1)).status == OK
        assert endless.given < most
        for _ in range(200):
            stream.read()
        assert endless.given >= 200
        stream.abort()
        assert endless.has_ended()


# To handlers


def takes_nothing(call: Any, flags: int) -> None:
    """Does not read what the client sends."""


class Sink:
    """Handlers of uploads in every form, and what they got."""

    def __init__(self) -> None:
        self.got: queue.Queue[Any] = queue.Queue()

    def iterates(self, call: Any, _: object) -> None:
        self.got.put(b"".join(call.stream))

    def reads(self, call: Any, _: object) -> None:
        self.got.put(b"".join(iter(lambda: call.stream.read(3), b"")))

    def saves(self, call: Any, _: object) -> None:
        file = io.BytesIO()
        assert call.stream.save(file) == len(file.getvalue())
        self.got.put(file.getvalue())

    async def awaits(self, call: Any, _: object) -> None:
        self.got.put(b"".join([data async for data in call.stream]))

    def sections(self, call: Any, _: object) -> None:
        self.got.put(list(call.stream.sections()))

    async def awaits_sections(self, call: Any, _: object) -> None:
        self.got.put([section async for section in call.stream.sections()])

    def gets(self) -> Any:
        return self.got.get(timeout=DEADLINE)


BYTES = pytest.mark.parametrize("form", ["iterates", "reads", "saves", "awaits"])


@pytest.mark.parametrize("ends", [False, True], ids=["finish", "end of data"])
@BYTES
def test_an_upload_in_every_form(form: str, ends: bool) -> None:
    sink = Sink()
    with serving(offering(upload=getattr(sink, form))) as server, connect(server) as raw:
        for serial in (3, 4, 3):
            stream = Opened(raw, UPLOAD, serial=serial)
            assert stream.reply()[5:] == (OK, b"")
            stream.send(b"abcd")
            stream.send(b"ef")
            if ends:
                stream.send()
                assert sink.gets() == b"abcdef"
            stream.finish()
            if not ends:
                assert sink.gets() == b"abcdef"
        assert server.statistics.calls == 3


@BYTES
def test_an_upload_with_holes(form: str) -> None:
    sink = Sink()
    with serving(offering(upload=getattr(sink, form))) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD, flags=1)
        stream.reply()
        stream.send_hole(300_000)
        stream.send(b"ab")
        stream.send_hole(2)
        stream.send_hole(2)
        stream.finish()
        assert sink.gets() == bytes(300_000) + b"ab\0\0\0\0"


@pytest.mark.parametrize("form", ["sections", "awaits_sections"])
def test_holes_as_such(form: str) -> None:
    sink = Sink()
    with serving(offering(upload=getattr(sink, form))) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD, flags=1)
        stream.reply()
        stream.send(b"ab")
        stream.send_hole(2**40)
        stream.finish()
        assert sink.gets() == [b"ab", Hole(2**40)]


def test_sections_go_on_where_read_has_stopped() -> None:
    sink = Sink()

    def handler(call: Any, flags: int) -> None:
        sink.got.put((call.stream.sparse, call.stream.read(0), call.stream.read(1)))
        sink.got.put(list(call.stream.sections()))

    with serving(offering(upload=handler)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD, flags=1)
        stream.reply()
        stream.send(b"abc")
        stream.finish()
        assert sink.gets() == (True, b"", b"a")
        assert sink.gets() == [b"bc"]


@pytest.mark.parametrize("form", ["iterates", "reads", "awaits"])
def test_a_hole_without_end_ends_with_its_client(form: str) -> None:
    errors: queue.Queue[BaseException] = queue.Queue()
    begun = threading.Event()

    def iterates(stream: Any) -> None:
        for _ in stream:
            begun.set()

    def reads(stream: Any) -> None:
        while stream.read():
            begun.set()

    async def awaits(stream: Any) -> None:
        async for _ in stream:
            begun.set()

    def plain(call: Any, flags: int) -> None:
        try:
            {"iterates": iterates, "reads": reads}[form](call.stream)
        except RpcError as error:
            errors.put(error)
            raise

    async def on_loop(call: Any, flags: int) -> None:
        try:
            await awaits(call.stream)
        except RpcError as error:
            errors.put(error)
            raise

    handler = on_loop if form == "awaits" else plain
    handlers = offering(upload=handler, quick=lambda _, value: value)
    with serving(handlers) as server, connect(server) as other:
        with connect(server) as raw:
            stream = Opened(raw, UPLOAD, flags=1)
            stream.reply()
            stream.send_hole(2**62)
            assert begun.wait(DEADLINE)
            assert other.call(QUICK.number, number(1)).payload == number(1)
            stream.send(status=ERROR)
        assert isinstance(errors.get(timeout=DEADLINE), RpcError)
        settle(lambda: len(server.sessions) == 1)


def test_a_hole_that_is_not_allowed_breaks_the_stream() -> None:
    errors: queue.Queue[BaseException] = queue.Queue()

    def handler(call: Any, flags: int) -> None:
        try:
            list(call.stream)
        except RpcError as error:
            errors.put(error)
            raise

    with serving(offering(upload=handler)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        stream.send_hole(4)
        fails(stream.read(ERROR), Failure("a hole in a stream that allows none"))
        assert "a hole in a stream" in str(errors.get(timeout=DEADLINE))
        assert raw.is_quiet()


@pytest.mark.parametrize("form", ["iterates", "awaits", "never reads"])
@pytest.mark.parametrize("end", ["abort", "close"])
def test_reading_raises_when_the_client_gives_up(
    form: str, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    errors: queue.Queue[BaseException] = queue.Queue()
    begun, gate = threading.Event(), threading.Event()

    def iterates(call: Any, flags: int) -> None:
        try:
            for _ in call.stream:
                begun.set()
        except RpcError as error:
            errors.put(error)
            raise

    async def awaits(call: Any, flags: int) -> None:
        try:
            async for _ in call.stream:
                begun.set()
        except RpcError as error:
            errors.put(error)
            raise

    def reads_too_late(call: Any, flags: int) -> None:
        call.reply(None)
        begun.set()
        assert gate.wait(DEADLINE)
        iterates(call, flags)

    handler = {"iterates": iterates, "awaits": awaits}.get(form, reads_too_late)
    with serving(offering(upload=handler)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        stream.send(b"data")
        assert begun.wait(DEADLINE)
        if end == "abort":
            stream.abort()
        else:
            raw.socket.close()
            settle(lambda: server.sessions == [])
        gate.set()
        error = errors.get(timeout=DEADLINE)
        if end == "abort":
            assert isinstance(error, RemoteError)
            assert error.code == VirErrorNumber.VIR_ERR_OPERATION_ABORTED
            assert error.domain == VirErrorDomain.VIR_FROM_STREAMS
        else:
            assert isinstance(error, ConnectionClosed)
    assert caplog.messages == []


@pytest.mark.parametrize("is_early", [False, True])
def test_who_returns_without_reading_has_taken_everything(is_early: bool) -> None:
    """What comes behind is dropped, and the finish is confirmed."""
    with (
        serving(offering(upload=takes_nothing), limits=Limits(stream_window=10_000)) as server,
        connect(server) as raw,
    ):
        stream = Opened(raw, UPLOAD)
        if is_early:
            stream.send(b"data")
        stream.reply()
        for _ in range(100):
            stream.send(bytes(10_000))
        stream.finish()
        assert raw.is_quiet()


def test_an_error_in_the_middle_of_an_upload() -> None:
    def handler(call: Any, flags: int) -> None:
        for _ in call.stream:
            raise RemoteError(VirErrorNumber.VIR_ERR_OPERATION_FAILED, "disk full")

    with serving(offering(upload=handler)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        stream.send(b"data")
        fails(stream.read(ERROR), Failure("disk full", VirErrorNumber.VIR_ERR_OPERATION_FAILED, 0))  # type: ignore[arg-type]
        stream.send(b"data that was on its way")
        stream.send(status=OK)
        assert raw.is_quiet()


def test_reading_on_the_loop_is_refused() -> None:
    problems: queue.Queue[str] = queue.Queue()

    async def handler(call: Any, flags: int) -> None:
        for read in (call.stream.read, lambda: list(call.stream)):
            with pytest.raises(LocalProtocolError) as error:
                read()
            problems.put(str(error.value))

    with serving(offering(upload=handler)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        stream.finish()
    assert {problems.get(), problems.get()} == {"this would block the event loop: use `async for`"}


def test_stream_packets_wait_for_their_sink() -> None:
    """The diagram "stream data" of the protocol's overview: queued as they come, written in order."""
    gate, got = threading.Event(), queue.Queue[bytes]()

    def handler(call: Any, flags: int) -> None:
        call.reply(None)
        assert gate.wait(DEADLINE)
        for data in call.stream:
            got.put(data)

    with serving(offering(upload=handler)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        stream.send(b"packet 1")
        stream.send(b"packet 2")
        assert raw.is_quiet()  # the loop has received and queued both
        gate.set()
        assert [got.get(timeout=DEADLINE), got.get(timeout=DEADLINE)] == [b"packet 1", b"packet 2"]
        stream.finish()


@pytest.mark.parametrize("form", ["plain", "async"])
def test_a_slow_sink_stops_the_reading_and_not_the_others(form: str) -> None:
    gate, size = asyncio.Event(), 0
    plain_gate = threading.Event()

    def plain(call: Any, flags: int) -> None:
        nonlocal size
        call.reply(None)
        assert plain_gate.wait(DEADLINE)
        for data in call.stream:
            size += len(data)

    async def looping(call: Any, flags: int) -> None:
        nonlocal size
        call.reply(None)
        await gate.wait()
        async for data in call.stream:
            size += len(data)

    handlers = offering(upload=plain if form == "plain" else looping, quick=lambda _, value: value)
    with serving(handlers) as server, connect(server) as raw, connect(server) as other:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        sent = threading.Thread(target=stream.send_much, args=(100, 100_000))
        sent.start()
        (session,) = (one for one in server.sessions if one.core.streams)
        settle(lambda: session.traffic.is_stalled and not session.traffic.is_reading)
        (core,) = session.core.streams.values()
        assert STREAM_WINDOW < core.owner.size < STREAM_WINDOW + 10 * STREAM_PACKET_MAX
        assert other.call(QUICK.number, number(1)).status == OK
        plain_gate.set()
        server._running().loop.post(gate.set)
        sent.join()
        stream.finish()
        assert size == 10_000_000


# Both ways


def echo(call: Any) -> Iterator[bytes]:
    for data in call.stream:
        yield data.upper()
    yield b"bye"


async def echo_async(call: Any) -> AsyncIterator[bytes]:
    async for data in call.stream:
        yield data.upper()
    yield b"bye"


@pytest.mark.parametrize("console", [echo, echo_async])
def test_a_console_talks_both_ways(console: Any) -> None:
    with serving(offering(console=console)) as server, connect(server) as raw:
        stream = Opened(raw, CONSOLE)
        assert stream.reply().payload == b""
        for word in (b"one", b"two", b"three"):
            stream.send(word)
            assert stream.read() == word.upper()
        stream.send()
        assert stream.read_all() == [b"bye"]
        stream.finish()
        # Once the client has finished, nobody wants to hear more.
        stream = Opened(raw, CONSOLE)
        stream.reply()
        stream.finish()
        settle(lambda: not server.sessions[0].core.streams)


@pytest.mark.parametrize("console", [echo, echo_async])
@pytest.mark.parametrize("end", ["abort", "close"])
def test_a_console_that_is_given_up(
    console: Any, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(offering(console=console)) as server, connect(server) as raw:
        stream = Opened(raw, CONSOLE)
        stream.reply()
        stream.send(b"one")
        assert stream.read() == b"ONE"
        if end == "abort":
            stream.abort()
            assert raw.is_quiet()
        else:
            raw.socket.close()
            settle(lambda: server.sessions == [])
        settle(lambda: server.statistics.stream_threads == 0)
    assert caplog.messages == []


def test_a_reader_and_a_producer_in_different_tasks() -> None:
    async def handler(call: Any) -> AsyncIterator[bytes]:
        words: asyncio.Queue[bytes] = asyncio.Queue()

        async def reads() -> None:
            async for data in call.stream:
                words.put_nowait(data)
            words.put_nowait(b"")

        task = asyncio.ensure_future(reads())
        while word := await words.get():
            yield word
        await task

    with serving(offering(console=handler)) as server, connect(server) as raw:
        stream = Opened(raw, CONSOLE)
        stream.reply()
        stream.send(b"one")
        assert stream.read() == b"one"
        stream.finish()
        settle(lambda: not server.sessions[0].core.streams)


# Several


def test_a_stream_gives_its_request_back_with_the_reply() -> None:
    sink = Sink()
    handlers = offering(upload=sink.iterates, quick=lambda _, value: value)
    with serving(handlers, max_client_requests=1) as server, connect(server) as raw:
        streams = [Opened(raw, UPLOAD, serial=i) for i in range(5)]
        for stream in streams:
            stream.reply()
        assert raw.call(QUICK.number, number(1)).payload == number(1)
        for stream in streams:
            stream.send(b"data %d" % stream.serial)
        for stream in reversed(streams):
            stream.finish()
        assert sorted(sink.gets() for _ in streams) == [b"data %d" % i for i in range(5)]


def test_streams_do_not_keep_workers() -> None:
    sink = Sink()
    handlers = offering(upload=sink.iterates, plain=lambda _, value: value)
    with serving(handlers, min_workers=1, max_workers=1) as server, connect(server) as raw:
        streams = [Opened(raw, UPLOAD, serial=i) for i in range(10)]
        for stream in streams:
            stream.reply()
        assert server.statistics.stream_threads == 10
        assert raw.call(1, number(1)).payload == number(1)
        for stream in streams:
            stream.finish()
        settle(lambda: server.statistics.stream_threads == 0)


def test_the_same_serial_twice_is_refused() -> None:
    with serving(offering(upload=Sink().iterates)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        fails(Opened(raw, UPLOAD).reply().payload, Failure("serial 9 has a stream already"))
        stream.finish()


@pytest.mark.parametrize("form", ["iterates", "awaits"])
def test_a_serial_that_is_used_again_loses_no_stream(form: str) -> None:
    with serving(offering(upload=getattr(Sink(), form))) as server:
        for _ in range(20):
            with connect(server) as raw:
                call = raw.packet(UPLOAD.number, number(0), serial=9)
                broken = raw.packet(UPLOAD.number, serial=9, type_=STREAM, status=7)
                raw.send(call, broken, call)
                raw.read()
        settle(lambda: server.sessions == [])
        settle(lambda: server.statistics.stream_threads == 0)
        settle(lambda: not server._running().dispatcher.steps.running)


def test_a_stream_that_waits_for_a_thread_is_not_begun_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "STREAM_THREADS_MAX", 1)
    sink = Sink()
    with serving(offering(upload=sink.iterates)) as server, connect(server) as raw:
        first = Opened(raw, UPLOAD)
        first.reply()
        threads = server._running().threads
        with connect(server) as gone:
            Opened(gone, UPLOAD)
            assert gone.is_quiet()
            assert len(threads._waiting) == 1
        settle(lambda: len(server.sessions) == 1)
        assert len(threads._waiting) == 0
        first.send(b"abc")
        first.finish()
        assert sink.gets() == b"abc"
        settle(lambda: threads.size == 0)
    assert sink.got.empty()


def test_too_many_streams_are_refused() -> None:
    with serving(offering(upload=Sink().awaits)) as server, connect(server) as raw:
        streams = [Opened(raw, UPLOAD, serial=i) for i in range(STREAMS_MAX)]
        assert all(stream.reply().status == OK for stream in streams)
        fails(
            Opened(raw, UPLOAD, serial=999).reply().payload,
            Failure(f"{STREAMS_MAX} streams are open"),
        )
        streams[0].finish()
        assert Opened(raw, UPLOAD, serial=999).reply().status == OK


def test_a_closing_session_breaks_its_streams() -> None:
    sink = Sink()
    with serving(offering(upload=sink.iterates, quick=closing)) as server, connect(server) as raw:
        stream = Opened(raw, UPLOAD)
        stream.reply()
        raw.send(raw.packet(QUICK.number, number(1)))
        packets = [raw.read(), raw.read()]
        assert {packet[3:6] for packet in packets} == {(STREAM, 9, ERROR), (REPLY, 1, OK)}
        assert raw.is_ended()


def test_clients_killed_in_streams_leave_nothing_behind() -> None:
    endless, sink = Endless(), Sink()
    handlers = offering(download=endless.looping, console=endless.plain, upload=sink.iterates)
    with serving(handlers) as server:

        def some() -> None:
            for _ in range(20):
                with connect(server) as raw:
                    for procedure in (DOWNLOAD, CONSOLE, UPLOAD):
                        Opened(raw, procedure, serial=procedure.number)
                    raw.read()
            settle(lambda: server.sessions == [])
            settle(lambda: server.statistics.stream_threads == 0)
            settle(lambda: not server._running().dispatcher.steps.running)
            endless.errors.clear()  # and their tracebacks
            gc.collect()

        some()
        before = descriptors(), len(gc.get_objects())
        some()
        assert descriptors() == before[0]
        assert len(gc.get_objects()) - before[1] < 200
