"""The buck: the right to receive, which one thread has while the others sleep.

Who calls sends by itself. Then it takes the buck if nobody has it: it waits for bytes, hands what
came to whom it belongs to, and passes the buck to whoever has waited longest when it has got what
it waits for itself. While nobody calls, a ``Watch`` may receive. How bytes become packets and
packets bytes is not known here.

A thread sleeps in ``poll`` or behind its own gate, never with the lock and never in a system call
that takes bytes. So an exception that a signal handler raises in a thread that waits costs nothing.
"""

from __future__ import annotations

import io
import os
import select
import time
from functools import partial
from threading import Lock, RLock
from typing import TYPE_CHECKING, Final, TypeVar

from rpcgen.runtime.client.channel import Channel, close_fds
from rpcgen.runtime.client.watch import Watch
from rpcgen.runtime.client_connection import PendingCall
from rpcgen.runtime.errors import RpcError
from rpcgen.runtime.state import StreamState
from rpcgen.runtime.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from rpcgen.runtime.client_connection import ClientConnection, Event
    from rpcgen.runtime.errors import ConnectionClosed
    from rpcgen.runtime.interfaces import ByteStream
    from rpcgen.runtime.message import Packet

T = TypeVar("T")

_IN: Final = select.POLLIN
_IN_OUT: Final = select.POLLIN | select.POLLOUT

_ABORTABLE: Final = (StreamState.OPEN, StreamState.FINISHING)

_LONGEST: Final = 86_400.0
"""Seconds of one sleep; the system takes no infinite ones."""


class Waiter:
    """One thread that waits for one thing.

    Attributes:
        is_ready: whether that has happened, or cannot any more.
        gate: behind which it sleeps; None while it needs none.
    """

    __slots__ = ("gate", "is_ready")

    def __init__(self) -> None:
        self.is_ready = False
        self.gate: Lock | None = None

    def sleep(self, deadline: float | None) -> bool:
        """Until the gate is opened; False at the deadline."""
        assert self.gate is not None  # noqa: S101  (lined up behind another)
        if deadline is None:
            return self.gate.acquire()
        while not self.gate.acquire(timeout=_left(deadline)):
            if time.monotonic() >= deadline:
                return False
        return True

    def open(self) -> None:
        """End its sleep; may be done again."""
        assert self.gate is not None  # noqa: S101  (lined up behind another)
        if self.gate.locked():
            self.gate.release()


class Buck:
    """One connection's I/O, shared by the threads that use it.

    Methods whose docstring begins with "Locked" are called with ``lock`` held.

    Attributes:
        lock: guards the core and everything here; held for no longer than it takes to think.
        channel: what the bytes go through.

    Args:
        on_event: takes the packet of an event; locked.
        on_end: is told once, when the connection is closed; locked.
    """

    def __init__(
        self,
        core: ClientConnection,
        stream: ByteStream,
        on_event: Callable[[Packet], object],
        on_end: Callable[[ConnectionClosed], object],
    ) -> None:
        self.lock = RLock()
        self.channel = Channel(core, stream, self._hand_out, self._end)
        self._core = core
        self._on_event = on_event
        self._on_end = on_end
        self._holder: Waiter | None = None
        self._sleepers: dict[Waiter, None] = {}  # an ordered set
        self._watch: Watch | None = None
        self._is_inside = False
        # A file, so that the system gets it back even if nobody closes the connection.
        self._bell = io.FileIO(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), "r+")
        self._poll = select.poll()
        self._poll.register(stream.fileno(), _IN)
        self._poll.register(self._bell, _IN)
        self._polled = _IN
        self._is_polling = False

    def run(self, action: Callable[[], T]) -> T:
        """Do something with the lock held. What interrupts that midway costs the connection."""
        with self.lock:
            self._is_inside = True
            try:
                return action()
            except RpcError:
                raise
            except BaseException as error:
                self._torn(error)
                raise
            finally:
                self._step_out()

    # Waiting

    def wait(self, start: Callable[[], object], waiter: Waiter, deadline: float | None) -> bool:
        """Start something, send what that queued, and wait until the waiter is ready.

        Args:
            start: is called with the lock held; what it raises is raised. It may find that there
                is nothing to wait for, and make the waiter ready.
            deadline: of ``time.monotonic``.

        Returns:
            False if the waiter is not ready at the deadline.
        """
        try:
            self.run(partial(self._line_up, start, waiter))
            if waiter.gate is not None and not waiter.sleep(deadline):
                self.run(partial(self._leave, waiter))
            elif self._holder is waiter:
                self._hold(waiter, deadline)
        except BaseException:
            self.run(partial(self._leave, waiter))
            raise
        return waiter.is_ready

    def wake(self, waiter: Waiter) -> None:
        """Locked: what a waiter waits for has happened."""
        waiter.is_ready = True
        if waiter in self._sleepers:
            waiter.open()
            # Last: what a signal handler interrupts before is done again.
            del self._sleepers[waiter]
        elif waiter is self._holder:
            self._ring()

    def wake_all(self, stream: Stream) -> None:
        """Locked: something happened to a stream. Its owner is the list of who waits for that."""
        waiters: list[Waiter] = stream.owner
        while waiters:
            self.wake(waiters.pop())

    def _line_up(self, start: Callable[[], object], waiter: Waiter) -> None:
        """Locked: start, then take the buck, or queue for it."""
        start()
        self.flush()
        if self._core.closed is not None:
            waiter.is_ready = True
        if waiter.is_ready:
            return
        if self._holder is None:
            if self._watch is not None:
                self._watch.disarm()
            self._holder = waiter
            self._will_poll()
        else:
            waiter.gate = Lock()
            waiter.gate.acquire()
            self._sleepers[waiter] = None

    def _hold(self, waiter: Waiter, deadline: float | None) -> None:
        # Who has just sent finds nothing yet; who was woken may.
        polls = waiter.gate is None
        while True:
            found = self._poll.poll(_milliseconds(deadline)) if polls else ()
            with self.lock:
                self._is_inside = True
                try:
                    self._is_polling = False
                    if not waiter.is_ready:
                        self._work(found)
                    is_late = polls and not found and _is_over(deadline)
                    if waiter.is_ready or is_late:
                        self._pass_on()
                        return
                    self._will_poll()
                except BaseException as error:
                    self._torn(error)
                    raise
                finally:
                    self._step_out()
            polls = True

    def _work(self, found: list[tuple[int, int]] | tuple[()]) -> None:
        """Locked: what the holder does when it wakes."""
        bell = self._bell.fileno()
        for fd, mask in found:
            if fd == bell:
                os.eventfd_read(bell)
            elif mask & select.POLLOUT:
                self.channel.send()
        self.channel.receive()

    def _will_poll(self) -> None:
        """Locked: the holder is about to poll, for what is wanted now."""
        wanted = _IN_OUT if self._core.outbox else _IN
        if wanted != self._polled:
            self._polled = wanted
            self._poll.modify(self.channel.stream.fileno(), wanted)
        self._is_polling = True

    def _pass_on(self) -> None:
        """Locked: give the buck to who has waited longest."""
        waiter = next(iter(self._sleepers), None)
        self._holder = waiter
        if waiter is None:
            self.settle()
        else:
            del self._sleepers[waiter]
            waiter.open()

    def _leave(self, waiter: Waiter) -> None:
        """Locked: wait no longer."""
        if self._holder is waiter:
            self._is_polling = False
            self._pass_on()
        else:
            self._sleepers.pop(waiter, None)

    def _ring(self) -> None:
        """Locked: end the holder's sleep, if it sleeps."""
        if self._is_polling:
            self._is_polling = False
            os.eventfd_write(self._bell.fileno(), 1)

    def _hand_out(self, event: Event) -> None:
        if isinstance(event, PendingCall):
            if event.packet is not None and event.packet.fds and not event.procedure.fds_out:
                close_fds(event.packet.fds)
            if event.waiter is not None:
                self.wake(event.waiter)
        elif isinstance(event, Stream):
            self.wake_all(event)
        else:
            self._on_event(event)

    # Without waiting

    def flush(self) -> None:
        """Locked: send what the socket takes now, and leave the rest to the holder."""
        if self._core.outbox:
            self.channel.send()
            if self._core.outbox and self._polled == _IN:
                self._ring()

    def glance(self) -> None:
        """Locked: receive what is there, if nobody else does and there is room for it."""
        if self._holder is None and self._core.closed is None and not self.channel.is_full:
            self.channel.receive()

    def abort(self, stream: Stream) -> None:
        """Locked: tell the server that a stream is given up, if it is open."""
        if stream.state in _ABORTABLE:
            stream.send_error()
            self.flush()
            self.settle()

    def settle(self) -> None:
        """Locked: see that nothing is left undone while nobody has the buck.

        Descriptors are closed when nothing sleeps on them any more.
        """
        if self._holder is not None:
            return
        if self._core.closed is not None:
            if self._watch is None:
                self.channel.stream.close()
                self._bell.close()
        elif self._watch is not None:
            self._watch.arm()
        elif self._core.outbox:
            self.watch_over()

    # While nobody calls

    def watch_over(self) -> None:
        """Locked: from now on receive also while nobody calls."""
        if self._watch is None and self._core.closed is None:
            self._watch = Watch(self, self.channel.stream.fileno(), self._bell.fileno())
            self.settle()

    def start_keepalive(self, interval: float, count: int) -> None:
        """Locked: see ``core.start_keepalive``; the watch sees to it."""
        if self._core.closed is None:
            self._core.start_keepalive(interval, count, time.monotonic())
            self.watch_over()
            if self._watch is not None:
                self._watch.ring()

    def tend(self) -> float | None:
        """Locked: what the watch does when it wakes; returns seconds after which it has to again."""
        self.flush()
        self.glance()
        seconds = self.channel.tick()
        self.settle()
        return seconds

    def unwatched(self) -> None:
        """Locked: the watch has ended."""
        self._watch = None
        self.settle()

    # The end

    def close(self) -> None:
        """Close the connection from any thread, and wait until nothing watches it."""
        self.channel.is_closing = True
        self.channel.stream.shutdown()
        with self.lock:
            if self._is_inside:
                return  # in a signal handler, which has interrupted what will see to it
            watch = self._watch
            self.run(partial(self.channel.fail, ""))
        if watch is not None:
            watch.join()

    def _step_out(self) -> None:
        """Locked: what was done is whole again."""
        self._is_inside = False
        if self.channel.is_closing:
            self.channel.fail("")

    def _torn(self, error: BaseException) -> None:
        """Locked: something from outside came between two steps that belong together."""
        self.channel.fail(f"{type(error).__name__} in the midst of a packet", cause=error)

    def _end(self, closed: ConnectionClosed) -> None:
        for waiter in [*self._sleepers]:
            self.wake(waiter)
        holder = self._holder
        if holder is not None:
            holder.is_ready = True
            if holder.gate is not None:
                holder.open()
            self._ring()
        if self._watch is not None:
            self._watch.ring()
        self._on_end(closed)
        self.settle()


def _left(deadline: float) -> float:
    return min(max(deadline - time.monotonic(), 0.0), _LONGEST)


def _milliseconds(deadline: float | None) -> float | None:
    return None if deadline is None else _left(deadline) * 1000


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
