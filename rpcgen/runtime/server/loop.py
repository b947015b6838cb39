"""The event loop as a server uses it: what threads ask of it, and connections with something to do.

Both are done in batches: one wake-up, and one write for each connection, however much there is.
Nothing here knows what is asked.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from rpcgen.runtime.server.hangups import HangUps

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


_logger = logging.getLogger(__name__)


class Traffic(Protocol):
    """Who can be asked to go on with what is due."""

    is_touched: bool

    def step(self) -> None:
        """Do what can be done now."""


class Loop:
    """One server's view of the running loop.

    Attributes:
        asyncio: the loop itself.
        hang_ups: clients that are gone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asyncio = loop
        self._thread = threading.get_ident()
        self.hang_ups = HangUps(loop)
        self._jobs: deque[Callable[[], object]] = deque()
        self._touched: list[Traffic] = []
        self._is_awake = False

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on the loop."""
        return threading.get_ident() == self._thread

    def close(self) -> None:
        """Nothing is left to be watched."""
        self.hang_ups.close()

    def post(self, job: Callable[[], object]) -> None:
        """Have something done on the loop, in the order in which it was asked for; from any thread."""
        self._jobs.append(job)
        # A job that is queued before the flag is read is seen by who clears the flag first.
        if not self._is_awake:
            self._is_awake = True
            self._wake()

    def do(self, job: Callable[[], object]) -> None:
        """The same, at once if the caller runs on the loop."""
        if self.is_here:
            job()
        else:
            self.post(job)

    def touch(self, traffic: Traffic) -> None:
        """Have it step, soon and once, however often it is touched; on the loop."""
        if not traffic.is_touched:
            traffic.is_touched = True
            if not self._touched:
                self.asyncio.call_soon(self._step)
            self._touched.append(traffic)

    def _wake(self) -> None:
        try:
            self.asyncio.call_soon_threadsafe(self._work)
        except RuntimeError:
            self._jobs.clear()  # the loop is closed: nobody is left to be asked
            self._is_awake = False

    def _work(self) -> None:
        self._is_awake = False
        jobs = self._jobs
        for _ in range(len(jobs)):
            try:
                jobs.popleft()()
            except Exception:
                _logger.exception("a job failed")
        self._step()

    def _step(self) -> None:
        touched, self._touched = self._touched, []
        for traffic in touched:
            traffic.is_touched = False
            traffic.step()
