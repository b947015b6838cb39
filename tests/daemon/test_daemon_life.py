"""A daemon from its start to its end: pidfile, readiness, signals, idle timeout, errors of the start."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon.served import HELD, HOLD, PLUS, Served
from daemon.starting import DEADLINE, Started, daemon, process

from rpcgen.runtime import ConnectError, ConnectionClosed, connect
from rpcgen.runtime.daemon import ConfigurationError, Daemon, exit_code
from rpcgen.runtime.daemon.idlewatch import IdleWatch
from rpcgen.runtime.process import PidfileBusy, ProcessError, read_pidfile_if_locked
from rpcgen.runtime.process.daemonize import ExitCode
from rpcgen.runtime.process.signals import SignalRecord
from rpcgen.runtime.server import Server

STOP = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]


@pytest.mark.parametrize("number", STOP)
def test_it_serves_until_a_signal_and_leaves_nothing(number: int, tmp_path: Path) -> None:
    with daemon(tmp_path) as started:
        assert read_pidfile_if_locked(tmp_path / "pid") == started.process.pid
        with connect(started.address) as connection:
            assert connection.call(PLUS, 1, DEADLINE) == 2
        started.signal(number)
        assert started.notified.next() == "STOPPING"
        assert started.ended() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "n"]


@contextmanager
def holding(started: Started) -> Iterator[Future[None]]:
    """A call that is under way."""
    with (
        connect(started.address) as one,
        connect(started.address) as other,
        ThreadPoolExecutor() as pool,
    ):
        call = pool.submit(one.call, HOLD, None, DEADLINE)
        other.call(HELD, None, DEADLINE)
        yield call


def test_what_was_accepted_is_answered(tmp_path: Path) -> None:
    with daemon(tmp_path) as started, holding(started) as call:
        started.signal()
        assert started.notified.next() == "STOPPING"
        assert not call.done()
        assert started.process.stdin
        started.process.stdin.write("x")
        started.process.stdin.flush()
        call.result(DEADLINE)


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with daemon(tmp_path) as started, holding(started) as call:
        started.signal(signal.SIGINT)
        assert started.notified.next() == "STOPPING"
        started.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            call.result(DEADLINE)
        assert started.ended() == 0
    assert not (tmp_path / "pid").exists()


def test_it_ends_when_nobody_comes(tmp_path: Path) -> None:
    with daemon(tmp_path, idle_timeout=0.01) as started:
        assert started.ended() == 0


def test_the_watchdog_is_told(tmp_path: Path) -> None:
    with process(tmp_path, {"WATCHDOG_USEC": "20000"}) as started:
        assert {started.notified.next() for _ in range(4)} == {"READY", "WATCHDOG"}
        started.signal()
        assert started.ended() == 0


def test_one_instance_only(tmp_path: Path) -> None:
    with daemon(tmp_path) as started:
        (tmp_path / "n").unlink()
        with process(tmp_path) as second:
            assert second.ended() == ExitCode.PIDFILE
            assert second.process.stderr
            error = second.process.stderr.read()
        holder = f"{tmp_path}/pid: held by process {started.process.pid}"
        assert error.startswith(f"PidfileBusy: {holder}")
        with connect(started.address) as connection:
            assert connection.call(PLUS, 1, DEADLINE) == 2


def test_a_wrong_file_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("\n[servers.served]\nmax_clients = 0\n")
    with process(tmp_path, configuration=str(file)) as started:
        assert started.ended() == ExitCode.CONFIG
        assert started.process.stderr
        assert started.process.stderr.read() == (
            f"ConfigurationError: {file}: 3: servers.served.max_clients:"
            " expected a whole number from 1 to 1000000, got 0\n"
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.toml", "n"]


def test_an_address_that_cannot_be_listened_at(tmp_path: Path) -> None:
    with process(tmp_path, admin=f"unix://{tmp_path}/none/a") as started:
        assert started.ended() == ExitCode.NETWORK
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "n"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PidfileBusy("x"), ExitCode.PIDFILE),
        (ConfigurationError("x", 1, "", ""), ExitCode.CONFIG),
        (ConnectError("x"), ExitCode.NETWORK),
        (ProcessError("x"), ExitCode.INIT),
        (KeyboardInterrupt(), ExitCode.INIT),
    ],
)
def test_exit_codes(error: BaseException, code: ExitCode) -> None:
    assert exit_code(error) == code


def test_signals_want_the_main_thread(tmp_path: Path) -> None:
    one = Daemon({}, name="x", pidfile=f"{tmp_path}/pid")
    with ThreadPoolExecutor() as pool, pytest.raises(ProcessError, match="main thread"):
        pool.submit(one.run).result(DEADLINE)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_runs_in_this_process_until_it_is_told(loop: str, tmp_path: Path) -> None:
    server = Server([Served()], listen=[f"unix://{tmp_path}/s"])
    one = Daemon(
        {"served": server},
        name="x",
        log_outputs=f"1:file:{tmp_path}/log",
        loop_factory=None if loop == "asyncio" else pytest.importorskip(loop).new_event_loop,
    )
    before = {number: signal.getsignal(number) for number in [*STOP, signal.SIGHUP]}
    one.stop()  # nothing runs

    def tell() -> None:
        while not server.addresses:
            pass
        with connect(f"unix://{tmp_path}/s") as connection:
            connection.call(PLUS, 1, DEADLINE)
        one.stop()

    thread = threading.Thread(target=tell)
    thread.start()
    one.run()
    thread.join(DEADLINE)
    assert {number: signal.getsignal(number) for number in before} == before
    with pytest.raises(ProcessError, match="does not run"):
        _ = one.logs
    with pytest.raises(ProcessError, match="runs once"):
        one.run()


def test_a_signal_of_the_programs_own(tmp_path: Path) -> None:
    records: list[SignalRecord] = []

    def told(record: SignalRecord) -> None:
        records.append(record)
        one.stop()

    one = Daemon({}, name="x", log_outputs=f"1:file:{tmp_path}/log", signals={signal.SIGUSR1: told})
    with sent_once_handled(signal.SIGUSR1):
        one.run()
    assert records[0].number == signal.SIGUSR1


@contextmanager
def sent_once_handled(number: int) -> Iterator[None]:
    """Send this process a signal as soon as somebody handles it."""
    before = signal.getsignal(number)

    def send() -> None:
        while signal.getsignal(number) == before:
            pass
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join(DEADLINE)


def test_the_daemons_own_signals_are_not_given_away() -> None:
    with pytest.raises(ValueError, match="handles SIGHUP, SIGTERM"):
        Daemon({}, name="x", signals={signal.SIGTERM: print, signal.SIGHUP: print})


def test_no_server_takes_the_name_of_the_admin_programs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'admin'"):
        Daemon({"admin": Server([])}, name="x", admin=f"unix://{tmp_path}/a")


def test_a_client_keeps_it_and_its_end_does_not() -> None:
    async def watch() -> None:
        ended = asyncio.Event()
        async with Server([Served()]) as server:
            idle = IdleWatch([server], ended.set)
            idle.start()
            client = server.dial()
            while not server.sessions:
                await asyncio.sleep(0)
            idle.set_timeout(0.01)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.05)
            inhibitor = idle.inhibit("a test")
            client.close()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ended.wait(), 0.05)
            inhibitor.release()
            await asyncio.wait_for(ended.wait(), DEADLINE)
            idle.close()

    asyncio.run(watch())
