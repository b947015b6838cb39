"""Workers: how many there are, who takes what, and how they end. Barriers decide, not time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from raw import DEADLINE
from server.kit import PLAIN, URGENT, Busy, connect, number, offering, serving, settle

from rpcgen.runtime.server.workers import StreamThreads, Workers


@contextmanager
def pool(minimum: int, maximum: int, priority: int) -> Iterator[Workers]:
    """Workers that have ended when the block is left."""
    before = threading.active_count()
    workers = Workers(minimum, maximum, priority)
    try:
        yield workers
    finally:
        ended = threading.Event()
        workers.stop(ended.set)
        assert ended.wait(DEADLINE)
        assert workers.size == 0
        settle(lambda: threading.active_count() == before)


def test_a_pool_grows_from_minimum_to_maximum() -> None:
    busy = Busy()
    with pool(2, 4, 0) as workers:
        for size in (2, 2, 3, 4):
            workers.submit(busy)
            busy.wait(1)
            assert workers.size == size
        workers.submit(busy)
        assert (workers.size, workers.free, workers.queued) == (4, 0, 1)
        busy.let_go()
        busy.wait(1)


def test_a_pool_grows_only_when_nobody_is_free() -> None:
    done = threading.Event()
    with pool(1, 10, 0) as workers:
        for _ in range(50):
            settle(lambda: workers.free == workers.size)
            done.clear()
            workers.submit(done.set)
            assert done.wait(DEADLINE)
        assert workers.size == 1


def test_all_workers_can_be_busy_at_once() -> None:
    barrier = threading.Barrier(21)
    with pool(5, 20, 0) as workers:
        for _ in range(20):
            workers.submit(lambda: barrier.wait(DEADLINE))
        barrier.wait(DEADLINE)


def test_priority_workers_take_urgent_jobs_only() -> None:
    busy, urgent = Busy(), Busy()
    with pool(1, 1, 1) as workers:
        workers.submit(busy)
        busy.wait(1)
        workers.submit(busy)
        workers.submit(urgent, urgent=True)
        urgent.wait(1)
        assert (busy.has_more(), workers.queued) == (False, 1)
        assert urgent.names == ["rpc priority worker"]
        busy.let_go()
        busy.wait(1)
        urgent.let_go()


def test_urgent_jobs_leave_nothing_in_the_other_queue() -> None:
    busy = Busy()
    with pool(1, 1, 1) as workers:
        workers.submit(busy)
        busy.wait(1)
        for _ in range(100):
            done = threading.Event()
            workers.submit(done.set, urgent=True)
            assert done.wait(DEADLINE)
        assert len(workers._jobs) == len(workers._urgent) == 0
        busy.let_go()


def test_a_job_can_be_taken_back_until_it_has_begun() -> None:
    busy, never = Busy(), Busy()
    threads = StreamThreads(1)
    with pool(1, 1, 0) as workers:
        both: list[Workers | StreamThreads] = [workers, threads]
        for jobs in both:
            begun = jobs.submit(busy)
            busy.wait(1)
            waiting = [jobs.submit(never), jobs.submit(never)]
            assert not jobs.withdraw(begun)
            assert [jobs.withdraw(number) for number in waiting] == [True, True]
            assert not jobs.withdraw(waiting[0])
        urgent = workers.submit(never, urgent=True)
        assert workers.withdraw(urgent)
        assert (workers.queued, len(workers._urgent)) == (0, 0)
        busy.let_go()
    settle(lambda: threads.size == 0)
    assert never.names == []


def test_a_pool_that_nobody_needed_ends_at_once() -> None:
    with pool(0, 1, 0) as workers:
        assert workers.size == 0


def test_ordinary_workers_take_what_came_first() -> None:
    order: list[int] = []
    done = threading.Event()
    busy = Busy()
    with pool(1, 1, 0) as workers:
        workers.submit(busy)
        busy.wait(1)
        for i in range(20):
            workers.submit(lambda i=i: order.append(i), urgent=i % 2 == 0)  # type: ignore[misc]
        workers.submit(done.set)
        busy.let_go()
        assert done.wait(DEADLINE)
        assert order == list(range(20))
        assert workers.queued == 0


def test_a_job_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    with pool(1, 1, 0) as workers:
        workers.submit(lambda: exit(3))
        workers.submit(done.set)
        assert done.wait(DEADLINE)
        assert workers.size == 1
    assert caplog.messages == ["a job failed"]


def test_shrinking_lets_busy_workers_finish() -> None:
    busy = Busy()
    with pool(4, 4, 2) as workers:
        for _ in range(4):
            workers.submit(busy)
        busy.wait(4)
        workers.resize(1, 1, 0)
        assert workers.size == 4
        workers.submit(busy)
        busy.let_go()
        busy.wait(1)
        settle(lambda: workers.size == 1)


def test_growing_brings_what_was_waited_for() -> None:
    busy = Busy()
    with pool(1, 1, 0) as workers:
        for _ in range(3):
            workers.submit(busy)
        busy.wait(1)
        workers.resize(3, 3, 0)
        busy.wait(2)
        busy.let_go()


def test_stopping_does_what_is_queued() -> None:
    results: list[int] = []
    with pool(1, 1, 1) as workers:
        for i in range(100):
            workers.submit(lambda i=i: results.append(i))  # type: ignore[misc]
    assert results == list(range(100))


def test_stream_threads_are_bounded_and_end() -> None:
    busy, ended = Busy(), threading.Event()
    threads = StreamThreads(2)
    for _ in range(4):
        threads.submit(busy)
    busy.wait(2)
    assert (threads.size, busy.has_more()) == (2, False)
    threads.stop(ended.set)
    assert not ended.is_set()
    busy.let_go()
    busy.wait(2)
    assert ended.wait(DEADLINE)
    assert threads.size == 0


def test_a_system_without_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = threading.Semaphore(0)
    ended = threading.Event()
    threads = StreamThreads(9)
    with pool(1, 9, 0) as workers:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fails)
            for _ in range(20):
                workers.submit(done.release)
            threads.submit(done.release)
            settle(lambda: workers.size <= 1)  # a trial counts for as long as it lasts
            assert threads.size == 0
        threads.submit(done.release)
        for _ in range(22):
            assert done.acquire(timeout=DEADLINE)
        threads.stop(ended.set)
        assert ended.wait(DEADLINE)
    assert "no thread for a stream: can't start new thread" in caplog.messages


# On a server


def test_methods_overlap() -> None:
    """The diagram "overlapping methods" of the protocol's overview: two workers serve one client."""
    begun = {1: threading.Event(), 2: threading.Event()}
    gates = {1: threading.Event(), 2: threading.Event()}

    def method(_: object, value: int) -> int:
        begun[value].set()
        assert gates[value].wait(DEADLINE)
        return value

    with serving(offering(plain=method)) as server, connect(server) as raw:
        raw.send(raw.packet(PLAIN.number, number(1), serial=1))
        assert begun[1].wait(DEADLINE)
        raw.send(raw.packet(PLAIN.number, number(2), serial=2))
        assert begun[2].wait(DEADLINE)  # worker 1 is still at work
        gates[1].set()
        assert raw.read().serial == 1
        gates[2].set()
        assert raw.read().serial == 2


def test_urgent_calls_pass_when_all_workers_are_busy() -> None:
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value), urgent=lambda _, value: value)
    with (
        serving(handlers, min_workers=1, max_workers=2, priority_workers=1) as server,
        connect(server) as one,
        connect(server) as other,
    ):
        one.send(*(one.packet(PLAIN.number, number(i), serial=i) for i in range(3)))
        busy.wait(2)
        assert other.call(URGENT.number, number(7)).payload == number(7)
        assert server.statistics.workers == 2
        assert server.statistics.free_workers == 0
        assert server.statistics.queued_jobs == 1
        busy.let_go()
        assert {one.read().serial for _ in range(3)} == {0, 1, 2}


def test_workers_are_changed_at_run_time() -> None:
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value))
    with (
        serving(handlers, min_workers=1, max_workers=1, priority_workers=0) as server,
        connect(server) as raw,
    ):
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(3)))
        busy.wait(1)
        server.set_workers(2, 3, 1)
        busy.wait(2)
        assert (server.statistics.workers, server.statistics.priority_workers) == (3, 1)
        busy.let_go()
        assert {raw.read().serial for _ in range(3)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ((1, 2, 0), (2, 1, 0), "min <= max"),
        ((1, 2, 0), (-1, 1, 0), "0 <= min"),
        ((1, 2, 0), (1, 1, -1), "priority >= 0"),
        ((1, 2, 0), (0, 0, 0), "cannot change over"),
        ((0, 0, 0), (1, 2, 0), "cannot change over"),
    ],
)
def test_numbers_of_workers_that_make_no_sense(
    before: tuple[int, int, int], after: tuple[int, int, int], problem: str
) -> None:
    minimum, maximum, priority = before
    server = serving(
        offering(), min_workers=minimum, max_workers=maximum, priority_workers=priority
    )
    with pytest.raises(ValueError, match=problem):
        server.set_workers(*after)
