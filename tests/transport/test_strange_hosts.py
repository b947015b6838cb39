"""Hosts that have no name anybody could be asked for: an error of ours, whoever connects."""

from __future__ import annotations

import asyncio

import pytest

from rpcgen.runtime import connect, connect_async
from rpcgen.runtime.errors import ConnectError

HOSTS = [
    "a..b",
    ".localhost",
    "x" * 64,
    "\xe9" * 70,
    "127.0.0.1\0.example",
    "localhost\0",
    "\ud800",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_name_of_a_host(host: str) -> None:
    async def main() -> None:
        await connect_async(f"tcp://{host}:1")

    with pytest.raises(ConnectError, match="is no name of a host") as caught:
        connect(f"tcp://{host}:1")
    assert str(caught.value).isascii()
    with pytest.raises(ConnectError, match="is no name of a host"):
        asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "LOCALHOST."])
def test_names_of_hosts(host: str) -> None:
    with pytest.raises(ConnectError) as caught:
        connect(f"tcp://{host}:1", timeout=5)
    assert "no name" not in str(caught.value)
