"""Whatever bytes come, in whatever pieces: events, answers, or RemoteProtocolError, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from core.pairs import PATH, client, events, pump, raw, server, taken
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.examples.filer.bindings.filer import program as filer
from rpcgen.runtime.client_connection import ClientConnection, PendingCall
from rpcgen.runtime.errors import RemoteProtocolError, RpcError
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import Packet, RemoteError
from rpcgen.runtime.server_connection import IncomingCall, ServerConnection
from rpcgen.runtime.streams import Stream

numbers = st.one_of(st.integers(-1, 12), st.sampled_from([-(2**31), 2**31 - 1]))
headers: st.SearchStrategy[dict[str, int]] = st.builds(
    dict,
    procedure=numbers,
    kind=st.integers(-1, 8),
    status=st.integers(-1, 3),
    serial=st.one_of(st.integers(0, 6), st.just(0xFFFFFFFF)),
    program=st.sampled_from([filer.FILER_V1.number, 0x6B656570, 0, 1]),
    version=st.sampled_from([1, 0, 2]),
)
payloads = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", PATH, bytes(12), b"\0\0\0\1", RemoteError(1, "x").payload()]),
)
pieces = st.lists(
    st.one_of(
        st.builds(lambda header, payload: raw(payload=payload, **header), headers, payloads),
        st.binary(max_size=40),
    ),
    max_size=12,
)


def cores() -> list[ClientConnection | ServerConnection]:
    """A client's with calls and streams under way, and a server's."""
    busy = client(limits=Limits(stream_overflow=500), passes_fds=True)
    for _ in range(2):
        busy.call(filer.FILER_V1_LIST_FOLDER, PATH)
        busy.open_stream(filer.FILER_V1_DOWNLOAD, PATH, sparse=True)
    return [busy, server(limits=Limits(stream_overflow=500), passes_fds=True)]


def use(event: Any, core: ClientConnection | ServerConnection) -> None:
    """What a shell would do with an event."""
    match event:
        case PendingCall():
            with suppress(RpcError):
                event.result()
        case IncomingCall() if isinstance(core, ServerConnection):
            try:
                event.route.arguments(event.payload)
            except ValueError as error:
                core.fail(event, RemoteError(1, str(error)))
            else:
                core.reply(event, b"")
        case Stream():
            event.take()
        case _:
            assert isinstance(event, Packet)


@given(pieces, st.integers(1, 50))
@pytest.mark.parametrize("side", [0, 1])
def test_any_bytes_in_any_pieces(side: int, pieces: list[bytes], size: int) -> None:
    core = cores()[side]
    data = b"".join(pieces)
    try:
        for at in range(0, len(data), size):
            core.receive_data(data[at : at + size], [at] if at % 7 == 1 else [])
            for event in iter(core.next_event, None):
                use(event, core)
    except RemoteProtocolError:
        core.close("the peer broke the rules")
    for stream in core.streams.values():
        assert stream.queued <= 500
    taken(core)
    core.close("over")


@given(st.lists(st.tuples(st.integers(0, 6), st.binary(max_size=3)), max_size=40), st.randoms())
def test_two_ends_agree_whatever_is_called_in_whatever_order(
    steps: list[tuple[int, bytes]], random: Any
) -> None:
    one, two = client(), server()
    waiting: list[IncomingCall] = []
    calls: dict[int, bytes] = {}
    answers: dict[int, bytes] = {}

    def deliver() -> None:
        waiting.extend(event for event in pump(one, two) if isinstance(event, IncomingCall))

    def answer() -> None:
        call = waiting.pop(random.randrange(len(waiting)))
        answers[call.header.serial] = call.payload
        two.reply(call, b"")

    for action, data in steps:
        if action < 3:
            path = len(data).to_bytes(4, "big") + data + b"\0" * (-len(data) % 4)
            calls[one.call(filer.FILER_V1_REMOVE, path).serial] = path
        elif action < 5:
            deliver()
        elif waiting:
            answer()
    deliver()
    while waiting:
        answer()
    done = pump(two, one)
    assert {call.serial for call in done} == set(calls)
    assert answers == calls
    assert (one.calls, events(one), one.dropped, two.dropped) == ({}, [], 0, 0)
