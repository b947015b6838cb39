"""When a daemon ends by itself: by its own clock, which the test turns."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcgen.runtime.process.idle import _NEXT, IdleState, IdleTimer, _Input


def test_without_a_timeout_it_never_ends() -> None:
    timer = IdleTimer()
    assert (timer.state, timer.deadline, timer.timeout) == (IdleState.OFF, None, 0)
    timer.set_clients(1, 5)
    timer.set_clients(0, 6)
    assert not timer.poll(1e9)
    assert timer.state is IdleState.OFF


def test_a_daemon_that_nobody_comes_to_ends() -> None:
    timer = IdleTimer(30, now=100)
    assert (timer.state, timer.deadline) == (IdleState.WAITING, 130)
    assert not timer.poll(129.9)
    assert timer.poll(130)
    assert (timer.state, timer.deadline) == (IdleState.QUIT, None)


def test_clients_stop_the_clock_and_the_last_one_starts_it() -> None:
    timer = IdleTimer(30)
    timer.set_clients(1, 10)
    assert (timer.state, timer.deadline) == (IdleState.BUSY, None)
    assert not timer.poll(1000)
    timer.set_clients(2, 1000)
    timer.set_clients(1, 1001)
    assert timer.state is IdleState.BUSY
    timer.set_clients(0, 1002)
    assert timer.deadline == 1032


def test_no_clients_still_are_no_news() -> None:
    timer = IdleTimer(30)
    timer.set_clients(0, 20)
    assert timer.deadline == 30


def test_an_inhibitor_makes_the_time_run_anew() -> None:
    timer = IdleTimer(30)
    with timer.inhibit("copying"), timer.inhibit("backing up"):
        assert timer.inhibitions == ["backing up", "copying"]
        assert not timer.poll(35)
        assert (timer.state, timer.deadline) == (IdleState.WAITING, 65)
    assert timer.inhibitions == []
    assert not timer.poll(64)
    assert timer.poll(65)


def test_each_inhibitor_counts_and_is_released_once() -> None:
    timer = IdleTimer(30)
    first, second = timer.inhibit("same"), timer.inhibit("same")
    first.release()
    first.release()
    assert timer.inhibitions == [second.reason]
    assert not timer.poll(30)
    second.release()
    assert timer.poll(60)


def test_threads_may_inhibit() -> None:
    timer = IdleTimer(30)

    def work() -> None:
        for _ in range(1000):
            with timer.inhibit("work"):
                assert timer.inhibitions

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert timer.inhibitions == []


def test_a_new_timeout_counts_from_now() -> None:
    timer = IdleTimer(30)
    timer.set_timeout(10, 25)
    assert not timer.poll(34)
    assert timer.deadline == 35
    timer.set_timeout(0, 26)
    assert not timer.poll(1000)
    timer.set_clients(3, 1001)
    timer.set_timeout(10, 1002)
    assert timer.state is IdleState.BUSY
    timer.set_clients(0, 1003)
    assert timer.deadline == 1013


def test_who_is_to_end_ends() -> None:
    timer = IdleTimer(30)
    assert timer.poll(30)
    timer.set_clients(1, 31)
    timer.set_clients(0, 32)
    timer.set_timeout(0, 33)
    timer.set_timeout(50, 34)
    assert timer.poll(35)
    assert timer.deadline is None


@pytest.mark.parametrize("timeout", [-1, -0.5, float("nan")])
def test_a_timeout_is_not_negative(timeout: float) -> None:
    timer = IdleTimer(30)
    with pytest.raises(ValueError, match="0 seconds or more"):
        timer.set_timeout(timeout, 0)
    assert timer.deadline == 30


def test_the_table_knows_every_input_that_can_come() -> None:
    timed = {_Input.TIME_IS_UP, _Input.INHIBITED}
    for state, came in itertools.product(IdleState, _Input):
        assert (came in _NEXT[state]) is (state is IdleState.WAITING or came not in timed)


STEPS = st.sampled_from(["clients", "none", "poll", "on", "off"])


@given(st.lists(st.tuples(STEPS, st.integers(0, 40))))
def test_it_ends_exactly_when_nobody_came_for_the_timeout(steps: list[tuple[str, int]]) -> None:
    timer = IdleTimer(30, now=0)
    now, since, has_timeout, has_clients, is_over = 0, 0, True, False, False
    for step, seconds in steps:
        now += seconds
        match step:
            case "clients" | "none":
                timer.set_clients(5 if step == "clients" else 0, now)
                since = now if has_clients else since
                has_clients = step == "clients"
            case "on" | "off":
                timer.set_timeout(30 if step == "on" else 0, now)
                since, has_timeout = now, step == "on"
            case "poll":
                is_over |= has_timeout and not has_clients and now - since >= 30
        if step == "poll":
            assert timer.poll(now) is is_over
