"""Connections that are gone, as the system tells of them, whether anybody reads there or not.

An event loop watches a socket for somebody who wants to read or to write. A client that is not read,
since enough of its calls are under way, may be gone for hours by then. And uvloop tells a reader of a
reset once, and watches no more: what came before the reset may not have been read by then.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class HangUps:
    """Tells of each until it is forgotten: both directions are closed, or an error has occurred.

    Without events that are asked for, epoll tells of these two alone (epoll_ctl(2)), and it is itself a
    descriptor that a loop can watch.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], object]] = {}
        loop.add_reader(self._epoll.fileno(), self._look)

    def watch(self, fd: int, callback: Callable[[], object]) -> None:
        """Call back whenever the loop goes round, once the connection is gone."""
        self._epoll.register(fd, 0)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Watch it no more; before it is closed."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def close(self) -> None:
        """Watch nothing more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _look(self) -> None:
        for fd, _ in self._epoll.poll(0):
            callback = self._callbacks.get(fd)  # one of those before may have let go of it
            if callback is not None:
                callback()
