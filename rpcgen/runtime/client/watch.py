"""The thread that receives while nobody is in a call: for events, keepalive, and the end.

It watches the socket only while nobody has the buck, as libvirt's client does it, so that a reply
does not wake it. What it does when it wakes is the buck's.
"""

from __future__ import annotations

import select
from threading import Thread, current_thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rpcgen.runtime.client.buck import Buck

_NOTHING: Final = 0


class Watch:
    """A thread that lives until the connection is closed, and keeps no process alive.

    Args:
        fd: the connection's socket.
        bell: an eventfd; only that it can always be written is of use here.
    """

    def __init__(self, buck: Buck, fd: int, bell: int) -> None:
        self._buck = buck
        self._fd = fd
        self._watched = _NOTHING
        self._epoll = select.epoll()
        self._epoll.register(fd, select.EPOLLONESHOT)
        self._bell = bell
        self._epoll.register(bell, select.EPOLLONESHOT)
        self._thread = Thread(target=self._run, name="rpcgen watch", daemon=True)
        self._thread.start()

    def arm(self) -> None:
        """Locked: wake when something comes, or can go that waits for that."""
        self._watch(
            (_NOTHING if self._buck.channel.is_full else select.EPOLLIN)
            | (select.EPOLLOUT if self._buck.channel.core.outbox else _NOTHING)
        )

    def disarm(self) -> None:
        """Locked: somebody has the buck."""
        self._watch(_NOTHING)

    def ring(self) -> None:
        """Locked: wake it.

        It does not wait for the bell to be rung: the holder of the buck does, and who reads a bell
        first silences it for others.
        """
        self._epoll.modify(self._bell, select.EPOLLOUT | select.EPOLLONESHOT)

    def join(self) -> None:
        """Wait until the thread has ended, unless this is it."""
        if self._thread is not current_thread():  # any code may run there: the collector's
            self._thread.join()

    def _watch(self, wanted: int) -> None:
        if wanted != self._watched:
            self._watched = wanted
            # Once, since the end of a connection is told even to who asked for nothing.
            self._epoll.modify(self._fd, wanted | select.EPOLLONESHOT)

    def _run(self) -> None:
        buck = self._buck
        timeout: float | None = None
        with buck.lock:
            pass  # held by who starts the thread; if that was interrupted, the connection is closed
        try:
            while buck.channel.core.closed is None:
                woken = self._epoll.poll(timeout)
                timeout = buck.run(lambda woken=woken: self._tend(woken))  # type: ignore[misc]
        finally:
            with buck.lock:
                self._epoll.close()
                buck.unwatched()

    def _tend(self, woken: list[tuple[int, int]]) -> float | None:
        if any(fd == self._fd for fd, _ in woken):
            self._watched = _NOTHING
        return self._buck.tend()
