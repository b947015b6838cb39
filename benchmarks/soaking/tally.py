"""What was done, counted from many threads, and what went wrong."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from typing import Final

_KEPT: Final = 20
"""Failures whose text is kept: one mistake makes thousands of them."""


class Wrong(Exception):  # noqa: N818  (what the soak looks for)
    """An answer that is not the caller's, or none where there should be one."""


class Tally:
    """Counts by name, and failures."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._failures: list[str] = []
        self._failed = 0

    def count(self, what: str, number: int = 1) -> None:
        """Something happened."""
        with self._lock:
            self._counts[what] += number

    def fail(self, where: str, error: BaseException) -> None:
        """Something went wrong."""
        text = "".join(traceback.format_exception(error))
        with self._lock:
            self._failed += 1
            if len(self._failures) < _KEPT:
                self._failures.append(f"{where}: {text}")

    @property
    def counts(self) -> dict[str, int]:
        """A copy."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    @property
    def failures(self) -> list[str]:
        """The first ones, and how many there were if they are more."""
        with self._lock:
            more = self._failed - len(self._failures)
            return [*self._failures, f"and {more} more"] if more else list(self._failures)
