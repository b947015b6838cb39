"""What becomes of polkit's answers: an authority that gives any, on a bus of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import require
from interop.buses import private_bus

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime.auth.polkit import (
    MANAGE,
    MONITOR,
    PolkitError,
    PolkitUnavailable,
    action_for,
    check,
    is_exempt,
    start_time,
)
from rpcgen.runtime.errors import AuthError

try:
    from dbus_fast import BusType, Message
    from dbus_fast.aio import MessageBus
except ModuleNotFoundError:
    BusType = None  # type: ignore[assignment, misc]

PID = os.getpid()
DEADLINE = 30.0

Answer = Callable[["Message"], "Message | None"]


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon of what is the system's bus to this process."""
    require(BusType, "not installed: dbus-fast")
    with private_bus(tmp_path) as (address, process):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield process


class Authority:
    """Answers as a test wants, and remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[str, list[Any]]] = []
        self.more = asyncio.Event()

    def take(self, message: Message) -> Message | bool:
        if message.interface != "org.freedesktop.PolicyKit1.Authority":
            return False
        assert message.path == "/org/freedesktop/PolicyKit1/Authority"
        self.asked.append((str(message.member), message.body))
        self.more.set()
        return self.answer(message) or True

    async def next(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.more.wait()
        self.more.clear()


def saying(authorized: bool, challenge: bool, details: dict[str, str]) -> Answer:
    return lambda message: Message.new_method_return(
        message, "(bba{ss})", [[authorized, challenge, details]]
    )


def silent(_: Message) -> None:
    return None


def asking(answer: Answer, question: Callable[[Authority], Coroutine[Any, Any, None]]) -> Authority:
    """Have a question asked while an authority is there."""

    async def run() -> Authority:
        bus: Any = await MessageBus(bus_type=BusType.SYSTEM).connect()
        authority = Authority(answer)
        bus.add_message_handler(authority.take)
        await bus.request_name("org.freedesktop.PolicyKit1")
        try:
            await question(authority)
        finally:
            bus.disconnect()
            await asyncio.wait([asyncio.ensure_future(bus.wait_for_disconnect())], timeout=DEADLINE)
        return authority

    return asyncio.run(run())


async def ask(_: object = None, **options: Any) -> None:
    await check(MANAGE, PID, start_time(PID), 5, **options)


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("interactive", [True, False])
def test_the_question(interactive: bool) -> None:
    def question(_: Authority) -> Coroutine[Any, Any, None]:
        return ask(details={"a": "b"}, interactive=interactive)

    ((member, body),) = asking(saying(True, False, {}), question).asked
    (kind, subject), action, details, flags, cancellation = body
    assert (member, kind, action, details) == (
        "CheckAuthorization",
        "unix-process",
        MANAGE,
        {"a": "b"},
    )
    assert {name: (one.signature, one.value) for name, one in subject.items()} == {
        "pid": ("u", PID),
        "start-time": ("t", start_time(PID)),
        "uid": ("i", 5),
    }
    assert flags == interactive
    assert cancellation


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((False, False, {}), VirErrorNumber.VIR_ERR_AUTH_FAILED),
        ((False, False, {"polkit.dismissed": "false"}), VirErrorNumber.VIR_ERR_AUTH_FAILED),
        ((False, False, {"polkit.dismissed": "true"}), VirErrorNumber.VIR_ERR_AUTH_CANCELLED),
        ((False, True, {"polkit.dismissed": "true"}), VirErrorNumber.VIR_ERR_AUTH_CANCELLED),
        ((False, True, {}), VirErrorNumber.VIR_ERR_AUTH_UNAVAILABLE),
        ((False, True, {"polkit.retains": "true"}), VirErrorNumber.VIR_ERR_AUTH_UNAVAILABLE),
    ],
)
def test_what_is_no_yes(answer: tuple[bool, bool, dict[str, str]], code: VirErrorNumber) -> None:
    with pytest.raises(PolkitError) as caught:
        asking(saying(*answer), ask)
    assert caught.value.code == code
    assert not isinstance(caught.value, PolkitUnavailable)


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("details", [{}, {"polkit.dismissed": "true"}])
def test_yes_is_yes(details: dict[str, str]) -> None:
    assert len(asking(saying(True, False, details), ask).asked) == 1


@pytest.mark.usefixtures("daemon")
def test_an_answer_of_another_shape() -> None:
    def odd(message: Message) -> Message:
        return Message.new_method_return(message, "b", [True])

    with pytest.raises(PolkitUnavailable, match=r"^expected \(bba\{ss\}\) from polkit, got b$"):
        asking(odd, ask)


@pytest.mark.usefixtures("daemon")
def test_an_error_for_an_answer() -> None:
    def failing(message: Message) -> Message:
        return Message.new_error(message, "org.freedesktop.PolicyKit1.Error.Failed", "no way")

    with pytest.raises(PolkitUnavailable, match=r"Error\.Failed: no way$") as caught:
        asking(failing, ask)
    assert caught.value.code == VirErrorNumber.VIR_ERR_AUTH_FAILED


@pytest.mark.usefixtures("daemon")
def test_no_authority() -> None:
    with pytest.raises(PolkitUnavailable, match=r"polkit cannot be asked: .*ServiceUnknown"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("unix:path=/nowhere/bus", "No such file or directory"),
        ("carrier:pigeon=1", "carrier"),
        ("", "cannot be reached"),
    ],
)
def test_no_bus(monkeypatch: pytest.MonkeyPatch, address: str, reason: str) -> None:
    require(BusType, "not installed: dbus-fast")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    with pytest.raises(PolkitUnavailable, match=f"D-Bus cannot be reached: .*{reason}|{reason}"):
        asyncio.run(ask())


def test_a_bus_that_goes_away(daemon: subprocess.Popen[bytes]) -> None:
    def going(_: Message) -> None:
        daemon.kill()

    with pytest.raises(PolkitUnavailable, match="the D-Bus connection is gone"):
        asking(going, ask)


@pytest.mark.usefixtures("daemon")
def test_a_question_that_is_not_answered_is_withdrawn() -> None:
    async def question(authority: Authority) -> None:
        with pytest.raises(PolkitUnavailable, match=r"has not answered in 0\.1 seconds"):
            await ask(timeout=0.1)
        await withdrawn(authority)

    asking(silent, question)


@pytest.mark.usefixtures("daemon")
def test_a_question_whose_asker_is_cancelled_is_withdrawn() -> None:
    async def question(authority: Authority) -> None:
        task = asyncio.create_task(ask())
        await authority.next()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await withdrawn(authority)

    asking(silent, question)


async def withdrawn(authority: Authority) -> None:
    while len(authority.asked) < 2:
        await authority.next()
    (_, asked), (member, body) = authority.asked
    assert (member, body) == ("CancelCheckAuthorization", [asked[-1]])


@pytest.mark.usefixtures("daemon")
def test_a_bus_of_the_callers_own_stays_open() -> None:
    async def question(_: Authority) -> None:
        bus: Any = await MessageBus(bus_type=BusType.SYSTEM).connect()
        await ask(bus=bus)
        assert bus.connected
        await ask(bus=bus)
        bus.disconnect()
        await bus.wait_for_disconnect()

    assert len(asking(saying(True, False, {}), question).asked) == 2


@pytest.mark.usefixtures("daemon")
def test_a_process_that_ends_while_polkit_thinks_is_not_authorized() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:

        def late(message: Message) -> Message:
            process.kill()
            process.wait()
            return Message.new_method_return(message, "(bba{ss})", [[True, False, {}]])

        began = start_time(process.pid)
        with pytest.raises(PolkitError, match=f"^process {process.pid} has ended$"):
            asking(late, lambda _: check(MANAGE, process.pid, began, 0))


@pytest.mark.parametrize(("pid", "began"), [(1, 0), (0, 5), (-1, 5), (1, -1)])
def test_who_is_not_known_is_not_asked_about(
    monkeypatch: pytest.MonkeyPatch, pid: int, began: int
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus")
    with pytest.raises(PolkitError, match="not known well enough") as caught:
        asyncio.run(check(MANAGE, pid, began, 0))
    assert caught.value.code == VirErrorNumber.VIR_ERR_AUTH_FAILED


def test_without_dbus_fast_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dbus_fast", None)
    with pytest.raises(AuthError, match=r"pip install 'rpcgen\[polkit\]'"):
        asyncio.run(ask())


def test_the_start_time_whatever_the_command_is_called(tmp_path: Path) -> None:
    program = tmp_path / ") R 1 2 (x"
    program.symlink_to("/bin/cat")
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        began = start_time(process.pid)
        process.kill()
    assert start_time(PID) <= began
    assert start_time(process.pid) == 0


def test_what_is_asked_of_whom() -> None:
    assert (action_for(readonly=False), action_for(readonly=True)) == (MANAGE, MONITOR)
    assert [is_exempt(uid) for uid in (0, 1, None)] == [True, False, False]
