"""A stream of the sync client: data both ways, and who waits for what.

What may follow what is the core's to say, who receives is the buck's, and how files are cut into
pieces is in ``rpcgen.runtime.files``.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from rpcgen.runtime.client.buck import Waiter
from rpcgen.runtime.errors import CallTimeout, LocalProtocolError, again
from rpcgen.runtime.files import SectionWriter, read_sections
from rpcgen.runtime.limits import STREAM_PACKET_MAX
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Hole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import BinaryIO, Self

    from rpcgen.runtime.client.buck import Buck
    from rpcgen.runtime.streams import Stream
    from rpcgen.runtime.xdr import Buffer

R = TypeVar("R")
T = TypeVar("T")


class SyncStream(Generic[R]):
    """The client's end of a stream; made by ``Connection.open_stream``.

    Leaving its block finishes the stream and waits until the server has confirmed; an exception in
    it aborts the stream. What is no error, such as KeyboardInterrupt, does not wait for that.

    Reading and writing may go on in different threads at the same time. What arrives and is not
    read waits, up to ``Limits.stream_window`` bytes. Then the connection is read no more, except
    by those who wait for something themselves; at ``Limits.stream_overflow`` bytes the stream is
    given up.

    Args:
        stream: it, opened.
        reply: what the call itself returned.
        timeout: seconds for each wait: for data, until the socket takes some, for the server's
            confirmation; None waits as long as the connection lives. After a wait that was too
            long the stream is what it was, and what was to be sent still goes.
    """

    def __init__(self, buck: Buck, stream: Stream, reply: R, timeout: float | None) -> None:
        self._buck = buck
        self._stream = stream
        self._reply = reply
        self._timeout = timeout
        self._rest: memoryview | Hole | None = None
        self._was_aborted = False

    @property
    def reply(self) -> R:
        """What the call itself returned."""
        return self._reply

    # Sending

    def write(self, data: Buffer, /) -> None:
        """Send data, and wait until the socket has taken it.

        Raises:
            RemoteError: the server broke the stream.
            CallTimeout: the socket did not take it in time.
            ConnectionClosed: the connection was lost.
            LocalProtocolError: the stream is not open.
        """
        view = memoryview(data).cast("B")
        size = self._buck.channel.core.limits.stream_packet
        for start in range(0, len(view), size):
            piece = view[start : start + size]
            # What is not bytes may change before it is sent.
            self._send(self._stream.send, piece if isinstance(data, bytes) else bytes(piece))

    def write_hole(self, length: int, /) -> None:
        """Send a run of zeros as a hole.

        Args:
            length: bytes, from 1 on.

        Raises:
            LocalProtocolError: the call's flags do not ask for a sparse stream.
        """
        self._send(self._stream.send_hole, length)

    def _send(self, send: Callable[[T], None], what: T) -> None:
        buck, stream = self._buck, self._stream
        is_sent = False

        def mark() -> None:
            nonlocal is_sent
            is_sent = True
            buck.wake_all(stream)

        def queue() -> None:
            self._check()
            send(what)
            buck.channel.core.outbox.put(b"", mark)
            buck.flush()
            buck.glance()

        def wait() -> bool | None:
            self._check()
            return is_sent or None

        buck.run(queue)
        self._until(wait)

    # Receiving

    def read(self, size: int = STREAM_PACKET_MAX, /) -> bytes:
        """At most ``size`` bytes as soon as there are any; none at the end. Holes are zeros.

        Raises:
            RemoteError: the server broke the stream.
            CallTimeout: nothing came in time.
            ConnectionClosed: the connection was lost; what came before was given.
            LocalProtocolError: the stream was finished or aborted.
        """
        if size < 1:
            raise ValueError(f"size {size}: expected at least 1")
        return self._until(lambda: self._piece(size))

    def sections(self) -> Iterator[bytes | Hole]:
        """What arrives, with holes as such."""
        while section := self._until(self._section):
            yield cast("bytes | Hole", section)

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data

    def _piece(self, size: int) -> bytes | None:
        item = self._rest or self._take()
        self._rest = None
        if isinstance(item, Hole):
            if item.length > size:
                self._rest = Hole(item.length - size)
            return bytes(min(size, item.length))
        if item is not None and len(item) > size:
            view = memoryview(item)
            self._rest = view[size:]
            item = view[:size]
        return item if item is None else bytes(item)

    def _section(self) -> bytes | Hole | None:
        item = self._rest or self._take()
        self._rest = None
        return bytes(item) if isinstance(item, memoryview) else item

    def _take(self) -> bytes | Hole | None:
        """The next data or hole, no bytes at the end, None if nothing has come yet."""
        stream = self._stream
        item = stream.take()
        if item is not None:
            self._buck.settle()
            return item
        self._check()
        if stream.ended:
            return b""
        if stream.state is not StreamState.OPEN:
            raise LocalProtocolError(f"reading, but the stream is {stream.state.value}")
        return None

    # Files

    def download(
        self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None
    ) -> int:
        """Write what arrives into a file, from where it stands; holes become holes.

        If that fails, the stream is aborted.

        Args:
            progress: called with the bytes so far, as their number grows.

        Returns:
            The bytes, holes included.

        Raises:
            OSError: the file cannot take it.
        """
        writer = SectionWriter(file)
        try:
            for section in self.sections():
                writer.write(section)
                if progress is not None:
                    progress(writer.written)
            writer.flush()
        except BaseException:
            self._give_up()
            raise
        return writer.written

    def upload(self, file: BinaryIO, /, *, progress: Callable[[int], object] | None = None) -> int:
        """Send a file, from where it stands; on a sparse stream its holes are sent as holes.

        If that fails, the stream is aborted.

        Args:
            progress: called with the bytes so far, as their number grows.

        Returns:
            The bytes, holes included.

        Raises:
            OSError: the file cannot be read.
        """
        sent = 0
        try:
            for section in read_sections(file, sparse=self._stream.sparse):
                if isinstance(section, Hole):
                    self.write_hole(section.length)
                    sent += section.length
                else:
                    self.write(section)
                    sent += len(section)
                if progress is not None:
                    progress(sent)
        except BaseException:
            self._give_up()
            raise
        return sent

    # The end

    def finish(self) -> None:
        """End the stream in good order, and wait until the server has confirmed.

        What arrived and was not read is gone.

        Raises:
            RemoteError: the server broke the stream.
            CallTimeout: the server did not confirm in time.
            ConnectionClosed: the connection was lost.
            LocalProtocolError: the stream was aborted.
        """
        self._buck.run(self._end)
        self._until(self._over)
        self._check()
        if self._was_aborted:
            raise LocalProtocolError("finish, but the stream was aborted")

    def abort(self) -> None:
        """Give the stream up, and wait until the server has confirmed, or cannot any more.

        Raises:
            CallTimeout: the server did not confirm in time.
        """
        self._give_up()
        self._until(self._over)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        if error is None:
            if not self._was_aborted:
                self.finish()
        elif isinstance(error, Exception):
            with suppress(CallTimeout):  # the error in the block matters more
                self.abort()
        else:
            self._give_up()

    def _end(self) -> None:
        if self._stream.state is StreamState.OPEN:
            self._stream.send_ok()
        self._drop()

    def _give_up(self) -> None:
        self._was_aborted = True
        self._buck.run(self._abort)

    def _abort(self) -> None:
        self._buck.abort(self._stream)
        self._drop()

    def _over(self) -> bool | None:
        return self._stream.is_over or None

    def _drop(self) -> None:
        """What has come is of no use any more."""
        self._rest = None
        while self._stream.take() is not None:
            pass
        self._buck.settle()

    # Waiting

    def _until(self, attempt: Callable[[], T | None]) -> T:
        """What an attempt, made with the lock held, returns as soon as it returns anything.

        It is repeated whenever something has happened to the stream.
        """
        timeout = self._timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        found: list[T] = []
        while not found:
            waiter = Waiter()
            start = partial(self._attempt, attempt, waiter, found)
            if not self._buck.wait(start, waiter, deadline):
                raise CallTimeout(f"nothing happened on the stream in {timeout} seconds")
        return found[0]

    def _attempt(self, attempt: Callable[[], T | None], waiter: Waiter, found: list[T]) -> None:
        result = attempt()
        if result is None:
            self._stream.owner.append(waiter)
        else:
            found.append(result)
            waiter.is_ready = True

    def _check(self) -> None:
        if self._stream.error is not None:
            raise again(self._stream.error)
