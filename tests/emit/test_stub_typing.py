"""What type checkers make of generated stubs: a program that uses them, right and wrong.

Wrong lines carry ``type: ignore``; strict mode complains where one is not needed.
"""

from __future__ import annotations

from pathlib import Path

import bindings

CLIENTS = """
from __future__ import annotations

from typing import assert_type

from rpcgen.runtime.stubs import AsyncCaller, Caller
from stubs.calc.client import AsyncCalcV1Client, CalcV1Client
from stubs.calc.types import Pair, Sign
from stubs.depot.client import AsyncDepotClient, DepotClient
from stubs.depot.types import DepotChangedMsg, DepotListRet, DepotSwapRet, Entry


def use(connection: Caller) -> None:
    depot = DepotClient(connection)
    depot.open("/", flags=1, timeout=2)
    assert_type(depot.stat("a"), Entry)
    assert_type(depot.list_(), DepotListRet)
    assert_type(depot.attach(fds=[1]), int)
    assert_type(depot.hand_out(), tuple[int, list[int]])
    assert_type(depot.swap(fds=(1, 2)), tuple[DepotSwapRet, list[int]])
    assert_type(depot.take(), tuple[None, list[int]])
    with depot.read("a") as stream:
        assert_type(stream.reply, str | None)
        for chunk in stream:
            assert_type(chunk, bytes)
    depot.on_changed(lambda message: assert_type(message, DepotChangedMsg)).cancel()
    calc = CalcV1Client(connection)
    assert_type(calc.add(1, 2), int)
    assert_type(calc.echo("hi"), str)
    assert_type(calc.find("a"), Pair | None)
    assert_type(calc.sign_of(1), Sign)
    calc.on_tick(lambda seconds: assert_type(seconds, int))

    depot.open(1)  # type: ignore[arg-type]
    depot.stat("a", fds=[1])  # type: ignore[call-arg]
    depot.open("/", 0, 2)  # type: ignore[call-arg]
    depot.on_changed(print_seconds)  # type: ignore[arg-type]
    AsyncDepotClient(connection)  # type: ignore[arg-type]


def print_seconds(seconds: int) -> None:
    print(seconds)


async def use_asyncio(connection: AsyncCaller) -> None:
    depot = AsyncDepotClient(connection)
    await depot.open("/")
    assert_type(await depot.stat("a"), Entry)
    assert_type(await depot.swap(fds=[1]), tuple[DepotSwapRet, list[int]])
    async with depot.read("a") as stream:
        assert_type(stream.reply, str | None)
        async for chunk in stream:
            assert_type(chunk, bytes)
    async for message in depot.on_changed():
        assert_type(message, DepotChangedMsg)
    assert_type(await AsyncCalcV1Client(connection).find("a"), Pair | None)
"""

SERVERS = """
from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

from rpcgen.runtime.stubs import Call, EventTarget, StreamCall
from stubs.depot.server import DepotServer
from stubs.depot.types import Entry


class Plain(DepotServer):
    def open(self, call: Call, root: str, flags: int) -> None:
        self.send_changed(call.session, root, 1)

    def stat(self, call: Call, name: str, hint: Entry | None, flags: int) -> Entry:
        return hint or Entry(name, 0)

    def hand_out(self, call: Call) -> tuple[int, list[int]]:
        return 1, [2]

    def read(self, call: StreamCall[str | None], name: str, flags: int) -> Iterator[bytes]:
        call.reply("text/plain")
        yield b"data"

    def write(self, call: StreamCall[None], name: str) -> None:
        for chunk in call.stream:
            chunk.decode()


class Async(DepotServer):
    async def open(self, call: Call, root: str, flags: int) -> None:
        self.send_closed(call.session)

    async def stat(self, call: Call, name: str, hint: Entry | None, flags: int) -> Entry:
        return hint or Entry(name, 0)

    async def hand_out(self, call: Call) -> tuple[int, list[int]]:
        return 1, [2]

    async def read(self, call: StreamCall[str | None], name: str, flags: int) -> AsyncIterator[bytes]:
        call.reply(None)
        yield b"data"

    async def import_(self, call: StreamCall[int], name: str) -> None:
        call.reply(4)
        async for chunk in call.stream:
            chunk.decode()


class Files(DepotServer):
    def read(self, call: StreamCall[str | None], name: str, flags: int) -> BinaryIO:
        return io.BytesIO(b"data")


class AsyncFiles(DepotServer):
    async def read(self, call: StreamCall[str | None], name: str, flags: int) -> BinaryIO:
        return io.BytesIO(b"data")


class Wrong(DepotServer):
    def open(self, call: Call, root: int, flags: int) -> None:  # type: ignore[override]
        pass

    async def stat(  # type: ignore[override]
        self, call: Call, name: str, hint: Entry | None, flags: int
    ) -> str:
        return name

    def hand_out(self, call: Call) -> int:  # type: ignore[override]
        return 1

    def read(  # type: ignore[override]
        self, call: StreamCall[str | None], name: str, flags: int
    ) -> Iterator[str]:
        call.reply(4)  # type: ignore[arg-type]
        yield "data"


def send(to: EventTarget) -> None:
    DepotServer().send_changed(to, "a", "b")  # type: ignore[arg-type]
"""


def test_users_of_stubs_are_type_checked(stubs: Path) -> None:
    (stubs / "stubs" / "clients.py").write_text(CLIENTS)
    (stubs / "stubs" / "servers.py").write_text(SERVERS)
    bindings.type_check(stubs, "stubs")
