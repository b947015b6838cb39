"""Signals as records that an event loop reads, and handlers that run there and nowhere else.

A handler of ``signal.signal`` runs between any two instructions of the main thread, and may find
a lock taken. Here it only queues a record and rings a descriptor.

Who sent a signal is known to ``sigwaitinfo`` alone, which takes blocked signals only. Children
inherit what is blocked, and a child that SIGTERM does not reach is worse than a nameless signal:
so senders are asked for only if wanted. Nothing is lost where a signal is not blocked after all,
in a thread that was there before or that is just starting a child: it comes without its sender.

A signal that the kernel gives to another thread does not wake the main one, which alone may run
Python for it. So the descriptor is Python's wake-up descriptor as well, unless a loop has its own.

What libvirt's daemons do on each signal is the daemon's part.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from weakref import WeakSet

from rpcgen.runtime.errors import ProcessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType
    from typing import Final, TypeAlias

    Handler: TypeAlias = Callable[["SignalRecord"], object]

STOP: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""What ends a daemon, as with libvirt's."""

_WAKE: Final = signal.SIGRTMAX
"""What ends the thread that waits for signals. It is sent to that thread alone."""


class SignalRecord:
    """A signal that came.

    Attributes:
        number: which.
        info: the kernel's record of it: ``si_pid`` and ``si_uid`` of the sender, ``si_code``,
            ``si_errno``, ``si_status``, ``si_band``. None if it was not asked for, or not to be had.
    """

    __slots__ = ("info", "number")

    def __init__(self, number: int, info: signal.struct_siginfo | None = None) -> None:
        self.number = signal.Signals(number)
        self.info = info

    @property
    def sender(self) -> int | None:
        """The pid of the process that sent it; None if that is not known or was the kernel."""
        return self.info.si_pid or None if self.info else None

    def __repr__(self) -> str:
        return f"SignalRecord({self.number.name}, sender={self.sender})"


class _Bell:
    """A pipe that is readable after it was rung, by us or by Python at any signal."""

    __slots__ = ("_fd", "_ringer")

    def __init__(self) -> None:
        self._fd, self._ringer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        other = signal.set_wakeup_fd(self._ringer, warn_on_full_buffer=False)
        if other != -1:  # a loop's, which rings itself
            signal.set_wakeup_fd(other, warn_on_full_buffer=False)

    def fileno(self) -> int:
        return self._fd

    def ring(self) -> None:
        with suppress(BlockingIOError):  # full: it is readable
            os.write(self._ringer, b"\0")

    def silence(self) -> None:
        with suppress(BlockingIOError):
            while len(os.read(self._fd, select.PIPE_BUF)) == select.PIPE_BUF:
                pass

    def close(self) -> None:
        other = signal.set_wakeup_fd(-1)
        if other not in (-1, self._ringer):
            signal.set_wakeup_fd(other, warn_on_full_buffer=False)
        os.close(self._fd)
        os.close(self._ringer)


class SignalHandlers:
    """Signals of this process, taken over until ``close``; a context manager that closes.

    SIGPIPE is ignored meanwhile: a peer that is gone is an error of the write. Of signals of the
    same number that come faster than they are taken the kernel keeps one. A forked child is
    rid of all this: it handles signals as they were handled before.

    Args:
        handlers: what to call for each signal, on the thread that calls ``dispatch``.
        senders: take the kernel's whole record, and so block the signals in this thread and those
            that it starts: make this the first of all threads. Start children within
            ``unblocked``, or they are deaf to these signals.

    Raises:
        ProcessError: not the main thread, which alone may take signals over; or a signal that
            cannot be caught, or that is handled by something that Python cannot put back.
    """

    def __init__(self, handlers: Mapping[int, Handler], *, senders: bool = False) -> None:
        self._handlers = {signal.Signals(number): call for number, call in handlers.items()}
        self._records: deque[SignalRecord] = deque()
        self._before: dict[int, Callable[[int, FrameType | None], object] | int] = {}
        self._blocked: set[signal.Signals] = set()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._check_thread()
        self._check_handlers(senders)
        self._bell = _Bell()
        try:
            self._take_over()
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, ValueError)):
                raise ProcessError(f"signals cannot be caught: {error}") from error
            raise
        _active.add(self)
        if senders and self._handlers:
            self._watch()

    def fileno(self) -> int:
        """A descriptor that is readable while a record waits, for any kind of loop."""
        return self._bell.fileno()

    def take(self) -> SignalRecord | None:
        """The earliest record that waits; None if there is none."""
        try:
            return self._records.popleft()
        except IndexError:
            return None

    def dispatch(self) -> int:
        """Call the handlers of all signals that wait; how many there were.

        What a handler raises is the caller's; other records wait for the next call.
        """
        self._bell.silence()
        count = 0
        try:
            while (record := self.take()) is not None:
                count += 1
                self._handlers[record.number](record)
        finally:
            if self._records:
                self._bell.ring()
        return count

    def wait(self, timeout: float | None = None) -> int:
        """Sleep until a signal comes, and dispatch; for a thread without a loop.

        Args:
            timeout: seconds to sleep at most; None for ever.

        Returns:
            How many there were; 0 after the timeout.
        """
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            is_over = not poll.poll(None if left is None else left * 1000)
            if (count := self.dispatch()) or is_over:  # not if it was rung for somebody else's
                return count

    @contextmanager
    def attached(self, loop: asyncio.AbstractEventLoop | None = None) -> Iterator[SignalHandlers]:
        """Run the handlers on an asyncio loop for the length of a block.

        Args:
            loop: in the main thread or any other, by its own thread; None for the running one.
        """
        if loop is None:
            from asyncio import get_running_loop

            loop = get_running_loop()
        loop.add_reader(self.fileno(), self.dispatch)
        try:
            yield self
        finally:
            loop.remove_reader(self.fileno())

    @contextmanager
    def unblocked(self) -> Iterator[None]:
        """Start a child within this block: it inherits no blocked signals from this thread.

        A signal that comes meanwhile is recorded without its sender.
        """
        before = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._blocked)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """Put back what was before; records that nobody took are dropped. May be called twice.

        Raises:
            ProcessError: not the main thread.
        """
        if self._is_closed:
            return
        self._check_thread()
        self._is_closed = True
        self._unwatch()
        try:
            self._put_back()
        finally:
            _active.discard(self)
            self._bell.close()

    def __enter__(self) -> SignalHandlers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Taking over and putting back

    def _check_thread(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise ProcessError("expected the main thread, the only one that may change handlers")

    def _check_handlers(self, senders: bool) -> None:
        if senders and _WAKE in self._handlers:
            raise ProcessError("SIGRTMAX has another use if senders are wanted")
        for number in (*self._handlers, signal.SIGPIPE):
            if signal.getsignal(number) is None:
                name = signal.Signals(number).name
                raise ProcessError(f"{name} is handled by something that cannot be put back")

    def _take_over(self) -> None:
        for number in self._handlers:
            self._before[number] = signal.signal(number, self._caught) or signal.SIG_DFL
        if signal.SIGPIPE not in self._handlers:
            ignored = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            self._before[signal.SIGPIPE] = ignored or signal.SIG_DFL

    def _put_back(self) -> None:
        try:
            while self._before:
                number, before = self._before.popitem()
                ours = self._caught if number in self._handlers else signal.SIG_IGN
                if signal.getsignal(number) == ours:  # otherwise somebody has taken it since
                    signal.signal(number, before)
        finally:  # what is back may raise at once
            if self._before:
                self._put_back()

    def _caught(self, number: int, _: FrameType | None) -> None:
        self._queue(SignalRecord(number))

    def _queue(self, record: SignalRecord) -> None:
        if not self._is_closed:  # somebody may have kept our handler
            self._records.append(record)
            self._bell.ring()

    # Who sent it

    def _watch(self) -> None:
        wanted = set(self._handlers)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted | {_WAKE})
        self._blocked = wanted - before
        self._thread = threading.Thread(target=self._run, name="rpcgen signals", daemon=True)
        self._thread.start()  # it inherits what is blocked
        signal.pthread_sigmask(signal.SIG_SETMASK, before | wanted)

    def _run(self) -> None:
        wanted = {*self._handlers, _WAKE}
        # It ends by that and nothing else, so it is there to be sent it.
        while (info := signal.sigwaitinfo(wanted)).si_signo != _WAKE or not self._is_closed:
            if info.si_signo != _WAKE:
                self._queue(SignalRecord(info.si_signo, info))

    def _unwatch(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None and thread.ident is not None:
            signal.pthread_kill(thread.ident, _WAKE)
            thread.join()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._blocked)

    def _leave_child(self) -> None:
        self._thread = None  # it is the parent's
        self.close()


_active: WeakSet[SignalHandlers] = WeakSet()


def _start_anew() -> None:
    """In a forked child: its signals are not for the parent's loop."""
    for one in list(_active):
        one._leave_child()


os.register_at_fork(after_in_child=_start_anew)


def stop_handlers(
    graceful: Callable[[SignalRecord], object], immediate: Callable[[SignalRecord], object]
) -> dict[int, Handler]:
    """Handlers for SIGINT, SIGQUIT and SIGTERM: the first of them asks to stop, the next ones insist."""
    calls = [immediate, graceful]

    def handle(record: SignalRecord) -> None:
        (calls.pop() if len(calls) > 1 else calls[0])(record)

    return dict.fromkeys(STOP, handle)
