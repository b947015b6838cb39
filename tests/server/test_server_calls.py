"""Calls and their answers, wherever handlers run."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from raw import ERROR, OK, REPLY, Packet
from server.kit import (
    BLOB,
    KIT,
    OTHER,
    PLAIN,
    QUICK,
    TOLD,
    OtherServer,
    connect,
    number,
    offering,
    serving,
)
from wire_cases import Failure
from wire_replay import fails

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime.errors import UnknownProcedure, XdrDecodeError, XdrEncodeError
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import RemoteError

INTERNAL = Failure("internal error$", VirErrorNumber.VIR_ERR_INTERNAL_ERROR)

Handler = Callable[..., Any]


def plain(function: Callable[[int], Any]) -> Handler:
    return lambda _, value: function(value)


def at_once(function: Callable[[int], Any]) -> Handler:
    async def handler(_: object, value: int) -> Any:
        return function(value)

    return handler


def after_waiting(function: Callable[[int], Any]) -> Handler:
    async def handler(_: object, value: int) -> Any:
        await asyncio.sleep(0)
        return function(value)

    return handler


def awaited(function: Callable[[int], Any]) -> Handler:
    """A plain method that returns what has to be awaited."""

    def handler(call: object, value: int) -> Any:
        return after_waiting(function)(call, value)

    return handler


KINDS = pytest.mark.parametrize("kind", [plain, at_once, after_waiting, awaited])
LOOPS = pytest.mark.parametrize("max_workers", [20, 0], ids=["workers", "no workers"])


@LOOPS
@KINDS
def test_a_call_is_answered(kind: Callable[[Handler], Handler], max_workers: int) -> None:
    handlers = offering(plain=kind(lambda value: value + 1), quick=kind(lambda value: value + 2))
    with (
        serving(handlers, min_workers=0, max_workers=max_workers) as server,
        connect(server) as raw,
    ):
        fields = (KIT.number, 1, PLAIN.number, REPLY, 7, OK)
        assert raw.call(PLAIN.number, number(1), serial=7) == Packet(*fields, number(2))
        assert raw.call(QUICK.number, number(1)).payload == number(3)


@KINDS
def test_where_handlers_run(kind: Callable[[Handler], Handler]) -> None:
    names: list[str] = []

    def note(value: int) -> int:
        names.append(threading.current_thread().name)
        return value

    handler = kind(note)
    with serving(offering(plain=handler, quick=handler)) as server, connect(server) as raw:
        raw.call(PLAIN.number, number(1))
        raw.call(QUICK.number, number(1))
    expected = "rpc worker" if kind is plain else "rpc server"
    assert names == [expected, "rpc server"]


def raising(error: BaseException) -> Callable[[int], Any]:
    def function(_: int) -> Any:
        raise error

    return function


@KINDS
def test_a_remote_error_is_the_answer(kind: Callable[[Handler], Handler]) -> None:
    error = RemoteError(42, "no domain", domain=10, str1="%s", str3="three", int1=-5, int2=6)
    with (
        serving(offering(plain=kind(raising(error)))) as server,
        connect(server) as raw,
    ):
        reply = raw.call(PLAIN.number, number(1))
        assert (reply.status, reply.payload) == (ERROR, error.payload())
        assert server.statistics.errors == 1


@KINDS
@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        StopIteration(3),
        asyncio.CancelledError("secret"),
        SystemExit(1),
        KeyboardInterrupt(),
        GeneratorExit(),
        XdrDecodeError("secret", 0),
        XdrEncodeError("secret"),
    ],
    ids=repr,
)
def test_any_other_exception_is_logged_and_kept(
    kind: Callable[[Handler], Handler],
    error: BaseException,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handlers = offering(plain=kind(raising(error)), urgent=lambda _, value: value)
    with serving(handlers) as server, connect(server) as raw:
        for _ in range(2):
            reply = raw.call(PLAIN.number, number(1))
            assert reply.status == ERROR
            fails(reply.payload, INTERNAL)
            assert b"secret" not in reply.payload
        assert raw.call(2, number(1)).status == OK
    assert [record.message for record in caplog.records] == ["PLAIN failed"] * 2
    assert all(record.exc_info for record in caplog.records)


@KINDS
def test_a_handler_may_not_know_its_procedure_after_all(
    kind: Callable[[Handler], Handler],
) -> None:
    with (
        serving(offering(plain=kind(raising(UnknownProcedure(1))))) as server,
        connect(server) as raw,
    ):
        fails(raw.call(PLAIN.number, number(1)).payload, Failure("unknown procedure: 1$"))


@KINDS
def test_what_cannot_be_encoded_is_an_error(
    kind: Callable[[Handler], Handler], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(offering(plain=kind(lambda _: "text"))) as server, connect(server) as raw:
        fails(
            raw.call(PLAIN.number, number(1)).payload,
            Failure("result of PLAIN: expected unsigned int, got str$"),
        )
    assert caplog.messages == ["PLAIN returned what it does not return"]


@KINDS
def test_what_cannot_be_decoded_is_an_error(
    kind: Callable[[Handler], Handler], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(offering(plain=kind(lambda value: value))) as server, connect(server) as raw:
        fails(raw.call(PLAIN.number, b"\0\0").payload, Failure("arguments of PLAIN: "))
        assert raw.call(PLAIN.number, number(1) + b"newer").payload == number(1)
    assert caplog.messages == []


def test_what_does_not_fit_a_packet_is_an_error() -> None:
    handlers = offering(blob=lambda _, size: bytes(size))
    with (
        serving(handlers, limits=Limits(message=1000, stream_packet=100)) as server,
        connect(server) as raw,
    ):
        fails(raw.call(BLOB.number, number(2000)).payload, Failure("a result of 2004"))
        assert len(raw.call(BLOB.number, number(900)).payload) == 904


def test_several_programs_on_one_connection() -> None:
    handlers = offering(plain=lambda _, value: value), offering(
        OtherServer, told=lambda _, value: value * 2
    )
    with serving(*handlers) as server, connect(server) as raw:
        assert raw.call(PLAIN.number, number(4)).payload == number(4)
        raw.program, raw.version = OTHER.number, OTHER.version
        assert raw.call(TOLD.number, number(4)).payload == number(8)
        raw.version = 1
        fails(raw.call(TOLD.number, number(4)).payload, Failure(".*version 1"))


def test_the_same_program_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"KIT.*is offered twice"), serving(offering(), offering()):
        pass


def test_what_is_no_server_is_refused() -> None:
    with pytest.raises(TypeError, match="no instance of a generated server"), serving(object()):
        pass


@pytest.mark.parametrize("piece", [1, 7, 28, 31])
def test_calls_may_come_in_any_pieces(piece: int) -> None:
    with serving(offering(plain=at_once(lambda value: value))) as server, connect(server) as raw:
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(10)), piece=piece)
        assert [raw.read()[4:] for _ in range(10)] == [(i, OK, number(i)) for i in range(10)]


def test_many_calls_at_once_are_all_answered() -> None:
    """More than one read brings, and more than may be under way."""
    with serving(offering(plain=at_once(lambda value: value))) as server, connect(server) as raw:
        calls = [raw.packet(PLAIN.number, number(i), serial=i) for i in range(10_000)]
        sender = threading.Thread(target=raw.send, args=calls)
        sender.start()
        assert [raw.read().serial for _ in calls] == list(range(10_000))
        sender.join()
        assert server.statistics.calls == 10_000


def test_overlapping_calls_are_answered_as_they_end() -> None:
    """The exchange "overlapping calls" of the protocol's overview."""
    gates = {value: asyncio.Event() for value in (1, 4)}

    async def handler(_: object, value: int) -> int:
        if value in gates:
            await gates[value].wait()
        if value == 4:
            gates[1].set()
        return value

    with serving(offering(plain=handler)) as server, connect(server) as raw:
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in (1, 2)))
        assert raw.read().serial == 2
        assert raw.call(PLAIN.number, number(3), serial=3).serial == 3
        raw.send(raw.packet(PLAIN.number, number(4), serial=4))
        server._running().loop.post(gates[4].set)
        assert {raw.read().serial, raw.read().serial} == {1, 4}


PLACE = contextvars.ContextVar("PLACE", default="nowhere")


@KINDS
@LOOPS
def test_context_variables_are_of_the_start_and_of_the_call(
    kind: Callable[[Handler], Handler], max_workers: int
) -> None:
    seen: list[str] = []

    def note(value: int) -> int:
        seen.append(PLACE.get())
        PLACE.set("set in a call")
        return value

    token = PLACE.set("set at the start")
    try:
        handlers = offering(plain=kind(note), quick=kind(note))
        with (
            serving(handlers, min_workers=0, max_workers=max_workers) as server,
            connect(server) as raw,
        ):
            PLACE.set("set later")
            for procedure in (PLAIN, PLAIN, QUICK, QUICK):
                raw.call(procedure.number, number(1))
    finally:
        PLACE.reset(token)
    assert seen == ["set at the start"] * 4
