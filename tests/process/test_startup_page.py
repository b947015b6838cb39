"""The Python of docs/startup.md does what the page says."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from process.kit import DEADLINE, ROOT, has_ended, run

PAGE = (ROOT / "docs/startup.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(PROGRAM,) = re.findall(r"```python timed.py\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("source", EXAMPLES)
def test_an_example_runs(source: str, tmp_path: Path) -> None:
    assert run(source.replace("/var/log", str(tmp_path))) == ""


def timed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start the page's program for a user, not for the system, whoever we are."""
    source = PROGRAM.replace('run_folder("timed")', 'run_folder("timed", privileged=False)')
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", source, *arguments],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )


def test_the_daemon_starts_once_and_serves(tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ("--daemon", "--log-outputs", f"1:file:{log}")
    first = timed(tmp_path, *options)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    pid = int((tmp_path / "timed/pid").read_text())
    try:
        second = timed(tmp_path, *options)
        assert second.returncode == 1
        assert f"held by process {pid}" in second.stderr
        for _ in range(2):  # the second client is taken when the first one is in the log
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "timed/sock"))
                assert b":" in client.recv(100)
        assert " : told somebody the time\n" in log.read_text()
    finally:
        os.kill(pid, signal.SIGKILL)
    assert has_ended(pid)


def test_the_daemon_ends_when_nobody_comes(tmp_path: Path) -> None:
    for _ in range(2):
        done = timed(tmp_path, "--timeout", "0.01")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert [path.name for path in (tmp_path / "timed").iterdir()] == ["sock"]


def test_a_wrong_setting_is_said_and_reported(tmp_path: Path) -> None:
    done = timed(tmp_path, "--daemon", "--log-outputs", "1:file:x")
    assert done.returncode == 3
    assert done.stderr == "log output '1:file:x': expected an absolute path after file, got 'x'\n"


@pytest.mark.parametrize("name", ["OK", "PIDFILE", "RUNDIR", "EXEC", "DRIVER"])
def test_the_table_of_codes_is_true(name: str) -> None:
    from rpcgen.runtime.process.daemonize import ExitCode

    assert re.search(rf"\| {ExitCode[name].value} \| `{name}` \|", PAGE)
