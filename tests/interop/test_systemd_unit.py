"""The units of the guides under a real systemd: started, reloaded, killed, stopped, and started by a connection."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interop.systemd import DEADLINE, PACKAGES, Systemd, booted, version
from process.kit import ROOT

DAEMON = (ROOT / "docs/daemon.md").read_text()
STARTUP = (ROOT / "docs/startup.md").read_text()

UNIT = "greeterd.service"
CLIENT = """
import sys
sys.path.append("/usr/local/lib/greeterd")
from greeter.client import GreeterV1Client
from rpcgen.runtime import connect

with connect("unix:///run/greeterd/sock") as connection:
    print(GreeterV1Client(connection).greet("Ada", timeout=10))
"""


def file(page: str, name: str) -> str:
    """What the page has the reader write into a file."""
    (text,) = re.findall(rf"```\w+ {re.escape(name)}\n(.*?)```", page, re.DOTALL)
    return str(text)


def units(page: str) -> list[str]:
    """The page's units, as it has them for the systemd that is installed."""
    found = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    if version() >= 253:
        return found
    (type_, reload), *_ = re.findall(r"before 253 it is `(.*?)` with\s`(.*?)`", DAEMON)
    return [unit.replace("Type=notify-reload", f"{type_}\n{reload}") for unit in found]


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it does, before the deadline: systemd tells nobody outside what it does by itself."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            return False
    return True


@pytest.fixture(scope="module")
def systemd() -> Iterator[Systemd]:
    with booted() as started:
        yield started


@pytest.fixture
def greeterd(systemd: Systemd, tmp_path: Path) -> Iterator[Systemd]:
    """The guide's daemon, installed as it says."""
    (tmp_path / "greeter.x").write_text(file(DAEMON, "greeter.x"))
    generate = [sys.executable, "-m", "rpcgen", "generate", "greeter.x"]
    subprocess.run(generate, cwd=tmp_path, check=True, capture_output=True, timeout=DEADLINE)
    sources = [*(tmp_path / "greeter").glob("*.py")]
    assert sources
    for source in sources:
        systemd.write(f"/usr/local/lib/greeterd/greeter/{source.name}", source.read_text())
    systemd.write("/usr/local/lib/greeterd/greeterd.py", file(DAEMON, "greeterd.py"))
    systemd.write("/etc/greeterd.toml", file(DAEMON, "greeterd.toml"))
    (unit,) = units(DAEMON)
    systemd.write(f"/etc/systemd/system/{UNIT}", unit)
    systemd.do("systemctl", "enable", "--now", UNIT)
    yield systemd
    systemd.do("systemctl", "disable", "--now", UNIT)
    systemd.do("systemctl", "reset-failed")  # and forget how often it was started


def greet(systemd: Systemd) -> str:
    return systemd.do("/usr/bin/python3", "-c", CLIENT, environment={"PYTHONPATH": PACKAGES})


def test_systemd_leaves_the_machine_as_it_is(systemd: Systemd) -> None:
    systemd.do("test", "-w", "/proc/sys/fs/file-max", code=1)
    systemd.do("touch", "/made-there")
    assert not Path("/made-there").exists()


def test_a_start_lasts_until_the_daemon_serves(greeterd: Systemd) -> None:
    assert greeterd.do("systemctl", "is-active", UNIT) == "active"
    assert greet(greeterd) == "Good day, Ada!"
    pid = greeterd.property(UNIT, "MainPID")
    assert (greeterd.run / "greeterd/pid").read_text() == pid
    wants = "/etc/systemd/system/multi-user.target.wants"
    assert greeterd.do("ls", wants) == UNIT


def test_a_reload_takes_the_file_that_is_there(greeterd: Systemd) -> None:
    pid = greeterd.property(UNIT, "MainPID")
    greeterd.write("/etc/greeterd.toml", "")
    greeterd.do("systemctl", "reload", UNIT)
    assert comes_true(lambda: greet(greeterd) == "Hello, Ada!")
    assert greeterd.property(UNIT, "MainPID") == pid
    assert comes_true(lambda: greeterd.property(UNIT, "ActiveState") == "active")


def test_a_killed_one_is_started_again(greeterd: Systemd) -> None:
    pid = greeterd.property(UNIT, "MainPID")
    greeterd.do("systemctl", "kill", "--signal", "KILL", UNIT)
    assert comes_true(lambda: greeterd.property(UNIT, "NRestarts") == "1")
    assert comes_true(lambda: greeterd.property(UNIT, "ActiveState") == "active")
    assert greeterd.property(UNIT, "MainPID") not in {"0", pid}
    assert greet(greeterd) == "Good day, Ada!"


def test_a_stopped_one_has_ended_well(greeterd: Systemd) -> None:
    greeterd.do("systemctl", "stop", UNIT)
    assert greeterd.do("systemctl", "is-active", UNIT, code=3) == "inactive"
    assert greeterd.property(UNIT, "Result") == "success"
    assert greeterd.property(UNIT, "ExecMainStatus") == "0"
    assert not (greeterd.run / "greeterd").exists()


def test_a_wrong_configuration_is_a_failed_start(greeterd: Systemd) -> None:
    greeterd.do("systemctl", "stop", UNIT)
    greeterd.write("/etc/greeterd.toml", "log_level = 5\n")
    greeterd.do("systemctl", "start", UNIT, code=1)
    assert comes_true(lambda: greeterd.property(UNIT, "ActiveState") == "failed")
    assert greeterd.property(UNIT, "ExecMainStatus") == "7"


def test_a_connection_starts_a_daemon(systemd: Systemd) -> None:
    names = ("timed.socket", "timed.service")
    systemd.write("/usr/local/bin/timed.py", file(STARTUP, "timed.py"))
    for name, unit in zip(names, units(STARTUP), strict=True):
        systemd.write(f"/etc/systemd/system/{name}", unit)
    systemd.do("systemctl", "enable", "timed.service")  # the socket, too
    systemd.do("systemctl", "start", "timed.socket")
    for _ in range(2):
        assert systemd.property("timed.service", "ActiveState") == "inactive"
        assert time.strptime(asked(systemd.run / "timed/sock"))
        assert comes_true(lambda: systemd.property("timed.service", "ActiveState") == "active")
        systemd.do("systemctl", "stop", "timed.service")
    assert systemd.do("systemctl", "is-enabled", "timed.socket") == "enabled"
    systemd.do("systemctl", "stop", "timed.socket")


def asked(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        client.connect(str(path))
        return client.makefile().read()
