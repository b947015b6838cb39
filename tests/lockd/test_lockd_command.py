"""The lock daemon's command line: it serves until it is told to stop, and says what keeps it from that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lockd.actors import DEADLINE, Connected
from server.kit import settle

from rpcgen.examples.lockd.command import main
from rpcgen.runtime.process import is_alive, pidfile, read_pidfile_if_locked


def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    space, pid_file = tmp_path / "space", tmp_path / "pid"
    address = f"unix://{tmp_path}/s"
    command = [sys.executable, "-m", "rpcgen.examples.lockd", "--listen", address]
    command += ["-p", str(pid_file), "--state-file", f"{tmp_path}/state", "-d"]
    # In the background it serves when the command is over.
    subprocess.run(command, check=True, timeout=DEADLINE)
    pid = read_pidfile_if_locked(pid_file)
    assert pid is not None
    with Connected(address) as client:
        assert client.do("create_lockspace", str(space)) is None
        assert space.is_dir()
        os.kill(pid, signal.SIGUSR1)  # it does not go into the background once more
        assert client.do("create_lockspace", str(space)) is None
        assert read_pidfile_if_locked(pid_file) == pid
    os.kill(pid, signal.SIGTERM)
    settle(lambda: not is_alive(pid))
    assert not pid_file.exists()


def test_a_held_pidfile_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pidfile(tmp_path / "pid"):
        assert main(["--listen", f"unix://{tmp_path}/s", "-p", f"{tmp_path}/pid"]) == 1
    assert f"rpcgen-lockd: {tmp_path}/pid: held by process" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("address", ["nowhere", "unix:///none/at/all"])
def test_a_wrong_address_is_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listen", address]) == 6
    error = capsys.readouterr().err
    assert error.startswith("rpcgen-lockd: ")
    assert "Traceback" not in error
