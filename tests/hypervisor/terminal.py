"""A command at a terminal of its own, as a person would run it."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

DEADLINE: Final = 30.0
"""Seconds for what takes a moment."""


class Terminal:
    """The terminal, and the process that controls it."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._seen = b""
        self.process = process

    def read_until(self, text: bytes) -> bytes:
        """What it prints, up to that text."""
        end = time.monotonic() + DEADLINE
        while text not in self._seen:
            left = max(0.0, end - time.monotonic())
            ready, _, _ = select.select([self._master], [], [], left)
            more = self._read() if ready else b""
            assert more, f"no {text!r} came, but {self._seen!r}"
            self._seen += more
        head, _, self._seen = self._seen.partition(text)
        return head + text

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 4096)
        except OSError:
            return b""  # nobody has the terminal open any more

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)


@contextmanager
def at_a_terminal(command: Sequence[str], path: str) -> Iterator[Terminal]:
    """Start a command at a terminal that it controls.

    Args:
        path: where programs are found; nothing else is in the environment.
    """
    master, slave = os.openpty()
    try:
        process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={"PATH": path, "HOME": os.devnull, "LC_ALL": "C.UTF-8"},
        )
        os.close(slave)
        try:
            yield Terminal(master, process)
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(master)
