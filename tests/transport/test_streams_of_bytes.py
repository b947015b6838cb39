"""Connected sockets as byte streams: the kernel decides."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import stat
from pathlib import Path

import pytest

from rpcgen.runtime.errors import ConnectError, ConnectionClosed
from rpcgen.runtime.interfaces import ByteStream
from rpcgen.runtime.transport.address import parse
from rpcgen.runtime.transport.dial import dial, dial_async, pair
from rpcgen.runtime.transport.listen import Listener, listen
from rpcgen.runtime.transport.stream import SocketStream


def received(stream: ByteStream) -> bytes | None:
    """What one read brings."""
    space = bytearray(100)
    count = stream.receive(memoryview(space))
    return None if count is None else bytes(space[:count])


def received_with_fds(stream: ByteStream) -> tuple[bytes | None, list[int]]:
    space = bytearray(100)
    count, fds = stream.receive_with_fds(memoryview(space))
    return None if count is None else bytes(space[:count]), fds


def accepted(listener: Listener) -> SocketStream:
    listener.socket.setblocking(True)
    return SocketStream(listener.socket.accept()[0])


def exchange(one: ByteStream, two: ByteStream) -> None:
    """A byte each way, as libvirt's tests of its sockets do it."""
    for origin, target in ((one, two), (two, one)):
        assert origin.send([b"x"]) == 1
        assert received(target) == b"x"
    one.close()
    two.close()


@pytest.mark.parametrize("how", ["thread", "asyncio"])
@pytest.mark.parametrize("text", ["tcp://127.0.0.1:0", "tcp://[::1]:0", "unix"])
def test_both_ends_of_a_connection_exchange_bytes(text: str, how: str, tmp_path: Path) -> None:
    address = parse(f"unix://{tmp_path}/s" if text == "unix" else text)
    (listener,) = listen(address, 5)
    if how == "thread":
        one = dial(listener.address, timeout=20)
    else:

        async def connect() -> ByteStream:
            return await dial_async(listener.address, asyncio.get_running_loop())

        one = asyncio.run(connect())
    two = accepted(listener)
    if text == "unix":
        assert two.identity.pid == os.getpid()
        assert (two.identity.uid, two.identity.gid) == (os.getuid(), os.getgid())
        assert (two.identity.secure, two.identity.address) == (True, "127.0.0.1:0")
    else:
        assert (two.identity.pid, two.identity.secure) == (None, False)
        assert two.identity.address.startswith(text[6:-1])
    exchange(one, two)
    listener.close()


def test_a_wildcard_listens_for_both_families_at_one_port() -> None:
    listeners = listen(parse("tcp://:0"), 5)
    port = listeners[0].address.port
    assert [one.address.port for one in listeners] == [port] * len(listeners)
    assert {one.socket.family for one in listeners} == {socket.AF_INET, socket.AF_INET6}
    for host, listener in zip(("127.0.0.1", "[::1]"), _by_family(listeners), strict=True):
        exchange(dial(parse(f"tcp://{host}:{port}"), 20), accepted(listener))
    for listener in listeners:
        listener.close()


def _by_family(listeners: list[Listener]) -> list[Listener]:
    return sorted(listeners, key=lambda one: one.socket.family)


def test_an_abstract_name_needs_no_path() -> None:
    address = parse(f"unix://@rpcgen-test-{os.getpid()}")
    (listener,) = listen(address, 1)
    exchange(dial(address), accepted(listener))
    listener.close()


def test_a_path_has_its_mode_from_the_start_and_goes_with_the_listener(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (listener,) = listen(parse(f"unix://{path}"), 1, mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listener.close()
    assert not path.exists()
    listener.close()


def test_a_path_left_behind_is_taken_over_and_one_in_use_is_not(tmp_path: Path) -> None:
    address = parse(f"unix://{tmp_path}/s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.path)
    (listener,) = listen(address, 1)
    with pytest.raises(ConnectError, match="cannot listen: Address already in use"):
        listen(address, 1)
    listener.close()
    Path(address.path).write_text("precious")
    with pytest.raises(ConnectError, match="Address already in use"):
        listen(address, 1)
    assert Path(address.path).read_text() == "precious"


@pytest.mark.parametrize("text", ["unix", "tcp://127.0.0.1:1", "tcp://:5"])
def test_nobody_there_is_an_error_that_says_where(text: str, tmp_path: Path) -> None:
    address = parse(f"unix://{tmp_path}/none" if text == "unix" else text)
    with pytest.raises(ConnectError) as caught:
        dial(address, timeout=20)
    assert str(address) in str(caught.value)

    async def connect() -> None:
        await dial_async(address, asyncio.get_running_loop())

    with pytest.raises(ConnectError):
        asyncio.run(connect())


def test_nothing_waits_unless_asked_to() -> None:
    one, two = pair()
    assert received(one) is None
    assert received_with_fds(one) == (None, [])
    block = bytes(1 << 20)
    while one.send([block]):
        pass
    assert one.send([b"a", b"b"]) == 0
    assert one.send_fd(0) is False
    two.close()
    one.close()


def test_the_end_of_the_stream_is_no_bytes() -> None:
    one, two = pair()
    one.shutdown()
    one.shutdown()
    assert received(two) == b""
    assert received(one) == b""
    with pytest.raises(ConnectionClosed) as caught:
        one.send([b"x"])
    assert caught.value.reason == 1
    two.close()
    one.close()


def test_a_peer_that_vanishes_with_bytes_unread_is_a_lost_connection() -> None:
    one, two = pair()
    one.send([b"unread"])
    two.close()
    with pytest.raises(ConnectionClosed, match="connection lost") as caught:
        received(one)
    assert caught.value.reason == 1
    one.close()


def test_many_buffers_are_one_message() -> None:
    one, two = pair()
    assert one.send([b"a", memoryview(b"bcd")[1:], bytearray(b"e")]) == 4
    assert received(two) == b"acde"
    one.close()
    two.close()


def test_a_read_ends_with_the_byte_that_carries_a_descriptor() -> None:
    """What ``framing`` relies on to know which byte a descriptor came with."""
    one, two = pair()
    read, write = os.pipe()
    one.send([b"before"])
    assert one.send_fd(write)
    one.send([b"after"])
    data, fds = received_with_fds(two)
    assert data == b"before\0"
    assert received_with_fds(two) == (b"after", [])
    (copy,) = fds
    assert not os.get_inheritable(copy)
    os.write(copy, b"through the copy")
    assert os.read(read, 100) == b"through the copy"
    for fd in (read, write, copy):
        os.close(fd)
    one.close()
    two.close()


def test_descriptors_are_lost_not_leaked_where_nobody_wants_them() -> None:
    one, two = pair()
    read, write = os.pipe()
    one.send_fd(write)
    assert received(two) == b"\0"
    os.close(write)
    assert select.select([read], [], [], 20)[0] == [read]
    assert os.read(read, 1) == b""  # no copy is left
    os.close(read)
    one.close()
    two.close()
