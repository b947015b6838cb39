"""Into the background: what the parent ends with is what became of the daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from process.kit import DEADLINE, ROOT, has_ended, run

from rpcgen.runtime.errors import ProcessError
from rpcgen.runtime.process.daemonize import ExitCode, StartReport, daemonize

HEAD = """
import json, os, select, signal, sys
from rpcgen.runtime.process.daemonize import *
fd = int(sys.argv[1])
def tell(**facts):
    os.write(fd, json.dumps(facts).encode() + b"\\n")
"""


def start(body: str) -> tuple[int, str, str]:
    """Run a program that daemonises: the parent's code and words, and what the daemon tells.

    The words end when nobody has the program's standard error any more, what is told when the daemon
    has ended.
    """
    reader, writer = os.pipe()
    with open(reader) as told:
        try:
            done = subprocess.run(
                [sys.executable, "-W", "error", "-c", HEAD + body, str(writer)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=DEADLINE,
                pass_fds=(writer,),
                cwd=ROOT,
            )
        finally:
            os.close(writer)
        return done.returncode, done.stdout + done.stderr, told.read()


def test_a_daemon_that_is_ready_lets_the_parent_go() -> None:
    body = """
caller = os.getpid()
print("before", end="")
report = daemonize("x")
tell(pid=os.getpid() != caller, leader=os.getsid(0) == os.getpid(), cwd=os.getcwd(),
     tty=[os.isatty(n) for n in range(3)])
print("starting", file=sys.stderr)
report.ready()
report.ready()
report.failed(5)
print("gone", file=sys.stderr)
tell(null=[os.stat(n).st_rdev == os.stat("/dev/null").st_rdev for n in range(3)])
"""
    code, said, told = start(body)
    assert (code, said) == (0, "beforestarting\n")  # each once
    assert '"pid": true, "leader": false, "cwd": "/"' in told
    assert '"null": [true, true, true]' in told


@pytest.mark.parametrize("code", [*ExitCode][1:])
def test_a_daemon_that_fails_gives_its_code_to_the_parent(code: ExitCode) -> None:
    body = f"""
report = daemonize("x")
print("why", file=sys.stderr)
report.failed({int(code)})
"""
    assert start(body)[:2] == (code, "why\n")


def test_codes_are_libvirts() -> None:
    names = "OK PIDFILE RUNDIR INIT SIGNAL PRIVS NETWORK CONFIG HOOKS EXEC AUDIT DRIVER"
    assert [(code.name, code.value) for code in ExitCode] == [
        (name, number) for number, name in enumerate(names.split())
    ]


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            3,
            "x: killed by signal 9 (Killed) while it started\n",
        ),
        (
            "os.kill(os.getpid(), 40)",
            3,
            "x: killed by signal 40 (Real-time signal 6) while it started\n",
        ),
        ("os._exit(0)", 3, "x: ended before it had started\n"),
        ("os._exit(77)", 77, ""),
        ("sys.exit(6)", 6, ""),
    ],
)
def test_a_daemon_that_dies_without_a_word_has_not_started(end: str, code: int, words: str) -> None:
    assert start(f'report = daemonize("x")\n{end}')[:2] == (code, words)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("sys.exit(7)", 7),
        ("sys.exit(0)", 3),
        ("sys.exit(256)", 3),
        ("sys.exit('text')", 3),
        ("1 / 0", 3),
        ("raise KeyboardInterrupt", 3),
    ],
)
def test_what_leaves_the_block_is_reported(error: str, code: int) -> None:
    assert start(f'with daemonize("x"):\n    {error}')[0] == code


def test_after_the_word_an_error_is_the_daemons_own() -> None:
    body = 'with daemonize("x") as report:\n    report.ready()\n    1 / 0'
    assert start(body) == (0, "", "")


def test_the_traceback_of_a_failed_start_is_seen() -> None:
    assert "ZeroDivisionError" in start('with daemonize("x"):\n    1 / 0')[1]


def test_nothing_of_the_caller_runs_in_the_parent() -> None:
    body = """
import atexit
atexit.register(lambda: tell(exit=os.getpid()))
try:
    daemonize("x").ready()
finally:
    tell(final=os.getpid())
"""
    told = start(body)[2].splitlines()
    assert len(told) == 2
    assert told[0].split(":")[1] == told[1].split(":")[1]


def test_a_daemon_goes_on_when_the_one_that_waits_is_killed() -> None:
    body = """
report = daemonize("x")
second = os.getppid()
end = os.pidfd_open(second)
os.kill(second, signal.SIGKILL)
select.select([end], [], [])
report.ready()
tell(alive=True)
"""
    assert start(body) == (
        3,
        "x: killed by signal 9 (Killed) while it started\n",
        '{"alive": true}\n',
    )


def test_no_signals_handler_leads_back_to_the_caller() -> None:
    body = """
def handler(number, frame):
    raise RuntimeError("caller")
signal.signal(signal.SIGUSR1, handler)
report = daemonize("x")
second = os.getppid()
end = os.pidfd_open(second)
os.kill(second, signal.SIGUSR1)
select.select([end], [], [])
report.ready()
"""
    assert start(body)[:2] == (3, "")


def test_a_parent_that_is_interrupted_ends_as_shells_expect() -> None:
    body = """
caller = os.getpid()
report = daemonize("x")
end = os.pidfd_open(caller)
os.kill(caller, signal.SIGINT)
select.select([end], [], [])
report.ready()
tell(alive=True)
"""
    assert start(body) == (130, "", '{"alive": true}\n')


def test_channels_that_were_closed_are_not_other_files() -> None:
    body = """
os.close(0), os.close(1), os.close(2)
sys.stdin = sys.stdout = sys.stderr = None
report = daemonize("x")
report.ready()
tell(null=[os.stat(n).st_rdev == os.stat("/dev/null").st_rdev for n in range(3)])
"""
    assert start(body) == (0, "", '{"null": [true, true, true]}\n')


def test_a_folder_that_is_not_there_is_said_before_the_fork() -> None:
    body = """
try:
    daemonize("x", directory="/nowhere/at/all")
except FileNotFoundError as error:
    tell(name=error.filename, pid=os.getpid())
"""
    code, _, told = start(body)
    assert code == 0
    assert '"name": "/nowhere/at/all"' in told


def test_threads_are_refused() -> None:
    go = threading.Event()
    other = threading.Thread(target=go.wait)
    other.start()
    try:
        with pytest.raises(ProcessError, match=r"expected one thread .*, got [2-9]"):
            daemonize("x")
    finally:
        go.set()
        other.join()


def test_in_the_foreground_a_report_does_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with StartReport() as report:
        report.ready()
        report.failed(3)
        os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


@pytest.mark.parametrize("code", [0, 256, -1])
def test_a_failure_has_a_code_that_a_parent_can_end_with(code: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 255, got {code}"):
        StartReport().failed(code)


def test_a_parent_that_is_gone_costs_the_daemon_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    StartReport(writer).failed(1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(writer)


def test_it_imports_neither_sockets_nor_asyncio() -> None:
    source = "import sys, rpcgen.runtime.process.daemonize\nprint({'socket', 'asyncio'} & {*sys.modules})"
    assert run(source) == "set()\n"


def test_the_daemon_outlives_the_caller() -> None:
    body = """
report = daemonize("x")
tell(pid=os.getpid())
report.ready()
signal.pause()
"""
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + body, str(writer)], pass_fds=(writer,), cwd=ROOT
    )
    os.close(writer)
    with open(reader) as told:
        assert process.wait(DEADLINE) == 0
        pid = int(told.readline().split(":")[1].strip(" }\n"))
        try:
            os.kill(pid, 0)
        finally:
            os.kill(pid, 9)
        assert has_ended(pid)
