"""``connect`` and ``connect_async``: where clients and transports meet.

Nothing else sees both. A byte stream that somebody else has connected is taken as it is.
"""

from __future__ import annotations

from rpcgen.runtime.errors import ConnectError
from rpcgen.runtime.limits import Limits
from rpcgen.runtime.transport.address import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import Any

    from rpcgen.runtime.client.aio import AsyncConnection
    from rpcgen.runtime.client.sync import Connection
    from rpcgen.runtime.interfaces import ByteStream


def connect(
    address: str | ByteStream,
    *,
    timeout: float | None = None,
    limits: Limits | None = None,
    keepalive: tuple[float, int] | None = None,
    strict: bool = False,
) -> Connection:
    """Connect to a server, for threads.

    Args:
        address: ``unix:///path``, ``unix://@name``, ``tcp://host:port``, ``command:`` and the words
            of a program whose input and output are the connection, quoted as a shell has them; or
            a byte stream that is connected already and becomes the connection's.
        timeout: seconds for connecting; None waits for the system.
        limits: what is accepted and sent, where the default does not do.
        keepalive: seconds of silence before the server is asked for a sign of life, and how many
            questions may go without an answer; None never asks.
        strict: close at what libvirt's own client closes at although it could be passed over: a
            reply that nobody waits for, a packet that no server sends.

    Raises:
        ConnectError: the address is none, or nobody answers there.
    """
    from rpcgen.runtime.client.sync import Connection
    from rpcgen.runtime.transport.dial import dial

    stream = dial(parse(address), timeout) if isinstance(address, str) else address
    try:
        return Connection(stream, limits=limits or Limits(), keepalive=keepalive, strict=strict)
    except BaseException:
        stream.close()
        raise


def connect_async(
    address: str | ByteStream,
    *,
    timeout: float | None = None,
    limits: Limits | None = None,
    keepalive: tuple[float, int] | None = None,
    strict: bool = False,
) -> Connecting:
    """``connect`` for asyncio: to be awaited, or entered as a block that closes the connection."""
    return Connecting(address, timeout, limits or Limits(), keepalive, strict=strict)


class Connecting:
    """A connection that is made when it is awaited or entered; made by ``connect_async``."""

    __slots__ = ("_address", "_connection", "_keepalive", "_limits", "_strict", "_timeout")

    def __init__(
        self,
        address: str | ByteStream,
        timeout: float | None,
        limits: Limits,
        keepalive: tuple[float, int] | None,
        *,
        strict: bool,
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._limits = limits
        self._keepalive = keepalive
        self._strict = strict
        self._connection: AsyncConnection | None = None

    def __await__(self) -> Generator[Any, None, AsyncConnection]:
        return self._connect().__await__()

    async def __aenter__(self) -> AsyncConnection:
        self._connection = await self._connect()
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _connect(self) -> AsyncConnection:
        from rpcgen.runtime.client.aio import AsyncConnection

        address = self._address
        stream = await self._dial(address) if isinstance(address, str) else address
        try:
            return AsyncConnection(
                stream, limits=self._limits, keepalive=self._keepalive, strict=self._strict
            )
        except BaseException:
            stream.close()
            raise

    async def _dial(self, address: str) -> ByteStream:
        import asyncio

        from rpcgen.runtime.transport.dial import dial_async

        try:
            async with asyncio.timeout(self._timeout):
                return await dial_async(parse(address), asyncio.get_running_loop())
        except TimeoutError as error:
            raise ConnectError(f"{address}: cannot connect: timed out") from error
