"""A reload that is asked for by a signal: one at a time, and none is forgotten."""

from __future__ import annotations

import threading

import pytest
from process.kit import DEADLINE, run

from rpcgen.runtime.process import Reloader


class Gate:
    """A reload that the test lets through, one by one."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.count = 0
        self.running = 0
        self.most = 0
        self.errors: list[Exception] = []
        self.broken: BaseException | None = None

    def reload(self) -> None:
        self.running += 1
        self.count += 1
        self.most = max(self.most, self.running)
        self.begun.release()
        assert self.may_end.acquire(timeout=DEADLINE)
        self.running -= 1
        if self.broken is not None:
            raise self.broken


def started(gate: Gate) -> Reloader:
    """A reloader that is in its first reload."""
    reloader = Reloader(gate.reload, gate.errors.append)
    reloader()
    assert gate.begun.acquire(timeout=DEADLINE)
    return reloader


def test_one_that_came_meanwhile_runs_afterwards_and_once() -> None:
    gate = Gate()
    reloader = started(gate)
    for _ in range(500):
        reloader()
    assert gate.count == 1
    gate.may_end.release()
    assert gate.begun.acquire(timeout=DEADLINE)
    gate.may_end.release()
    assert settled(reloader)
    assert (gate.count, gate.most, gate.errors) == (2, 1, [])


def settled(reloader: Reloader) -> bool:
    """Whether the thread ends by itself: nothing more is to be done."""
    thread = reloader._thread
    if thread is not None:
        thread.join(DEADLINE)
    return reloader._thread is None


def test_the_last_state_is_in_force_however_they_fall() -> None:
    state = seen = 0
    errors: list[Exception] = []

    def reload() -> None:
        nonlocal seen
        seen = state

    reloader = Reloader(reload, errors.append)
    for state in range(1, 301):  # noqa: B007  (what the reload reads)
        reloader()
    assert settled(reloader)
    assert (seen, state, errors) == (300, 300, [])


def test_what_fails_is_told_and_the_next_tries_anew() -> None:
    gate = Gate()
    gate.broken = LookupError("line 3")
    gate.may_end.release()
    reloader = started(gate)
    assert settled(reloader)
    assert gate.errors == [gate.broken]
    gate.broken = None
    gate.may_end.release()
    reloader()
    assert settled(reloader)
    assert (gate.count, len(gate.errors)) == (2, 1)


def test_a_telling_that_fails_ends_the_thread_and_not_reloading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def fail(error: Exception) -> None:
        raise error

    def reload() -> None:
        raise LookupError

    reloader = Reloader(reload, fail)
    for number in (1, 2):
        reloader()
        for thread in threading.enumerate():
            if thread.name == "rpcgen reload":
                thread.join(DEADLINE)
        assert len(told) == number


def test_closing_waits_and_begins_no_more() -> None:
    gate = Gate()
    reloader = started(gate)
    reloader()
    assert reloader.close(0) is False
    reloader()
    gate.may_end.release()
    assert reloader.close() is True
    reloader()
    assert reloader.close() is True
    assert gate.count == 1


def test_without_a_thread_to_spare_the_next_signal_tries_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    gate = Gate()
    reloader = Reloader(gate.reload, gate.errors.append)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        reloader()
    assert [str(error) for error in gate.errors] == ["can't start new thread"]
    gate.may_end.release()
    reloader()
    assert settled(reloader)
    assert gate.count == 1


def test_the_loop_serves_while_it_reloads() -> None:
    run("""
import asyncio, os, signal, threading
from rpcgen.runtime.process import Reloader, SignalHandlers
begun, served = threading.Event(), threading.Event()
def reload():
    begun.set()
    assert served.wait(30)                                # only a loop that serves lets it end
async def main():
    os.kill(os.getpid(), signal.SIGHUP)
    while not begun.is_set():
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    served.set()
reloader = Reloader(reload, print)
with SignalHandlers({signal.SIGHUP: reloader}) as handlers:
    async def whole():
        with handlers.attached():
            await main()
    asyncio.run(whole())
    assert reloader.close()
""")
