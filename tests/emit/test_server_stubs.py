"""Generated servers, driven without a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import scripted

from rpcgen.runtime.errors import UnknownProcedure, XdrDecodeError, XdrEncodeError
from rpcgen.runtime.program import Route

OPEN = b"\0\0\0\1/\0\0\0\0\0\0\5"
STAT = b"\0\0\0\1a\0\0\0" + bytes(4) + b"\0\0\0\7"


def plain(depot: SimpleNamespace) -> Any:
    """A server of plain methods."""

    class Plain(depot.DepotServer):  # type: ignore[misc, name-defined]
        def open(self, call: Any, root: str, flags: int) -> None:
            call.seen = [root, flags]

        def stat(self, call: Any, name: str, hint: object, flags: int) -> Any:
            call.seen = [name, hint, flags]
            return depot.Entry(name, flags)

        def list_(self, call: Any) -> Any:
            return depot.DepotListRet(call.seen, 9)

        def hand_out(self, call: Any) -> tuple[int, Sequence[int]]:
            return 6, call.fds

    return Plain()


def asynchronous(depot: SimpleNamespace) -> Any:
    """The same server of ``async def`` methods."""
    other = plain(depot)

    class Async(depot.DepotServer):  # type: ignore[misc, name-defined]
        async def open(self, call: Any, root: str, flags: int) -> None:
            other.open(call, root, flags)

        async def stat(self, call: Any, name: str, hint: object, flags: int) -> Any:
            return other.stat(call, name, hint, flags)

        async def list_(self, call: Any) -> Any:
            return other.list_(call)

        async def hand_out(self, call: Any) -> Any:
            return other.hand_out(call)

    return Async()


def answer(route: Route, call: scripted.Call[Any], payload: bytes) -> tuple[bytes, list[int]]:
    """What a server does with a call, in one go."""
    result = route.handler(call, *route.arguments(b"header" + payload, 6))
    if isinstance(result, Awaitable):
        result = asyncio.run(awaited(result))
    reply, fds = route.answer(result)
    return reply, list(fds)


async def awaited(result: Awaitable[Any]) -> Any:
    return await result


@pytest.mark.parametrize("make", [plain, asynchronous])
def test_overrides_take_flat_arguments_and_answer_bare(depot: SimpleNamespace, make: Any) -> None:
    server = make(depot)
    routes = server.DISPATCH.routes(server)
    assert sorted(routes) == [1, 2, 3, 10]
    calls = {number: scripted.Call[Any](routes[number].procedure, fds=[7, 8]) for number in routes}
    assert answer(routes[1], calls[1], OPEN) == (b"", [])
    assert answer(routes[2], calls[2], STAT) == (b"\0\0\0\1a\0\0\0" + bytes(7) + b"\7", [])
    assert answer(routes[3], calls[3], b"") == (bytes(4) + bytes(7) + b"\t", [])
    assert answer(routes[10], calls[10], b"") == (bytes(7) + b"\6", [7, 8])
    assert calls[1].seen == ["/", 5]
    assert calls[2].seen == ["a", None, 7]


def test_what_is_not_overridden_has_no_route_and_raises(depot: SimpleNamespace) -> None:
    server = depot.DepotServer()
    assert server.DISPATCH.routes(server) == {}
    with pytest.raises(UnknownProcedure) as caught:
        server.list_(scripted.Call(depot.DEPOT_PROC_LIST))
    assert str(caught.value) == "unknown procedure: 3"
    assert caught.value.number == 3


def test_a_method_may_be_set_on_one_server_only(depot: SimpleNamespace) -> None:
    server = depot.DepotServer()
    server.list_ = plain(depot).list_
    assert list(server.DISPATCH.routes(server)) == [3]
    assert server.DISPATCH.routes(depot.DepotServer()) == {}


def test_bytes_and_answers_that_do_not_fit_are_refused(depot: SimpleNamespace) -> None:
    server = plain(depot)
    routes = server.DISPATCH.routes(server)
    with pytest.raises(XdrDecodeError):
        routes[1].arguments(OPEN[:-1])
    for wrong in (None, "text", depot.DepotStatRet(depot.Entry("a", 1))):
        with pytest.raises(XdrEncodeError):
            routes[2].answer(wrong)
    with pytest.raises(XdrEncodeError):
        routes[1].answer("not void")


def test_bytes_behind_the_arguments_are_from_a_newer_peer(depot: SimpleNamespace) -> None:
    server = plain(depot)
    assert server.DISPATCH.routes(server)[1].arguments(OPEN + b"newer") == ("/", 5)


def test_stream_handlers_answer_and_then_give_or_take_data(depot: SimpleNamespace) -> None:
    class Streams(depot.DepotServer):  # type: ignore[misc, name-defined]
        def read(self, call: Any, name: str, flags: int) -> Iterator[bytes]:
            call.reply("text/plain")
            yield from [name.encode()] * flags

        def write(self, call: Any, name: str) -> None:
            call.seen = [name, *call.stream]

        async def import_(self, call: Any, name: str) -> None:
            call.reply(4)
            call.seen = [name] + [chunk async for chunk in call.stream]

    server = Streams()
    read, write, import_ = (server.DISPATCH.routes(server)[number] for number in (4, 5, 6))

    reading = scripted.Call[Any](read.procedure)
    assert list(read.handler(reading, "x", 2)) == [b"x", b"x"]
    mime = b"\0\0\0\1\0\0\0\ntext/plain\0\0"
    assert [read.answer(value) for value in reading.replies] == [(mime, ())]

    writing = scripted.Call[Any](write.procedure, upload=[b"1", b"2"])
    assert answer(write, writing, b"\0\0\0\1x\0\0\0") == (b"", [])
    assert writing.seen == ["x", b"1", b"2"]

    importing = scripted.Call[Any](import_.procedure, upload=[b"3"])
    asyncio.run(awaited(import_.handler(importing, "x")))
    assert [import_.answer(value) for value in importing.replies] == [(b"\0\0\0\4", ())]
    assert importing.seen == ["x", b"3"]


def test_a_stream_may_come_from_an_async_generator(depot: SimpleNamespace) -> None:
    class Streams(depot.DepotServer):  # type: ignore[misc, name-defined]
        async def read(self, call: Any, name: str, flags: int) -> AsyncIterator[bytes]:
            call.reply(None)
            for _ in range(flags):
                yield name.encode()

    async def use() -> None:
        server = Streams()
        route = server.DISPATCH.routes(server)[4]
        call = scripted.Call[Any](route.procedure)
        assert [chunk async for chunk in route.handler(call, "x", 2)] == [b"x", b"x"]
        assert call.replies == [None]

    asyncio.run(use())


def test_handlers_may_take_and_return_any_type(calc: SimpleNamespace) -> None:
    class Offer(calc.CalcV1Server):  # type: ignore[misc, name-defined]
        def add(self, call: Any, one: int, two: int) -> int:
            call.seen = [one, two]
            return one + two

        def echo(self, call: Any, value: str) -> str:
            call.seen = [value]
            return value

        def next(self, call: Any, value: Any) -> int:
            call.seen = [value]
            return value.number + 1 if value else 0

    server = Offer()
    routes = server.DISPATCH.routes(server)
    for number, payload, reply, seen in (
        (1, b"\0\0\0\1\0\0\0\2", b"\0\0\0\3", [1, 2]),
        (2, b"\0\0\0\2hi\0\0", b"\0\0\0\2hi\0\0", ["hi"]),
        (6, b"\0\0\0\1\0\0\0\3", b"\0\0\0\4", [calc.Call(3)]),
        (6, b"\0\0\0\0", b"\0\0\0\0", [None]),
    ):
        call = scripted.Call[Any](routes[number].procedure)
        assert answer(routes[number], call, payload) == (reply, [])
        assert call.seen == seen


def test_events_are_sent_to_a_target(depot: SimpleNamespace, calc: SimpleNamespace) -> None:
    target = scripted.Target()
    depot.DepotServer().send_changed(target, to_="a", how=2)
    depot.DepotServer().send_closed(target)
    calc.CalcV1Server().send_tick(target, 7)
    assert target.sent == [
        ("DEPOT_PROC_CHANGED", b"\0\0\0\1a\0\0\0\0\0\0\2"),
        ("DEPOT_PROC_CLOSED", b""),
        ("TICK", b"\0\0\0\7"),
    ]


def test_events_are_no_procedures(depot: SimpleNamespace) -> None:
    assert not hasattr(depot.DepotServer, "changed")
    assert not hasattr(depot.DepotClient, "changed")
