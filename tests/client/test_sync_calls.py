"""Calls of the sync client: results, errors, timeouts, and bytes that come in any pieces."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from peers import (
    BLOB,
    CONTINUE,
    DEADLINE,
    DOUBLE,
    ERROR,
    MESSAGE,
    OK,
    PROGRAM,
    REPLY,
    TICK,
    Peer,
    ReceivedCall,
    event,
    like,
    pair,
    reply,
    result,
    start,
    trickling,
)
from wire_cases import PING, PONG

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.errors import (
    CallTimeout,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    XdrDecodeError,
    XdrEncodeError,
)
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.program import Procedure

WRONG: Procedure[Any, int] = DOUBLE
"""Lets a type checker pass what it should not."""


def exchange(connection: Connection, peer: Peer, value: int = 21) -> None:
    """Assert that a call is answered."""
    waiting = start(connection.call, DOUBLE, value, None)
    call = peer.receive_call(DOUBLE)
    peer.reply(call, call.argument * 2)
    assert result(waiting) == value * 2


def answered_with(connection: Connection, peer: Peer, **fields: int) -> BaseException | None:
    """What a call raises whose reply has other fields in its header, and no payload."""
    waiting = start(connection.call, DOUBLE, 1, None)
    call = peer.receive_call(DOUBLE)
    peer.send(like(call.header, b"", **{"type": int(REPLY)} | fields))
    return waiting.exception(DEADLINE)


# Results


def test_a_call_returns_its_result() -> None:
    with pair() as (connection, peer):
        for value in range(3):
            exchange(connection, peer, value)
        assert connection.is_open
        assert connection.closed is None


def test_a_failure_is_raised_with_every_field() -> None:
    sent = RemoteError(
        VirErrorNumber.VIR_ERR_NO_DOMAIN,
        "Domain not found",
        domain=VirErrorDomain.VIR_FROM_TEST,
        str1="Domain not found: %s",
        str2="web",
        int1=-1,
        int2=7,
    )
    with pair() as (connection, peer):
        waiting = start(connection.call, DOUBLE, 1, None)
        peer.refuse(peer.receive_call(DOUBLE), sent)
        error = waiting.exception(DEADLINE)
        assert isinstance(error, RemoteError)
        assert vars(error) == vars(sent)
        exchange(connection, peer)


def test_bytes_behind_a_result_are_a_newer_peers() -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call, DOUBLE, 1, None)
        call = peer.receive_call(DOUBLE)
        peer.send(like(call.header, struct.pack(">q", 2) + b"newer", type=REPLY))
        assert result(waiting) == 2


def test_a_wrong_argument_sends_nothing() -> None:
    with pair() as (connection, peer):
        with pytest.raises(XdrEncodeError):
            connection.call(WRONG, "text", None)
        exchange(connection, peer)


def test_an_argument_that_is_too_large_sends_nothing() -> None:
    with pair(Limits(message=1000, stream_packet=100)) as (connection, peer):
        with pytest.raises(LocalProtocolError, match="does not fit a packet of 1000"):
            connection.call(BLOB, bytes(1000), None)
        exchange(connection, peer)


# Replies that are none


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, XdrDecodeError),
        ({"proc": 7}, RemoteProtocolError),
        ({"status": CONTINUE}, RemoteProtocolError),
        ({"status": 77}, RemoteProtocolError),
        ({"status": ERROR}, XdrDecodeError),
    ],
    ids=str,
)
def test_a_bad_reply_fails_its_call_only(fields: dict[str, int], error: type[Exception]) -> None:
    with pair() as (connection, peer):
        assert isinstance(answered_with(connection, peer, **fields), error)
        exchange(connection, peer)


STRAY: dict[str, dict[str, int]] = {
    "serial": {"serial": 1000},
    "program": {"prog": PROGRAM.number + 1},
    "version": {"vers": 2},
    "call": {"type": 0},
    "call with fds": {"type": 4},
    "type 7": {"type": 7},
    "type -1": {"type": -1},
    "event with a status": {"type": MESSAGE, "status": ERROR},
}
"""Packets that nobody waits for, as differences from a reply."""


@pytest.mark.parametrize("name", STRAY)
def test_a_stray_packet_is_passed_over(name: str) -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call, DOUBLE, 1, None)
        call = peer.receive_call(DOUBLE)
        peer.send(like(call.header, bytes(8), **{"type": int(REPLY)} | STRAY[name]))
        peer.reply(call, 2)
        assert result(waiting) == 2


@pytest.mark.parametrize("name", STRAY)
def test_a_stray_packet_is_fatal_to_the_strict(name: str) -> None:
    with pair(strict=True) as (connection, peer):
        error = answered_with(connection, peer, **STRAY[name])
        assert isinstance(error, ConnectionClosed)
        assert "nobody waits for that" in str(error)
        assert isinstance(error.__cause__, RemoteProtocolError)
        assert peer.is_ended()


@pytest.mark.parametrize(
    "data",
    [
        *(struct.pack(">I", length) for length in (0, 4, 27, 33_554_437, 2**31, 2**32 - 1)),
        struct.pack(">IIIiiIi", 28, PROGRAM.number, 1, 1, 5, 0, OK),
        struct.pack(">IIIiiIiI", 32, PROGRAM.number, 1, 1, 5, 0, OK, 33),
        struct.pack(">IIIiiIiI", 32, PROGRAM.number, 1, 1, 5, 0, OK, 1) + b"\0",
    ],
    ids=["0", "4", "27", "too long", "2**31", "2**32-1", "no count", "33 fds", "a byte for a fd"],
)
def test_lost_boundaries_close_the_connection(data: bytes) -> None:
    with pair() as (connection, peer):
        calls = [start(connection.call, DOUBLE, value, None) for value in (1, 2)]
        for _ in calls:
            peer.receive_call(DOUBLE)
        peer.send(data)
        for call in calls:
            error = call.exception(DEADLINE)
            assert isinstance(error, ConnectionClosed)
            assert isinstance(error.__cause__, RemoteProtocolError)
        assert peer.is_ended()
        with pytest.raises(ConnectionClosed):
            connection.call(DOUBLE, 1, None)


# Pieces


def test_one_byte_at_a_time() -> None:
    with trickling(1) as (stream, peer), connect(stream) as connection:
        for value in range(3):
            exchange(connection, peer, value)


@pytest.mark.parametrize("first", range(1, 37 + 37 + 29))
def test_every_boundary(first: int) -> None:
    """An event, a reply and a ping in two reads, cut at every byte."""
    with trickling(10_000, first) as (stream, peer), connect(stream) as connection:
        waiting = start(connection.call, DOUBLE, 1, None)
        call = peer.receive_call(DOUBLE)
        peer.send(event(TICK, 1) + PING + reply(call, 2))
        assert result(waiting) == 2
        assert peer.receive().payload == b""
        exchange(connection, peer)


def test_a_reply_of_many_reads() -> None:
    with pair() as (connection, peer):
        sent = bytes(range(250)) * 12_000
        waiting = start(connection.call, BLOB, sent, None)
        call = peer.receive_call(BLOB)
        assert call.argument == sent
        peer.reply(call, sent[::-1])
        assert result(waiting) == sent[::-1]


# Timeouts


def test_a_late_reply_is_dropped() -> None:
    with pair() as (connection, peer):
        with pytest.raises(CallTimeout, match=r"TEST_DOUBLE: no answer in 0\.01 seconds"):
            connection.call(DOUBLE, 1, 0.01)
        late = peer.receive_call(DOUBLE)
        waiting = start(connection.call, DOUBLE, 2, None)
        call = peer.receive_call(DOUBLE)
        peer.reply(late, 1000)
        peer.reply(call, 4)
        assert result(waiting) == 4


@pytest.mark.parametrize("timeout", [0, -1, 1e-9])
def test_no_time_at_all(timeout: float) -> None:
    with pair() as (connection, peer):
        with pytest.raises(CallTimeout):
            connection.call(DOUBLE, 1, timeout)
        peer.receive_call(DOUBLE)
        exchange(connection, peer)


def test_all_the_time_there_is() -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call, DOUBLE, 1, float("inf"))
        call = peer.receive_call(DOUBLE)
        other = start(connection.call, DOUBLE, 2, 1e300)
        second = peer.receive_call(DOUBLE)
        peer.reply(second, 4)
        peer.reply(call, 2)
        assert (result(waiting), result(other)) == (2, 4)


def test_who_sleeps_behind_the_holder_is_in_time_too() -> None:
    with pair() as (connection, peer):
        holder = start(connection.call, DOUBLE, 1, None)
        first = peer.receive_call(DOUBLE)
        with pytest.raises(CallTimeout):
            connection.call(DOUBLE, 2, 0.01)
        late = peer.receive_call(DOUBLE)
        peer.reply(late, 4)
        peer.reply(first, 2)
        assert result(holder) == 2


def test_a_holder_in_a_hurry_passes_the_buck() -> None:
    with pair() as (connection, peer):
        holder = start(connection.call, DOUBLE, 1, 0.05)
        peer.receive_call(DOUBLE)
        other = start(connection.call, DOUBLE, 2, None)
        second = peer.receive_call(DOUBLE)
        assert isinstance(holder.exception(DEADLINE), CallTimeout)
        peer.reply(second, 4)
        assert result(other) == 4


def test_pings_are_answered_during_a_call() -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call, DOUBLE, 1, None)
        call = peer.receive_call(DOUBLE)
        peer.check_alive()
        peer.send(PONG)
        peer.reply(call, 2)
        assert result(waiting) == 2


def test_numbers_go_up_from_zero() -> None:
    with pair() as (connection, peer):
        calls: list[ReceivedCall] = []
        for _ in range(3):
            waiting = start(connection.call, DOUBLE, 1, None)
            calls.append(peer.receive_call(DOUBLE))
            peer.reply(calls[-1], 2)
            result(waiting)
        assert [call.header.serial for call in calls] == [0, 1, 2]
