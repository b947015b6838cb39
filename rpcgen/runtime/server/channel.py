"""One stream between the loop and its handler, which may be a thread or a coroutine.

What the client sends lies here until the handler takes it; what the handler gives goes to the
core as long as the connection takes it. Of the protocol only the core's ``Stream`` is known here.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from libvirt_rpc.libvirt_common.types import VirErrorDomain, VirErrorNumber
from rpcgen.runtime.errors import LocalProtocolError, again
from rpcgen.runtime.limits import OUTBOX_HIGH
from rpcgen.runtime.message import RemoteError
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import HOLE_MAX, ITEM_OVERHEAD, Hole, cost_of

if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    from rpcgen.runtime.errors import RpcError
    from rpcgen.runtime.server.loop import Loop
    from rpcgen.runtime.server.session import Session
    from rpcgen.runtime.streams import Stream
    from rpcgen.runtime.xdr import Buffer

    Item: TypeAlias = bytes | Hole

_RUNNING: Final = frozenset({StreamState.OPENING, StreamState.OPEN})


class Channel:
    """The way between one stream and its handler.

    Attributes:
        stream: the protocol's side of it; on the loop only.
        size: bytes that have come and wait for the handler.
        error: why nothing more can be read or sent.
    """

    def __init__(self, session: Session, stream: Stream, loop: Loop) -> None:
        self.stream = stream
        self.size = 0
        self.error: RpcError | None = None
        self._session = session
        self._loop = loop
        self._changed = threading.Condition()  # of what follows
        self._items: deque[Item] = deque()
        self._has_ended = False  # the client sends no more
        self._is_wanted = True  # what the handler sends is of use
        self._is_read = False  # the handler has asked for what the client sends
        self._unsent = 0  # bytes on their way to the outbox, or that wait for room there
        # On the loop only
        self._is_done = False  # the handler has ended
        self._waiting: list[asyncio.Future[None]] = []
        self._readers: set[asyncio.Task[Any] | None] = set()  # who waits for what is read
        self.producer: asyncio.Task[Any] | None = None  # while it waits for what to send
        self.has_cancelled = False  # the producer, since nobody wants what it gives
        stream.owner = self

    # What happens to the stream, on the loop

    def received(self) -> None:
        """Take over what came, or what has become of the stream."""
        stream = self.stream
        with self._changed:
            while (item := stream.take()) is not None:
                if not self._is_done:
                    self._items.append(item)
                    self.size += cost_of(item)
            if stream.ended or stream.state not in _RUNNING:
                self._has_ended = True
            if stream.state not in _RUNNING:
                self._is_wanted = False
            if stream.is_over:
                self._break(stream)
            self._changed.notify_all()
        self._wake()
        if self._is_done:
            self._confirm()

    def fail(self, error: RpcError) -> None:
        """Break the stream from this side."""
        self.stream.fail(error)
        self._session.core.finished(self.stream)
        self._session.traffic.touch()
        self.received()

    def done(self) -> None:
        """The handler has ended, and the call is answered."""
        self._is_done = True
        stream = self.stream
        with self._changed:
            self._forget_items()
        if stream.state is StreamState.OPEN and stream.procedure.stream == "read":
            stream.send_end()
        self._confirm()
        self._session.traffic.touch()

    def _confirm(self) -> None:
        if self.stream.state is StreamState.FINISHING:
            self.stream.send_ok()
            self._session.core.finished(self.stream)
            self._session.traffic.touch()

    def _break(self, stream: Stream) -> None:
        if stream.state is not StreamState.FINISHED:
            self.error = stream.error or _aborted()
        self._forget_items()

    def _forget_items(self) -> None:
        self._items.clear()
        self.size = 0

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        if self.producer is not None and self._is_producer_stuck():
            self.has_cancelled = True
            self.producer.cancel()
            self.producer = None

    def _is_producer_stuck(self) -> bool:
        """Whether it may wait for ever for what nobody wants: it does not learn it by reading."""
        if self._is_wanted or self.producer in self._readers:
            return False
        return self.error is not None or not self._is_read

    # What the handler takes

    def take(self) -> Item | None:
        """Wait for what the client sends next; None at the end. Not on the loop.

        Raises:
            RemoteError: the client has aborted the stream.
            ConnectionClosed: the client is gone.
            LocalProtocolError: the caller runs on the loop.
        """
        if self._loop.is_here:
            raise LocalProtocolError("this would block the event loop: use `async for`")
        with self._changed:
            self._is_read = True
            while not self._can_take():
                self._changed.wait()
            item = self._take()
        if self._session.traffic.is_stalled:
            self._loop.post(self._session.traffic.step)
        return item

    async def take_async(self) -> Item | None:
        """``take`` for coroutines on the loop."""
        self._is_read = True
        task = asyncio.current_task()
        self._readers.add(task)
        try:
            while not self._can_take():
                await self._change()
            with self._changed:
                item = self._take()
        finally:
            self._readers.discard(task)
        if self._session.traffic.is_stalled:
            self._session.traffic.touch()
        return item

    def check(self) -> None:
        """Raise what ``take`` would, if the stream is broken."""
        if self.error is not None:
            raise again(self.error)

    def _can_take(self) -> bool:
        return bool(self._items) or self._has_ended

    def _take(self) -> Item | None:
        self.check()
        if not self._items:
            return None
        item = self._items.popleft()
        self.size -= cost_of(item)
        return item

    # What the handler gives

    def wait_for_room(self) -> bool:
        """Wait until more may be sent; whether anybody wants it. Not on the loop."""
        with self._changed:
            while self._is_wanted and self._unsent > OUTBOX_HIGH:
                self._changed.wait()
            return self._is_wanted

    async def wait_for_room_async(self) -> bool:
        """The same for coroutines on the loop."""
        while self._is_wanted and self._unsent:
            await self._change()
        return self._is_wanted

    def send(self, item: Buffer | Hole) -> None:
        """Send data or a hole, whatever room there is.

        Raises:
            LocalProtocolError: a hole, and the call did not allow any.
        """
        if isinstance(item, Hole):
            self._check_hole(item)
            self._hand_over(item, ITEM_OVERHEAD)
            return
        # What may be changed behind our back is copied.
        data = item if isinstance(item, bytes) else bytes(item)
        if data:
            self._hand_over(data, len(data))

    def _check_hole(self, hole: Hole) -> None:
        if not self.stream.sparse:
            raise LocalProtocolError("holes are not allowed: the call did not ask for them")
        if not 0 < hole.length <= HOLE_MAX:
            raise LocalProtocolError(f"length {hole.length} of a hole is not from 1 to {HOLE_MAX}")

    def _hand_over(self, item: bytes | Hole, cost: int) -> None:
        with self._changed:
            self._unsent += cost
        self._loop.do(partial(self._put, item, cost))

    def _put(self, item: bytes | Hole, cost: int) -> None:
        if self.stream.state is StreamState.OPEN:
            if isinstance(item, Hole):
                self.stream.send_hole(item.length)
            else:
                self.stream.send(item)
            self._session.traffic.touch()
        self._session.traffic.when_room(partial(self._sent, cost))

    def _sent(self, cost: int) -> None:
        with self._changed:
            self._unsent -= cost
            self._changed.notify_all()
        self._wake()

    async def _change(self) -> None:
        waiter = self._loop.asyncio.create_future()
        self._waiting.append(waiter)
        await waiter


def _aborted() -> RemoteError:
    return RemoteError(
        VirErrorNumber.VIR_ERR_OPERATION_ABORTED,
        "the client aborted the stream",
        domain=VirErrorDomain.VIR_FROM_STREAMS,
    )
