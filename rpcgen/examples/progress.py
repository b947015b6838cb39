"""A progress bar for streams: what ``progress=`` of an upload or download can be."""

from __future__ import annotations

import io
import sys
from typing import TextIO


class ProgressBar:
    """Draws how much of something has been done; where there is no terminal, only the end.

    Args:
        label: stands in front.
        total: bytes in all.
        file: where to draw.
    """

    _WIDTH = 30

    def __init__(self, label: str, total: int, file: TextIO | None = None) -> None:
        self._label = label
        self._total = total
        self._file = file or sys.stdout or io.StringIO()
        self._percent = -1

    def __call__(self, done: int) -> None:
        """Draw that so many bytes are done."""
        percent = 100 * done // self._total if self._total else 100
        if percent == self._percent:
            return
        self._percent = percent
        if self._file.isatty() or percent == 100:
            self._draw(percent)

    def _draw(self, percent: int) -> None:
        filled = self._WIDTH * percent // 100
        bar = "#" * filled + "." * (self._WIDTH - filled)
        start = "\r" if self._file.isatty() else ""
        end = "\n" if percent == 100 else ""
        self._file.write(f"{start}{self._label} [{bar}] {percent:3} %{end}")
        self._file.flush()
