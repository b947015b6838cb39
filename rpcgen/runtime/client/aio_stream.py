"""A stream of the asyncio client: data both ways, and who waits for what.

What may follow what is the core's to say, when bytes travel the channel's, and how files are read
and written without blocking is in ``aio_files``.
"""

from __future__ import annotations

import asyncio
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rpcgen.runtime.client.aio_files import AsyncSectionReader, AsyncSectionWriter
from rpcgen.runtime.errors import LocalProtocolError, again
from rpcgen.runtime.files import read_sections
from rpcgen.runtime.limits import OUTBOX_HIGH, STREAM_PACKET_MAX
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Hole, Stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import TracebackType
    from typing import BinaryIO, Self

    from rpcgen.runtime.client.aio_channel import Channel
    from rpcgen.runtime.program import Procedure
    from rpcgen.runtime.xdr import Buffer

T = TypeVar("T")

_UNENDED: Final = (StreamState.OPENING, StreamState.OPEN)
_ABORTABLE: Final = (StreamState.OPEN, StreamState.FINISHING)


class AsyncStream(Generic[T]):
    """The client's end of a stream; made by ``AsyncConnection.open_stream``.

    The call is made where the block is entered. Leaving the block finishes the stream and waits
    until the server has confirmed; an exception in it aborts the stream, and so does a
    cancellation, which does not wait.

    One task may read and another write at the same time. What arrives and is not read waits, up to
    ``Limits.stream_window`` bytes. Then the connection is not read any more, until this stream is,
    except while a call waits for its reply: who opens two streams should read both. At
    ``Limits.stream_overflow`` bytes the stream is given up.
    """

    def __init__(
        self,
        channel: Channel,
        procedure: Procedure[Any, Any],
        payload: bytes,
        sparse: bool,
        reply: Callable[[Any], T],
        timeout: float | None,
    ) -> None:
        self._channel = channel
        self._opening = (procedure, payload, sparse, timeout)
        self._pick = reply
        self._changed = asyncio.Event()
        self._stream: Stream | None = None
        self._rest: memoryview | Hole | None = None
        self._was_aborted = False
        self._reply: T

    @property
    def reply(self) -> T:
        """What the call itself returned."""
        self._entered()
        return self._reply

    def _wake(self) -> None:
        """Something happened that who waits should see."""
        self._changed.set()
        self._changed.clear()

    # Opening and ending

    async def __aenter__(self) -> Self:
        if self._stream is not None:
            raise LocalProtocolError("the stream was entered before")
        procedure, payload, sparse, timeout = self._opening
        channel = self._channel
        call = channel.core.open_stream(procedure, payload, sparse=sparse)
        channel.stream.expect_bulk()
        assert call.stream is not None  # noqa: S101  (just opened)
        self._stream = call.stream
        self._stream.owner = self._wake
        with self._whole():
            await channel.wait(channel.start(call), timeout)
            self._reply = self._pick(call.result())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        if error is None:
            if not self._was_aborted:
                await self.finish()
        elif isinstance(error, Exception):
            await self.abort()
        else:
            self._give_up()

    async def finish(self) -> None:
        """End the stream in good order, and wait until the server has confirmed.

        What arrived and was not read is gone. A cancellation aborts the stream.

        Raises:
            RemoteError: the server broke the stream.
            ConnectionClosed: the connection was lost.
        """
        stream = self._entered()
        if stream.state in _UNENDED:
            stream.send_ok()
        with self._whole():
            await self._confirmed(stream)
        if stream.error is not None:
            raise again(stream.error)
        if self._was_aborted:
            raise LocalProtocolError("finish, but the stream was aborted")

    async def abort(self) -> None:
        """Give the stream up, and wait until the server has confirmed, or cannot any more."""
        stream = self._entered()
        self._give_up()
        await self._confirmed(stream)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What is not done to its end leaves no stream that may be finished."""
        try:
            yield
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        stream = self._entered()
        self._was_aborted = True
        if stream.state in _ABORTABLE:
            stream.send_error()
        self._end_reading(stream)

    async def _confirmed(self, stream: Stream) -> None:
        self._end_reading(stream)
        while not stream.is_over:
            await self._changed.wait()

    def _end_reading(self, stream: Stream) -> None:
        self._rest = None
        while stream.take() is not None:
            pass
        self._channel.taken(stream)
        self._channel.set_reading()
        self._channel.write()

    def _entered(self) -> Stream:
        if self._stream is None:
            raise LocalProtocolError("the stream was not entered: its call is made by `async with`")
        return self._stream

    # Sending

    async def write(self, data: Buffer, /) -> None:
        """Send data, and wait while too much of it is queued.

        Raises:
            RemoteError: the server broke the stream.
            ConnectionClosed: the connection was lost.
            LocalProtocolError: the stream is not open.
        """
        view = memoryview(data).cast("B")
        size = self._channel.core.limits.stream_packet
        for start in range(0, len(view), size):
            stream = await self._writable()
            piece = view[start : start + size]
            # What is not bytes may change before it is written.
            stream.send(piece if isinstance(data, bytes) else bytes(piece))
            self._channel.write()

    async def write_hole(self, length: int, /) -> None:
        """Send a run of zeros as a hole.

        Args:
            length: bytes, from 1 on.

        Raises:
            LocalProtocolError: the call's flags do not ask for a sparse stream.
        """
        stream = await self._writable()
        stream.send_hole(length)
        self._channel.write()

    async def _writable(self) -> Stream:
        stream, channel = self._entered(), self._channel
        while stream.error is None:
            if channel.core.outbox.size < OUTBOX_HIGH:
                return stream
            channel.blocked.add(self._wake)
            await self._changed.wait()
        raise again(stream.error)

    async def upload(
        self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Send a file from where it stands; on a sparse stream its holes are sent as holes.

        The file is read by a thread. If that fails, the stream is aborted.

        Args:
            file: from a pipe or a terminal, nothing is read before there is something; what its
                buffer has already is sent then.
            progress: called on the loop with the bytes sent so far.

        Returns:
            The bytes, holes included.

        Raises:
            OSError: the file cannot be read.
            RemoteError, ConnectionClosed: see ``write``.
        """
        sparse, size = self._entered().sparse, self._channel.core.limits.stream_packet
        sections = read_sections(file, sparse=sparse, size=size)
        sent = 0
        with self._whole(), closing(AsyncSectionReader(file, sections)) as reader:
            while some := await reader.some():
                for section in some:
                    sent += await self._write_section(section)
                if progress is not None:
                    progress(sent)
        return sent

    async def _write_section(self, section: bytes | Hole) -> int:
        if isinstance(section, Hole):
            await self.write_hole(section.length)
            return section.length
        await self.write(section)
        return len(section)

    # Receiving

    async def read(self, size: int = STREAM_PACKET_MAX, /) -> bytes:
        """At most ``size`` bytes as soon as there are any; none at the end. Holes are zeros.

        Raises:
            RemoteError: the server broke the stream.
            ConnectionClosed: the connection was lost; what came before was given.
        """
        if size < 1:
            raise ValueError(f"size {size}: expected at least 1")
        item = self._rest or await self._next()
        self._rest = None
        if isinstance(item, Hole):
            if item.length > size:
                self._rest = Hole(item.length - size)
            return bytes(min(size, item.length))
        if len(item) > size:
            view = memoryview(item)
            self._rest = view[size:]
            item = view[:size]
        return bytes(item)

    async def download(
        self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Write what arrives into a file, holes as holes.

        The file is written by a thread, while more arrives. If that fails, the stream is aborted.

        Args:
            progress: called on the loop with the bytes written so far.

        Returns:
            The bytes, holes included.

        Raises:
            OSError: the file cannot be written.
            RemoteError, ConnectionClosed: see ``read``.
        """
        with self._whole(), closing(AsyncSectionWriter(file)) as writer:
            while sections := await self._all_there_is():
                await writer.write(sections)
                if progress is not None:
                    progress(writer.written)
            await writer.flush()
        return writer.written

    def sections(self) -> AsyncIterator[bytes | Hole]:
        """What arrives, with holes as such."""
        return _Sections(self._section)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data

    async def _section(self) -> bytes | Hole:
        item = self._rest or await self._next()
        self._rest = None
        return bytes(item) if isinstance(item, memoryview) else item

    async def _all_there_is(self) -> list[bytes | Hole]:
        """Everything that has arrived, or what arrives next; nothing at the end."""
        sections = [await self._section()]
        if sections == [b""]:
            return []
        stream = self._entered()
        while (item := stream.take()) is not None:
            sections.append(item)
        self._channel.taken(stream)
        return sections

    async def _next(self) -> bytes | Hole:
        """The next data or hole; no bytes at the end."""
        stream = self._entered()
        while (item := stream.take()) is None:
            if stream.error is not None:
                raise again(stream.error)
            if stream.ended:
                return b""
            if stream.state is not StreamState.OPEN:
                raise LocalProtocolError(f"reading, but the stream is {stream.state.value}")
            await self._changed.wait()
        self._channel.taken(stream)
        return item


class _Sections:
    """Iterates until there are no bytes."""

    def __init__(self, take: Callable[[], Awaitable[bytes | Hole]]) -> None:
        self._take = take

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes | Hole:
        section = await self._take()
        if section == b"":
            raise StopAsyncIteration
        return section
