"""Programs as connections: what they say, how they end, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peers import open_fds
from relay import make_relay

from rpcgen.examples.filer.bindings.filer.client import AsyncFilerV1Client, FilerV1Client
from rpcgen.examples.filer.server import Filer
from rpcgen.runtime import ConnectError, ConnectionClosed, Server, connect, connect_async
from rpcgen.runtime.transport import command
from rpcgen.runtime.transport.address import parse
from rpcgen.runtime.transport.command import CommandStream, spawn
from rpcgen.runtime.transport.listen import listen

DEADLINE = 20.0


def python(program: str) -> CommandStream:
    return spawn([sys.executable, "-c", program])


def received(stream: CommandStream, size: int) -> bytes:
    """As many bytes as come, up to a size."""
    poll, found = select.poll(), b""
    poll.register(stream.fileno(), select.POLLIN)
    while len(found) < size:
        assert poll.poll(DEADLINE * 1000)
        space = bytearray(size - len(found))
        count = stream.receive(memoryview(space))
        if not count:
            break
        found += space[:count]
    return found


def test_what_a_program_writes_arrives() -> None:
    stream = spawn(["cat", "/dev/zero"])
    assert received(stream, 100) == bytes(100)
    stream.close()


def test_what_is_sent_is_what_it_reads() -> None:
    stream = spawn(["cat"])
    assert stream.send([b"to and", b" fro"]) == 10
    assert received(stream, 10) == b"to and fro"
    stream.close()


def test_ctrl_c_while_it_starts_leaves_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, children = subprocess.Popen.__init__, list[subprocess.Popen[bytes]]()

    def begin_and_interrupt(child: subprocess.Popen[bytes], *args: Any, **options: Any) -> None:
        begin(child, *args, **options)
        children.append(child)
        signal.raise_signal(signal.SIGINT)

    fds = open_fds()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(subprocess.Popen, "__init__", begin_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            spawn(["sleep", "1000"])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert [child.returncode for child in children] == [-signal.SIGTERM]
    finally:
        signal.signal(signal.SIGINT, before)
        for child in children:
            child.kill()
            child.wait()
    assert open_fds() == fds


def test_it_may_say_much_before_it_answers() -> None:
    stream = spawn(
        [sys.executable, "-c", "import os; os.write(2, bytes(500_000)); os.write(1, b'x')"]
    )
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    assert poll.poll(DEADLINE * 1000)
    space = bytearray(9)
    assert stream.receive(memoryview(space)) == 1
    stream.close()


def test_its_last_words_are_in_the_error() -> None:
    stream = spawn(["cat", "/nowhere/at/all"])
    with pytest.raises(ConnectionClosed, match=r"^cat: it has ended: .*/nowhere/at/all.*No such"):
        received(stream, 1)
    stream.close()


def test_only_the_last_of_many_words_are_kept() -> None:
    stream = python("import sys; sys.stderr.write('x' * 5_000 + 'end')")
    with pytest.raises(ConnectionClosed) as caught:
        received(stream, 1)
    stream.close()
    assert str(caught.value).endswith(" " + "x" * 1021 + "end")


@pytest.mark.parametrize(
    ("program", "end"),
    [
        ("raise SystemExit(9)", "exit code 9"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("raise SystemExit('so it is')", "exit code 1: so it is"),
    ],
)
def test_how_it_ended_is_in_the_error(
    program: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_ENDING", DEADLINE)
    stream = python(program)
    with pytest.raises(ConnectionClosed, match=f": it has ended: {end}$"):
        received(stream, 1)
    stream.close()


def test_one_that_goes_on_without_its_connection_is_not_waited_for() -> None:
    stream = python("import os, signal; os.close(0); os.close(1); signal.pause()")
    assert received(stream, 1) == b""
    stream.close()


def test_who_says_nothing_just_ends() -> None:
    stream = spawn(["true"])
    assert received(stream, 1) == b""
    stream.close()


def test_a_program_gets_no_descriptors() -> None:
    stream = spawn(["cat"])
    assert not stream.passes_fds
    with pytest.raises(ConnectionClosed, match=r"^descriptor 0 cannot travel"):
        stream.send_fd(0)
    assert stream.send([b"x"]) == 1
    space = bytearray(9)
    assert select.select([stream.fileno()], [], [], DEADLINE)[0]
    assert stream.receive_with_fds(memoryview(space)) == (1, [])
    assert space[:1] == b"x"
    stream.close()


def test_a_talkative_program_does_not_wait_to_be_heard() -> None:
    program = (
        "import os\nfor n in range(40): os.write(2, b'x' * 16384); os.write(1, b'.'); os.read(0, 1)"
    )
    stream = python(program)
    for _ in range(40):
        assert received(stream, 1) == b"."
        assert stream.send([b"!"]) == 1
    stream.close()


def test_a_program_that_does_not_exist_is_named() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(ConnectError, match=r"^no-such-program: cannot run: No such file"):
        spawn(["no-such-program"])
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("handler", ["SIG_DFL", "SIG_IGN"])
def test_closing_ends_it_even_if_it_does_not_want_to(handler: str) -> None:
    before = set(os.listdir("/proc/self/fd"))
    program = f"import signal; signal.signal(15, signal.{handler}); print('.', flush=True); signal.pause()"
    stream = python(program)
    assert received(stream, 1) == b"."
    pid = stream.pid
    stream.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert set(os.listdir("/proc/self/fd")) == before


def test_it_sees_no_more_of_the_environment_than_with_libvirt() -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/h", "SECRET": "x", "LC_ALL": "de_DE"}
    stream = spawn(["env"], environ)
    assert dict(line.split("=", 1) for line in received(stream, 500).decode().splitlines()) == {
        "PATH": os.environ["PATH"],
        "HOME": "/h",
        "LC_ALL": "C",
    }
    stream.close()


def test_a_program_cannot_be_listened_at() -> None:
    with pytest.raises(ConnectError, match="command:cat: a program cannot be listened at"):
        listen(parse("command:cat"), 1)


def test_calls_through_a_program(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (tmp_path / "shared").touch()
    address = f"command:{shlex.quote(str(make_relay(tmp_path, path)))}"
    with (
        Server([Filer(tmp_path)], listen=[f"unix://{path}"]),
        connect(address) as connection,
    ):
        assert FilerV1Client(connection).stat("shared", False).path == "shared"
        assert not connection.identity.secure


def test_coroutines_call_through_a_program(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "s"
        (tmp_path / "shared").touch()
        async with Server([Filer(tmp_path)], listen=[f"unix://{path}"]):
            relay = shlex.quote(str(make_relay(tmp_path, path)))
            async with connect_async(f"command:{relay}") as connection:
                entry = await AsyncFilerV1Client(connection).stat("shared", False)
                assert entry.path == "shared"

    asyncio.run(main())


def test_a_call_fails_with_the_words_of_the_program() -> None:
    with connect("command:cat /nowhere/at/all") as connection:
        filer = FilerV1Client(connection)
        with pytest.raises(ConnectionClosed, match="No such file"):
            filer.list_folder("", timeout=DEADLINE)
