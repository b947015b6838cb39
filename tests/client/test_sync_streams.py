"""Streams of the sync client: data both ways, holes, their end in every way, and what is bounded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from peers import (
    CONTINUE,
    DEADLINE,
    DOUBLE,
    ERROR,
    OK,
    OPEN,
    SPARSE,
    STREAM,
    STREAM_HOLE,
    Flags,
    Peer,
    Received,
    like,
    pair,
    reply,
    result,
    start,
    trickling,
)

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime.client.stream import SyncStream
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.errors import (
    CallTimeout,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    XdrDecodeError,
)
from rpcgen.runtime.limits import STREAM_PACKET_MAX, Limits
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.streams import Hole

BROKEN = RemoteError(VirErrorNumber.VIR_ERR_OPERATION_FAILED, "out of tape", str2="tape", int2=7)


class Opened:
    """A stream that is open, with everything around it."""

    def __init__(
        self, connection: Connection, peer: Peer, flags: int = 0, timeout: float | None = None
    ) -> None:
        self.connection = connection
        self.peer = peer
        opening = start(connection.open_stream, OPEN, Flags(flags), str, timeout)
        self.call = peer.receive_call(OPEN)
        peer.reply(self.call, 7)
        self.stream: SyncStream[str] = result(opening)

    def finished(self) -> None:
        """Assert that leaving the block finishes the stream, once the peer has confirmed that."""
        leaving = start(self.leave)
        assert self.peer.receive_of(self.call).kind == (STREAM, OK)
        assert not leaving.done()
        self.peer.confirm(self.call)
        result(leaving)
        self.forgotten()

    def leave(self) -> None:
        with self.stream:
            pass

    def forgotten(self) -> None:
        """Assert that the connection works, and that nothing of the stream is left."""
        waiting = start(self.connection.call, DOUBLE, 1, None)
        self.peer.reply(self.peer.receive_call(DOUBLE), 2)
        assert result(waiting) == 2
        assert self.connection._core.streams == {}


@contextmanager
def opened(
    flags: int = 0, timeout: float | None = None, limits: Limits | None = None
) -> Iterator[Opened]:
    with pair(limits) as (connection, peer):
        yield Opened(connection, peer, flags, timeout)


# Data


def test_what_the_call_returned() -> None:
    with opened() as one:
        assert one.stream.reply == "7"
        one.finished()


def test_data_in_both_directions_at_once() -> None:
    with opened() as one:
        sent = os.urandom(3_000_000)

        def echo() -> None:
            while (got := one.peer.receive_of(one.call)).kind == (STREAM, CONTINUE):
                one.peer.send_data(one.call, got.payload)
            one.peer.confirm(one.call)

        echoing = start(echo)
        writing = start(one.stream.write, sent)
        received = b""
        while len(received) < len(sent):
            received += one.stream.read()
        result(writing)
        one.stream.finish()
        result(echoing)
        assert received == sent
        one.forgotten()


def test_iterating_gives_packets_to_the_end() -> None:
    with opened() as one:
        for data in (b"one", b"two", b""):
            one.peer.send_data(one.call, data)
        assert list(one.stream) == [b"one", b"two"]
        assert one.stream.read() == b""
        one.finished()


def test_data_before_the_reply() -> None:
    with pair() as (connection, peer):
        opening = start(connection.open_stream, OPEN, Flags(0), int, None)
        call = peer.receive_call(OPEN)
        peer.send(like(call.header, b"early", type=STREAM, status=CONTINUE) + reply(call, 0))
        assert result(opening).read() == b"early"


def test_reading_in_small_pieces() -> None:
    with opened(SPARSE) as one:
        one.peer.send_data(one.call, b"abcdef")
        one.peer.send_hole(one.call, 5)
        one.peer.send_data(one.call, b"gh")
        one.peer.send_data(one.call, b"")
        pieces = [one.stream.read(4) for _ in range(6)]
        assert pieces == [b"abcd", b"ef", bytes(4), b"\0", b"gh", b""]
        with pytest.raises(ValueError, match="size 0"):
            one.stream.read(0)
        one.finished()


def test_writing_is_cut_into_packets() -> None:
    with opened() as one:
        data = os.urandom(STREAM_PACKET_MAX * 2 + 1)
        writing = start(one.stream.write, memoryview(data))
        sizes = [one.peer.receive_of(one.call).payload for _ in range(3)]
        result(writing)
        assert [len(size) for size in sizes] == [STREAM_PACKET_MAX, STREAM_PACKET_MAX, 1]
        assert b"".join(sizes) == data
        one.stream.write(b"")  # which would be the end of data
        one.finished()


def test_what_is_written_may_change_afterwards() -> None:
    with opened(timeout=0.01) as one:
        buffer = bytearray(b"x" * STREAM_PACKET_MAX)
        with pytest.raises(CallTimeout):
            one.stream.write(buffer * 10)
        with pytest.raises(CallTimeout):
            one.stream.write(buffer)
        buffer[:] = b"y" * len(buffer)
        buffer.clear()  # nobody holds on to it
        for _ in range(2):
            assert set(one.peer.receive_of(one.call).payload) == {ord("x")}


def test_a_byte_at_a_time() -> None:
    with trickling(1) as (stream, peer), connect(stream) as connection:
        one = Opened(connection, peer, SPARSE)
        writing = start(one.stream.write, b"out")
        assert peer.receive_of(one.call).payload == b"out"
        result(writing)
        peer.send_data(one.call, b"in")
        peer.send_hole(one.call, 1)
        assert [one.stream.read(), one.stream.read()] == [b"in", b"\0"]
        one.finished()


# Holes


def test_holes_both_ways() -> None:
    with opened(SPARSE) as one:
        one.peer.send_hole(one.call, 2**40)
        one.peer.send_data(one.call, b"data")
        one.peer.send_hole(one.call, 1)
        one.peer.send_data(one.call, b"")
        assert list(one.stream.sections()) == [Hole(2**40), b"data", Hole(1)]
        one.stream.write_hole(2**50)
        got = one.peer.receive_of(one.call)
        assert got.kind == (STREAM_HOLE, CONTINUE)
        assert got.payload == (2**50).to_bytes(8, "big") + bytes(4)
        one.finished()


def test_a_section_that_was_begun_is_ended() -> None:
    with opened(SPARSE) as one:
        one.peer.send_data(one.call, b"abcdef")
        one.peer.send_hole(one.call, 10)
        one.peer.send_data(one.call, b"")
        assert one.stream.read(2) == b"ab"
        sections = one.stream.sections()
        assert next(sections) == b"cdef"
        assert one.stream.read(3) == bytes(3)
        assert list(sections) == [Hole(7)]


def test_no_holes_where_the_call_did_not_ask() -> None:
    with opened() as one:
        with pytest.raises(LocalProtocolError, match="holes are not allowed"):
            one.stream.write_hole(1)
        one.peer.send_hole(one.call, 1)
        with pytest.raises(RemoteProtocolError, match="a hole in a stream that allows none"):
            one.stream.read()
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        one.peer.confirm(one.call)
        one.forgotten()


@pytest.mark.parametrize("length", [0, -1, 2**63])
def test_a_hole_of_no_length(length: int) -> None:
    with opened(SPARSE) as one:
        with pytest.raises(LocalProtocolError, match="length"):
            one.stream.write_hole(length)
        one.finished()


# The end


def test_finish_drops_what_was_not_read() -> None:
    with opened() as one:
        one.peer.send_data(one.call, b"unread")
        finishing = start(one.stream.finish)
        assert one.peer.receive_of(one.call).kind == (STREAM, OK)
        one.peer.send_data(one.call, b"on its way")
        one.peer.confirm(one.call)
        result(finishing)
        with pytest.raises(LocalProtocolError, match="the stream is finished"):
            one.stream.read()
        with pytest.raises(LocalProtocolError, match="the stream is finished"):
            one.stream.write(b"late")
        one.stream.finish()  # it is
        one.stream.abort()  # too late for that, and nobody's error
        one.forgotten()


def test_an_exception_in_the_block_aborts() -> None:
    with opened() as one:

        def block() -> None:
            with one.stream:
                raise ZeroDivisionError

        leaving = start(block)
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        assert not leaving.done()
        one.peer.send_data(one.call, b"on its way")
        one.peer.confirm(one.call)
        assert isinstance(leaving.exception(DEADLINE), ZeroDivisionError)
        one.forgotten()


def test_an_abort_is_confirmed_by_an_error_too() -> None:
    with opened() as one:
        aborting = start(one.stream.abort)
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        one.peer.break_stream(one.call, BROKEN)
        result(aborting)
        with pytest.raises(LocalProtocolError, match="finish, but the stream was aborted"):
            one.stream.finish()
        with one.stream:
            pass  # nothing is left to be finished
        one.forgotten()


def test_abort_while_finishing() -> None:
    with opened() as one:
        finishing = start(one.stream.finish)
        assert one.peer.receive_of(one.call).kind == (STREAM, OK)
        aborting = start(one.stream.abort)
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        one.peer.confirm(one.call)
        result(aborting)
        assert isinstance(finishing.exception(DEADLINE), LocalProtocolError)
        one.forgotten()


Use = Callable[[SyncStream[str]], object]


def reads(stream: SyncStream[str]) -> object:
    return stream.read()


def finishes(stream: SyncStream[str]) -> object:
    stream.finish()
    return None


def writes_for_ever(stream: SyncStream[str]) -> object:
    while True:
        stream.write(bytes(100_000))


@pytest.mark.parametrize("use", [reads, finishes, writes_for_ever])
def test_an_error_of_the_server_ends_every_wait(use: Use) -> None:
    with opened() as one:
        waiting = start(use, one.stream)
        if use is not reads:
            one.peer.receive_of(one.call)
        one.peer.break_stream(one.call, BROKEN)
        error = waiting.exception(DEADLINE)
        assert isinstance(error, RemoteError)
        assert vars(error) == vars(BROKEN)
        with pytest.raises(RemoteError):
            one.stream.finish()
        one.stream.abort()
        assert one.connection.is_open


def test_an_error_lying_in_the_socket_is_seen_by_the_next_write() -> None:
    with opened() as one:
        one.peer.break_stream(one.call, BROKEN)
        with pytest.raises(RemoteError, match="out of tape"):
            one.stream.write(b"data")
        assert one.peer.receive_of(one.call).payload == b"data"
        one.forgotten()


def test_a_refused_call_opens_nothing() -> None:
    with pair() as (connection, peer):
        opening = start(connection.open_stream, OPEN, Flags(0), int, None)
        peer.refuse(peer.receive_call(OPEN), BROKEN)
        assert isinstance(opening.exception(DEADLINE), RemoteError)
        assert connection._core.streams == {}


def test_a_reply_that_is_none_aborts_its_stream() -> None:
    with pair() as (connection, peer):
        opening = start(connection.open_stream, OPEN, Flags(0), int, None)
        call = peer.receive_call(OPEN)
        peer.send(like(call.header, b"odd", type=1))
        assert isinstance(opening.exception(DEADLINE), XdrDecodeError)
        assert peer.receive_of(call).kind == (STREAM, ERROR)


@pytest.mark.parametrize("use", [reads, finishes, writes_for_ever])
def test_the_end_of_the_connection_ends_every_wait(use: Use) -> None:
    with opened() as one:
        waiting = start(use, one.stream)
        if use is not reads:
            one.peer.receive_of(one.call)
        one.peer.close()
        assert isinstance(waiting.exception(DEADLINE), ConnectionClosed)
        with pytest.raises(ConnectionClosed):
            one.stream.finish()
        one.stream.abort()


def test_close_ends_a_wait_for_data() -> None:
    with opened() as one:
        reading = start(one.stream.read)
        one.connection.close()
        error = reading.exception(DEADLINE)
        assert isinstance(error, ConnectionClosed)


# Timeouts


def test_every_wait_is_bounded_and_the_stream_goes_on() -> None:
    with opened(timeout=0.02) as one:
        with pytest.raises(CallTimeout, match=r"nothing happened on the stream in 0\.02 seconds"):
            one.stream.read()
        one.peer.send_data(one.call, b"late")
        assert one.stream.read() == b"late"
        with pytest.raises(CallTimeout):
            one.stream.finish()
        assert one.peer.receive_of(one.call).kind == (STREAM, OK)
        with pytest.raises(CallTimeout):
            one.stream.abort()
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        one.peer.confirm(one.call)
        one.forgotten()


def test_an_error_in_the_block_matters_more_than_a_late_confirmation() -> None:
    with opened(timeout=0.02) as one:
        with pytest.raises(ZeroDivisionError), one.stream:
            raise ZeroDivisionError
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)


def test_a_stream_whose_opening_was_too_slow_is_aborted() -> None:
    with pair() as (connection, peer):
        with pytest.raises(CallTimeout):
            connection.open_stream(OPEN, Flags(0), int, 0.01)
        call = peer.receive_call(OPEN)
        peer.reply(call, 0)
        waiting = start(connection.call, DOUBLE, 1, None)
        probe = peer.receive_call(DOUBLE)
        assert peer.receive_of(call).kind == (STREAM, ERROR)
        peer.confirm(call)
        peer.reply(probe, 2)
        assert result(waiting) == 2
        assert connection._core.streams == {}


# Bounds


def test_a_call_that_waits_behind_too_much_data_gives_the_stream_up() -> None:
    with opened(limits=Limits(stream_overflow=1_000_000)) as one:
        waiting = start(one.connection.call, DOUBLE, 1, None)
        probe = one.peer.receive_call(DOUBLE)
        for _ in range(5):
            one.peer.send_data(one.call, bytes(250_000))
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        one.peer.reply(probe, 2)
        assert result(waiting) == 2
        with pytest.raises(RemoteProtocolError, match="wait unread"):
            one.stream.read()
        leaving = start(one.leave)
        one.peer.confirm(one.call)
        assert isinstance(leaving.exception(DEADLINE), RemoteProtocolError)


def test_too_much_data_before_the_reply_gives_the_stream_up() -> None:
    with pair(Limits(stream_overflow=1_000)) as (connection, peer):
        opening = start(connection.open_stream, OPEN, Flags(0), int, None)
        call = peer.receive_call(OPEN)
        peer.send_data(call, bytes(2_000))
        peer.reply(call, 0)
        stream = result(opening)
        assert peer.receive_of(call).kind == (STREAM, ERROR)
        with pytest.raises(RemoteProtocolError, match="wait unread"):
            stream.read()
        leaving = start(stream.abort)
        peer.confirm(call)
        result(leaving)
        assert connection._core.streams == {}


def test_while_nobody_waits_the_server_is_held_up_by_its_socket() -> None:
    with opened() as one:
        packet = like(one.call.header, bytes(100_000), type=STREAM, status=CONTINUE)
        sent = fill(one.peer, packet)
        assert one.stream._stream.queued == 0
        assert one.stream.read(10) == bytes(10)
        assert one.stream._stream.queued < sent


def test_a_writer_whose_server_only_writes_receives_meanwhile() -> None:
    """Both ends write before they read: the client must take what comes, or both wait for ever."""
    with opened() as one:
        size = 30_000_000  # more than any socket holds
        writing = start(one.stream.write, bytes(size))
        got = len(one.peer.receive_of(one.call).payload)
        for _ in range(30):
            one.peer.send_data(one.call, bytes(100_000))
        assert not writing.done()
        while got < size:
            got += len(one.peer.receive_of(one.call).payload)
        result(writing)
        one.peer.send_data(one.call, b"")
        assert sum(map(len, one.stream)) == 3_000_000


def fill(peer: Peer, packet: bytes) -> int:
    """Send a packet again and again until the sockets are full; returns the bytes."""
    sent = 0
    peer.socket.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            sent += peer.socket.send(packet[sent % len(packet) :])
    return sent


# Files


def test_upload_and_download_with_progress(tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    with opened() as one:
        seen: list[int] = []
        uploading = start(one.stream.upload, BytesIO(data))
        received = b""
        while len(received) < len(data):
            received += one.peer.receive_of(one.call).payload
        assert result(uploading) == len(data)
        assert received == data
        with (tmp_path / "file").open("wb") as file:
            downloading = start(partial(one.stream.download, file, progress=seen.append))
            for start_ in range(0, len(data), 300_000):
                one.peer.send_data(one.call, data[start_ : start_ + 300_000])
            one.peer.send_data(one.call, b"")
            assert result(downloading) == len(data)
        assert (tmp_path / "file").read_bytes() == data
        assert seen == [300_000, 600_000, 900_000, 1_000_000]
        one.finished()


def test_a_sparse_file_goes_out_and_comes_back_sparse(tmp_path: Path) -> None:
    with opened(SPARSE) as one, (tmp_path / "one").open("wb+") as file:
        file.write(b"head")
        file.seek(2**20)
        file.write(b"middle")
        file.truncate(2**21)
        file.seek(0)
        uploading = start(one.stream.upload, file)
        sections: list[Received] = []
        size = 0
        while size < 2**21:
            sections.append(got := one.peer.receive_of(one.call))
            is_hole = got.header.type == STREAM_HOLE
            size += int.from_bytes(got.payload[:8], "big") if is_hole else len(got.payload)
        assert result(uploading) == 2**21
        assert sum(got.header.type == STREAM_HOLE for got in sections) == 2
        for got in sections:
            one.peer.send(like(got.header, got.payload))
        one.peer.send_data(one.call, b"")
        with (tmp_path / "two").open("wb") as copy:
            assert one.stream.download(copy) == 2**21
        file.seek(0)
        assert (tmp_path / "two").read_bytes() == file.read()
        assert (tmp_path / "two").stat().st_blocks == (tmp_path / "one").stat().st_blocks


def test_a_full_disk_aborts_the_stream() -> None:
    with opened() as one, open("/dev/full", "wb") as file:
        for _ in range(3):
            one.peer.send_data(one.call, bytes(10_000))

        def block() -> None:
            with one.stream:
                one.stream.download(file)

        leaving = start(block)
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        one.peer.confirm(one.call)
        error = leaving.exception(DEADLINE)
        assert isinstance(error, OSError)
        assert error.errno == errno.ENOSPC
        one.forgotten()


def test_a_progress_callback_that_fails_aborts_the_stream() -> None:
    with opened() as one:

        def progress(_: int) -> None:
            raise ZeroDivisionError

        uploading = start(partial(one.stream.upload, BytesIO(b"data"), progress=progress))
        assert one.peer.receive_of(one.call).payload == b"data"
        assert isinstance(uploading.exception(DEADLINE), ZeroDivisionError)
        assert one.peer.receive_of(one.call).kind == (STREAM, ERROR)
        one.leave()  # nothing is left to be finished
