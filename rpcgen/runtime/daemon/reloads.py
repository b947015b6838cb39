"""Reloads, one after the other: who asks during one gets exactly one more.

What is loaded is not known here.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class _State(Enum):
    IDLE = "idle"
    RUNNING = "running"
    AGAIN = "running, and wanted again"
    CLOSED = "closed"


class _Input(Enum):
    ASKED = "asked"
    DONE = "done"
    CLOSED = "closed"


_NEXT: Final = {
    _State.IDLE: {_Input.ASKED: _State.RUNNING, _Input.CLOSED: _State.CLOSED},
    _State.RUNNING: {
        _Input.ASKED: _State.AGAIN,
        _Input.DONE: _State.IDLE,
        _Input.CLOSED: _State.CLOSED,
    },
    _State.AGAIN: {
        _Input.ASKED: _State.AGAIN,
        _Input.DONE: _State.RUNNING,
        _Input.CLOSED: _State.CLOSED,
    },
    _State.CLOSED: {
        _Input.ASKED: _State.CLOSED,
        _Input.DONE: _State.CLOSED,
        _Input.CLOSED: _State.CLOSED,
    },
}


class Reloads:
    """Runs a coroutine function whenever it is asked to; on one event loop.

    Args:
        reload: what to run; it should not raise.
    """

    def __init__(self, reload: Callable[[], Awaitable[object]]) -> None:
        self._reload = reload
        self._state = _State.IDLE
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Reload what is there from now on; returns before that has happened."""
        was_idle = self._state is _State.IDLE
        self._take(_Input.ASKED)
        if was_idle:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Begin no more, and wait for the one that runs."""
        self._take(_Input.CLOSED)
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._state in (_State.RUNNING, _State.AGAIN):
            await self._reload()
            self._take(_Input.DONE)

    def _take(self, came: _Input) -> None:
        self._state = _NEXT[self._state][came]
