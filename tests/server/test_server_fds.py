"""Descriptors in and out: they reach who should have them, and are closed everywhere else."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from raw import CALL_WITH_FDS, DEADLINE, ERROR, OK, REPLY_WITH_FDS, Raw
from server.kit import PLAIN, WITH_FDS, connect, descriptors, number, offering, serving, settle
from wire_cases import Failure
from wire_replay import fails

from rpcgen.runtime.limits import Limits
from rpcgen.runtime.server import Server

Handler = Callable[..., Any]


def plain(function: Callable[[Any], Any]) -> Handler:
    return lambda call, _: function(call)


def at_once(function: Callable[[Any], Any]) -> Handler:
    async def handler(call: Any, _: object) -> Any:
        return function(call)

    return handler


def after_waiting(function: Callable[[Any], Any]) -> Handler:
    async def handler(call: Any, _: object) -> Any:
        await asyncio.sleep(0)
        return function(call)

    return handler


KINDS = pytest.mark.parametrize("kind", [plain, at_once, after_waiting])


@pytest.fixture
def file(tmp_path: Any) -> Iterator[int]:
    """A descriptor of a file that says hello; in the end there are as many as before."""
    before = descriptors()
    (tmp_path / "hello").write_text("hello")
    fd = os.open(tmp_path / "hello", os.O_RDONLY)
    yield fd
    os.close(fd)
    settle(lambda: descriptors() == before)


def with_fds(raw: Raw, count: int, procedure: int = WITH_FDS.number, serial: int = 1) -> bytes:
    payload = number(count) + number(7)
    return raw.packet(procedure, payload, type_=CALL_WITH_FDS, serial=serial)


def read_hello(fd: int) -> bytes:
    return os.pread(fd, 100, 0)


@KINDS
@pytest.mark.parametrize("count", [0, 1, 3])
def test_descriptors_come_in(kind: Any, count: int, file: int) -> None:
    seen: list[bytes] = []

    def handler(call: Any) -> tuple[int, list[int]]:
        seen.extend(map(read_hello, call.fds))
        return len(call.fds), []

    with serving(offering(with_fds=kind(handler))) as server, connect(server) as raw:
        assert raw.is_quiet()
        before = descriptors()
        raw.send_fds(with_fds(raw, count), *[file] * count)
        assert raw.read()[3:] == (1, 1, OK, number(count))
        assert seen == [b"hello"] * count
        settle(lambda: descriptors() == before)


@KINDS
@pytest.mark.parametrize("count", [1, 3])
def test_descriptors_go_out(kind: Any, count: int, file: int) -> None:
    with (
        serving(
            offering(with_fds=kind(lambda _: (5, [os.dup(file) for _ in range(count)])))
        ) as server,
        connect(server) as raw,
    ):
        assert raw.is_quiet()
        before = descriptors()
        raw.send(raw.packet(WITH_FDS.number, number(7)))
        assert raw.read()[3:] == (REPLY_WITH_FDS, 1, OK, number(count) + number(5))
        fds = [raw.read_fd() for _ in range(count)]
        assert [read_hello(fd) for fd in fds] == [b"hello"] * count
        for fd in fds:
            os.close(fd)
        assert raw.is_quiet()
        settle(lambda: descriptors() == before)


@KINDS
def test_what_came_may_be_sent_back(kind: Any, file: int) -> None:
    with (
        serving(offering(with_fds=kind(lambda call: (5, call.fds)))) as server,
        connect(server) as raw,
    ):
        raw.send_fds(with_fds(raw, 1), file)
        assert raw.read().type == REPLY_WITH_FDS
        fd = raw.read_fd()
        assert read_hello(fd) == b"hello"
        os.close(fd)


def fails_with(_: object) -> Any:
    raise ValueError("broken")


@KINDS
@pytest.mark.parametrize(
    "result",
    [
        fails_with,
        lambda _: (1, 2, 3),
        lambda _: 5,
        lambda _: ("", []),
        lambda _: (1, 5),
        lambda _: (1, ["hello"]),
        lambda _: (1, [-1]),
        lambda _: (1, [os.dup(2), -1]),
        lambda call: (1, [*call.fds, -1]),
    ],
)
def test_descriptors_of_a_call_that_fails_are_closed(
    kind: Any, result: Any, file: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(offering(with_fds=kind(result))) as server, connect(server) as raw:
        assert raw.is_quiet()
        before = descriptors()
        raw.send_fds(with_fds(raw, 2), file, file)
        assert raw.read()[3:6] == (1, 1, 1)
        assert raw.is_quiet()
        settle(lambda: descriptors() == before)
    assert len(caplog.messages) == 1


@KINDS
def test_a_descriptor_may_go_out_twice(kind: Any, file: int) -> None:
    def twice(_: object) -> tuple[int, list[int]]:
        fd = os.dup(file)
        return 5, [fd, fd]

    with serving(offering(with_fds=kind(twice))) as server, connect(server) as raw:
        raw.send(raw.packet(WITH_FDS.number, number(7)))
        assert raw.read().type == REPLY_WITH_FDS
        fds = [raw.read_fd(), raw.read_fd()]
        assert [read_hello(fd) for fd in fds] == [b"hello"] * 2
        for fd in fds:
            os.close(fd)


@KINDS
def test_no_room_for_what_is_sent_back(
    kind: Any, file: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    def back(call: Any) -> tuple[int, list[int]]:
        monkeypatch.setattr(os, "dup", full)
        return 5, call.fds

    with serving(offering(with_fds=kind(back))) as server, connect(server) as raw:
        assert raw.is_quiet()
        before = descriptors()
        raw.send_fds(with_fds(raw, 1), file)
        assert raw.read().status == ERROR
        settle(lambda: descriptors() == before)
        settle(lambda: server.sessions[0].traffic.requests == 0)
    assert "Too many open files" in caplog.text


def test_descriptors_of_a_call_that_nobody_answers_are_closed(file: int) -> None:
    with (
        serving(offering(with_fds=plain(lambda call: (len(call.fds), [])))) as server,
        connect(server) as raw,
    ):
        assert raw.is_quiet()
        before = descriptors()
        raw.send_fds(with_fds(raw, 2, procedure=PLAIN.number), file, file)
        fails(raw.read().payload, Failure("unknown procedure: 1"))
        settle(lambda: descriptors() == before)
        raw.send_fds(with_fds(raw, 1), file)
        assert raw.read().payload == number(1)


def test_too_many_for_a_packet(file: int) -> None:
    with (
        serving(
            offering(with_fds=plain(lambda _: (5, [os.dup(file) for _ in range(3)]))),
            limits=Limits(fds=2),
        ) as server,
        connect(server) as raw,
    ):
        assert raw.is_quiet()
        before = descriptors()
        reply = raw.call(WITH_FDS.number, number(1))
        fails(reply.payload, Failure("3 descriptors exceed 2"))
        settle(lambda: descriptors() == before)
        raw.send_fds(with_fds(raw, 3))
        assert raw.is_ended()


def test_they_cannot_travel_over_tcp(file: int) -> None:
    handlers = offering(with_fds=plain(lambda _: (5, [os.dup(file)])))
    with serving(handlers, listen=["tcp://127.0.0.1:0"]) as server, connect(server) as raw:
        reply = raw.call(WITH_FDS.number, number(1))
        fails(reply.payload, Failure("descriptors cannot travel on this connection"))
        raw.send(with_fds(raw, 1))
        assert raw.is_ended()


@pytest.mark.parametrize("sent", [0, 1])
def test_a_client_that_leaves_before_all_have_come(sent: int, file: int) -> None:
    with serving(offering(with_fds=plain(lambda _: (5, [])))) as server:
        with connect(server) as raw:
            raw.send_fds(with_fds(raw, 2), *[file] * sent)
        settle(lambda: server.sessions == [])


def test_a_client_that_leaves_before_it_has_taken_all(file: int) -> None:
    def handler(call: Any, _: object) -> Any:
        call.session.on_close(lambda: None)
        return 5, [os.dup(file) for _ in range(30)]

    with serving(offering(with_fds=handler), max_client_requests=1) as server:
        with connect(server) as raw:
            # How many calls the system takes depends on how fast the server reads the first.
            raw.socket.setblocking(False)
            with suppress(BlockingIOError):
                for _ in range(100):
                    raw.send(raw.packet(WITH_FDS.number, number(7)))
            raw.socket.settimeout(DEADLINE)
            raw.read()
        settle(lambda: server.sessions == [])


def test_an_answer_with_descriptors_to_nobody(file: int) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    async def handler(_: object, __: object) -> Any:
        begun.set()
        await gate.wait()
        return 5, [os.dup(file)]

    def tasks(server: Server) -> int:
        return len(server._running().dispatcher.steps.running)

    with serving(offering(with_fds=handler)) as server:
        with connect(server) as raw:
            raw.send_fds(with_fds(raw, 1), file)
            settle(begun.is_set)
        settle(lambda: server.sessions == [])
        before = descriptors()
        server._running().loop.post(gate.set)
        settle(lambda: tasks(server) == 0)
        settle(lambda: descriptors() == before - 1)  # the one that had come
