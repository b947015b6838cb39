"""What libvirt's own socket test checks of addresses, families and modes, beside that bytes get through."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.interfaces import ByteStream
from rpcgen.runtime.transport.address import UNIX_PATH_MAX, Address, parse
from rpcgen.runtime.transport.dial import dial, dial_async
from rpcgen.runtime.transport.listen import Listener, listen
from rpcgen.runtime.transport.stream import SocketStream

DEADLINE = 20.0
IPV4, IPV6 = socket.AF_INET, socket.AF_INET6

Dial: TypeAlias = Callable[[Address], ByteStream]


def dial_on_a_loop(address: Address) -> ByteStream:
    async def connect() -> ByteStream:
        return await dial_async(address, asyncio.get_running_loop())

    return asyncio.run(connect())


def dial_in_time(address: Address) -> ByteStream:
    return dial(address, DEADLINE)


def accepted(listener: Listener) -> SocketStream:
    listener.socket.settimeout(DEADLINE)
    return SocketStream(listener.socket.accept()[0])


def connected(listener: Listener) -> tuple[SocketStream, SocketStream]:
    """Both ends of a connection."""
    one = dial(listener.address, DEADLINE)
    assert isinstance(one, SocketStream)
    return one, accepted(listener)


def option(stream: ByteStream, level: int, name: int) -> int:
    with socket.socket(fileno=os.dup(stream.fileno())) as copy:
        return copy.getsockopt(level, name)


def own_name(stream: ByteStream) -> Any:
    with socket.socket(fileno=os.dup(stream.fileno())) as copy:
        return copy.getsockname()


@pytest.fixture(params=["tcp://127.0.0.1:0", "tcp://[::1]:0", "unix", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    """One of each kind."""
    texts = {"unix": f"unix://{tmp_path}/s", "abstract": f"unix://@rpcgen-sockets-{os.getpid()}"}
    (one,) = listen(parse(texts.get(request.param, request.param)), 5)
    yield one
    one.close()


def test_each_end_knows_the_address_of_the_other(listener: Listener) -> None:
    client, server = connected(listener)
    ends = ((client, own_name(server)), (server, own_name(client)))
    for end, other in ends:
        if listener.address.kind == "unix":
            assert end.identity.address == "127.0.0.1:0"
        else:
            text = str(Address("tcp", host=other[0], port=other[1]))
            assert text == f"tcp://{end.identity.address}"
    client.close()
    server.close()


def test_an_address_that_was_listened_at_can_be_connected_to_as_text(listener: Listener) -> None:
    one = dial(parse(str(listener.address)), DEADLINE)
    accepted(listener).close()
    one.close()


def test_no_socket_goes_to_other_programs(listener: Listener) -> None:
    client, server = connected(listener)
    for fd in (listener.socket.fileno(), client.fileno(), server.fileno()):
        assert not os.get_inheritable(fd)
    client.close()
    server.close()


def test_tcp_sends_without_delay(listener: Listener) -> None:
    client, server = connected(listener)
    for end in (client, server):
        if listener.address.kind == "tcp":
            assert option(end, socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert end.passes_fds == (listener.address.kind == "unix")
        end.close()


def test_a_place_that_is_taken_is_an_error(listener: Listener) -> None:
    with pytest.raises(ConnectError, match="cannot listen: Address already in use"):
        listen(listener.address, 1)


# UNIX


def test_a_path_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0)
    try:
        (listener,) = listen(parse(f"unix://{path}"), 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    listener.close()


def test_a_path_stays_when_a_connection_ends(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (listener,) = listen(parse(f"unix://{path}"), 1)
    for end in connected(listener):
        end.close()
    assert path.is_socket()
    for end in connected(listener):
        end.close()
    listener.close()
    assert not path.exists()


@pytest.mark.parametrize("length", [1, 20, UNIX_PATH_MAX - 1])
def test_an_abstract_name_fills_the_address(length: int) -> None:
    name = f"{os.getpid()}-{'x' * UNIX_PATH_MAX}"[:length]
    (listener,) = listen(parse(f"unix://@{name}"), 1)
    whole = b"\0" + name.encode() + bytes(UNIX_PATH_MAX - length)
    assert listener.socket.getsockname() == whole
    assert str(listener.address) == f"unix://@{name}"
    with socket.socket(socket.AF_UNIX) as padded:
        padded.connect(whole)  # as libvirt does it
    if length < UNIX_PATH_MAX - 1:
        with socket.socket(socket.AF_UNIX) as short, pytest.raises(ConnectionRefusedError):
            short.connect(b"\0" + name.encode())
    listener.close()


# TCP


@pytest.mark.parametrize("dial_it", [dial_in_time, dial_on_a_loop], ids=["thread", "asyncio"])
@pytest.mark.parametrize(("text", "family"), [("127.0.0.1", IPV4), ("[::1]", IPV6)])
def test_two_families_are_two_sockets_at_one_port(text: str, family: int, dial_it: Dial) -> None:
    listeners = {one.socket.family: one for one in listen(parse("tcp://:0"), 5)}
    port = listeners[IPV4].address.port
    one = dial_it(parse(f"tcp://{text}:{port}"))
    two = accepted(listeners[socket.AddressFamily(family)])
    assert one.identity.address == f"{text}:{port}"
    assert two.identity.address.startswith(f"{text}:")
    for end in (one, two):
        end.close()
    for listener in listeners.values():
        listener.close()


def test_a_socket_for_ipv6_takes_no_ipv4() -> None:
    (listener,) = listen(parse("tcp://[::]:0"), 5)
    assert listener.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    with pytest.raises(ConnectError, match="Connection refused"):
        dial(parse(f"tcp://127.0.0.1:{listener.address.port}"), DEADLINE)
    listener.close()


def test_a_family_whose_port_is_taken_is_left_out() -> None:
    (taken,) = listen(parse("tcp://0.0.0.0:0"), 5)
    (other,) = listen(parse(f"tcp://:{taken.address.port}"), 5)
    assert other.socket.family == IPV6
    assert other.address.port == taken.address.port
    taken.close()
    other.close()


def test_a_port_can_be_listened_at_again_while_its_last_connection_lingers() -> None:
    (listener,) = listen(parse("tcp://127.0.0.1:0"), 5)
    client, server = connected(listener)
    server.close()  # who closes first lingers
    client.close()
    listener.close()
    (again,) = listen(listener.address, 5)
    again.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *families: int, port: int) -> None:
    """Have every host's name lead to one address of each family."""
    names: dict[int, tuple[Any, ...]] = {IPV4: ("127.0.0.1", port), IPV6: ("::1", port, 0, 0)}
    found = [(one, socket.SOCK_STREAM, 0, "", names[one]) for one in families]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("dial_it", [dial_in_time, dial_on_a_loop], ids=["thread", "asyncio"])
@pytest.mark.parametrize("families", [(IPV4, IPV6), (IPV6, IPV4)], ids=["4 first", "6 first"])
@pytest.mark.parametrize("text", ["tcp://127.0.0.1:0", "tcp://[::1]:0"])
def test_a_host_of_two_families_is_reached_by_the_one_that_listens(
    text: str, families: tuple[int, int], dial_it: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listener,) = listen(parse(text), 5)
    port = listener.address.port
    resolve_to(monkeypatch, *families, port=port)
    one = dial_it(parse(f"tcp://host.example:{port}"))
    assert f"tcp://{one.identity.address}" == str(listener.address)
    accepted(listener).close()
    one.close()
    listener.close()
    with pytest.raises(ConnectError, match=f"tcp://host.example:{port}: cannot connect: Connect"):
        dial_it(parse(f"tcp://host.example:{port}"))
