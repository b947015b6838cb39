"""Descriptors with calls and replies of the sync client: whose they are, and that none is left."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from peers import (
    CALL_WITH_FDS,
    DEADLINE,
    DOUBLE,
    OK,
    PASS,
    PASS_BLOB,
    TAKE,
    Peer,
    like,
    open_fds,
    pair,
    reply,
    result,
    start,
    trickling,
)

from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.connecting import connect
from rpcgen.runtime.errors import (
    CallTimeout,
    ConnectionClosed,
    LocalProtocolError,
    RemoteProtocolError,
    XdrDecodeError,
)
from rpcgen.runtime.limits import FDS_MAX


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = open_fds()
    yield
    assert open_fds() == before


@pytest.fixture
def file() -> Iterator[int]:
    """A descriptor with a name that can be recognised."""
    fd = os.memfd_create("a file of the test")
    yield fd
    os.close(fd)


def is_same(one: int, other: int) -> bool:
    """Whether two descriptors are of the same file."""
    return one != other and os.path.samestat(os.fstat(one), os.fstat(other))


def test_with_a_call(file: int) -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call_with_fds, TAKE, 1, [file, file], None)
        call = peer.receive_call(TAKE)
        assert call.kind == (CALL_WITH_FDS, OK)
        assert [is_same(fd, file) for fd in call.fds] == [True, True]
        peer.reply(call, 2)
        assert result(waiting) == (2, [])
        os.fstat(file)  # it stays the caller's


def test_with_a_reply(file: int) -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call_with_fds, PASS, 1, [], None)
        peer.reply(peer.receive_call(PASS), 2, [file, file])
        value, fds = result(waiting)
        assert value == 2
        assert [is_same(fd, file) for fd in fds] == [True, True]
        assert not os.get_inheritable(fds[0])
        for fd in fds:
            os.close(fd)


def test_where_the_caller_wants_none(file: int) -> None:
    with pair() as (connection, peer):
        for value in 2, 3:  # at first the connection does not look for descriptors
            waiting = start(connection.call, PASS, 1, None)
            peer.reply(peer.receive_call(PASS), value, [file, file])
            assert result(waiting) == value


def test_as_many_as_may_be_a_byte_at_a_time(file: int) -> None:
    with trickling(1) as (stream, peer), connect(stream) as connection:
        waiting = start(connection.call_with_fds, PASS, 1, [file] * FDS_MAX, None)
        call = peer.receive_call(PASS)
        assert len(call.fds) == FDS_MAX
        peer.reply(call, 2, call.fds)
        value, fds = result(waiting)
        assert (value, len(fds)) == (2, FDS_MAX)
        for fd in fds:
            assert is_same(fd, file)
            os.close(fd)


def test_a_reply_with_a_count_of_none() -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call_with_fds, PASS, 1, [], None)
        peer.send(reply(peer.receive_call(PASS), 2, 0))
        assert result(waiting) == (2, [])


# What cannot be


def test_too_many(file: int) -> None:
    with pair() as (connection, peer):
        with pytest.raises(LocalProtocolError, match="33 descriptors exceed 32"):
            connection.call_with_fds(PASS, 1, [file] * 33, None)
        works(connection, peer)


def test_one_that_is_not_open(file: int) -> None:
    with pair() as (connection, peer):
        with pytest.raises(LocalProtocolError, match="descriptor 999999 cannot be sent: Bad"):
            connection.call_with_fds(PASS, 1, [file, 999_999], None)
        works(connection, peer)


def test_not_over_tcp(file: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with connect(f"tcp://127.0.0.1:{port}") as connection:
            peer = Peer(listening.accept()[0])
            with pytest.raises(LocalProtocolError, match="cannot travel on this connection"):
                connection.call_with_fds(PASS, 1, [file], None)
            waiting = start(connection.call_with_fds, PASS, 1, [], None)
            peer.reply(peer.receive_call(PASS), 2)
            assert result(waiting) == (2, [])
            peer.close()


def works(connection: Connection, peer: Peer) -> None:
    waiting = start(connection.call, DOUBLE, 1, None)
    peer.reply(peer.receive_call(DOUBLE), 2)
    assert result(waiting) == 2


# What nobody takes


def test_not_asked_for(file: int) -> None:
    with pair() as (connection, peer):
        before = start(connection.call_with_fds, PASS, 1, [], None)
        peer.reply(peer.receive_call(PASS), 2)
        result(before)
        waiting = start(connection.call, DOUBLE, 1, None)
        peer.reply(peer.receive_call(DOUBLE), 2, [file])
        assert result(waiting) == 2
        works(connection, peer)


def test_with_a_reply_that_is_none(file: int) -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call_with_fds, PASS, 1, [], None)
        call = peer.receive_call(PASS)
        peer.send(like(call.header, (1).to_bytes(4, "big") + b"odd", type=5))
        peer.send_fd(file)
        assert isinstance(waiting.exception(DEADLINE), XdrDecodeError)
        works(connection, peer)


def test_with_a_late_reply(file: int) -> None:
    with pair() as (connection, peer):
        with pytest.raises(CallTimeout):
            connection.call_with_fds(PASS, 1, [file], 0.01)
        peer.reply(peer.receive_call(PASS), 2, [file])
        works(connection, peer)


def test_at_the_end_of_the_connection(file: int) -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call_with_fds, PASS, 1, [], None)
        call = peer.receive_call(PASS)
        peer.send(reply(call, 2, 2))
        peer.send_fd(file)
        peer.close()
        error = waiting.exception(DEADLINE)
        assert isinstance(error, ConnectionClosed)
        assert "in the midst of a packet" in str(error)


def test_where_none_belongs(file: int) -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call_with_fds, PASS, 1, [], None)
        call = peer.receive_call(PASS)
        socket.send_fds(peer.socket, [reply(call, 2)], [file])
        error = waiting.exception(DEADLINE)
        assert isinstance(error, ConnectionClosed)
        assert isinstance(error.__cause__, RemoteProtocolError)


# What does not go at once


def test_behind_what_the_socket_does_not_take(file: int) -> None:
    with pair() as (connection, peer):
        argument = bytes(2_000_000)
        calls = [
            start(connection.call_with_fds, PASS_BLOB, argument, [file], None) for _ in range(2)
        ]
        for _ in calls:
            call = peer.receive_call(PASS_BLOB)
            assert call.argument == argument
            assert is_same(call.fds[0], file)
            peer.reply(call, b"", call.fds)
        for waiting in calls:
            _, (fd,) = result(waiting)
            os.close(fd)


def test_those_that_never_go_are_closed(file: int) -> None:
    with pair() as (connection, peer):
        waiting = start(connection.call_with_fds, PASS_BLOB, bytes(2_000_000), [file], None)
        assert peer.socket.recv(1)
        connection.close()
        assert isinstance(waiting.exception(DEADLINE), ConnectionClosed)
