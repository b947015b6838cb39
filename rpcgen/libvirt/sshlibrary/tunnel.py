"""A command on the far side as a ``ByteStream``: an SSH channel, and a pair of sockets.

asyncssh needs a loop, a stream a descriptor that ``poll`` understands: one end of the pair is the
stream's, the other one is the loop's, which carries bytes between it and the channel. Neither side
is read faster than the other one takes it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import asyncssh

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectError, ConnectionClosed
from rpcgen.runtime.interfaces import Identity
from rpcgen.runtime.transport.lastwords import LastWords
from rpcgen.runtime.transport.stream import SocketStream
from rpcgen.runtime.transport.upper import UpperStream

if TYPE_CHECKING:
    from rpcgen.runtime.xdr import Buffer

_GRACE: Final = 0.1
"""Seconds for what was sent last, and for the farewell: a caller's loop may wait for them."""

_EOF: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF


class Tunnel:
    """The loop's side. All but ``reason`` belongs to the loop's thread.

    Attributes:
        reason: how the far side ended, once the stream's end can be read; None if it had nothing
            to say about it.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, place: str) -> None:
        self.reason: str | None = None
        self._connection = connection
        self._place = place
        self._over = asyncio.Event()
        self._near = _Near(self._over)
        self._far = _Far(self._over)

    async def open(self, command: str) -> socket.socket:
        """Run the command.

        Returns:
            The stream's end of the pair.

        Raises:
            ConnectError: the server does not run it.
        """
        near, far = self._near, self._far
        ours, theirs = socket.socketpair()
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: near, sock=theirs)
            near.far, far.near = far, near
            await self._connection.create_session(lambda: far, command, encoding=None)
        except BaseException as error:
            if near.is_open:
                near.transport.abort()
            theirs.close()
            ours.close()
            if isinstance(error, OSError | asyncssh.Error):
                raise ConnectError(f"{self._place}: cannot run the command: {error}") from error
            raise
        return ours

    async def carry(self) -> None:
        """Carry bytes until either side ends, then deliver what was sent last."""
        near, far = self._near, self._far
        await self._over.wait()
        if near.has_ended:
            far.channel.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await far.channel.wait_closed()
        words = far.describe()
        self.reason = words and f"{self._place}: {words}"
        near.transport.close()

    async def close(self) -> None:
        """Take leave of the server, and see that the stream has read everything or is closed."""
        near, connection = self._near, self._connection
        connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await connection.wait_closed()
        connection.abort()
        await connection.wait_closed()
        if near.is_open:
            near.transport.close()
            await near.gone.wait()

    def stop(self) -> None:
        """The stream has been closed: carry what it has sent last, if the far side takes it soon."""
        asyncio.get_running_loop().call_later(_GRACE, self._near.end)


class _Near(asyncio.Protocol):
    """The loop's end of the pair."""

    transport: asyncio.Transport
    far: _Far

    def __init__(self, over: asyncio.Event) -> None:
        self.has_ended = False
        self.is_open = False
        self.gone = asyncio.Event()
        self._over = over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (of a stream)
        self.transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # the far side has ended: its reason is on its way
            self.far.channel.write(data)

    def end(self) -> None:
        """Nothing more comes from the stream."""
        self.has_ended = True
        self._over.set()

    def eof_received(self) -> bool:
        self.end()
        return True  # what comes from the far side may still be read

    def pause_writing(self) -> None:
        self.far.channel.pause_reading()

    def resume_writing(self) -> None:
        self.far.channel.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_open = False
        self.gone.set()
        self.end()


class _Far(asyncssh.SSHClientSession[bytes]):
    """The channel: standard input and output of the command."""

    channel: asyncssh.SSHClientChannel[bytes]
    near: _Near

    def __init__(self, over: asyncio.Event) -> None:
        self._over = over
        self._words = LastWords()
        self._ending = ""

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype is not None:
            self._words.add(data)
        elif self.near.is_open:
            self.near.transport.write(data)

    def pause_writing(self) -> None:
        self.near.transport.pause_reading()

    def resume_writing(self) -> None:
        self.near.transport.resume_reading()

    def exit_status_received(self, status: int) -> None:
        if status:
            self._ending = f"the command ended with status {status}"

    def exit_signal_received(self, signal: str, _core_dumped: bool, _msg: str, _lang: str) -> None:
        self._ending = f"the command was ended by SIG{signal}"

    def eof_received(self) -> bool:
        self._over.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._ending = f"the SSH connection is lost: {exc}"
        self._over.set()

    def describe(self) -> str | None:
        """How it has ended, if that is worth a word."""
        words = str(self._words)
        ending = self._ending or ("the command has ended" if words else "")
        return ": ".join(filter(None, (ending, words))) or None


class TunnelStream(UpperStream):
    """See ``ByteStream``; it owns the SSH connection, which ends with it.

    Who is on the other end of the command is not known, but nobody reads along on the way to its
    host.
    """

    __slots__ = ("_close", "_tunnel", "identity")

    room = 1

    def __init__(
        self, connected: socket.socket, tunnel: Tunnel, place: str, close: Callable[[], None]
    ) -> None:
        super().__init__(SocketStream(connected))
        self._tunnel = tunnel
        self._close = close
        self.identity = Identity(address=place, secure=True)

    def receive(self, space: memoryview) -> int | None:
        try:
            count = self._below.receive(space)
        except ConnectionClosed as error:
            raise self._ended(error) from error
        if count == 0 and self._tunnel.reason is not None:
            raise ConnectionClosed(self._tunnel.reason, _EOF)
        return count

    def send(self, buffers: Sequence[Buffer]) -> int:
        try:
            return self._below.send(buffers)
        except ConnectionClosed as error:
            raise self._ended(error) from error

    def close(self) -> None:
        super().close()
        self._close()

    def _ended(self, error: ConnectionClosed) -> ConnectionClosed:
        reason = self._tunnel.reason
        return error if reason is None else ConnectionClosed(reason, _EOF)
