"""Whether a silent peer is still there: when to ask, and when to give it up.

Time comes in as seconds of a monotonic clock. What a ping looks like and who sends it is not
known here.
"""

from __future__ import annotations

from enum import Enum


class Pulse(Enum):
    """What is to be done."""

    QUIET = "nothing yet"
    PING = "send a ping"
    DEAD = "give the peer up"


class Keepalive:
    """Asks a peer that has been silent for ``interval`` seconds, ``count`` times at most.

    Silence kills after ``interval * (count + 1)`` seconds (virKeepAlive). Anything received
    counts as a sign of life, not the answer alone.

    Args:
        interval: seconds of silence between questions; more than 0.
        count: questions without a sign of life; with 0 the peer is given up without one.
        now: the time.
    """

    __slots__ = ("count", "deadline", "interval", "left")

    def __init__(self, interval: float, count: int, now: float) -> None:
        if interval <= 0 or count < 0:
            raise ValueError(f"keepalive: interval {interval} and count {count} are not positive")
        self.interval = interval
        self.count = count
        self.alive(now)

    def alive(self, now: float) -> None:
        """Something was received."""
        self.left = self.count
        self.deadline = now + self.interval

    def tick(self, now: float) -> Pulse:
        """What is due; to be asked again at ``deadline``."""
        if now < self.deadline:
            return Pulse.QUIET
        if not self.left:
            return Pulse.DEAD
        self.left -= 1
        self.deadline = now + self.interval
        return Pulse.PING
