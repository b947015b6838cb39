"""``connect`` and ``connect_async``: where clients and transports meet.

Nothing else sees both. A byte stream that somebody else has connected is taken as it is.
"""

from __future__ import annotations

import time

from rpcgen.runtime.errors import ConnectError, TlsError
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
    from rpcgen.runtime.tls.context import ClientTls
    from rpcgen.runtime.transport.address import Address


def connect(
    address: str | ByteStream,
    *,
    timeout: float | None = None,
    tls: ClientTls | None = None,
    limits: Limits | None = None,
    keepalive: tuple[float, int] | None = None,
    strict: bool = False,
) -> Connection:
    """Connect to a server, for threads.

    Args:
        address: ``unix:///path``, ``unix://@name``, ``tcp://host:port``, ``tls://host:port``,
            ``command:`` and the words of a program whose input and output are the connection,
            quoted as a shell has them; or a byte stream that is connected already and becomes the
            connection's.
        timeout: seconds for connecting; None waits for the system.
        tls: certificates and what is demanded of the server's, for ``tls://``; by default what
            libvirt's clients would take.
        limits: what is accepted and sent, where the default does not do.
        keepalive: seconds of silence before the server is asked for a sign of life, and how many
            questions may go without an answer; None never asks.
        strict: close at what libvirt's own client closes at although it could be passed over: a
            reply that nobody waits for, a packet that no server sends.

    Raises:
        ConnectError: the address is none, or nobody answers there.
        TlsError: certificates that do not do, the server's or our own.
    """
    from rpcgen.runtime.client.sync import Connection

    stream = _dial(parse(address), tls, timeout) if isinstance(address, str) else address
    try:
        return Connection(stream, limits=limits or Limits(), keepalive=keepalive, strict=strict)
    except BaseException:
        stream.close()
        raise


def connect_async(
    address: str | ByteStream,
    *,
    timeout: float | None = None,
    tls: ClientTls | None = None,
    limits: Limits | None = None,
    keepalive: tuple[float, int] | None = None,
    strict: bool = False,
) -> Connecting:
    """``connect`` for asyncio: to be awaited, or entered as a block that closes the connection."""
    return Connecting(address, timeout, tls, limits or Limits(), keepalive, strict=strict)


def _dial(address: Address, tls: ClientTls | None, timeout: float | None) -> ByteStream:
    """Connect; with TLS, shake hands."""
    from rpcgen.runtime.transport.dial import dial

    if address.kind != "tls":
        return dial(address, timeout)
    from rpcgen.runtime.tls.context import ClientTls
    from rpcgen.runtime.tls.handshake import secure

    tls = tls or ClientTls()  # first: without certificates nobody need be troubled
    deadline = None if timeout is None else time.monotonic() + timeout
    below = dial(address, timeout)
    try:
        return secure(tls.handshake(below, address.host), deadline)
    except BaseException as error:
        below.close()
        if isinstance(error, TimeoutError):
            raise ConnectError(f"{address}: cannot connect: timed out") from error
        if isinstance(error, TlsError):
            raise TlsError(f"{address}: {error}") from error
        raise


async def _dial_async(address: Address, tls: ClientTls | None) -> ByteStream:
    """The same without blocking the loop; to be limited in time by the caller."""
    import asyncio

    from rpcgen.runtime.transport.dial import dial_async

    loop = asyncio.get_running_loop()
    if address.kind != "tls":
        return await dial_async(address, loop)
    from rpcgen.runtime.tls.context import ClientTls
    from rpcgen.runtime.tls.handshake import secure_async

    tls = tls or ClientTls()
    below = await dial_async(address, loop)
    try:
        return await secure_async(tls.handshake(below, address.host), loop)
    except BaseException as error:
        below.close()
        if isinstance(error, TlsError):
            raise TlsError(f"{address}: {error}") from error
        raise


class Connecting:
    """A connection that is made when it is awaited or entered; made by ``connect_async``."""

    __slots__ = ("_address", "_connection", "_keepalive", "_limits", "_strict", "_timeout", "_tls")

    def __init__(
        self,
        address: str | ByteStream,
        timeout: float | None,
        tls: ClientTls | None,
        limits: Limits,
        keepalive: tuple[float, int] | None,
        *,
        strict: bool,
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._tls = tls
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

        try:
            async with asyncio.timeout(self._timeout):
                return await _dial_async(parse(address), self._tls)
        except TimeoutError as error:
            raise ConnectError(f"{address}: cannot connect: timed out") from error
