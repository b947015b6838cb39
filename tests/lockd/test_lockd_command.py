"""The lock daemon's command line: it serves until it is told to stop, and says what keeps it from that."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lockd.actors import DEADLINE, Connected

from rpcgen.examples.lockd.command import main
from rpcgen.runtime.process import pidfile, read_pidfile_if_locked


def test_it_serves_until_sigterm(tmp_path: Path) -> None:
    notify = tmp_path / "space"
    read, write = os.pipe()
    address, pid_file = f"unix://{tmp_path}/s", tmp_path / "pid"
    code = (
        "import os, sys\n"
        "from rpcgen.examples.lockd import command\n"
        "from rpcgen.runtime import Server\n"
        "begin = Server._start\n"
        f"Server._start = lambda server: (begin(server), os.write({write}, b'x'))\n"
        "sys.exit(command.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "--listen", address, "-p", str(pid_file)]
    with subprocess.Popen(command, pass_fds=[write]) as process:
        try:
            assert select.select([read], [], [], DEADLINE)[0]
            assert read_pidfile_if_locked(pid_file) == process.pid
            with Connected(address) as client:
                assert client.do("create_lockspace", str(notify)) is None
            assert notify.is_dir()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    assert not pid_file.exists()
    for fd in (read, write):
        os.close(fd)


def test_a_held_pidfile_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pidfile(tmp_path / "pid"):
        assert main(["--listen", f"unix://{tmp_path}/s", "-p", f"{tmp_path}/pid"]) == 1
    assert f"rpcgen-lockd: {tmp_path}/pid: held by process" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("address", ["nowhere", "unix:///none/at/all"])
def test_a_wrong_address_is_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listen", address]) == 1
    error = capsys.readouterr().err
    assert error.startswith("rpcgen-lockd: ")
    assert "Traceback" not in error
