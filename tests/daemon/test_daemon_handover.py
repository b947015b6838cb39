"""SIGUSR1: a daemon becomes its own command anew, and nobody who is connected notices."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from daemon.served import HELD, HOLD, PLUS
from daemon.starting import DEADLINE, SERVED, Started, daemon, numbers
from daemon.test_daemon_reload import Load

from rpcgen.runtime import ConnectionClosed, Server, connect
from rpcgen.runtime.daemon import Daemon, Heritage
from rpcgen.runtime.daemon.parameters import unsigned
from rpcgen.runtime.daemon.succession import Succession
from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process import read_pidfile_if_locked, save_state
from rpcgen.runtime.server.saved import SavedClient, SavedServer, SavedSocket


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Started]:
    with daemon(tmp_path, state=f"{tmp_path}/state") as started:
        yield started


def hand_over(started: Started) -> None:
    """Have it become a new program, and wait until that serves."""
    started.signal(signal.SIGUSR1)
    assert started.notified.next() == "RELOADING MONOTONIC_USEC"
    assert started.notified.next() == "READY"


def test_no_call_is_lost_and_no_connection(one: Started) -> None:
    load = [Load(one.address) for _ in range(3)]
    with one.administrator() as admin, connect(one.address) as idle:
        assert idle.call(PLUS, 1, DEADLINE) == 2
        for _ in range(5):
            hand_over(one)
            assert read_pidfile_if_locked(one.folder / "pid") == one.process.pid
            assert not (one.folder / "state").exists()
            assert idle.call(PLUS, 1, DEADLINE) == 2
        assert len(admin.server_list_clients(SERVED, 1).clients) == 4
    assert min(each.ended() for each in load) > 0


def test_what_the_administrator_has_set_goes_along(one: Started) -> None:
    with one.administrator() as admin:
        admin.server_set_client_limits(SERVED, unsigned(nclients_max=77))
        hand_over(one)
        assert numbers(admin.server_get_client_limits(SERVED))["nclients_max"] == 77


def test_a_stop_meanwhile_is_a_stop(one: Started) -> None:
    """A worker holds the hand-over up; a call that waits for it is answered all the same."""
    with connect(one.address) as connection, connect(one.address) as other:
        errors: list[Exception | None] = []

        def hold() -> None:
            try:
                connection.call(HOLD, None, DEADLINE)
                errors.append(None)
            except ConnectionClosed as error:
                errors.append(error)

        thread = threading.Thread(target=hold)
        thread.start()
        other.call(HELD, None, DEADLINE)
        one.signal(signal.SIGUSR1)
        assert one.notified.next() == "RELOADING MONOTONIC_USEC"
        one.signal(signal.SIGTERM)
        assert one.notified.next() == "STOPPING"
        assert one.process.stdin is not None
        one.process.stdin.write("x")
        one.process.stdin.flush()
        thread.join(DEADLINE)
        assert errors == [None]
    assert one.ended() == 0
    assert sorted(os.listdir(one.folder)) == ["log", "n"]


def test_a_command_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """The state cannot be written, so there is no next program; signals and clients are as before."""
    state = tmp_path / "none" / "state"
    with (
        daemon(tmp_path, state=str(state), configuration="") as one,
        connect(one.address) as connection,
        one.administrator() as admin,
    ):
        for turn in range(1, 4):
            hand_over(one)
            assert connection.call(PLUS, turn, DEADLINE) == turn + 1
            assert one.log.read_text().count("going on as before") == turn
        one.reload("[servers.served]\nmax_clients = 33\n")
        assert numbers(admin.server_get_client_limits(SERVED))["nclients_max"] == 33


def test_what_cannot_be_saved_changes_nothing(tmp_path: Path) -> None:
    with (
        daemon(tmp_path, state=f"{tmp_path}/state", heritage="unsaved") as one,
        connect(one.address) as connection,
    ):
        for turn in range(1, 3):
            hand_over(one)
            assert connection.call(PLUS, turn, DEADLINE) == turn + 1
            assert one.log.read_text().count("TypeError: Object of type object is not") == turn
        assert not (tmp_path / "state").exists()


def test_a_stop_that_another_thread_gets_is_a_stop(tmp_path: Path) -> None:
    """Signals wait in the main thread only: the next program would never hear of it."""
    with daemon(tmp_path, state=f"{tmp_path}/state", heritage="stopped") as one:
        one.signal(signal.SIGUSR1)
        assert one.notified.next() == "RELOADING MONOTONIC_USEC"
        assert one.notified.next() == "STOPPING"
        assert one.ended() == 0
    assert sorted(os.listdir(tmp_path)) == ["log", "n"]


class Adds(Heritage):
    """A program with a word of its own."""

    def restore(self, state: Mapping[str, object]) -> None:
        if "word" not in state:
            raise ValueError("state.word: missing")


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({}, r"state: expected an object, got None"),
        ({"daemon": {"servers": {}}, "pidfile": "7"}, r"state\.pidfile: expected an integer"),
        ({"daemon": {"servers": {}}}, r"state\.word: missing"),
    ],
)
def test_a_state_that_cannot_be_is_told(tmp_path: Path, state: object, problem: str) -> None:
    path = tmp_path / "state"
    assert isinstance(state, dict)
    save_state(path, state)
    with pytest.raises(ProcessError, match=problem):
        Succession(str(path), Adds(), ["a"]).take()
    assert not path.exists()


def test_sigusr1_is_the_daemons_if_it_has_a_state() -> None:
    signals: dict[int, Any] = {signal.SIGUSR1: lambda _: None}
    Daemon({"a": Server([])}, name="a", signals=signals)
    with pytest.raises(ValueError, match="the daemon itself handles SIGUSR1"):
        Daemon({"a": Server([])}, name="a", state="/x", signals=signals)


def test_a_server_that_is_there_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    daemon_ = Daemon({"a": Server([])}, name="a", state=str(tmp_path / "state"))
    before = len(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair()
    client = SavedClient(1, 0, False, False, 5, 0, SavedSocket(theirs.detach(), True, False))
    saved = SavedServer(1, 1, 0, 1, 1, (5, 5), clients=[client])
    daemon_._restore({"gone": saved})
    with ours:
        assert ours.recv(1) == b""
    assert len(os.listdir("/proc/self/fd")) == before
    assert "server gone is there no more, and its clients are not served" in caplog.messages
