"""SIGKILL at any instant leaves nothing that keeps the next start from succeeding at once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from daemon.served import PLUS
from daemon.starting import DEADLINE, process

from rpcgen.runtime import TransportError, connect

KILLS = 100


def test_100_kills_under_load(tmp_path: Path) -> None:
    chance = random.Random(4)  # noqa: S311  (no secret)
    with process(tmp_path, forks=True) as starter:
        told, said = starter.process.stdin, starter.process.stdout
        assert told
        assert said
        load = Load(starter.address)
        for _ in range(KILLS):
            before = made(tmp_path / "a")
            told.write("\n")
            told.flush()
            pid = int(said.readline())
            match chance.choice(["at once", "pidfile", "socket", "serving", "serving"]):
                case "pidfile":
                    until(partial(says, tmp_path / "pid", str(pid)))
                case "socket":
                    until(partial(is_new, tmp_path / "a", before))
                case "serving":
                    assert starter.notified.next() == "READY"
                    load.answered(chance.randrange(20))
            os.kill(pid, signal.SIGKILL)
            assert int(said.readline()) == signal.SIGKILL
            starter.notified.drain()
        told.write("\n")
        told.flush()
        pid = int(said.readline())
        assert starter.notified.next() == "READY"
        assert (tmp_path / "pid").read_text() == str(pid)
        load.answered(1)
        load.end()
        os.kill(pid, signal.SIGTERM)
        assert int(said.readline()) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "n"]


def until(condition: Callable[[], bool]) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline


def says(path: Path, text: str) -> bool:
    try:
        return path.read_text() == text
    except FileNotFoundError:
        return False


def made(path: Path) -> int | None:
    """When; the number of an inode may be the one before's."""
    try:
        return path.stat().st_ctime_ns
    except FileNotFoundError:
        return None


def is_new(path: Path, before: int | None) -> bool:
    return made(path) != before


class Load:
    """A thread that calls without pause, and connects again whenever the daemon is gone."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_over = False
        self._answers = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def answered(self, count: int) -> None:
        """Wait until so many more calls have been answered."""
        while self._answers.acquire(blocking=False):
            pass
        for _ in range(count):
            assert self._answers.acquire(timeout=DEADLINE)

    def end(self) -> None:
        """Call no more."""
        self._is_over = True
        self._thread.join(DEADLINE)

    def _run(self) -> None:
        while not self._is_over:
            try:
                with connect(self._address) as connection:
                    while not self._is_over:
                        assert connection.call(PLUS, 1, DEADLINE) == 2
                        self._answers.release()
            except TransportError:
                pass
