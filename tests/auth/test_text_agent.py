"""The text agent as a process: how it is started, waited for, and ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rpcgen.runtime.auth import agent
from rpcgen.runtime.auth.agent import has_terminal, text_agent
from rpcgen.runtime.auth.polkit import start_time
from rpcgen.runtime.errors import AuthError
from rpcgen.runtime.process.proc import is_alive

READY = """\
echo "$$ $@" > {said}
fd=$4; exec {{fd}}>&-
exec cat {pipe}
"""

FAILING = "exit 127\n"

DEAF = """\
trap '' TERM
echo "$$" > {said}
fd=$4; exec {{fd}}>&-
while :; do read line < {pipe}; done
"""

SILENT = """\
echo "$$" > {said}
exec cat {pipe}
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an agent says what it is; it is the first in PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "said"


def install(said: Path, script: str) -> None:
    program = said.parent / "pkttyagent"
    program.write_text("#!/bin/bash\n" + script.format(said=said, pipe=said.parent / "pipe"))
    program.chmod(0o755)


def test_it_is_there_while_the_block_lasts(said: Path) -> None:
    install(said, READY)
    with text_agent():
        pid, *arguments = said.read_text().split()
        assert is_alive(int(pid))
    assert not is_alive(int(pid))
    subject = f"{os.getpid()},{start_time(os.getpid())}"
    assert arguments[:3] == ["--process", subject, "--notify-fd"]
    assert arguments[4:] == ["--fallback"]


def test_it_asks_for_another_process(said: Path) -> None:
    install(said, READY)
    with text_agent(1):
        assert f"--process 1,{start_time(1)} " in said.read_text()


def test_it_ends_with_an_error_of_the_block(said: Path) -> None:
    install(said, READY)
    with pytest.raises(KeyError), text_agent():
        raise KeyError(said.read_text())
    assert not is_alive(int(said.read_text().split()[0]))


def test_one_that_cannot_register_is_no_error(said: Path) -> None:
    install(said, FAILING)
    with text_agent():
        assert not said.exists()


def test_one_that_does_not_end_is_killed(said: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "END_SECONDS", 0.1)
    install(said, DEAF)
    with text_agent():
        pid = int(said.read_text())
        assert is_alive(pid)
    assert not is_alive(pid)


def test_one_that_never_gets_ready_is_ended(said: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "REGISTER_SECONDS", 0.1)
    install(said, SILENT)
    with pytest.raises(AuthError, match=r"is not ready in 0\.1 seconds"), text_agent():
        pytest.fail("it is not ready")
    assert not said.exists() or not is_alive(int(said.read_text() or 0))


def test_one_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AuthError, match="cannot run pkttyagent: No such file"), text_agent():
        pytest.fail("it is not there")


def test_whether_there_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    main, terminal = os.openpty()
    with open(main, "rb", buffering=0), open(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert has_terminal()
    for stdin_or_none in (None, Path(os.devnull).open(encoding="utf-8")):  # noqa: SIM115
        monkeypatch.setattr("sys.stdin", stdin_or_none)
        assert not has_terminal()
        if stdin_or_none is not None:
            stdin_or_none.close()
