"""The real polkitd, on a bus of its own: processes of other users are what it is asked about."""

from __future__ import annotations

import asyncio
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from interop.buses import authority_on_a_bus, started, wait_for_output

from libvirt_rpc.libvirt_common.types import VirErrorNumber
from rpcgen.runtime.auth.polkit import MANAGE, MONITOR, PolkitError, check, start_time

try:
    from dbus_fast import BusType, Message, MessageType, Variant
    from dbus_fast.aio import MessageBus
except ModuleNotFoundError:
    BusType = None  # type: ignore[assignment, misc]


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A polkitd on what is the system's bus to this process."""
    with authority_on_a_bus() as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield


@contextmanager
def process_of(user: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process of a user, and the user's number."""
    ids = pwd.getpwnam(user)
    change = ["setpriv", f"--reuid={ids.pw_uid}", f"--regid={ids.pw_gid}", "--clear-groups"]
    with started([*change, "sh", "-c", "echo there; exec cat"]) as process:
        wait_for_output(process, b"there")
        yield process, ids.pw_uid


def ask(action: str, user: str, *, interactive: bool = True) -> None:
    with process_of(user) as (process, uid):
        began = start_time(process.pid)
        asyncio.run(check(action, process.pid, began, uid, interactive=interactive))


@pytest.mark.usefixtures("authority")
def test_a_rule_allows_one_and_denies_another() -> None:
    ask(MANAGE, "nobody")
    with pytest.raises(PolkitError, match=r"^access denied by policy$") as caught:
        ask(MANAGE, "daemon")
    assert caught.value.code == VirErrorNumber.VIR_ERR_AUTH_FAILED


@pytest.mark.usefixtures("authority")
@pytest.mark.parametrize("interactive", [True, False])
def test_a_password_is_wanted_and_nobody_asks_for_it(interactive: bool) -> None:
    with pytest.raises(PolkitError, match="no polkit agent") as caught:
        ask(MONITOR, "nobody", interactive=interactive)
    assert caught.value.code == VirErrorNumber.VIR_ERR_AUTH_UNAVAILABLE


@pytest.mark.usefixtures("authority")
def test_an_action_that_nobody_has_declared() -> None:
    with pytest.raises(PolkitError, match=r"polkit cannot be asked: .*no\.such\.action"):
        ask("no.such.action", "nobody")


@pytest.mark.usefixtures("authority")
def test_who_has_ended_is_not_authorized() -> None:
    with process_of("nobody") as (process, uid):
        began = start_time(process.pid)
    with pytest.raises(PolkitError):
        asyncio.run(check(MANAGE, process.pid, began, uid))


class Agent:
    """One that asks nobody: it answers as a user would have."""

    AGENT = "org.freedesktop.PolicyKit1.AuthenticationAgent"

    def __init__(self, bus: Any, *, knows_password: bool) -> None:
        self.bus = bus
        self.knows_password = knows_password
        bus.add_message_handler(self.take)

    async def register(self, pid: int, uid: int) -> None:
        subject = {"pid": Variant("u", pid), "start-time": Variant("t", start_time(pid))}
        subject["uid"] = Variant("i", uid)
        body = [["unix-process", subject], "C", "/agent"]
        await self.call("RegisterAuthenticationAgent", "(sa{sv})ss", body)

    def take(self, message: Message) -> Message | bool:
        if message.interface != self.AGENT or message.member != "BeginAuthentication":
            return False
        if not self.knows_password:
            return Message.new_error(message, "org.freedesktop.PolicyKit1.Error.Cancelled", "no")
        self.confirming = asyncio.ensure_future(self.confirm(message))
        return True

    async def confirm(self, message: Message) -> None:
        """Tell polkitd, as its helper does when the password was right."""
        cookie = message.body[4]
        root = ["unix-user", {"uid": Variant("u", 0)}]
        await self.call("AuthenticationAgentResponse2", "us(sa{sv})", [0, cookie, root])
        await self.bus.send(Message.new_method_return(message))

    async def call(self, member: str, signature: str, body: list[Any]) -> None:
        authority = "org.freedesktop.PolicyKit1.Authority"
        place = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", authority)
        reply = await self.bus.call(Message(*place, member, signature=signature, body=body))
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body


async def ask_with_agent(pid: int, uid: int, *, knows_password: bool) -> None:
    bus: Any = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        await Agent(bus, knows_password=knows_password).register(pid, uid)
        await check(MONITOR, pid, start_time(pid), uid, bus=bus)
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()


@pytest.mark.usefixtures("authority")
def test_the_user_gives_the_password() -> None:
    with process_of("nobody") as (process, uid):
        asyncio.run(ask_with_agent(process.pid, uid, knows_password=True))


@pytest.mark.usefixtures("authority")
def test_the_user_dismisses_the_question() -> None:
    with process_of("nobody") as (process, uid), pytest.raises(PolkitError) as caught:
        asyncio.run(ask_with_agent(process.pid, uid, knows_password=False))
    assert caught.value.code == VirErrorNumber.VIR_ERR_AUTH_CANCELLED
