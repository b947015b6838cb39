"""SIGHUP: what the file says comes into force, what it says wrong does not, and nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from daemon.served import CONFIGURED, PLUS
from daemon.starting import DEADLINE, SERVED, Started, daemon, numbers

from libvirt_rpc.admin_protocol.client import AdminClient
from rpcgen.runtime import connect
from rpcgen.runtime.daemon.reloads import Reloads

ALL = """
log_level = 1
log_filters = "2:rpc"
log_outputs = "1:file:{0}/other 4:stderr"
idle_timeout = 600
[servers.served]
min_workers = 1
max_workers = 2
priority_workers = 3
max_clients = 9
max_anonymous_clients = 8
max_client_requests = 7
keepalive_interval = 6
keepalive_count = 5
[own]
number = 4
"""


def state(started: Started) -> dict[str, object]:
    """What is in force, as the admin program and the program tell."""
    with started.administrator() as admin, connect(started.address) as connection:
        pool = numbers(admin.server_get_threadpool_parameters(SERVED))
        limits = numbers(admin.server_get_client_limits(SERVED))
        return {
            "min": pool["minWorkers"],
            "max": pool["maxWorkers"],
            "clients": limits["nclients_max"],
            "anonymous": limits["nclients_unauth_max"],
            "filters": admin.connect_get_logging_filters().filters,
            "outputs": admin.connect_get_logging_outputs().outputs,
            "own": connection.call(CONFIGURED, None, DEADLINE),
        }


def test_the_file_is_in_force_and_without_it_what_the_program_says(tmp_path: Path) -> None:
    with daemon(tmp_path, configuration=ALL.format(tmp_path)) as started:
        assert state(started) == {
            "min": 1,
            "max": 2,
            "clients": 9,
            "anonymous": 8,
            "filters": "2:*rpc*",
            "outputs": f"1:file:{tmp_path}/other 4:stderr",
            "own": 4,
        }
        started.reload("")
        assert state(started) == {
            "min": 5,
            "max": 20,
            "clients": 5000,
            "anonymous": 20,
            "filters": None,
            "outputs": f"1:file:{tmp_path}/log",
            "own": 0,
        }


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (
            "[servers.served]\nmax_clients = 5\n",
            "2: servers.served.max_clients",
            "expected max_clients >= 1",
        ),
        (
            "[servers.served]\n\nmin_workers = 50\n",
            "3: servers.served.min_workers",
            "expected 0 <= min <= max",
        ),
        (
            "[servers.served]\nmin_workers = 0\nmax_workers = 0\n",
            "3: servers.served.max_workers",
            "cannot change over",
        ),
        (
            "[servers.admin]\nmax_workers = 5\n",
            "2: servers.admin.max_workers",
            "cannot change over",
        ),
        ("[servers.other]\nmax_workers = 5\n", "2: servers.other.max_workers", "unknown key"),
        ('own.number = 1\nlog_filters = "x"\n', "2: log_filters", "log filter 'x'"),
        ('own.number = 1\nlog_outputs = "1:file"\n', "2: log_outputs", "absolute path"),
        ('own.number = 1\nlog_outputs = "1:file:/none/x"\n', "2: log_outputs", "No such file"),
        ("own.number = 1\nlog_level = 5\n", "2: log_level", "from 1 to 4"),
        ("own.number = 10\n", "1: own.number", "from 0 to 9"),
        ("own.number = 1\nidle_timeout = -1\n", "2: idle_timeout", "from 0"),
        ("own.number = 1\nown.number = 2\n", "2", "Cannot overwrite"),
    ],
)
def test_a_wrong_file_changes_nothing(one: Started, text: str, place: str, reason: str) -> None:
    before = state(one)
    one.reload(text)
    (line,) = one.log.read_text().splitlines()[-1:]
    assert f" : {one.configuration}: {place}: " in line
    assert reason in line
    assert state(one) == before


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A daemon for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("d")
    with daemon(folder, configuration="own.number = 7\n") as started:
        yield started


def test_log_files_are_opened_anew(one: Started) -> None:
    rotated = one.log.rename(one.folder / "log.1")
    one.reload("own.number = 7\nx = 1\n")
    assert "x: unknown key" in one.log.read_text()
    assert "x: unknown key" not in rotated.read_text()


def test_without_a_file_only_the_log_is_opened_anew(tmp_path: Path) -> None:
    with daemon(tmp_path) as started:
        with started.administrator() as admin:
            admin.connect_set_logging_filters("1:x")
        started.log.unlink()
        started.reload()
        assert started.log.exists()
        assert state(started)["filters"] == "1:*x*"


def test_500_reloads_under_load(tmp_path: Path) -> None:
    with daemon(tmp_path, configuration="") as started, started.administrator() as admin:
        load = [Load(started.address) for _ in range(3)]
        for base in range(1000, 1500, 10):
            reload_nine_times_and_once_wrong(started, admin, base)
        answered = [one.ended() for one in load]
        assert min(answered) > 0
        with connect(started.address) as connection:
            assert connection.call(PLUS, 1, DEADLINE) == 2


def reload_nine_times_and_once_wrong(started: Started, admin: AdminClient, base: int) -> None:
    for number in range(base, base + 9):
        replace_file(started, f"[servers.served]\nmax_clients = {number}\n")
        started.signal(signal.SIGHUP)
    until(lambda: limit(admin) == base + 8)
    replace_file(started, f"[servers.served]\nmax_clients = 'n{base}'\n")
    started.signal(signal.SIGHUP)
    place = f"{started.configuration}: 2: servers.served.max_clients: expected"
    error = f"{place} a whole number from 1 to 1000000, got 'n{base}'"
    until(lambda: limit(admin) and error in started.log.read_text())
    assert limit(admin) == base + 8


def limit(admin: AdminClient) -> object:
    """The limit that is in force."""
    return numbers(admin.server_get_client_limits(SERVED, timeout=DEADLINE))["nclients_max"]


def until(condition: Callable[[], object]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline


class Load:
    """A thread that calls without pause until it is told to end."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._end = threading.Event()
        self._count = 0
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def ended(self) -> int:
        """How many calls were answered, and rightly; all were, or this raises."""
        self._end.set()
        self._thread.join(DEADLINE)
        if self._error is not None:
            raise self._error
        return self._count

    def _run(self) -> None:
        try:
            with connect(self._address) as connection:
                while not self._end.is_set():
                    assert connection.call(PLUS, self._count, DEADLINE) == self._count + 1
                    self._count += 1
        except Exception as error:  # noqa: BLE001  (raised where it is waited for)
            self._error = error


def replace_file(started: Started, text: str) -> None:
    """Replace the file, so that no reload finds half of it."""
    new = started.folder / "new"
    new.write_text(text)
    os.replace(new, started.configuration)


# How reloads follow each other


def test_reloads_never_overlap_and_none_is_lost() -> None:
    async def run() -> list[str]:
        said: list[str] = []
        gate = asyncio.Semaphore(0)

        async def reload() -> None:
            said.append("begin")
            await gate.acquire()
            said.append("end")

        reloads = Reloads(reload)
        reloads.ask()
        await asyncio.sleep(0)
        for _ in range(5):  # all during the first one
            reloads.ask()
        for _ in range(2):
            gate.release()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        said.append("idle")
        reloads.ask()
        await asyncio.sleep(0)
        gate.release()
        await reloads.close()
        reloads.ask()
        await asyncio.sleep(0)
        return said

    rest = ["idle", "begin", "end"]
    assert asyncio.run(run()) == ["begin", "end", "begin", "end", *rest]


def test_who_asks_before_it_has_begun_is_heard_too() -> None:
    async def run() -> int:
        count = 0

        async def reload() -> None:
            nonlocal count
            count += 1

        reloads = Reloads(reload)
        for _ in range(3):
            reloads.ask()
        await asyncio.sleep(0)
        reloads.ask()
        await reloads.close()
        await asyncio.sleep(0)
        return count

    assert asyncio.run(run()) == 2


def test_closing_waits_for_the_one_that_runs_and_begins_no_other() -> None:
    async def run() -> int:
        count = 0

        async def reload() -> None:
            nonlocal count
            await asyncio.sleep(0)
            count += 1

        reloads = Reloads(reload)
        reloads.ask()
        await asyncio.sleep(0)
        reloads.ask()
        await reloads.close()
        return count

    assert asyncio.run(run()) == 1
