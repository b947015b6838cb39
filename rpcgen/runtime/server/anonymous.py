"""A client that has yet to prove who it is: how long it may take, and how much it may send until then.

How it proves that is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpcgen.runtime import limits

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from rpcgen.runtime.server.traffic import Traffic
    from rpcgen.runtime.server_connection import ServerConnection


class Anonymity:
    """The time of one client before it is trusted; on the loop only.

    Args:
        given_up: called if it takes too long.
    """

    __slots__ = ("_core", "_given_up", "_loop", "_timer", "_traffic")

    def __init__(
        self,
        core: ServerConnection,
        traffic: Traffic,
        loop: asyncio.AbstractEventLoop,
        given_up: Callable[[], object],
    ) -> None:
        self._core = core
        self._traffic = traffic
        self._loop = loop
        self._given_up = given_up
        self._timer: asyncio.TimerHandle | None = None
        core.reader.limit(limits.AUTH_MESSAGE_MAX)
        self._wait(1)

    def cancel(self) -> None:
        """It is trusted, or gone."""
        self._core.reader.limit(None)
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, turn: int) -> None:
        if limits.AUTH_TIMEOUT:
            self._timer = self._loop.call_later(limits.AUTH_TIMEOUT, self._check, turn)

    def _check(self, turn: int) -> None:
        is_ours = self._traffic.requests > 0 and not self._core.outbox  # the answer is due
        if is_ours and turn < limits.AUTH_PATIENCE:
            self._wait(turn + 1)
        elif not self._core.authenticated:
            self._given_up()
