"""SIGUSR1: the lock daemon becomes its program anew, and no client, no call and no lease is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from lockd.actors import DEADLINE, Connected
from server.kit import is_listening, settle

from rpcgen.runtime.process import read_pidfile_if_locked


class Daemon:
    """A lock daemon in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.address = f"unix://{folder}/s"
        self.pidfile = folder / "pid"
        self.state = folder / "state"
        command = [sys.executable, "-m", "rpcgen.examples.lockd", "--listen", self.address]
        command += ["-p", str(self.pidfile), "--state-file", str(self.state), *options]
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stderr=log, cwd=folder)
        settle(lambda: is_listening(self.address))

    @property
    def program(self) -> str:
        """Where its stack begins: the system chooses that anew for every program, not for every process."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[25]

    def restart(self) -> None:
        """Have it execute itself, and wait until it serves again."""
        before = self.program
        self.process.send_signal(signal.SIGUSR1)
        settle(lambda: self.program != before)
        with Connected(self.address) as client:
            assert client.do("create_lockspace", "") is None

    def stop(self) -> int:
        """End it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Daemon]:
    daemon = Daemon(folder, *options)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait(DEADLINE)


def test_leases_and_clients_outlast_it(tmp_path: Path) -> None:
    space = f"{tmp_path}/space"
    with running(tmp_path) as daemon, Connected(daemon.address) as one:
        assert one.do("register", "one", os.getpid(), 1, 0) is None
        assert one.do("new", space, 0) is None
        assert one.do("acquire_resource", space, "alone", 2) is None
        assert one.do("acquire_resource", space, "shared", 3) is None
        with Connected(daemon.address) as restricted:
            assert restricted.do("register", "two", os.getpid(), 2, 0) is None
            assert restricted.do("restrict", 0) is None
            refused = restricted.do("acquire_resource", space, "alone", 2)
            pid = daemon.process.pid
            for _ in range(3):
                daemon.restart()
                assert daemon.process.pid == pid == read_pidfile_if_locked(daemon.pidfile)
                assert not daemon.state.exists()
                assert restricted.do("acquire_resource", space, "alone", 2) == refused
                with Connected(daemon.address) as other:
                    assert other.do("register", "three", os.getpid() + 1, 3, 0) is None
                    busy = other.do("acquire_resource", space, "alone", 0)
                    assert busy is not None
                    assert busy["code"] == 87
                    assert other.do("acquire_resource", space, "shared", 1) is None
                    assert other.do("release_resource", space, "shared", 0) is None
        assert one.do("release_resource", space, "alone", 0) is None
        assert one.do("release_resource", space, "shared", 0) is None
        assert os.listdir(space) == []
        assert daemon.stop() == 0
        assert not daemon.pidfile.exists()
        assert daemon.log.read_text() == ""


def test_no_call_is_lost_under_load(tmp_path: Path) -> None:
    space = f"{tmp_path}/space"
    ended = threading.Event()

    def loads(number: int) -> int:
        count = 0
        with Connected(daemon.address) as client:
            assert client.do("register", "load", os.getpid(), number + 1, 0) is None
            while not ended.is_set():
                assert client.do("acquire_resource", space, f"r{number}", 2) is None
                counts[number] += 1
                assert client.do("release_resource", space, f"r{number}", 0) is None
                count += 1
        return count

    counts = [0] * 4
    with running(tmp_path) as daemon, ThreadPoolExecutor(4) as threads:
        with Connected(daemon.address) as client:
            assert client.do("create_lockspace", space) is None
        running_loads = [threads.submit(loads, number) for number in range(4)]
        try:
            for _ in range(10):
                before = list(counts)
                daemon.restart()
                settle(lambda before=before: all(a > b for a, b in zip(counts, before, strict=True)))  # type: ignore[misc]
        finally:
            ended.set()
        assert all(one.result(DEADLINE) > 10 for one in running_loads)
        assert daemon.stop() == 0


@pytest.mark.parametrize("count", [2, 20])
def test_signals_that_come_too_soon_end_nothing(tmp_path: Path, count: int) -> None:
    with running(tmp_path) as daemon, Connected(daemon.address) as client:
        assert client.do("create_lockspace", "") is None
        for _ in range(count):
            daemon.process.send_signal(signal.SIGUSR1)
            assert client.do("create_lockspace", "") is None
        assert daemon.stop() == 0


def test_a_program_that_is_gone_is_told_and_the_old_one_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from rpcgen.examples.lockd.daemon import daemon_of\n"
        "from rpcgen.runtime.daemon import succession\n"
        "succession.own_command = lambda: ['/no/such/program']\n"
        "daemon_of([sys.argv[1]], state_file=sys.argv[2]).run()\n"
    )
    address, state, log = f"unix://{tmp_path}/s", tmp_path / "state", tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen([sys.executable, "-c", code, address, str(state)], stderr=errors)
    try:
        settle(lambda: is_listening(address))
        with Connected(address) as client:
            assert client.do("register", "one", os.getpid(), 1, 0) is None
            (tmp_path / "f").touch()
            assert client.do("acquire_resource", "", f"{tmp_path}/f", 0) is None
            for turn in range(1, 4):
                process.send_signal(signal.SIGUSR1)
                settle(lambda turn=turn: log.read_text().count("going on") == turn)  # type: ignore[misc]
                busy = client.do("acquire_resource", "", f"{tmp_path}/f", 0)
                assert busy is not None
                assert busy["code"] == 87
            assert client.do("release_resource", "", f"{tmp_path}/f", 0) is None
        assert not state.exists()
        assert "/no/such/program: cannot be executed: No such file" in log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait(DEADLINE)


def test_it_does_not_start_from_what_is_no_state(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("{")
    command = [sys.executable, "-m", "rpcgen.examples.lockd", "--listen", f"unix://{tmp_path}/s"]
    process = subprocess.run(
        [*command, "--state-file", str(state)],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert process.returncode == 3
    assert process.stderr.startswith(f"rpcgen-lockd: {state}: no JSON: ")
