"""The bytes of one client: when its socket is read, and how what is due is written.

It is read only while there is room: for calls below the limit of requests, for answers that no
handler gives, for stream data at its handlers. How full the outbox is does not matter by itself: a
download keeps it full, and yet the client must be able to abort it. Packets that came with others
and find no room stay where they are until there is some. What packets mean is not known here.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import ConnectionClosed, RemoteProtocolError
from rpcgen.runtime.limits import OUTBOX_HIGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.server.loop import Loop
    from rpcgen.runtime.server.statistics import Counters
    from rpcgen.runtime.server_connection import Event, ServerConnection


_logger = logging.getLogger(__name__)

_ERROR = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_ERROR
_EOF = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_EOF


class Owner(Protocol):
    """Who makes calls and replies of the bytes."""

    def handle(self, event: Event, /) -> None:
        """Take what came."""

    def end_of_file(self) -> None:
        """The client sends no more."""

    def drained(self) -> None:
        """After ``drain``: everything is answered and written."""

    def rested(self) -> None:
        """After ``suspend``: nothing is under way. It may drop this object."""

    def lost(self, error: ConnectionClosed, /) -> None:
        """The connection cannot go on."""


class Queued:
    """What is queued for a client beside streams, and replies that handlers gave later.

    Attributes:
        replies: how many were given at once.
        refusals: bytes of answers that no handler gave.
        events: bytes of events.
    """

    __slots__ = ("events", "refusals", "replies")

    def __init__(self) -> None:
        self.clear()

    def __bool__(self) -> bool:
        return bool(self.replies or self.refusals or self.events)

    def clear(self) -> None:
        """Everything is written."""
        self.replies = self.refusals = self.events = 0

    def add(self, other: Queued) -> None:
        """This waits, too."""
        self.replies += other.replies
        self.refusals += other.refusals
        self.events += other.events

    def remove(self, other: Queued) -> None:
        """That is written."""
        self.replies -= other.replies
        self.refusals -= other.refusals
        self.events -= other.events


class Traffic:
    """Reads and writes for one connection; on the loop only.

    Attributes:
        max_requests: calls of the client at which it is not read; 0 when it drains.
        requests: calls that were accepted, and whose replies are not written.
        stream: where the bytes come from and go to.
        fresh: what was queued since the last attempt to write everything.
        is_stalled: whether it waits until handlers take stream data; handlers' threads look at it.
        is_touched: whether the loop has it step soon.
    """

    __slots__ = (
        "_core",
        "_counters",
        "_crowded",
        "_fd",
        "_is_reading",
        "_is_suspending",
        "_is_writing",
        "_loop",
        "_owner",
        "_takes_fds",
        "_waiting",
        "fresh",
        "is_stalled",
        "is_touched",
        "max_requests",
        "requests",
        "stream",
    )

    def __init__(
        self,
        stream: ByteStream,
        core: ServerConnection,
        owner: Owner,
        loop: Loop,
        counters: Counters,
        *,
        max_requests: int,
        takes_fds: bool,
    ) -> None:
        self.requests = 0
        self.fresh = Queued()
        self.is_stalled = False
        self.is_touched = False
        self._waiting = Queued()  # what an attempt to write has left
        self.stream = stream
        self._fd = stream.fileno()
        self._core = core
        self._owner = owner
        self._loop = loop
        self._counters = counters
        self.max_requests = max_requests
        self._takes_fds = takes_fds and stream.passes_fds
        self._crowded: list[Callable[[], object]] = []
        self._is_writing = False
        self._is_reading = True
        self._is_suspending = False
        loop.asyncio.add_reader(self._fd, self._readable)
        loop.hang_ups.watch(self._fd, self._hung_up)

    @property
    def is_reading(self) -> bool:
        """Whether the client would be heard."""
        return self._is_reading

    def touch(self) -> None:
        """Step soon: something was queued, or there may be room."""
        self._loop.touch(self)

    def when_room(self, callback: Callable[[], object]) -> None:
        """Call back once the outbox is below its mark; at once if it is."""
        if self._core.outbox.size <= OUTBOX_HIGH:
            callback()
        else:
            self._crowded.append(callback)

    def written(self) -> None:
        """The reply to a request has been written."""
        self.requests -= 1

    def drain(self) -> None:
        """Read no more, and tell the owner when there is nothing left to do."""
        self.max_requests = 0
        if self._is_reading:
            self._pause()
        self.touch()

    def suspend(self) -> None:
        """Read no further than to the end of a packet, and tell the owner when nothing is under way.

        What the client sends from then on waits in the system. While streams are open it is read
        all the same: they would not end otherwise.
        """
        self._is_suspending = True
        self.touch()

    def stop(self) -> None:
        """Let go of the socket."""
        self._loop.hang_ups.forget(self._fd)
        if self._is_reading:
            self._pause()
        if self._is_writing:
            self._ignore_writable()
        for callback in self._crowded:
            callback()
        self._crowded.clear()

    def step(self) -> None:
        """Handle what has been received as far as there is room, and write what is due."""
        if self._core.closed is not None:
            return
        try:
            while True:
                is_handled = self._handle()
                is_written = self._flush()
                if is_handled or not is_written or not self._has_room():
                    break
            self._look_around()
        except ConnectionClosed as error:
            self._owner.lost(error)
        except Exception:
            # A mistake of ours costs one client, not the server.
            _logger.exception("a client is given up")
            self._owner.lost(ConnectionClosed("internal error", _ERROR))

    def _readable(self) -> None:
        """Read once, and handle all of it."""
        if not self._has_room() or (self._is_suspending and not self._is_curious()):
            self._pause()
            return
        core = self._core
        space = core.reader.space()
        if self._is_suspending and not core.streams:
            space = space[: core.reader.missing]
        fds: Sequence[int] = ()
        try:
            if self._takes_fds:
                count, fds = self.stream.receive_with_fds(space)
            else:
                count = self.stream.receive(space)
        except ConnectionClosed as error:
            self._owner.lost(error)
            return
        if count:
            self._counters.bytes_in += count
            now = self._loop.asyncio.time() if core.keepalive is not None else 0.0
            core.received(count, fds, now)
            self.step()
        elif count is not None:
            self._owner.end_of_file()

    def _hung_up(self) -> None:
        """The client is gone; what it has sent before may be read."""
        if self._is_reading:
            self._readable()
        else:
            self._owner.lost(ConnectionClosed("end of file", _EOF))

    def _has_room(self) -> bool:
        """Whether another call, any answer, and more stream data could be taken."""
        return (
            self.requests + self.fresh.replies + self._waiting.replies < self.max_requests
            and self.fresh.refusals + self._waiting.refusals <= OUTBOX_HIGH
            and not (self._core.streams and self._must_stall())
        )

    def _is_curious(self) -> bool:
        """Whether anything that has not come yet is wanted."""
        core = self._core
        return not self._is_suspending or bool(core.streams) or core.reader.missing > 0

    def _is_at_rest(self) -> bool:
        core = self._core
        return core.reader.is_between_packets and not (
            self.requests or core.streams or core.outbox or core.closed
        )

    def _must_stall(self) -> bool:
        # In this order: who takes data meanwhile either sees the flag or is seen.
        self.is_stalled = True
        waiting = sum(stream.owner.size for stream in self._core.streams.values())
        self.is_stalled = waiting > self._core.limits.stream_window
        return self.is_stalled

    def _handle(self) -> bool:
        """Handle packets while there is room; whether all that came has been handled."""
        outbox, next_event, handle = self._core.outbox, self._core.next_event, self._owner.handle
        while self._has_room():
            before = outbox.size
            try:
                event = next_event()
            except RemoteProtocolError as error:
                self._flush()  # those before it are not to blame
                raise ConnectionClosed(str(error), _ERROR) from error
            self.fresh.refusals += outbox.size - before
            if event is None:
                return True
            handle(event)
        return False

    def _flush(self) -> bool:
        """Write as much as the system takes; whether that is all."""
        outbox = self._core.outbox
        while outbox:
            batch = outbox.batch()
            if not batch:
                if not self._flush_fd():
                    return False
                continue
            count = self.stream.send(batch)  # another one after a reply that begins a layer
            self._counters.bytes_out += count
            outbox.sent(count)  # of 0 as well: what is empty waits for nothing
            if not count and outbox:
                return False
        self.fresh.clear()
        return True

    def _flush_fd(self) -> bool:
        outbox = self._core.outbox
        fd = outbox.fd
        if fd is None or not self.stream.send_fd(fd):
            return False
        os.close(outbox.sent_fd())
        return True

    def _look_around(self) -> None:
        """After a step: what to wait for, and whether it was the last."""
        core = self._core
        if core.stray_fds:
            close_strays(core)
        if core.outbox:
            self._wait_until_writable()
        elif self._is_writing:
            self._ignore_writable()
        if self._crowded and core.outbox.size <= OUTBOX_HIGH:
            self._tell_crowded()
        if not self._is_reading and self._has_room() and self._is_curious():
            self._resume()
        if not (self.max_requests or self.requests or core.outbox):
            self._owner.drained()
        elif self._is_suspending and self._is_at_rest():
            self._owner.rested()

    def _wait_until_writable(self) -> None:
        if self.fresh:
            # A sign behind it all tells when it is written.
            self._waiting.add(self.fresh)
            self._core.outbox.put(b"", partial(self._waiting.remove, self.fresh))
            self.fresh = Queued()
        if self._waiting.events > self._core.limits.outbox:
            raise ConnectionClosed(
                f"{self._waiting.events} bytes of events wait for a client that does not read",
                _ERROR,
            )
        if not self._is_writing:
            self._is_writing = True
            self._loop.asyncio.add_writer(self._fd, self.step)

    def _ignore_writable(self) -> None:
        self._is_writing = False
        self._loop.asyncio.remove_writer(self._fd)

    def _tell_crowded(self) -> None:
        crowded, self._crowded = self._crowded, []
        for callback in crowded:
            self.when_room(callback)

    def _pause(self) -> None:
        self._is_reading = False
        self._loop.asyncio.remove_reader(self._fd)

    def _resume(self) -> None:
        self._is_reading = True
        if self._core.keepalive is not None:
            self._core.keepalive.alive(self._loop.asyncio.time())
        self._loop.asyncio.add_reader(self._fd, self._readable)


def close_fds(fds: Iterable[int]) -> None:
    """Give descriptors back to the system."""
    for fd in fds:
        with suppress(OSError):  # a handler's mistake, and no reason to leave the others open
            os.close(fd)


def close_strays(core: ServerConnection) -> None:
    """Close the descriptors that nobody takes."""
    strays, core.stray_fds = core.stray_fds, []
    close_fds(strays)
