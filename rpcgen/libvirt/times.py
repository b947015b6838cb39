"""Times of a session: how long things may take, counted down, and pauses.

Nothing here waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

PAUSES: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0, 5.0)
"""Seconds before each attempt to connect again.

A daemon that is restarted is back at the second or third. After 24 seconds it is not merely
being restarted, and who waits for it should know.
"""

FAREWELL: Final = 5.0
"""Seconds in which a server can take note that a session ends; it will see for itself otherwise."""

Left: TypeAlias = Callable[[], float | None]
"""How many seconds are left; None without a limit."""


def countdown(timeout: float | None) -> Left:
    """Counts from now on."""
    if timeout is None:
        return lambda: None
    deadline = time.monotonic() + timeout
    return lambda: max(0.0, deadline - time.monotonic())


def shorter(one: Left, other: Left) -> Left:
    """Whichever ends first."""

    def left() -> float | None:
        limits = [seconds for seconds in (one(), other()) if seconds is not None]
        return min(limits, default=None)

    return left
