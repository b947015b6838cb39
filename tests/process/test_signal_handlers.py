"""Signals: they arrive on the loop, whichever it is, and everything is as it was afterwards.

Each test is a script of its own: it changes handlers and masks of its process.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from process.kit import DEADLINE, ROOT, run

BEGIN = """
import asyncio, os, select, signal, subprocess, sys, threading
from rpcgen.runtime.process import ProcessError, SignalHandlers, SignalRecord, stop_handlers
came = []
def note(record):
    came.append((record.number, record.sender, threading.current_thread() is threading.main_thread()))
me = os.getpid()
USR1, USR2, HUP, TERM = signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM
def send(number, pid=me):
    subprocess.run([sys.executable, "-ISc", f"import os; os.kill({pid}, {int(number)}); print(os.getpid())"],
        check=True, stdout=subprocess.DEVNULL)
"""


def script(source: str) -> str:
    """Run a script after what all of them begin with."""
    return run(BEGIN + source)


# Where handlers run


def test_a_thread_without_a_loop_waits_for_them() -> None:
    script("""
with SignalHandlers({USR1: note, USR2: note}) as handlers:
    assert handlers.wait(0) == 0
    os.kill(me, USR1)
    assert came == []                                     # not before it is dispatched
    assert select.select([handlers], [], [], 30)[0]
    os.kill(me, USR2)
    assert handlers.wait() == 2 and handlers.wait(0) == 0
    assert came == [(USR1, None, True), (USR2, None, True)]
""")


def test_another_thread_waits_for_them() -> None:
    script("""
with SignalHandlers({USR1: note}) as handlers:
    thread = threading.Thread(target=handlers.wait)
    thread.start()
    send(USR1)
    thread.join()
    assert came == [(USR1, None, False)]
""")


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
@pytest.mark.parametrize("senders", ["False", "True"])
def test_they_run_on_a_loop(kind: str, senders: str) -> None:
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    script(f"""
import {kind}
async def main(handlers):
    arrived = asyncio.Event()
    def arrive(record):
        note(record)
        assert asyncio.get_running_loop()
        arrived.set()
    handlers._handlers[USR1] = arrive
    with handlers.attached():
        os.kill(me, USR1)
        await asyncio.wait_for(arrived.wait(), 30)
        arrived.clear()
        process = await asyncio.create_subprocess_exec("kill", "-USR1", str(me))
        await asyncio.wait_for(arrived.wait(), 30)
        await process.wait()
    assert [number for number, _, _ in came] == [USR1, USR1]
    if {senders}:
        assert came[0][1] == me and came[1][1] == process.pid
with SignalHandlers({{USR1: note}}, senders={senders}) as handlers:
    {kind}.run(main(handlers))
assert signal.getsignal(USR1) is signal.SIG_DFL
""")


def test_they_run_on_a_loop_of_another_thread() -> None:
    script("""
async def main(handlers, ready):
    with handlers.attached():
        ready.set()
        while not came:
            await asyncio.sleep(0)
with SignalHandlers({USR1: note}) as handlers:
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(main(handlers, ready)))
    thread.start()
    ready.wait()
    send(USR1)
    thread.join()                                         # asleep in a lock, and yet it handles signals
    assert came == [(USR1, None, False)]
""")


def test_a_handler_that_raises_keeps_the_others_waiting_only() -> None:
    script("""
def fail(record):
    raise LookupError(record.number)
with SignalHandlers({USR1: fail, USR2: note}) as handlers:
    os.kill(me, USR1)
    os.kill(me, USR2)
    try:
        handlers.wait()
    except LookupError:
        assert handlers.wait() == 1
    assert came == [(USR2, None, True)]
""")


def test_what_came_before_the_loop_ran_is_not_lost() -> None:
    script("""
async def main(handlers):
    with handlers.attached():
        while not came:
            await asyncio.sleep(0)
with SignalHandlers({USR1: note}) as handlers:
    os.kill(me, USR1)
    asyncio.run(main(handlers))
assert came == [(USR1, None, True)]
""")


@pytest.mark.parametrize("senders", ["False", "True"])
def test_a_signal_that_another_thread_gets_wakes_the_loop(senders: str) -> None:
    script(f"""
leave = threading.Event()
early = threading.Thread(target=leave.wait)               # was there before, and blocks nothing
early.start()
def asleep():                                             # the main thread, in poll
    with open(f"/proc/self/task/{{me}}/syscall") as file:
        return file.read().split()[0] in ("7", "73", "271")
def ring():
    while not asleep():
        pass
    signal.pthread_kill(early.ident, USR1)
with SignalHandlers({{USR1: note}}, senders={senders}) as handlers:
    for _ in range(20):
        thread = threading.Thread(target=ring)
        thread.start()
        assert handlers.wait() == 1                       # for ever, if it is lost
        thread.join()
leave.set()
early.join()
""")


def test_a_full_pipe_loses_nothing() -> None:
    script("""
with SignalHandlers({USR1: note, USR2: note}) as handlers:
    for _ in range(100_000):
        handlers._bell.ring()
    os.kill(me, USR1)
    os.kill(me, USR2)
    assert handlers.wait() == 2
    assert not select.select([handlers], [], [], 0)[0]
    assert handlers.wait(0) == 0
""")


def test_the_wakeup_descriptor_of_a_loop_is_left_to_it() -> None:
    script("""
ours, theirs = os.pipe2(os.O_NONBLOCK)
with SignalHandlers({USR1: note}):
    assert signal.set_wakeup_fd(theirs) != -1
    with SignalHandlers({USR2: note}) as handlers:
        os.kill(me, USR2)
        assert handlers.wait() == 1
    assert os.read(ours, 10) == bytes([USR2])
assert signal.set_wakeup_fd(-1) == theirs
with SignalHandlers({USR1: note}):
    pass
assert signal.set_wakeup_fd(-1) == -1
""")


def test_somebody_elses_signal_does_not_end_waiting() -> None:
    script("""
signal.signal(HUP, lambda *_: os.kill(me, USR1))
with SignalHandlers({USR1: note}) as handlers:
    os.kill(me, HUP)
    assert handlers.wait() == 1
""")


# Who sent them


def test_the_whole_record_comes_if_wanted() -> None:
    script("""
records = []
with SignalHandlers({USR1: records.append, signal.SIGCHLD: records.append}, senders=True) as handlers:
    process = subprocess.Popen([sys.executable, "-ISc", f"import os; os.kill({me}, {int(USR1)}); os._exit(3)"])
    while len(records) < 2:
        handlers.wait()
    child = {record.number: record for record in records}
    assert child[USR1].sender == process.pid == child[signal.SIGCHLD].info.si_pid
    assert child[USR1].info.si_uid == os.getuid()
    assert child[signal.SIGCHLD].info.si_status == 3
    assert repr(child[USR1]) == f"SignalRecord(SIGUSR1, sender={process.pid})"
    process.wait()
    assert USR1 in signal.pthread_sigmask(signal.SIG_BLOCK, [])
assert USR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
assert threading.active_count() == 1
""")


def test_nothing_is_lost_where_it_is_not_blocked() -> None:
    script("""
wake = threading.Event()
early = threading.Thread(target=wake.wait)                # was there before, and blocks nothing
early.start()
with SignalHandlers({USR1: note}, senders=True) as handlers:
    signal.pthread_kill(early.ident, USR1)
    handlers.wait()
    with handlers.unblocked():
        signal.pthread_kill(threading.get_ident(), USR1)
    handlers.wait()
    assert [number for number, _, _ in came] == [USR1, USR1]
    wake.set()
    early.join()
""")


def test_children_are_not_deaf() -> None:
    script("""
blocked = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))"
def mask():
    return subprocess.run([sys.executable, "-ISc", blocked], capture_output=True, text=True).stdout.strip()
with SignalHandlers({USR1: note}):
    assert mask() == "[]"
with SignalHandlers({USR1: note}, senders=True) as handlers:
    assert mask() == f"[{int(USR1)}]"                     # as documented
    with handlers.unblocked():
        assert mask() == "[]"
    assert mask() == f"[{int(USR1)}]"
""")


# As it was before


def test_what_was_before_is_put_back() -> None:
    script("""
def mine(*_): pass
signal.signal(USR1, mine)
signal.signal(HUP, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
before = {number: signal.getsignal(number) for number in (USR1, USR2, HUP, TERM, signal.SIGPIPE, signal.SIGINT)}
for senders in (False, True):
    handlers = SignalHandlers({number: note for number in (USR1, USR2, HUP, TERM, signal.SIGINT)}, senders=senders)
    reads, writes = os.pipe()
    os.close(reads)
    try:
        os.write(writes, b"x")
    except BrokenPipeError:
        came.append("ignored")
    os.close(writes)
    handlers.close()
    handlers.close()
    assert {number: signal.getsignal(number) for number in before} == before
assert came == ["ignored"] * 2
""")


def test_a_handler_that_somebody_set_since_stays() -> None:
    script("""
def mine(*_): pass
with SignalHandlers({USR1: note}):
    signal.signal(USR1, mine)
assert signal.getsignal(USR1) is mine
""")


def test_a_handler_that_raises_when_it_is_back_keeps_nothing_else_from_it() -> None:
    script("""
def fail(*_):
    raise KeyboardInterrupt
numbers = (HUP, USR1, USR2, TERM)
for number in numbers:
    signal.signal(number, fail)
descriptors = os.listdir("/proc/self/fd")
handlers = SignalHandlers(dict.fromkeys(numbers, note))
before = signal.signal
def restore(number, handler):
    before(number, handler)
    os.kill(me, number)
    return before(number, handler)
signal.signal = restore
try:
    handlers.close()
except KeyboardInterrupt:
    came.append("interrupted")
signal.signal = before
assert came == ["interrupted"]
assert [signal.getsignal(number) for number in numbers] == [fail] * 4
assert os.listdir("/proc/self/fd") == descriptors
""")


def test_a_handler_that_somebody_has_kept_does_nothing_afterwards() -> None:
    script("""
with SignalHandlers({USR1: note}) as handlers:
    kept = signal.getsignal(USR1)
reads, writes = os.pipe2(os.O_NONBLOCK)                   # their numbers are those of the closed ones
kept(USR1, None)
assert not select.select([reads], [], [], 0)[0]
assert handlers.take() is None
""")


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    script("""
def refused(function):
    try:
        function()
    except ProcessError as error:
        return str(error)
assert refused(lambda: SignalHandlers({signal.SIGRTMAX: note}, senders=True)).startswith("SIGRTMAX has another use")
descriptors = os.listdir("/proc/self/fd")
assert refused(lambda: SignalHandlers({USR1: note, signal.SIGKILL: note})).startswith("signals cannot be caught")
assert signal.getsignal(USR1) is signal.SIG_DFL
assert os.listdir("/proc/self/fd") == descriptors
said = []
thread = threading.Thread(target=lambda: said.append(refused(lambda: SignalHandlers({USR1: note}))))
thread.start()
thread.join()
with SignalHandlers({USR1: note}) as handlers:
    thread = threading.Thread(target=lambda: said.append(refused(handlers.close)))
    thread.start()
    thread.join()
    os.kill(me, USR1)
    assert handlers.wait() == 1
assert said == ["expected the main thread, the only one that may change handlers"] * 2
""")


@pytest.mark.parametrize("senders", ["False", "True"])
def test_a_forked_child_is_rid_of_them(senders: str) -> None:
    script(f"""
reads, writes = os.pipe()
handlers = SignalHandlers({{TERM: note}}, senders={senders})
import warnings
warnings.simplefilter("ignore")                           # there is a thread that waits for signals
if (pid := os.fork()) == 0:
    os.write(writes, b"x")
    while True:
        signal.pause()
os.read(reads, 1)
os.kill(pid, TERM)
assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == TERM         # not asleep with it
assert handlers.wait(0) == 0
os.kill(me, TERM)
assert handlers.wait() == 1
handlers.close()
""")


# Stopping


def test_the_first_asks_and_the_next_insist() -> None:
    script("""
def graceful(record): came.append(("graceful", record.number))
def immediate(record): came.append(("immediate", record.number))
with SignalHandlers(stop_handlers(graceful, immediate)) as handlers:
    for number in (TERM, signal.SIGINT, signal.SIGQUIT):
        os.kill(me, number)
        handlers.wait()
assert came == [("graceful", TERM), ("immediate", signal.SIGINT), ("immediate", signal.SIGQUIT)]
""")


def test_a_program_stops_on_ctrl_c_without_a_traceback() -> None:
    source = """
print("ready", flush=True)
with SignalHandlers(stop_handlers(lambda record: print(record.number.name), None)) as handlers:
    print("ready", flush=True)
    handlers.wait()
"""
    command = [sys.executable, "-c", BEGIN + source]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        for _ in range(2):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=DEADLINE)[0] == "SIGINT\n"
        assert process.returncode == 0
