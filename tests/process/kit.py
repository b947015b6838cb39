"""Another process that does what a test tells it, line by line.

Locks and pidfiles are between processes: a thread of the test's own would not do, and a fork of
pytest, which has threads, may hang.
"""

from __future__ import annotations

import ast
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

DEADLINE: Final = 30.0
"""Seconds for what takes a moment: who waits longer waits in vain."""

ROOT: Final = Path(__file__).parents[2]

IMPORT: Final = "from rpcgen.runtime.process import *; import fcntl, os, signal"
"""What the other process is told first."""

LOOP: Final = """
import ast, os, sys
names = {}
for line in sys.stdin:
    source = ast.literal_eval(line)
    try:
        try:
            code, run = compile(source, "told", "eval"), eval
        except SyntaxError:
            code, run = compile(source, "told", "exec"), exec
        answer = run(code, names)
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(repr(answer), flush=True)
"""


class Other:
    """The process, seen from the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def tell(self, source: str) -> None:
        """Have it run something, and do not wait."""
        assert self._process.stdin
        print(repr(source), file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        """What came of the earliest thing it was told: its value, or its error as text."""
        assert self._process.stdout
        assert is_readable(self._process.stdout.fileno(), DEADLINE)
        return ast.literal_eval(self._process.stdout.readline())

    def ask(self, source: str) -> Any:
        """Have it run something, and give what came of it."""
        self.tell(source)
        return self.answer()

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(DEADLINE)


@contextmanager
def another(*lines: str) -> Iterator[Other]:
    """Start one, and have it run some lines that must not fail."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        other = Other(process)
        try:
            for line in lines:
                assert other.ask(line) is None
            yield other
        finally:
            process.kill()


def is_readable(fd: int, seconds: float) -> bool:
    """Whether there is something to read, or comes in time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def has_ended(pid: int, seconds: float = DEADLINE) -> bool:
    """Whether a process has ended, or does so in time."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return is_readable(fd, seconds)
    finally:
        os.close(fd)


def run(source: str, *arguments: str | Path, seconds: float = DEADLINE) -> str:
    """Run a script, which must not fail, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the kernel tells only when asked: that somebody waits for a lock."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def is_waited_for(path: Path) -> bool:
    """Whether somebody waits for a lock on the file (``->`` in /proc/locks)."""
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and inode in line for line in lines)
