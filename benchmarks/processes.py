"""Those who take part, each in a process of its own: started, asked, watched, ended by their pid.

Knows nothing of what they do. Servers are up when their socket accepts; workers are clients that
repeat an operation when they are told to, and tell what it cost (see ``peers.worker``).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

DEADLINE: Final = 30.0
"""Seconds for what takes well under one, on machines with much else to do."""

_STEP: Final = 0.01
"""Seconds between two looks at a server that starts: its start is not measured."""

_SCHEDULED: Final = 2
"""Linux's clock of the time that all threads of a process have run (CPUCLOCK_SCHED)."""


class Missing(Exception):  # noqa: N818  (a peer that is not here is no error)
    """Who cannot take part, and in a word why."""


def python(module: str, *arguments: str | Path) -> list[str]:
    """The command that runs a module of ours with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def cpu_seconds(pid: int) -> float:
    """Processor seconds that a process of any user has used so far, to the nanosecond.

    Linux numbers the clocks of other processes: the complement of the pid, and which clock.
    """
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


def place(pid: int, processors: Collection[int]) -> None:
    """Have all threads of a process, and those they start, run on some processors only."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread), processors)


class Peak:
    """By how much the resident memory of a process exceeds what it is now, at its highest."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        (self._process / "clear_refs").write_text("5")  # the highest is now what is
        self._before = self._size("VmRSS")

    def growth(self) -> int:
        """Bytes."""
        return max(0, self._size("VmHWM") - self._before)

    def _size(self, name: str) -> int:
        for line in (self._process / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
        raise ValueError(f"{self._process}: no {name}")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a worker's operation took.

    Attributes:
        seconds: by the clock.
        cpu: processor seconds of the worker.
        memory: bytes by which its memory grew at most.
    """

    seconds: float
    cpu: float
    memory: int


class Worker:
    """A client in a process of its own.

    Attributes:
        pid: of the process.
        operations: what it can be asked for.
    """

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid
        self.operations: list[str] = self._answer()

    def run(self, operation: str, number: int) -> Usage:
        """Repeat an operation, or move so many bytes, and wait until that is done."""
        _pipe(self._process.stdin).write(f"{operation} {number}\n")
        _pipe(self._process.stdin).flush()
        return Usage(*self._answer())

    def _answer(self) -> Any:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self._log.stem} ended:\n{self._log.read_text()}")
        return json.loads(line)


@contextmanager
def worker(command: Sequence[str], log: Path) -> Iterator[Worker]:
    """Start a worker, and end it by closing its input."""
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603  (our own modules)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield Worker(process, log)
    finally:
        _pipe(process.stdin).close()
        _wait(process)
        _pipe(process.stdout).close()


@contextmanager
def server(
    command: Sequence[str | Path],
    path: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Start a server, give its pid once its UNIX socket accepts, and end it.

    Raises:
        RuntimeError: it ended, or does not accept; with what it had to say.
    """
    with log.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603  (our own modules, and daemons)
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env=None if environment is None else dict(environment),
        )
    try:
        if not _accepts(process, path):
            raise RuntimeError(f"{log.stem} does not start:\n{log.read_text()}")
        yield process.pid
    finally:
        process.terminate()
        _wait(process)


def _accepts(process: subprocess.Popen[bytes], path: Path) -> bool:
    deadline = time.monotonic() + DEADLINE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as trial:
                trial.connect(os.fspath(path))
        except OSError:
            time.sleep(_STEP)
        else:
            return True
    return False


def _wait(process: subprocess.Popen[Any]) -> None:
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("a worker has pipes")
    return stream
