"""The server's end against packets written by hand: what libvirt answers to bad input, and streams."""

from __future__ import annotations

import pytest
from core.pairs import PATH, PROGRAMS, events, packets, raw, server, taken

from libvirt_rpc.virnetprotocol.decoder import read_vir_net_message_header
from rpcgen.examples.filer.bindings.filer import program as filer
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import (
    CALL_WITH_FDS,
    CONTINUE,
    ERROR,
    HEAD_SIZE,
    MESSAGE,
    OK,
    REPLY,
    REPLY_WITH_FDS,
    STREAM,
    STREAM_HOLE,
    RemoteError,
)
from rpcgen.runtime.program import Procedure, Program, Route
from rpcgen.runtime.server_connection import IncomingCall, ServerConnection
from rpcgen.runtime.state import StreamState

UPLOAD = raw(5, PATH + b"\0\0\0\0", serial=8)


def refusals(core: ServerConnection) -> list[tuple[int, int, str | None]]:
    """Serial, code and message of each error among the answers."""
    found = []
    for packet in packets(taken(core)):
        header, _ = read_vir_net_message_header(packet, 4)
        assert (header.type, header.status) == (REPLY, ERROR)
        error = RemoteError.from_payload(packet[HEAD_SIZE:])
        found.append((header.serial, int(error.code), error.message))
    return found


def incoming(core: ServerConnection, data: bytes) -> IncomingCall:
    core.receive_data(data)
    (call,) = events(core)
    assert isinstance(call, IncomingCall)
    return call


BAD_CALLS = {
    "unknown program": (raw(3, PATH, serial=5, program=77), 39, "unknown program: 77, version 1"),
    "unknown version": (
        raw(3, PATH, serial=5, version=9),
        39,
        "unknown program: 552672848, version 9",
    ),
    "status": (raw(3, PATH, serial=5, status=1), 39, "unexpected status 1 of a call"),
    "unknown procedure": (raw(77, PATH, serial=5), 3, "unknown procedure: 77"),
    "negative procedure": (raw(-1, PATH, serial=5), 3, "unknown procedure: -1"),
    "not offered": (raw(2, PATH, serial=5), 3, "unknown procedure: 2"),
    "an event": (raw(9, PATH, serial=5), 3, "unknown procedure: 9"),
    "with descriptors": (
        raw(77, bytes(4), kind=CALL_WITH_FDS, serial=5),
        3,
        "unknown procedure: 77",
    ),
    "keepalive as a call": (
        raw(1, serial=5, program=0x6B656570),
        39,
        "unknown program: 1801807216, version 1",
    ),
}


@pytest.mark.parametrize(("packet", "code", "message"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_a_bad_call_is_refused_and_the_next_one_served(
    packet: bytes, code: int, message: str
) -> None:
    core = server()
    call = incoming(core, packet + raw(3, PATH))
    assert call.route.procedure.name == "REMOVE"
    assert refusals(core) == [(5, code, message)]


SILENT = {
    "a reply": raw(3, PATH, kind=REPLY),
    "a reply with descriptors": raw(3, bytes(4), kind=REPLY_WITH_FDS),
    "an event": raw(9, kind=MESSAGE),
    "an unknown type": raw(3, kind=7),
    "an event of an unknown program": raw(3, kind=MESSAGE, program=77),
    "data of no stream": raw(5, b"data", kind=STREAM, status=CONTINUE),
    "a hole of no stream": raw(5, bytes(12), kind=STREAM_HOLE, status=CONTINUE),
}


@pytest.mark.parametrize("packet", SILENT.values(), ids=SILENT)
def test_what_needs_no_answer_gets_none(packet: bytes) -> None:
    core = server()
    core.receive_data(packet)
    assert events(core) == []
    assert (taken(core), core.dropped) == (b"", 1)


def test_before_authentication_only_marked_procedures_can_be_called() -> None:
    program = Program("P", 5, 1)
    codec = (lambda _: b"", lambda _, offset: (None, offset))
    gated, free = (
        Procedure(program, number, f"P{number}", "m", codec, codec, auth_none=number == 2)
        for number in (1, 2)
    )
    routes = {1: Route(gated, lambda: None), 2: Route(free, lambda: None)}
    core = ServerConnection({(5, 1): routes}, Limits(), authenticated=False)
    core.receive_data(b"".join(raw(number, program=5, serial=number) for number in (1, 2, 3)))
    (call,) = events(core)
    assert call.route.procedure is free
    assert refusals(core) == [
        (1, 39, "authentication is required"),
        (3, 3, "unknown procedure: 3"),  # libvirt tells that before it asks who wants to know
    ]
    core.authenticated = True
    assert incoming(core, raw(1, program=5)).route.procedure is gated


def test_descriptors_of_a_refused_call_do_not_travel_back() -> None:
    core = server(passes_fds=True)
    core.receive_data(raw(77, b"\0\0\0\1", kind=CALL_WITH_FDS))
    core.receive_data(b"\0", [66])
    assert events(core) == []
    assert core.stray_fds == [66]
    assert core.outbox.release_fds() == []


def test_a_reply_repeats_the_call() -> None:
    core = server(passes_fds=True)
    call = incoming(core, raw(1, PATH, serial=0xFFFFFFFF))
    done: list[str] = []
    core.reply(call, b"\0\0\0\0", done=lambda: done.append("written"))
    assert done == []
    assert taken(core) == raw(1, b"\0\0\0\0", kind=REPLY, serial=0xFFFFFFFF)
    assert done == ["written"]


def test_a_reply_with_descriptors_says_so() -> None:
    core = server(passes_fds=True)
    call = incoming(core, raw(1, PATH))
    core.reply(call, b"abcd", [9])
    (data,) = core.outbox.batch()
    assert data == raw(1, b"\0\0\0\1abcd", kind=REPLY_WITH_FDS)
    core.outbox.sent(len(data))
    assert core.outbox.sent_fd() == 9


def test_a_result_that_fits_no_packet_is_an_error() -> None:
    core = server(limits=Limits(message=400, stream_packet=100))
    call = incoming(core, raw(1, PATH, serial=4))
    core.reply(call, bytes(400), [5])
    assert refusals(core) == [(4, 39, "a result of 400 bytes does not fit a packet")]
    assert core.stray_fds == [5]


def test_an_error_that_cannot_be_sent_is_still_an_error() -> None:
    core = server()
    core.fail(incoming(core, raw(1, PATH)), RemoteError(2**40, "no such code"))
    ((_, code, message),) = refusals(core)
    assert code == 39
    assert str(message).startswith("an error that cannot be sent: code: ")


def test_an_event_carries_serial_1_as_libvirts_do() -> None:
    core = server()
    core.send_event(filer.FILER_V1_CHANGED, PATH)
    assert taken(core) == raw(9, PATH, kind=MESSAGE, serial=1)


# Streams


def opened() -> tuple[ServerConnection, IncomingCall]:
    core = server()
    call = incoming(core, UPLOAD)
    core.reply(call, b"")
    taken(core)
    return core, call


def on_stream(payload: bytes = b"", status: int = CONTINUE) -> bytes:
    return raw(5, payload, kind=STREAM, serial=8, status=status)


def test_data_then_finish_then_confirmation() -> None:
    core, call = opened()
    stream = call.stream
    assert stream is not None
    core.receive_data(on_stream(b"ab") + on_stream(b"cd") + on_stream(status=OK))
    assert events(core) == [stream] * 3
    assert [stream.take() for _ in range(3)] == [b"ab", b"cd", None]
    assert stream.state is StreamState.FINISHING
    stream.send_ok()
    core.finished(stream)
    assert (taken(core), core.streams) == (on_stream(status=OK), {})


def test_an_abort_ends_the_stream_at_once() -> None:
    core, call = opened()
    stream = call.stream
    assert stream is not None
    core.receive_data(on_stream(b"ab") + on_stream(status=ERROR))
    events(core)
    assert (stream.state, stream.take(), core.streams) == (StreamState.ABORTED, None, {})
    assert taken(core) == on_stream(status=OK)


def test_breaking_a_stream_sends_the_error() -> None:
    core, call = opened()
    stream = call.stream
    assert stream is not None
    stream.send(b"xy")
    error = RemoteError(1, "disk on fire")
    stream.fail(error)
    core.finished(stream)
    assert taken(core) == on_stream(b"xy") + on_stream(error.payload(), ERROR)
    assert (stream.state, core.streams) == (StreamState.FAILED, {})


def test_the_client_may_finish_before_the_call_is_answered() -> None:
    core = server()
    call = incoming(core, UPLOAD)
    core.receive_data(on_stream(b"all of it") + on_stream(status=OK))
    events(core)
    core.reply(call, b"")
    assert call.stream is not None
    assert call.stream.take() == b"all of it"
    call.stream.send_ok()
    assert taken(core) == raw(5, kind=REPLY, serial=8) + on_stream(status=OK)


def test_a_call_whose_stream_was_aborted_is_answered_all_the_same() -> None:
    core = server()
    call = incoming(core, UPLOAD)
    core.receive_data(on_stream(status=ERROR))
    events(core)
    core.reply(call, b"")
    assert taken(core) == on_stream(status=OK) + raw(5, kind=REPLY, serial=8)


def test_a_stream_that_was_broken_before_its_call_is_answered_is_no_success() -> None:
    core = server()
    call = incoming(core, UPLOAD)
    assert call.stream is not None
    call.stream.fail(RemoteError(1, "disk on fire"))
    core.finished(call.stream)
    core.reply(call, b"")
    assert refusals(core) == [(8, 1, "disk on fire")]
    assert core.streams == {}


def test_a_refused_call_has_no_stream() -> None:
    core = server()
    call = incoming(core, UPLOAD)
    core.fail(call, RemoteError(1, "no"))
    assert core.streams == {}
    assert refusals(core) == [(8, 1, "no")]


def test_a_serial_with_a_stream_opens_no_second_one() -> None:
    core, _ = opened()
    core.receive_data(UPLOAD)
    assert events(core) == []
    assert refusals(core) == [(8, 39, "serial 8 has a stream already")]


@pytest.mark.parametrize("ends", ["replied", "failed"])
def test_a_serial_that_is_used_again_is_not_the_one_before(ends: str) -> None:
    core = server()
    first = incoming(core, UPLOAD)
    core.receive_data(on_stream(status=9))  # breaks it, before it is answered
    events(core)
    second = incoming(core, UPLOAD)
    if ends == "replied":
        core.reply(first, b"")
    else:
        core.fail(first, RemoteError(1, "no"))
    assert list(core.streams.values()) == [second.stream]


@pytest.mark.parametrize(
    "packet",
    [
        on_stream(status=9),
        on_stream() + on_stream(b"behind the end"),
        raw(5, bytes(12), kind=STREAM_HOLE, serial=8, status=CONTINUE),
        on_stream(status=OK) + on_stream(b"behind the finish"),
    ],
)
def test_a_client_that_breaks_the_rules_loses_the_stream_only(packet: bytes) -> None:
    core, call = opened()
    core.receive_data(packet + raw(3, PATH, serial=9))
    *_, other = events(core)
    assert isinstance(other, IncomingCall)
    assert call.stream is not None
    assert call.stream.state is StreamState.FAILED
    (answer,) = packets(taken(core))
    header, _ = read_vir_net_message_header(answer, 4)
    assert (header.type, header.status, header.serial) == (STREAM, ERROR, 8)
    assert RemoteError.from_payload(answer[HEAD_SIZE:]).code == 39


def test_the_programs_of_a_connection_are_told_apart() -> None:
    other = {
        number: Route(route.procedure, lambda: None)
        for number, route in PROGRAMS[(filer.FILER_V1.number, 1)].items()
    }
    core = ServerConnection({**PROGRAMS, (filer.FILER_V1.number, 2): other}, Limits())
    core.receive_data(raw(3, PATH) + raw(3, PATH, version=2))
    one, two = events(core)
    assert two.route is other[3]
    assert one.route is not two.route
