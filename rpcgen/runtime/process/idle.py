"""When a daemon that nobody uses ends by itself, as a state machine that is told the time.

It owns no timer and no loop: whoever has one asks for ``deadline`` and calls ``poll`` then.
The rules are those of ``virNetDaemonAutoShutdown``.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class IdleState(Enum):
    """Where a daemon stands."""

    OFF = "off"
    """It does not end by itself."""
    BUSY = "busy"
    """It has clients."""
    WAITING = "waiting"
    """It has none: time runs."""
    QUIT = "quit"
    """It is to end. Nothing leads out of this: a client that comes now is too late."""


class _Input(Enum):
    SWITCHED_OFF = "switched off"
    CLIENTS = "clients"
    NO_CLIENTS = "no clients"
    TIME_IS_UP = "time is up"
    INHIBITED = "time is up, but somebody objects"


_NEXT: Final = {
    IdleState.OFF: {
        _Input.SWITCHED_OFF: IdleState.OFF,
        _Input.CLIENTS: IdleState.BUSY,
        _Input.NO_CLIENTS: IdleState.WAITING,
    },
    IdleState.BUSY: {
        _Input.SWITCHED_OFF: IdleState.OFF,
        _Input.CLIENTS: IdleState.BUSY,
        _Input.NO_CLIENTS: IdleState.WAITING,
    },
    IdleState.WAITING: {
        _Input.SWITCHED_OFF: IdleState.OFF,
        _Input.CLIENTS: IdleState.BUSY,
        _Input.NO_CLIENTS: IdleState.WAITING,
        _Input.TIME_IS_UP: IdleState.QUIT,
        _Input.INHIBITED: IdleState.WAITING,
    },
    IdleState.QUIT: {
        _Input.SWITCHED_OFF: IdleState.QUIT,
        _Input.CLIENTS: IdleState.QUIT,
        _Input.NO_CLIENTS: IdleState.QUIT,
    },
}


class Inhibitor:
    """An objection to the daemon's end, until ``release``; a context manager that releases it.

    Attributes:
        reason: why, for people.
    """

    __slots__ = ("_all", "reason")

    def __init__(self, reason: str, all_: set[Inhibitor]) -> None:
        self.reason = reason
        self._all = all_
        all_.add(self)

    def release(self) -> None:
        """Object no more; more than once does nothing."""
        self._all.discard(self)

    def __enter__(self) -> Inhibitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class IdleTimer:
    """Whether, and when, a daemon without clients ends.

    Time runs while there are no clients. When it is up and somebody objects, it runs anew: so an
    objection that ends does not end the daemon at once. One thread has it; any may inhibit.

    Args:
        timeout: seconds; 0 for never.
        now: seconds of a clock that never goes back, here and in all methods. A daemon that
            has just started has no clients.

    Attributes:
        state: where the daemon stands.
        timeout: as it was last set.
        deadline: when to call ``poll``; None while time does not run.

    Raises:
        ValueError: a timeout below 0.
    """

    __slots__ = ("_clients", "_inhibitors", "deadline", "state", "timeout")

    def __init__(self, timeout: float = 0, *, now: float = 0.0) -> None:
        self.state = IdleState.OFF
        self.timeout: float = 0
        self.deadline: float | None = None
        self._clients = 0
        self._inhibitors: set[Inhibitor] = set()
        self.set_timeout(timeout, now)

    @property
    def inhibitions(self) -> list[str]:
        """Why the daemon does not end: the reasons of all who object, sorted."""
        return sorted(one.reason for one in self._inhibitors.copy())

    def inhibit(self, reason: str) -> Inhibitor:
        """Object to the daemon's end, while something is under way that no client waits for."""
        return Inhibitor(reason, self._inhibitors)

    def set_timeout(self, timeout: float, now: float) -> None:
        """Change the timeout (``virt-admin daemon-timeout``); time runs anew."""
        if not timeout >= 0:
            raise ValueError(f"expected a timeout of 0 seconds or more, got {timeout}")
        self.timeout = timeout
        self._take(self._situation(), now)

    def set_clients(self, clients: int, now: float) -> None:
        """Say how many clients all servers have together; what has not changed changes nothing."""
        before, self._clients = self._clients, clients
        if bool(before) != bool(clients):
            self._take(self._situation(), now)

    def poll(self, now: float) -> bool:
        """Whether the daemon is to end now; from then on it is."""
        if self.deadline is not None and now >= self.deadline:
            self._take(_Input.INHIBITED if self._inhibitors else _Input.TIME_IS_UP, now)
        return self.state is IdleState.QUIT

    def _situation(self) -> _Input:
        if not self.timeout:
            return _Input.SWITCHED_OFF
        return _Input.CLIENTS if self._clients else _Input.NO_CLIENTS

    def _take(self, came: _Input, now: float) -> None:
        self.state = _NEXT[self.state][came]
        self.deadline = now + self.timeout if self.state is IdleState.WAITING else None
