"""Events of the sync client: who is told, on a thread that does nothing else.

Handlers may take their time and call back: the thread that receives only puts packets into a
queue. Where they come from, and when the connection ends, is told from outside.
"""

from __future__ import annotations

import logging
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from libvirt_rpc.libvirt_common.types import VirConnectCloseReason
from rpcgen.runtime.errors import XdrDecodeError, again
from rpcgen.runtime.limits import EVENT_BYTES_MAX
from rpcgen.runtime.streams import ITEM_OVERHEAD

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from rpcgen.runtime.errors import ConnectionClosed
    from rpcgen.runtime.message import Packet
    from rpcgen.runtime.program import Procedure

    Key: TypeAlias = tuple[int, int, int]
    Item: TypeAlias = tuple["list[EventSubscription[Any]]", Packet, int]
    """Who is told, of what, and the bytes of all events that were queued until then."""

M = TypeVar("M")

_CLIENT: Final = VirConnectCloseReason.VIR_CONNECT_CLOSE_REASON_CLIENT

_log: Final = logging.getLogger(__name__)


class EventSubscription(Generic[M]):
    """A handler of one event while it is registered; made by ``Connection.subscribe``."""

    def __init__(
        self, procedure: Procedure[M, None], handler: Callable[[M], object], events: Events
    ) -> None:
        self._procedure = procedure
        self._handler: Callable[[M], object] | None = handler
        self._events = events

    def cancel(self) -> None:
        """Stop: the handler is not called again. What it does now it ends."""
        self._handler = None
        self._events.forget(self._procedure, self)

    def silence(self) -> None:
        """Do not call the handler again."""
        self._handler = None

    def deliver(self, packet: Packet) -> None:
        """Call the handler, on this thread. What it raises is logged."""
        handler = self._handler
        if handler is None:
            return
        try:
            message, _ = self._procedure.read_argument(packet.payload, 0)
        except XdrDecodeError as error:
            _log.warning("%s: an event was dropped: %r", self._procedure.name, str(error))
            return
        _call(handler, message, f"a handler of {self._procedure.name}")


class Events:
    """The subscriptions of one connection, and the thread that calls their handlers.

    Except for ``forget``, methods are called with the connection's lock held. The thread starts
    with the first subscription, ends with the connection, and keeps no process alive.

    Args:
        limit: events that wait before the oldest are dropped.
        byte_limit: the same in bytes.
    """

    def __init__(self, limit: int, byte_limit: int = EVENT_BYTES_MAX) -> None:
        self._limit = limit
        self._byte_limit = byte_limit
        # Both only grow. Each is set as a whole, so that an interrupt or the other thread in between
        # makes them wrong by one event at the most, and until the next only.
        self._queued_bytes = 0
        self._taken_bytes = 0
        self._lost = 0
        self._subscribed: dict[Key, dict[EventSubscription[Any], None]] = {}  # ordered sets
        self._callbacks: list[Callable[[ConnectionClosed], object]] = []
        self._closed: ConnectionClosed | None = None
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._thread: Thread | None = None

    def subscribe(
        self, procedure: Procedure[M, None], handler: Callable[[M], object]
    ) -> EventSubscription[M]:
        """Call a handler for every message of an event.

        Raises:
            ConnectionClosed: there will be none.
        """
        if self._closed is not None:
            raise again(self._closed)
        self._start()
        subscription = EventSubscription(procedure, handler, self)
        self._subscribed.setdefault(procedure.key, {})[subscription] = None
        return subscription

    def forget(self, procedure: Procedure[Any, None], subscription: EventSubscription[Any]) -> None:
        """A subscription was cancelled. Needs no lock: it is one step, whatever others do."""
        self._subscribed[procedure.key].pop(subscription, None)

    def on_close(self, callback: Callable[[ConnectionClosed], object]) -> None:
        """Call back with the reason, when the connection is closed; soon if it is."""
        if self._closed is None:
            self._start()
            self._callbacks.append(callback)
        else:
            _thread(_call, callback, self._closed, "a callback of the end").start()

    def take(self, packet: Packet) -> None:
        """Queue an event for those who are subscribed now; nobody's is dropped."""
        header = packet.header
        subscribed = [*self._subscribed.get((header.prog, header.vers, header.proc), ())]
        if not subscribed or self._closed is not None:
            return
        self._queued_bytes += ITEM_OVERHEAD + len(packet.payload)
        while self._is_full():
            try:
                item = self._queue.get_nowait()
            except Empty:
                break  # the thread was faster
            assert item is not None  # noqa: S101  (nothing comes behind the end)
            self._taken_bytes = item[2]
            self._lost += 1
        self._queue.put((subscribed, packet, self._queued_bytes))

    def _is_full(self) -> bool:
        waiting = self._queue.qsize()
        waiting_bytes = self._queued_bytes - self._taken_bytes
        return waiting >= self._limit or (waiting > 0 and waiting_bytes > self._byte_limit)

    def end(self, closed: ConnectionClosed) -> None:
        """The connection is closed. If by this side, no handler is called any more."""
        self._closed = closed
        if closed.reason == _CLIENT:
            for subscribed in self._subscribed.values():
                for subscription in [*subscribed]:
                    subscription.silence()
        if self._thread is not None:
            self._queue.put(None)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = _thread(self._run)
            self._thread.start()

    def _run(self) -> None:
        told = 0
        while (item := self._queue.get()) is not None:
            subscribed, packet, self._taken_bytes = item
            lost = self._lost
            if lost > told:
                _log.warning("%d events were dropped: handlers are too slow", lost - told)
                told = lost
            for subscription in subscribed:
                subscription.deliver(packet)
        assert self._closed is not None  # noqa: S101  (that ends the queue)
        for callback in self._callbacks:
            _call(callback, self._closed, "a callback of the end")


def _thread(target: Callable[..., object], *args: object) -> Thread:
    return Thread(target=target, args=args, name="rpcgen events", daemon=True)


def _call(function: Callable[[M], object], argument: M, what: str) -> None:
    try:
        function(argument)
    except Exception:  # noqa: BLE001  (it may raise anything; others go on)
        _log.exception("in %s", what)
