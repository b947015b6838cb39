"""The client's end against packets written by hand."""

from __future__ import annotations

import pytest
from core.pairs import PATH, client, events, raw, taken

from libvirt_rpc.virnetprotocol.encoder import encode_vir_net_stream_hole
from libvirt_rpc.virnetprotocol.types import VirNetStreamHole
from rpcgen.examples.filer.bindings.filer import program as filer
from rpcgen.runtime.client_connection import ClientConnection, PendingCall
from rpcgen.runtime.errors import (
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    XdrDecodeError,
)
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import (
    CALL,
    CALL_WITH_FDS,
    CONTINUE,
    ERROR,
    MESSAGE,
    OK,
    REPLY,
    REPLY_WITH_FDS,
    STREAM,
    STREAM_HOLE,
    RemoteError,
)
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Hole, Stream

REMOVE = filer.FILER_V1_REMOVE
UPLOAD_ARGUMENT = PATH + b"\0\0\0\0"


def opened(core: ClientConnection, *, sparse: bool = False) -> PendingCall:
    """A call that opened a stream, with serial 0, and its packets out of the way."""
    call = core.open_stream(filer.FILER_V1_UPLOAD, UPLOAD_ARGUMENT, sparse=sparse)
    core.receive_data(raw(5, kind=REPLY))
    assert core.next_event() is call
    taken(core)
    return call


def on_stream(payload: bytes = b"", status: int = CONTINUE, kind: int = STREAM) -> bytes:
    return raw(5, payload, kind=kind, status=status)


def hole(length: int, flags: int = 0) -> bytes:
    payload = encode_vir_net_stream_hole(VirNetStreamHole(length, flags))
    return on_stream(payload, kind=STREAM_HOLE)


def test_calls_are_numbered_and_replies_find_them_in_any_order() -> None:
    core = client()
    calls = [core.call(REMOVE, PATH) for _ in range(3)]
    assert taken(core) == b"".join(raw(3, PATH, serial=number) for number in range(3))
    core.receive_data(b"".join(raw(3, kind=REPLY, serial=number) for number in (2, 0, 1)))
    assert events(core) == [calls[2], calls[0], calls[1]]
    assert [call.result() for call in calls] == [None] * 3
    assert core.calls == {}


def test_serials_wrap_and_pass_over_those_in_use() -> None:
    core = client()
    opened(core)
    old = core.call(REMOVE, PATH)
    core._serial = 0xFFFFFFFF
    assert [core.call(REMOVE, PATH).serial for _ in range(3)] == [0xFFFFFFFF, 2, 3]
    assert core.calls[1] is old


def test_an_error_is_raised_by_its_own_call_only() -> None:
    core = client()
    one, two = core.call(REMOVE, PATH), core.call(REMOVE, PATH)
    error = RemoteError(1000, "nothing there", str1="%s").payload()
    core.receive_data(raw(3, error, kind=REPLY, status=ERROR) + raw(3, kind=REPLY, serial=1))
    assert events(core) == [one, two]
    with pytest.raises(RemoteError, match="nothing there") as caught:
        one.result()
    assert (caught.value.code, caught.value.str1) == (1000, "%s")
    assert two.result() is None


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (raw(4, kind=REPLY), RemoteProtocolError),  # another procedure
        (raw(1, kind=REPLY, status=7), RemoteProtocolError),
        (raw(1, b"\0\0", kind=REPLY), XdrDecodeError),
        (raw(1, b"\0\0", kind=REPLY, status=ERROR), XdrDecodeError),
    ],
)
def test_a_reply_that_is_none_fails_its_call_only(reply: bytes, kind: type[Exception]) -> None:
    core = client(strict=True)
    call = core.call(filer.FILER_V1_LIST_FOLDER, PATH)
    core.receive_data(reply)
    assert events(core) == [call]
    with pytest.raises(kind):
        call.result()
    assert core.closed is None


def test_bytes_behind_a_result_are_from_a_newer_server() -> None:
    core = client()
    call = core.call(filer.FILER_V1_LIST_FOLDER, PATH)
    core.receive_data(raw(1, bytes(4) + b"newer", kind=REPLY))
    assert events(core) == [call]
    assert call.result() == []


STRANGE = {
    "a reply to nobody": raw(3, kind=REPLY, serial=9),
    "of another program": raw(3, kind=REPLY, program=1),
    "of another version": raw(3, kind=REPLY, version=2),
    "a call": raw(3, PATH, kind=CALL),
    "a call with descriptors": raw(3, bytes(4), kind=CALL_WITH_FDS),
    "an unknown type": raw(3, kind=99),
    "an event with an error": raw(9, kind=MESSAGE, status=ERROR),
}


@pytest.mark.parametrize("packet", STRANGE.values(), ids=STRANGE)
def test_what_nobody_waits_for_is_passed_over(packet: bytes) -> None:
    core = client()
    call = core.call(REMOVE, PATH)
    core.receive_data(packet + raw(3, kind=REPLY))
    assert events(core) == [call]
    assert core.dropped == 1


@pytest.mark.parametrize("packet", STRANGE.values(), ids=STRANGE)
def test_or_refused_where_strictness_is_asked_for(packet: bytes) -> None:
    core = client(strict=True)
    core.call(REMOVE, PATH)
    core.receive_data(packet)
    with pytest.raises(RemoteProtocolError):
        core.next_event()


def test_descriptors_that_nobody_takes_are_given_back() -> None:
    core = client(passes_fds=True)
    core.receive_data(raw(3, b"\0\0\0\1", kind=REPLY_WITH_FDS))
    core.receive_data(b"\0", [77])
    assert events(core) == []
    assert core.stray_fds == [77]


def test_descriptors_go_behind_their_call() -> None:
    core = client(passes_fds=True)
    core.call(REMOVE, PATH, [5, 6])
    (data,) = core.outbox.batch()
    assert data == raw(3, b"\0\0\0\2" + PATH, kind=CALL_WITH_FDS)
    core.outbox.sent(len(data))
    assert core.outbox.batch() == []
    assert [core.outbox.fd, core.outbox.sent_fd(), core.outbox.sent_fd()] == [5, 5, 6]
    assert not core.outbox


def test_an_event_comes_out_whatever_its_serial() -> None:
    core = client()
    core.receive_data(raw(9, PATH + bytes(4), kind=MESSAGE, serial=1))
    (event,) = events(core)
    message, _ = filer.FILER_V1_CHANGED.read_argument(event.payload, 0)
    assert (message.path, message.entry) == ("x", None)


def test_what_cannot_be_sent_is_refused_before_it_is() -> None:
    core = client(limits=Limits(message=200, stream_packet=100, fds=1))
    with pytest.raises(LocalProtocolError, match="does not fit a packet of 200"):
        core.call(REMOVE, bytes(180))
    with pytest.raises(LocalProtocolError, match="2 descriptors exceed 1"):
        core.call(REMOVE, PATH, [1, 2])
    assert (taken(core), core.calls) == (b"", {})


def test_a_forgotten_call_drops_its_late_reply() -> None:
    core = client()
    call = core.call(REMOVE, PATH)
    core.forget(call)
    core.forget(call)
    core.receive_data(raw(3, kind=REPLY))
    assert events(core) == []
    assert core.dropped == 1


def test_a_closed_connection_fails_everything_with_the_first_reason() -> None:
    core = client()
    opening = opened(core)
    call = core.call(REMOVE, PATH)
    assert core.close("the server died", 1)
    assert not core.close("later", 0)
    assert core.fail_all() == ([call], [opening.stream])
    for check in (call.result, lambda: core.call(REMOVE, PATH)):
        with pytest.raises(ConnectionClosed, match="the server died") as caught:
            check()
        assert caught.value.reason == 1
    assert opening.stream is not None
    assert isinstance(opening.stream.error, ConnectionClosed)
    assert taken(core) == b""


# Streams


def test_data_may_overtake_the_reply() -> None:
    core = client()
    call = core.open_stream(filer.FILER_V1_UPLOAD, UPLOAD_ARGUMENT)
    core.receive_data(on_stream(b"early") + raw(5, kind=REPLY) + on_stream(b"late") + on_stream())
    stream = call.stream
    assert stream is not None
    assert events(core) == [stream, call, stream, stream]
    assert (stream.take(), stream.take(), stream.take(), stream.ended) == (
        b"early",
        b"late",
        None,
        True,
    )
    assert stream.queued == 0


def test_data_is_cut_into_packets_that_old_peers_take() -> None:
    core = client(limits=Limits(stream_packet=4))
    stream = opened(core).stream
    assert stream is not None
    stream.send(memoryview(b"abcdefghij"))
    stream.send(b"")
    assert taken(core) == on_stream(b"abcd") + on_stream(b"efgh") + on_stream(b"ij")


def test_finishing_waits_for_the_server_and_drops_what_still_comes() -> None:
    core = client()
    stream = opened(core).stream
    assert stream is not None
    stream.send_ok()
    assert taken(core) == on_stream(status=OK)
    with pytest.raises(LocalProtocolError, match="the stream is finishing"):
        stream.send(b"more")
    core.receive_data(on_stream(b"late") + on_stream(status=OK))
    assert events(core) == [stream, stream]
    assert (stream.state, stream.take(), core.streams) == (StreamState.FINISHED, None, {})


@pytest.mark.parametrize("status", [OK, ERROR])
def test_aborting_ends_with_whatever_the_server_says(status: int) -> None:
    core = client()
    stream = opened(core).stream
    assert stream is not None
    stream.send_error()
    assert taken(core) == on_stream(status=ERROR)
    payload = RemoteError(1, "too late").payload() if status == ERROR else b""
    core.receive_data(on_stream(b"data") + on_stream(payload, status=status))
    events(core)
    assert (stream.state, stream.error, core.streams) == (StreamState.ABORTED, None, {})


def test_an_error_of_the_server_breaks_the_stream_and_drops_its_data() -> None:
    core = client()
    stream = opened(core).stream
    assert stream is not None
    error = RemoteError(38, "disk full").payload()
    core.receive_data(on_stream(b"data") + on_stream(error, status=ERROR))
    assert events(core) == [stream, stream]
    assert stream.state is StreamState.FAILED
    assert "disk full" in str(stream.error)
    assert stream.take() is None
    with pytest.raises(LocalProtocolError, match="the stream is broken"):
        stream.send(b"more")


def test_holes_keep_their_place_among_the_data() -> None:
    core = client()
    stream = opened(core, sparse=True).stream
    assert stream is not None
    core.receive_data(on_stream(b"a") + hole(2**40) + on_stream(b"b"))
    events(core)
    assert [stream.take() for _ in range(3)] == [b"a", Hole(2**40), b"b"]
    stream.send_hole(7)
    assert taken(core) == hole(7)


def test_holes_to_send_are_checked() -> None:
    core = client()
    plain, sparse = opened(core).stream, opened(client(), sparse=True).stream
    assert plain is not None
    assert sparse is not None
    with pytest.raises(LocalProtocolError, match="did not ask"):
        plain.send_hole(1)
    for length in (0, -1, 2**63):
        with pytest.raises(LocalProtocolError, match=f"length {length}"):
            sparse.send_hole(length)


@pytest.mark.parametrize(
    ("packets", "sparse"),
    [
        (hole(1), False),
        (hole(0), True),
        (hole(-1), True),
        (hole(1, flags=1), True),
        (on_stream(b"short", kind=STREAM_HOLE), True),
        (on_stream(status=OK), False),  # nobody asked to finish
        (on_stream(status=77), False),
        (on_stream() + on_stream(b"behind the end"), False),
    ],
)
def test_a_server_that_breaks_the_rules_loses_the_stream_only(packets: bytes, sparse: bool) -> None:
    core = client()
    stream = opened(core, sparse=sparse).stream
    assert stream is not None
    call = core.call(REMOVE, PATH)
    core.receive_data(packets + raw(3, kind=REPLY, serial=1))
    assert events(core)[-1] is call
    assert stream.state is StreamState.ABORTING
    assert isinstance(stream.error, RemoteProtocolError | XdrDecodeError)
    assert taken(core).endswith(on_stream(status=ERROR))


def test_an_error_that_cannot_be_read_still_breaks_the_stream() -> None:
    core = client()
    stream = opened(core).stream
    assert stream is not None
    core.receive_data(on_stream(b"junk", status=ERROR))
    events(core)
    assert stream.state is StreamState.FAILED
    assert isinstance(stream.error, XdrDecodeError)
    assert core.streams == {}


def test_a_stream_that_nobody_reads_is_given_up() -> None:
    core = client(limits=Limits(stream_overflow=1000, stream_window=500))
    stream = opened(core).stream
    assert stream is not None
    core.receive_data(on_stream(bytes(600)) + on_stream(bytes(600)))
    events(core)
    assert "wait unread" in str(stream.error)
    assert stream.queued == 0
    assert taken(core) == on_stream(status=ERROR)


def test_a_refused_call_has_no_stream() -> None:
    core = client()
    call = core.open_stream(filer.FILER_V1_UPLOAD, UPLOAD_ARGUMENT)
    core.receive_data(raw(5, RemoteError(1, "no").payload(), kind=REPLY, status=ERROR))
    assert events(core) == [call]
    assert call.stream is not None
    assert (call.stream.state, core.streams) == (StreamState.FAILED, {})


def test_a_stream_that_opens_after_its_call_was_forgotten_is_aborted() -> None:
    core = client()
    call = core.open_stream(filer.FILER_V1_UPLOAD, UPLOAD_ARGUMENT)
    taken(core)
    core.forget(call)
    core.receive_data(on_stream(b"early") + raw(5, kind=REPLY))
    events(core)
    assert taken(core) == on_stream(status=ERROR)
    assert call.stream is not None
    assert call.stream.queued == 0
    core.receive_data(on_stream(status=OK))
    events(core)
    assert (core.streams, core.calls) == ({}, {})


def test_who_gives_a_call_up_twice_gives_its_stream_up_once() -> None:
    core = client()
    call = core.open_stream(filer.FILER_V1_UPLOAD, UPLOAD_ARGUMENT)
    taken(core)
    core.forget(call)
    core.forget(call)
    core.receive_data(raw(5, kind=REPLY))
    events(core)
    assert taken(core) == on_stream(status=ERROR)


def broken_before_it_is_open(packet: bytes) -> tuple[ClientConnection, PendingCall, Stream]:
    """A stream that a packet has broken before the reply to its call."""
    core = client(limits=Limits(stream_overflow=1000, stream_window=500))
    call = core.open_stream(filer.FILER_V1_UPLOAD, UPLOAD_ARGUMENT)
    taken(core)
    core.receive_data(packet)
    stream = call.stream
    assert stream is not None
    assert events(core) == [stream]
    assert isinstance(stream.error, RemoteProtocolError)
    assert taken(core) == b""  # for the server there may be no stream yet
    return core, call, stream


@pytest.mark.parametrize(
    "packet",
    [on_stream(bytes(2000)), hole(1), on_stream(status=OK)],
    ids=["too much", "a hole", "a confirmation"],
)
@pytest.mark.parametrize("is_forgotten", [False, True])
def test_a_stream_that_opens_after_it_was_broken_is_aborted(
    packet: bytes, is_forgotten: bool
) -> None:
    core, call, stream = broken_before_it_is_open(packet)
    error = stream.error
    if is_forgotten:
        core.forget(call)
    core.receive_data(on_stream(b"more") + raw(5, kind=REPLY) + on_stream(b"and more"))
    assert call in events(core)
    assert call.result() is None
    assert taken(core) == on_stream(status=ERROR)
    core.receive_data(on_stream(status=OK))
    assert events(core) == [stream]
    assert (stream.error, stream.take(), core.streams, core.calls) == (error, None, {}, {})


def test_a_broken_stream_whose_call_is_refused_is_gone() -> None:
    core, call, stream = broken_before_it_is_open(on_stream(bytes(2000)))
    core.receive_data(raw(5, RemoteError(1, "no").payload(), kind=REPLY, status=ERROR))
    assert events(core) == [call]
    assert (stream.state, core.streams, taken(core)) == (StreamState.FAILED, {}, b"")


def test_packets_of_other_streams_are_passed_over() -> None:
    core = client()
    opened(core)
    core.receive_data(raw(5, b"x", kind=STREAM, serial=4, status=CONTINUE))
    core.receive_data(raw(6, b"x", kind=STREAM, serial=0, status=CONTINUE))
    assert events(core) == []
    assert core.dropped == 2
