"""What the service manager is told, byte for byte, and that its absence costs nothing."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from rpcgen.runtime.process.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager's socket, in either form."""
    address = str(tmp_path / "n") if request.param == "path" else f"\0{uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(address)
        one.setblocking(False)
        yield one


def address_of(manager: socket.socket) -> str:
    """The address as NOTIFY_SOCKET has it."""
    name = manager.getsockname()
    return name if isinstance(name, str) else f"@{name[1:].decode()}"


@pytest.mark.parametrize(
    ("say", "data"),
    [
        (lambda one: one.ready(), b"READY=1"),
        (lambda one: one.ready("serving"), b"READY=1\nSTATUS=serving"),
        (lambda one: one.stopping(), b"STOPPING=1"),
        (lambda one: one.status("5 clients"), b"STATUS=5 clients"),
        (lambda one: one.status("a\nREADY=1\r\nb"), b"STATUS=a READY=1 b"),
        (lambda one: one.status("\udce4\N{EURO SIGN}"), b"STATUS=?\xe2\x82\xac"),
        (lambda one: one.extend_timeout(2.5), b"EXTEND_TIMEOUT_USEC=2500000"),
        (lambda one: one.extend_timeout(-1), b"EXTEND_TIMEOUT_USEC=0"),
        (lambda one: one.ping(), b"WATCHDOG=1"),
        (lambda one: one.main_pid(), b"MAINPID=OWN"),
        (lambda one: one.main_pid(7), b"MAINPID=7"),
        (lambda one: one.send(ERRNO=2, BUSERROR="x.y"), b"ERRNO=2\nBUSERROR=x.y"),
    ],
)
def test_a_message_is_one_datagram(
    say: Callable[[Notifier], bool], data: bytes, manager: socket.socket
) -> None:
    with Notifier(address_of(manager)) as notifier:
        assert say(notifier)
    assert manager.recv(1000) == data.replace(b"OWN", b"%d" % os.getpid())
    with pytest.raises(BlockingIOError):
        manager.recv(1)


def test_a_reload_has_its_time(manager: socket.socket) -> None:
    before = time.monotonic_ns() // 1000
    with Notifier(address_of(manager)) as notifier:
        assert notifier.reloading()
    first, second = manager.recv(1000).split(b"\n")
    assert first == b"RELOADING=1"
    name, value = second.split(b"=")
    assert name == b"MONOTONIC_USEC"
    assert before <= int(value) <= time.monotonic_ns() // 1000


def test_any_thread_may_notify(manager: socket.socket) -> None:
    with Notifier(address_of(manager)) as notifier:
        other = threading.Thread(target=notifier.ping)
        other.start()
        other.join()
    assert manager.recv(1000) == b"WATCHDOG=1"


def test_no_manager_is_no_error() -> None:
    with Notifier() as notifier:
        assert not notifier.ready()
    assert not Notifier("").ready()


def test_a_manager_that_comes_later_or_again_is_told(tmp_path: Path) -> None:
    path = tmp_path / "n"
    with Notifier(str(path)) as notifier:
        for _ in range(2):
            assert not notifier.ready()
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(str(path))
                assert notifier.ready()
                assert manager.recv(1000) == b"READY=1"
            assert not notifier.ready()
            path.unlink()


def test_a_manager_that_does_not_read_is_not_waited_for(manager: socket.socket) -> None:
    with Notifier(address_of(manager)) as notifier:
        sent = 0
        while notifier.ping():
            sent += 1
        assert sent
        manager.recv(1000)
        assert notifier.ready()


@pytest.mark.parametrize("address", [f"/{'x' * 200}", f"@{'x' * 200}"])
def test_an_address_that_is_too_long_is_no_error(address: str) -> None:
    with Notifier(address) as notifier:
        assert not notifier.ready()


def test_an_address_of_an_unknown_form_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with Notifier("vsock:2:1234") as notifier:
        assert not notifier.ready()
    assert caplog.messages == ["NOTIFY_SOCKET: expected a path or @ and a name, got 'vsock:2:1234'"]


def test_without_a_descriptor_to_spare_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("socket.socket", full)
    assert not Notifier(str(tmp_path / "n")).ready()
    assert "Too many open files" in caplog.text


def test_after_close_it_says_nothing(manager: socket.socket) -> None:
    notifier = Notifier(address_of(manager))
    notifier.close()
    notifier.close()
    assert not notifier.ready()


def test_it_is_found_in_the_environment(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": address_of(manager), "WATCHDOG_USEC": "1500000"}
    with Notifier.from_environ(environ.copy()) as notifier:
        assert notifier.watchdog == 1.5
        assert notifier.ready()
    assert manager.recv(1000) == b"READY=1"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "text"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({"WATCHDOG_PID": str(os.getpid())}, None),
    ],
)
def test_the_watchdog_is_for_the_process_that_is_named(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert Notifier.from_environ(environ).watchdog == seconds
