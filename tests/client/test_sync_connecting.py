"""``connect`` and ``connect_async``: addresses, what they refuse, and what they leave behind."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers import BLOB, DOUBLE, Peer, connected, open_fds, result, start
from wire_cases import PING, header_of

from rpcgen.runtime import Limits, connect, connect_async
from rpcgen.runtime.client.aio import AsyncConnection
from rpcgen.runtime.client.sync import Connection
from rpcgen.runtime.errors import ConnectError, LocalProtocolError
from rpcgen.runtime.stubs import AsyncCaller, Caller


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = open_fds()
    yield
    assert open_fds() == before


@pytest.fixture(params=["unix", "abstract", "tcp4", "tcp6"])
def listening(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket, and its address."""
    if request.param == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "s"))
        address = f"unix://{tmp_path}/s"
    elif request.param == "abstract":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind((b"\0" + tmp_path.name.encode()).ljust(108, b"\0"))
        address = f"unix://@{tmp_path.name}"
    else:
        family = socket.AF_INET if request.param == "tcp4" else socket.AF_INET6
        host = "127.0.0.1" if request.param == "tcp4" else "::1"
        listener = socket.create_server((host, 0), family=family)
        port = listener.getsockname()[1]
        address = f"tcp://{host}:{port}" if "." in host else f"tcp://[{host}]:{port}"
    listener.listen()
    with listener:
        yield listener, address


def test_every_address(listening: tuple[socket.socket, str]) -> None:
    listener, address = listening
    with connect(address, timeout=30) as connection:
        peer = Peer(listener.accept()[0])
        waiting = start(connection.call, DOUBLE, 1, None)
        peer.reply(peer.receive_call(DOUBLE), 2)
        assert result(waiting) == 2
        assert connection.identity.secure is address.startswith("unix")
    assert peer.is_ended()
    peer.close()


def test_every_address_for_asyncio(listening: tuple[socket.socket, str]) -> None:
    listener, address = listening

    async def main() -> None:
        async with connect_async(address, timeout=30) as connection:
            peer = Peer(listener.accept()[0])
            answering = start(lambda: peer.reply(peer.receive_call(DOUBLE), 2))
            assert await connection.call(DOUBLE, 1, None) == 2
            result(answering)
        assert peer.is_ended()
        peer.close()

    asyncio.run(main())


def test_awaited() -> None:
    async def main() -> None:
        with connected() as (stream, peer):
            connection = await connect_async(stream)
            await connection.close()
            assert peer.is_ended()

    asyncio.run(main())


BAD = {
    "nowhere": "expected unix:///path, tcp://host:port",
    "carrier-pigeon://x": "no transport is called 'carrier-pigeon'",
    "unix://relative": "expected an absolute path",
    "tcp://localhost": "expected a port",
    "tcp://127.0.0.1:1": "cannot connect: Connect",
    "unix:///does/not/exist": "cannot connect: No such file or directory",
}


@pytest.mark.parametrize("address", BAD)
def test_what_cannot_be_connected_to(address: str) -> None:
    with pytest.raises(ConnectError, match=BAD[address]):
        connect(address)

    async def main() -> None:
        await connect_async(address)

    with pytest.raises(ConnectError, match=BAD[address]):
        asyncio.run(main())


def test_no_time_to_connect() -> None:
    """Sooner or later the resolver or the system would answer; nobody waits for that."""

    async def main() -> None:
        with pytest.raises(ConnectError, match="cannot connect: timed out"):
            await connect_async("tcp://127.0.0.1:1", timeout=0)

    asyncio.run(main())
    with pytest.raises(ConnectError, match="cannot connect: timed out"):
        connect("tcp://127.0.0.1:1", timeout=0)


def test_keepalive_and_limits_are_passed_on() -> None:
    with (
        connected() as (stream, peer),
        connect(
            stream, keepalive=(0.01, 100), limits=Limits(message=4096, stream_packet=100)
        ) as connection,
    ):
        assert peer.receive().header == header_of(PING)
        with pytest.raises(LocalProtocolError, match="does not fit a packet of 4096"):
            connection.call(BLOB, bytes(4096), None)


def as_callers(one: Connection, other: AsyncConnection) -> tuple[Caller, AsyncCaller]:
    """Type checkers see here that generated clients take them."""
    return one, other


def test_the_sync_client_does_not_import_asyncio() -> None:
    program = (
        "import sys; from rpcgen.runtime import connect; import rpcgen.runtime.client.sync;"
        "import rpcgen.runtime.transport.dial; sys.exit('asyncio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
