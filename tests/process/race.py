"""A script: many processes race for one pidfile and die at random, and the kernel is the judge.

Whoever has the pidfile locks an arena of its own kind, too. A second one there is a second
holder. The arena has a lower descriptor than the pidfile, and the kernel closes those of the dead
from low to high: nobody can get a dead holder's pidfile before its arena.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rpcgen.runtime.process import Pidfile, PidfileBusy, pidfile, read_pidfile_if_locked

LOW = os.open(os.devnull, os.O_RDWR)
ENTERED = struct.Struct("=i")

SECOND_HOLDER, NOT_ITS_PID, RELEASED_WRONGLY = 3, 4, 5


def enter(arena: Path) -> None:
    """Be the only one in the arena."""
    fd = os.open(arena, os.O_RDWR | os.O_CREAT)
    os.dup2(fd, LOW)
    os.close(fd)
    try:
        fcntl.lockf(LOW, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os._exit(SECOND_HOLDER)


def race(path: Path, dice: random.Random, entered: int, rounds: int, *, disturbed: bool) -> None:
    """Acquire and release, or leave without a word.

    If others remove the file while it is held, there is nothing that could keep a next one from
    holding the next file. Each file then has an arena.
    """
    for _ in range(rounds):
        try:
            held = Pidfile.acquire(path, wait=dice.random() < 0.7)
        except PidfileBusy as busy:
            if busy.pid == os.getpid():
                os._exit(RELEASED_WRONGLY)
            continue
        name = str(os.fstat(held.fd).st_ino) if disturbed else "one"
        enter(path.with_name(f"arena-{name}"))
        if os.pread(held.fd, 64, 0) != str(os.getpid()).encode():
            os._exit(NOT_ITS_PID)
        os.write(entered, ENTERED.pack(os.getpid()))
        for _ in range(dice.randrange(3000)):
            pass
        if dice.random() < 0.2:
            os._exit(0)
        fcntl.lockf(LOW, fcntl.LOCK_UN)
        held.release()


def disturb(path: Path, parent: int) -> None:
    """What an administrator should not do: remove the file, and make another, time and again."""
    stale = path.with_name("stale")
    while os.getppid() == parent:
        stale.write_text("12345")
        path.unlink(missing_ok=True)
        with suppress(FileExistsError):
            path.hardlink_to(stale)  # it appears with something in it
        stale.unlink()


def start(function: Callable[..., None], *arguments: object) -> int:
    """Fork a process that does one thing, and ends with its parent."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        function(*arguments)
        status = 0
    finally:
        os._exit(status)


def main(folder: Path, count: int, rounds: int, *, disturbed: bool) -> dict[str, int]:
    """Let them race, kill some, and count how they ended."""
    path = folder / "x.pid"
    pest = start(disturb, path, os.getpid()) if disturbed else 0  # before there are pipes
    waits, go = os.pipe()
    hears, entered = os.pipe()

    def begin(number: int) -> None:
        os.close(go)
        os.read(waits, 1)  # ends when all are there
        race(
            path,
            random.Random(number),  # noqa: S311  (a game)
            entered,
            rounds,
            disturbed=disturbed,
        )

    living = {start(begin, number) for number in range(count)}
    os.close(entered)
    os.close(go)
    acquired, codes = referee(hears, living)
    if pest:
        os.kill(pest, signal.SIGKILL)
        os.waitpid(pest, 0)
    check_usable(path)
    counts = Counter(codes)
    killed, left = counts.pop(-signal.SIGKILL, 0), counts.pop(0, 0)
    return {"acquired": acquired, "killed": killed, "left": left, "wrong": counts.total()}


def referee(hears: int, living: set[int]) -> tuple[int, list[int]]:
    """Kill some whenever somebody has it, the holder or another; how often, and how all ended."""
    dice = random.Random(len(living))  # noqa: S311
    codes = []
    acquired = 0
    while message := os.read(hears, ENTERED.size):
        acquired += 1
        draw = dice.random()
        (holder,) = ENTERED.unpack(message)
        victim = holder if draw < 0.2 else dice.choice(sorted(living)) if draw < 0.4 else 0
        if victim in living:
            os.kill(victim, signal.SIGKILL)
            codes.append(status_of(victim))
            living.discard(victim)
    return acquired, codes + [status_of(pid) for pid in living]


def status_of(pid: int) -> int:
    """How a child has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def check_usable(path: Path) -> None:
    """What is left is not stuck, whoever died in the middle of what."""
    if path.exists():
        assert read_pidfile_if_locked(path) is None
    with pidfile(path):
        assert path.read_text() == str(os.getpid())
    assert not path.exists()


if __name__ == "__main__":
    place, number, turns, pest = sys.argv[1:]
    done = main(Path(place), int(number), int(turns), disturbed=pest == "disturbed")
    sys.stdout.write(json.dumps(done))
