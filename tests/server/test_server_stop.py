"""How servers start and end: in a loop, in a thread, by a signal; what was accepted is answered."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from raw import CALL, DEADLINE, OK, Packet, Raw
from server.kit import (
    CONSOLE,
    EVENT,
    KIT,
    PLAIN,
    QUICK,
    UPLOAD,
    Busy,
    connect,
    descriptors,
    fresh_address,
    is_listening,
    number,
    offering,
    plain_socket,
    serving,
    settle,
)

from rpcgen.runtime.errors import ConnectError, LocalProtocolError
from rpcgen.runtime.server import Server

ECHO = {"quick": lambda _, value: value}


def test_a_stopping_server_answers_what_it_has_accepted() -> None:
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value))
    with serving(handlers, min_workers=1, max_workers=2) as server, connect(server) as raw:
        raw.send(*(raw.packet(PLAIN.number, number(i), serial=i) for i in range(9)))
        busy.wait(2)  # three more are accepted and queued
        server.stop()
        settle(lambda: not is_listening(server.addresses[0]))
        busy.let_go()
        assert {raw.read().serial for _ in range(5)} == set(range(5))
        assert raw.is_ended()


def test_a_stopping_server_waits_for_coroutines() -> None:
    gate = asyncio.Event()

    async def handler(_: object, value: int) -> int:
        await gate.wait()
        return value

    with serving(offering(quick=handler)) as server, connect(server) as raw:
        raw.send(raw.packet(QUICK.number, number(1)))
        settle(lambda: bool(server._running().dispatcher.steps.running))
        server.stop(None)
        server._running().loop.post(gate.set)
        assert raw.read().payload == number(1)
        assert raw.is_ended()


def test_a_stopping_server_breaks_streams() -> None:
    ended = threading.Semaphore(0)

    def upload(call: Any, flags: int) -> None:
        try:
            list(call.stream)
        finally:
            ended.release()

    async def console(call: Any) -> Any:
        try:
            while True:
                await asyncio.sleep(1000)
                yield b""
        finally:
            ended.release()

    with serving(offering(upload=upload, console=console)) as server, connect(server) as raw:
        assert raw.call(UPLOAD.number, number(0)).status == OK
        raw.send(raw.packet(CONSOLE.number, serial=2))
        assert raw.is_quiet()
        server.stop()
        assert raw.read()[2:6] == (UPLOAD.number, 3, 1, 1)
        while not raw.is_ended():
            pass
        assert ended.acquire(timeout=DEADLINE)
        assert ended.acquire(timeout=DEADLINE)


def test_stopping_gives_up_after_its_timeout(caplog: pytest.LogCaptureFixture) -> None:
    busy, cancelled = Busy(), threading.Event()

    async def stuck(_: object, value: int) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return value

    handlers = offering(plain=lambda _, value: busy(value), quick=stuck)
    with serving(handlers) as server, connect(server) as raw:
        raw.send(raw.packet(QUICK.number, number(1)), raw.packet(PLAIN.number, number(1)))
        busy.wait(1)
        server.stop(0.01)
        assert raw.is_ended()
        assert cancelled.wait(DEADLINE)
    busy.let_go()
    assert caplog.messages == []


def test_a_second_stop_may_be_less_patient() -> None:
    busy = Busy()
    handlers = offering(plain=lambda _, value: busy(value))
    with serving(handlers) as server, connect(server) as raw:
        raw.send(raw.packet(PLAIN.number, number(1)))
        busy.wait(1)
        server.stop(None)
        server.stop(0)
        assert raw.is_ended()
    busy.let_go()


@pytest.mark.parametrize("procedure", [PLAIN, QUICK])
def test_a_handler_may_stop_its_server(procedure: Any) -> None:
    def handler(_: object, value: int) -> int:
        server.stop()
        return value

    with serving(offering(plain=handler, quick=handler)) as server, connect(server) as raw:
        assert raw.call(procedure.number, number(1)).payload == number(1)
        assert raw.is_ended()


def test_a_server_leaves_nothing_behind(tmp_path: Path) -> None:
    before = descriptors(), threading.active_count()
    path = tmp_path / "s"
    for _ in range(3):
        with serving(offering(**ECHO), listen=[f"unix://{path}", "tcp://127.0.0.1:0"]) as server:
            assert path.stat().st_mode & 0o777 == 0o700
            with connect(server, 1) as raw, Raw(plain_socket(f"unix://{path}"), KIT.number) as two:
                assert raw.call(QUICK.number, number(1)).status == OK
                assert two.call(QUICK.number, number(1)).status == OK
        assert not path.exists()
    # What tests before this one have left may go meanwhile.
    settle(lambda: descriptors() <= before[0] and threading.active_count() <= before[1])


def test_a_server_may_be_started_again() -> None:
    server = serving(offering(**ECHO))
    for _ in range(2):
        with server, connect(server) as raw:
            assert raw.call(QUICK.number, number(1)).status == OK
            with pytest.raises(LocalProtocolError, match="runs already"), server:
                pass


def test_what_asks_for_a_running_server() -> None:
    server = serving(offering())
    for ask in (lambda: server.sessions, lambda: server.statistics, server.dial):
        with pytest.raises(LocalProtocolError, match="has not been started"):
            ask()
    server.stop()
    assert server.addresses == []
    with server:
        pass
    assert server.statistics.clients == 0
    with pytest.raises(LocalProtocolError, match="has ended"):
        server.dial()


def test_addresses_are_those_that_the_system_chose() -> None:
    with serving(listen=["tcp://127.0.0.1:0", "tcp://[::1]:0"]) as server:
        for address in server.addresses:
            plain_socket(address).close()
        assert not any(address.endswith(":0") for address in server.addresses)


def test_addresses_that_are_none_or_taken() -> None:
    with pytest.raises(ConnectError, match="no transport is called 'smoke'"):
        serving(listen=["smoke://signal"])
    address = fresh_address()
    before = descriptors()
    with (
        serving(listen=[address]),
        pytest.raises(ConnectError, match="cannot listen"),
        serving(listen=["tcp://127.0.0.1:0", address]),
    ):
        pass
    settle(lambda: descriptors() == before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_client_requests", 0), ("max_queued_clients", -1), ("keepalive", (5, -1))],
)
def test_numbers_that_make_no_sense(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        serving(**{name: value})


def test_within_a_running_loop() -> None:
    async def main() -> None:
        async def handler(_: object, value: int) -> int:
            await asyncio.sleep(0)
            tasks.append(asyncio.get_running_loop())
            return value

        tasks: list[Any] = []
        async with serving(offering(quick=handler)) as server:
            reader, writer = await asyncio.open_unix_connection(
                sock=plain_socket(server.addresses[0])
            )
            call = Packet(KIT.number, 1, QUICK.number, CALL, 1, OK, number(5))
            writer.write(call.encoded())
            assert (await reader.readexactly(32))[-4:] == number(5)
            writer.close()
            await writer.wait_closed()
        assert tasks == [asyncio.get_running_loop()]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


PROGRAM = """
import sys, threading
from rpcgen.examples.filer.bindings.filer.server import FilerV1Server
from rpcgen.runtime.server import Server

class Stuck(FilerV1Server):
    def remove(self, call, path):
        sys.stdout.write("begun\\n")
        sys.stdout.flush()
        if path == "stuck":
            threading.Event().wait()
        sys.stdin.readline()

class Telling(Server):
    def _start(self):
        super()._start()
        sys.stdout.write("ready\\n")
        sys.stdout.flush()

Telling([Stuck()], listen=[sys.argv[1]]).run()
sys.stdout.write("ended\\n")
"""

REMOVE = 0x20F1_1E50, 3


@pytest.mark.parametrize("number_", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("path", [b"slow", b"stuck"])
def test_signals_end_a_run(number_: signal.Signals, path: bytes) -> None:
    """The first waits for handlers, the second does not."""
    address = fresh_address()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        program, procedure = REMOVE
        with Raw(plain_socket(address), program) as raw:
            argument = len(path).to_bytes(4, "big") + path + bytes(-len(path) % 4)
            raw.send(raw.packet(procedure, argument))
            assert process.stdout.readline() == b"begun\n"
            process.send_signal(number_)
            settle(lambda: not is_listening(address))
            if path == b"slow":
                process.stdin.write(b"\n")
                process.stdin.flush()
                assert raw.read().status == OK
            else:
                process.send_signal(number_)
            assert raw.is_ended()
        assert process.stdout.readline() == b"ended\n"
        assert process.wait(DEADLINE) == 0


def test_events_after_the_end_are_not_kept() -> None:
    with serving(offering()) as server:
        pass
    for _ in range(3):
        server.send_event(EVENT, 1)
    assert not server._running().loop._jobs


def test_signal_handlers_are_as_before() -> None:
    def handler(*_: object) -> None:
        """Nothing."""

    before = signal.signal(signal.SIGTERM, handler)
    try:
        server = serving(offering(**ECHO))
        threading.Thread(target=stop_soon, args=(server,)).start()
        server.run()
        assert signal.getsignal(signal.SIGTERM) is handler
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_soon(server: Server) -> None:
    settle(lambda: server.addresses != [])
    settle(lambda: server._engine is not None)
    with connect(server) as raw:
        assert raw.call(QUICK.number, number(1)).status == OK
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_run_in_another_thread_takes_no_signals() -> None:
    server = serving(offering(**ECHO))
    thread = threading.Thread(target=server.run)
    thread.start()
    settle(lambda: server._engine is not None)
    server.stop()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_with_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")
    loops: list[str] = []

    async def handler(_: object, value: int) -> int:
        await asyncio.sleep(0)
        loops.append(type(asyncio.get_running_loop()).__module__)
        return value

    with (
        serving(
            offering(quick=handler, plain=lambda _, value: value),
            listen=[fresh_address(), "tcp://127.0.0.1:0"],
            loop_factory=uvloop.new_event_loop,
        ) as server,
        connect(server) as raw,
        connect(server, 1) as other,
    ):
        for one in (raw, other):
            for procedure in (QUICK, PLAIN):
                assert one.call(procedure.number, number(1)).payload == number(1)
    assert loops == ["uvloop"] * 2
