"""Generated clients, driven without a connection."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from inspect import getdoc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import scripted

from rpcgen.runtime.errors import XdrEncodeError


def test_arguments_are_flattened_and_flags_default_to_zero(depot: SimpleNamespace) -> None:
    caller = scripted.Caller()
    depot.DepotClient(caller).open("/")
    depot.DepotClient(caller).open("/", 5, timeout=2.5)
    first, second = caller.sent
    assert first == scripted.Sent("DEPOT_PROC_OPEN", b"\0\0\0\1/\0\0\0\0\0\0\0", None)
    assert second == scripted.Sent("DEPOT_PROC_OPEN", b"\0\0\0\1/\0\0\0\0\0\0\5", 2.5)


def test_optionals_before_trailing_flags_default_to_none(depot: SimpleNamespace) -> None:
    caller = scripted.Caller([depot.DepotStatRet(depot.Entry("a", 1))])
    assert depot.DepotClient(caller).stat("a") == depot.Entry("a", 1)
    assert caller.sent[0].payload == b"\0\0\0\1a\0\0\0" + bytes(8)


def test_a_reply_of_several_members_is_the_struct(depot: SimpleNamespace) -> None:
    caller = scripted.Caller([depot.DepotListRet([], 9)])
    assert depot.DepotClient(caller).list_() == depot.DepotListRet([], 9)
    assert caller.sent[0].payload == b""


def test_values_that_do_not_fit_fail_before_anything_is_sent(depot: SimpleNamespace) -> None:
    caller = scripted.Caller()
    client = depot.DepotClient(caller)
    for wrong in ((3,), ("x" * 256,), ("/", -1)):
        with pytest.raises(XdrEncodeError):
            client.open(*wrong)
    assert caller.sent == []


def test_reserved_parameters_get_a_trailing_underscore(depot: SimpleNamespace) -> None:
    caller = scripted.Caller()
    depot.DepotClient(caller).pass_(call_=1, timeout_=2, fds_=3, self_=4, to=5, timeout=9)
    words = b"".join(number.to_bytes(4, "big") for number in (1, 2, 3, 4, 5))
    assert caller.sent == [scripted.Sent("DEPOT_PROC_PASS", words, 9)]


def test_descriptors_go_in_and_come_out(depot: SimpleNamespace) -> None:
    caller = scripted.Caller(fds=[8, 9])
    client = depot.DepotClient(caller)
    caller.replies = [depot.DepotAttachRet(5), depot.DepotHandOutRet(6), depot.DepotSwapRet(7, 8)]
    assert client.attach(fds=[3, 4]) == 5
    assert client.hand_out() == (6, [8, 9])
    assert client.swap(fds=[5], timeout=1) == (depot.DepotSwapRet(7, 8), [8, 9])
    assert client.drop(fds=[6]) is None
    assert client.take() == (None, [8, 9])
    assert [one.fds for one in caller.sent] == [(3, 4), (), (5,), (6,), ()]
    assert caller.sent[2].timeout == 1


def test_streams_show_the_reply_and_their_data(depot: SimpleNamespace) -> None:
    caller = scripted.Caller([depot.DepotReadRet("text/plain")], data=[b"a", b"b"])
    with depot.DepotClient(caller).read("name", timeout=4) as stream:
        assert stream.reply == "text/plain"
        assert list(stream) == [b"a", b"b"]
    assert caller.log == ["finish"]
    assert caller.sent[0].timeout == 4


def test_a_stream_of_a_void_call_has_no_reply(depot: SimpleNamespace) -> None:
    caller = scripted.Caller()

    def use() -> None:
        with depot.DepotClient(caller).write("name") as stream:
            assert stream.reply is None
            stream.write(b"data")
            raise KeyError

    with pytest.raises(KeyError):
        use()
    assert caller.log == ["write b'data'", "abort"]


def test_event_handlers_get_the_message(depot: SimpleNamespace) -> None:
    caller = scripted.Caller(
        messages=[depot.DepotChangedMsg("a", 1), depot.DepotChangedMsg("b", 2)]
    )
    seen: list[Any] = []
    subscription = depot.DepotClient(caller).on_changed(seen.append)
    assert seen == [depot.DepotChangedMsg("a", 1), depot.DepotChangedMsg("b", 2)]
    subscription.cancel()
    assert caller.log == ["cancel"]


def test_arguments_and_results_may_be_of_any_type(calc: SimpleNamespace) -> None:
    caller = scripted.Caller([None, 3, "hi", None, calc.Pair(2, 1), calc.Sign.MINUS, calc.Call(4)])
    client = calc.CalcV1Client(caller)
    assert client.null() is None
    assert client.add(1, 2) == 3
    assert client.echo("hi") == "hi"
    assert client.find("x") is None
    assert client.swap(1, 2) == calc.Pair(2, 1)
    assert client.sign_of(-5) is calc.Sign.MINUS
    assert client.next() == 4
    assert caller.sent[1].payload == b"\0\0\0\1\0\0\0\2"
    assert caller.sent[3].payload == b"\0\0\0\1x\0\0\0\0\0\0\0"


def test_events_may_be_of_any_type(calc: SimpleNamespace) -> None:
    ticks: list[int] = []
    calc.CalcV1Client(scripted.Caller(messages=[1, 2])).on_tick(ticks.append)
    stops: list[None] = []
    calc.CalcV1Client(scripted.Caller(messages=[None])).on_stop(stops.append)
    assert (ticks, stops) == ([1, 2], [None])


def test_the_asyncio_client_does_the_same(depot: SimpleNamespace) -> None:
    async def use() -> None:
        caller = scripted.AsyncCaller(
            data=[b"a"], fds=[8], messages=[depot.DepotChangedMsg("a", 1)]
        )
        client = depot.AsyncDepotClient(caller)
        caller.replies = [
            None,
            depot.DepotStatRet(depot.Entry("a", 1)),
            depot.DepotListRet([], 9),
            depot.DepotAttachRet(5),
            depot.DepotHandOutRet(6),
            depot.DepotSwapRet(7, 8),
            None,
            None,
            depot.DepotReadRet(None),
        ]
        await client.open("/", timeout=1)
        assert await client.stat("a") == depot.Entry("a", 1)
        assert await client.list_() == depot.DepotListRet([], 9)
        assert await client.attach(fds=[3]) == 5
        assert await client.hand_out() == (6, [8])
        assert await client.swap(fds=[4]) == (depot.DepotSwapRet(7, 8), [8])
        await client.drop(fds=[5])
        assert await client.take() == (None, [8])
        async with client.read("name") as stream:
            assert stream.reply is None
            assert [chunk async for chunk in stream] == [b"a"]
        assert caller.log == ["finish"]
        seen: list[Any] = []
        subscription = client.on_changed(seen.append)
        assert [one async for one in client.on_changed()] == seen
        subscription.cancel()
        assert [one.fds for one in caller.sent[3:8]] == [(3,), (), (4,), (5,), ()]
        assert [one.timeout for one in caller.sent[:2]] == [1, None]

    asyncio.run(use())


def test_docstrings_hold_the_prose_and_the_name(depot: SimpleNamespace) -> None:
    client, twin = depot.DepotClient, depot.AsyncDepotClient
    assert getdoc(client.open) == "Open a depot.\n\nComes first.\n\nDEPOT_PROC_OPEN (1)."
    assert getdoc(twin.open) == "Open a depot.\n\nDEPOT_PROC_OPEN (1)."
    assert "Args:\n    name: what to look at" in (getdoc(client.stat) or "")
    assert "Returns:\n    what there is" in (getdoc(client.stat) or "")
    assert getdoc(client.list_) == "DEPOT_PROC_LIST (3)."


def test_generated_modules_import_nothing_dear(stubs: Path) -> None:
    path = [str(Path(__file__).parents[2]), str(stubs)]
    imports = "import stubs.depot.client, stubs.depot.server, stubs.calc.client, stubs.calc.server"
    code = f"import sys; sys.path += {path!r}; {imports}; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"asyncio", "dataclasses", "inspect", "ssl", "typing"} & set(done.stdout.split())
