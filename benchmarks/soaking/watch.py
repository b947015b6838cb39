"""What a process holds: memory, threads, descriptors; now, at most, and whether it is back where it was."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.figures import mebibytes

SLACK: Final = 24 << 20
"""Bytes that may stay although nobody needs them: pages of which a little is in use."""

_PATIENCE: Final = 20.0
"""Seconds until idle threads have ended and the last sockets are closed."""

_REST: Final = 3.0
"""The same where nobody knows what it will be."""

_STEP: Final = 0.2


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds.

    Attributes:
        memory: resident bytes.
        descriptors: open ones.
    """

    memory: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Holding:
        """What it holds now."""
        process = Path(f"/proc/{pid}")
        found = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        memory, threads = int(found["VmRSS"].split()[0]) << 10, int(found["Threads"])
        return cls(memory, threads, len(os.listdir(process / "fd")))

    def cells(self) -> list[str]:
        """For a table."""
        return [mebibytes(self.memory), str(self.threads), str(self.descriptors)]

    def fits(self, before: Holding) -> bool:
        """Whether this is no more than there was."""
        return (
            self.memory <= before.memory + SLACK
            and self.threads <= before.threads
            and self.descriptors <= before.descriptors
        )


def tidy() -> None:
    """Give what this process has freed back to the system, where the C library can.

    Otherwise what a burst took and what a leak takes look alike.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


TIDY: Final = signal.SIGUSR1
"""Asks a process that knows it to tidy up."""


class Watch:
    """One process, looked at now and then.

    Args:
        tidy: has it give back what it has freed.
    """

    def __init__(self, pid: int, tidy: Callable[[], object]) -> None:
        self._pid = pid
        self._tidy = tidy
        self._most: Holding | None = None

    def look(self) -> None:
        """Keep the most that was seen of each."""
        now = Holding.of(self._pid)
        seen = [now] if self._most is None else [now, self._most]
        self._most = Holding(
            max(one.memory for one in seen),
            max(one.threads for one in seen),
            max(one.descriptors for one in seen),
        )

    @property
    def most(self) -> Holding:
        """The most of each that was seen."""
        return self._most or Holding.of(self._pid)

    def rest(self) -> Holding:
        """What it holds when everything that ends by itself has ended."""
        time.sleep(_REST)
        return self._tidied()

    def settled(self, before: Holding) -> Holding:
        """What it holds when it is back at ``before``, or, in vain, when time is up."""
        deadline = time.monotonic() + _PATIENCE
        while not (now := self._tidied()).fits(before) and time.monotonic() < deadline:
            pass
        return now

    def _tidied(self) -> Holding:
        self._tidy()
        time.sleep(_STEP)
        return Holding.of(self._pid)


HEAD: Final[Sequence[str]] = ("memory", "threads", "descriptors")
