"""Whether anybody uses a daemon: its servers are looked at, and its idle timer is told.

When a daemon ends is the timer's to say.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rpcgen.runtime.process.idle import IdleTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rpcgen.runtime.process.idle import Inhibitor
    from rpcgen.runtime.server import Server

PERIOD_MAX: Final = 1.0
"""Seconds between two looks: a daemon that is idle ends at most so much later than it could."""

_LOOKS: Final = 4
"""Looks during a timeout that is shorter than four periods."""


class IdleWatch:
    """Looks at servers while there is a timeout.

    Args:
        servers: that run on the event loop where this is used.
        idle: called once, when the daemon is to end.
    """

    def __init__(self, servers: Collection[Server], idle: Callable[[], object]) -> None:
        self._servers = servers
        self._idle = idle
        self._timer = IdleTimer()
        self._received = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self.set_timeout(self._timer.timeout)

    def close(self) -> None:
        """Look no more."""
        self._loop = None
        self._cancel()

    def set_timeout(self, timeout: float) -> None:
        """End after so many seconds without clients; 0 for never. Time runs anew."""
        now = self._loop.time() if self._loop else 0.0
        self._timer.set_timeout(timeout, now)
        self._look()

    def inhibit(self, reason: str) -> Inhibitor:
        """Object to the end, from any thread, until the inhibitor is released."""
        return self._timer.inhibit(reason)

    def _look(self) -> None:
        self._cancel()
        if self._loop is None or not self._timer.timeout:
            return
        now = self._loop.time()
        self._tell(now)
        if self._timer.poll(now):
            self._idle()
            return
        period = min(PERIOD_MAX, self._timer.timeout / _LOOKS)
        self._next = self._loop.call_later(period, self._look)

    def _tell(self, now: float) -> None:
        numbers = [server.statistics for server in self._servers]
        received = sum(one.bytes_in for one in numbers)
        if received != self._received:  # somebody was there, and may have left
            self._timer.set_clients(1, now)
            self._received = received
        self._timer.set_clients(sum(one.clients for one in numbers), now)

    def _cancel(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
